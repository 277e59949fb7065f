"""How long conversations are: the arithmetic of turns, against conversations that are really held."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.plan_parameters import PlanParameters
from drift.planning.conversations import Conversations, ends_at
from drift.problems.problem import Problem
from drift.protocol.episode import Episode

SHARES = st.floats(0, 1)


def conversations(plan: PlanParameters, max_turns: int = 5, **values) -> Conversations:
    defaults = {
        "count": 1000,
        "prompt_tokens": 50,
        "longest_prompt_tokens": 80,
        "feedback_tokens": 7,
        "max_turns": max_turns,
        "max_new_tokens": 16,
        "response_tokens": 10,
        "ends_at_K": ends_at(plan, max_turns),
    }
    return Conversations(**defaults | values)


@given(first=SHARES, later=SHARES, max_turns=st.integers(1, 8))
def test_every_conversation_ends_once(first, later, max_turns):
    shares = ends_at(PlanParameters(solved_at_first=first, solved_later=later), max_turns)
    assert len(shares) == max_turns and min(shares) >= 0
    assert sum(shares) == pytest.approx(1)


@given(first=SHARES, later=SHARES, max_turns=st.integers(1, 8))
def test_what_is_expected_is_never_above_the_most(first, later, max_turns):
    held = conversations(PlanParameters(solved_at_first=first, solved_later=later), max_turns)
    assert 1 - 1e-9 <= held.expected_turns <= max_turns + 1e-9
    assert held.expected_responses <= held.most_responses
    assert held.expected_context <= held.expected_tokens + held.max_turns * held.max_new_tokens
    assert held.expected_tokens <= held.most_tokens


class Feedback:
    """What an episode asks of a chat format."""

    feedback_ids_stopped = feedback_ids_cut = (0,) * 7


def test_episodes_that_are_held_are_as_long_as_expected():
    plan = PlanParameters(solved_at_first=0.3, solved_later=0.2)
    held, generator, episodes = conversations(plan), np.random.default_rng(0), []
    for number in range(4000):
        episode = Episode(Problem("p", "", "", "math", ""), number, [0] * 50, max_turns=5)
        while not episode.finished:
            if episode.turns:
                episode.add_feedback(Feedback())
            right = generator.random() < (0.2 if episode.turns else 0.3)
            episode.add_turn([0] * 10, True, "", "correct" if right else "wrong", None)
        episodes.append(episode)
    assert held.expected_turns == pytest.approx(np.mean([len(e.turns) for e in episodes]), rel=0.02)
    assert held.expected_tokens == pytest.approx(np.mean([len(e.token_ids) for e in episodes]), rel=0.02)
    contexts = [range(turn.start, turn.end) for episode in episodes for turn in episode.turns]
    mean = np.mean([position for context in contexts for position in context])
    assert held.expected_context == pytest.approx(mean, rel=0.02)
    assert max(len(e.token_ids) for e in episodes) <= held.most_tokens


def test_what_nobody_solves_uses_every_turn():
    held = conversations(PlanParameters(solved_at_first=0, solved_later=0), response_tokens=16)
    assert held.ends_at_K == (0, 0, 0, 0, 1)
    assert held.expected_responses == held.most_responses == 1000 * 5 * 16
