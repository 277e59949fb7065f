import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.errors import UserError
from drift.problems.problem import Problem
from drift.protocol.chat import ChatFormat
from drift.protocol.episode import Episode, longest_episode_tokens
from drift.protocol.fit import refuse_too_long
from drift.protocol.prompts import PROMPT_STYLES

PROBLEM = Problem("p", "1 + 1?", "2", "numeric", "arithmetic")
END = 9
CHAT = ChatFormat(None, PROMPT_STYLES["boxed"], (7, 8), (END, 7, 8), frozenset([END]))  # the ids alone are used here

responses = st.lists(st.tuples(st.lists(st.integers(10, 20), min_size=1, max_size=5), st.booleans()), min_size=1)


@given(st.lists(st.integers(10, 20), min_size=1, max_size=6), responses, st.integers(1, 6))
def test_contexts_of_successive_turns_extend_each_other(prompt, spoken, max_turns):
    episode = Episode(PROBLEM, 0, prompt, max_turns)
    contexts = [list(episode.token_ids)]
    for ids, stopped in spoken:
        episode.add_turn([*ids, END] if stopped else ids, stopped, "text", "wrong", "1")
        if episode.finished:
            break
        episode.add_feedback(CHAT)
        contexts.append(list(episode.token_ids))
    trajectory = episode.trajectory()
    for context, turn in zip(contexts, trajectory.turns, strict=False):
        assert trajectory.token_ids[: turn.start] == context
    assert trajectory.num_turns <= max_turns
    assert trajectory.turns[-1].end == len(trajectory.token_ids) or not episode.finished
    assert len(trajectory.token_ids) <= longest_episode_tokens(len(prompt), CHAT, max_turns, 6)


@given(responses)
def test_the_end_of_turn_is_in_the_span_exactly_when_the_model_stopped(spoken):
    episode = Episode(PROBLEM, 0, [1], len(spoken))
    for ids, stopped in spoken:
        episode.add_turn([*ids, END] if stopped else ids, stopped, "text", "wrong", None)
        if not episode.finished:
            episode.add_feedback(CHAT)
    for turn in episode.turns:
        span = episode.token_ids[turn.start : turn.end]
        assert (span[-1] == END) == turn.stopped
        assert END not in span[:-1]
        after = episode.token_ids[turn.end : turn.end + 1]
        assert not after or (after == [END]) != turn.stopped


def test_a_correct_response_ends_the_episode():
    episode = Episode(PROBLEM, 0, [1], 5)
    episode.add_turn([2, END], True, "2", "correct", "2")
    assert episode.finished
    assert episode.trajectory().success
    assert episode.trajectory().num_turns == 1


def test_problems_that_outgrow_the_context_are_named(reference_model):
    from drift.parameters import ProtocolParameters
    from drift.protocol.chat import chat_format_of

    chat = chat_format_of(reference_model.path, ProtocolParameters())
    long = Problem("long", "word " * 9000, "1", "math", "x")
    with pytest.raises(UserError, match=r"1 of 2 problems.*context of 8192: long \(\d+\).*max_new_tokens"):
        refuse_too_long([PROBLEM, long], chat, reference_model.path, max_turns=5, max_new_tokens=24)
