"""The multi-turn loop, driven by a policy that is a plain function."""

import asyncio
from contextlib import aclosing

import pytest

from drift.parameters import ProtocolParameters
from drift.problems.problem import Problem
from drift.protocol.chat import ChatFormat, chat_format_of
from drift.protocol.trajectory import Trajectory
from drift.rollout.engine import Completion, Sampling
from drift.rollout.scheduler import Conversation, run_problems
from drift.verification.pool import VerifierPool

PROBLEMS = [
    Problem(f"p{index}", f"What is {index} + 1?", str(index + 1), "math" if index % 2 else "numeric", "arithmetic")
    for index in range(5)
]


class CountingPolicy:
    """Says 0, 1, 2 … turn after turn, so that problem p<i> is solved at turn i + 2; slower for earlier problems."""

    def __init__(self, chat: ChatFormat, fails_at: int | None = None) -> None:
        self.chat, self.fails_at = chat, fails_at
        self.contexts: list[list[int]] = []
        self.active = self.most_active = self.cancelled = 0

    async def generate(self, token_ids, sampling: Sampling) -> Completion:
        self.contexts.append(list(token_ids))
        if len(self.contexts) == self.fails_at:
            raise ConnectionError("the engine is gone")
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            await asyncio.sleep(0.01 if self.fails_at is None else 30)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.active -= 1
        said = self.chat.text(token_ids).count("Incorrect")
        ids = self.chat.tokenizer(f"It is {said}.", add_special_tokens=False)["input_ids"]
        return Completion([*ids, *sampling.stop_ids], stopped=True)


@pytest.fixture(scope="module")
def chat(reference_model) -> ChatFormat:
    return chat_format_of(reference_model.path, ProtocolParameters())


def run(policy: CountingPolicy, max_in_flight: int = 8, num_trajectories: int = 3) -> list[list[Trajectory]]:
    async def collect() -> list[list[Trajectory]]:
        with VerifierPool(1, 10) as verifiers:
            sampling = Sampling(1.0, 1.0, 24, policy.chat.stop_ids)
            conversation = Conversation(policy, policy.chat, verifiers, sampling, max_turns=4)
            runs = run_problems(conversation, PROBLEMS, num_trajectories, max_in_flight, lambda _: None)
            async with aclosing(runs):
                return [trajectories async for trajectories in runs]

    return asyncio.run(collect())


def test_problems_come_whole_and_every_trajectory_once(chat):
    groups = run(CountingPolicy(chat))
    assert sorted(group[0].problem_id for group in groups) == [problem.problem_id for problem in PROBLEMS]
    for group in groups:
        assert {trajectory.problem_id for trajectory in group} == {group[0].problem_id}
        assert [trajectory.trajectory_id for trajectory in group] == [0, 1, 2]


def test_episodes_stop_on_success_or_when_the_turns_are_used_up(chat):
    turns = {
        group[0].problem_id: {(entry.num_turns, entry.success) for entry in group}
        for group in run(CountingPolicy(chat))
    }
    assert turns == {"p0": {(2, True)}, "p1": {(3, True)}, "p2": {(4, True)}, "p3": {(4, False)}, "p4": {(4, False)}}


def test_every_turn_is_sampled_from_the_exact_tokens_of_the_one_before(chat):
    policy = CountingPolicy(chat)
    trajectories = [trajectory for group in run(policy) for trajectory in group]
    for trajectory in trajectories:
        for turn in trajectory.turns:
            assert trajectory.token_ids[: turn.start] in policy.contexts


@pytest.mark.parametrize("max_in_flight", [1, 4])
def test_no_more_episodes_are_in_flight_than_allowed(chat, max_in_flight):
    policy = CountingPolicy(chat)
    run(policy, max_in_flight)
    assert policy.most_active == max_in_flight


def test_an_engine_that_fails_ends_the_rollout_and_leaves_nothing_running(chat):
    policy = CountingPolicy(chat, fails_at=4)
    with pytest.raises(ConnectionError, match="the engine is gone"):
        run(policy)
    assert policy.active == 0
    assert policy.cancelled == len(policy.contexts) - 1 >= 3
