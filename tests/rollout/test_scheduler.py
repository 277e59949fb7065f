"""The multi-turn loop, driven by a policy that is a plain function."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from typing import NamedTuple

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

    def __init__(self, stage: "Stage", max_in_flight: int = 8, fails_at: int | None = None) -> None:
        self.chat, self.verifiers, self.max_in_flight, self.fails_at = *stage, max_in_flight, fails_at
        self.seeds: list[int | None] = []
        self.contexts: list[list[int]] = []
        self.active = self.most_active = self.cancelled = 0

    async def generate(self, token_ids, sampling: Sampling, seed: int | None = None) -> Completion:
        self.contexts.append(list(token_ids))
        self.seeds.append(seed)
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


class Stage(NamedTuple):
    """What the tests share."""

    chat: ChatFormat
    verifiers: VerifierPool


@pytest.fixture(scope="module")
def stage(reference_model) -> Iterator[Stage]:
    with VerifierPool(1, 10) as verifiers:
        yield Stage(chat_format_of(reference_model.path, ProtocolParameters()), verifiers)


def conversation_with(policy: CountingPolicy, max_turns: int = 4, seed: int | None = None) -> Conversation:
    sampling = Sampling(1.0, 1.0, 24, policy.chat.stop_ids)
    return Conversation(policy, policy.chat, policy.verifiers, sampling, max_turns, seed)


def run(policy: CountingPolicy, num_trajectories: int = 3, seed: int | None = None) -> list[list[Trajectory]]:
    async def collect() -> list[list[Trajectory]]:
        runs = run_problems(conversation_with(policy, seed=seed), iter(PROBLEMS), num_trajectories, lambda _: None)
        async with aclosing(runs):
            return [trajectories async for batch in runs for trajectories in batch]

    return asyncio.run(collect())


def test_problems_come_whole_and_every_trajectory_once(stage):
    groups = run(CountingPolicy(stage))
    assert sorted(group[0].problem_id for group in groups) == [problem.problem_id for problem in PROBLEMS]
    for group in groups:
        assert {trajectory.problem_id for trajectory in group} == {group[0].problem_id}
        assert [trajectory.trajectory_id for trajectory in group] == [0, 1, 2]


def test_episodes_stop_on_success_or_when_the_turns_are_used_up(stage):
    turns = {
        group[0].problem_id: {(entry.num_turns, entry.success) for entry in group}
        for group in run(CountingPolicy(stage))
    }
    assert turns == {"p0": {(2, True)}, "p1": {(3, True)}, "p2": {(4, True)}, "p3": {(4, False)}, "p4": {(4, False)}}


def test_every_turn_is_sampled_from_the_exact_tokens_of_the_one_before(stage):
    policy = CountingPolicy(stage)
    trajectories = [trajectory for group in run(policy) for trajectory in group]
    for trajectory in trajectories:
        for turn in trajectory.turns:
            assert trajectory.token_ids[: turn.start] in policy.contexts


@pytest.mark.parametrize("max_in_flight", [1, 4])
def test_no_more_episodes_are_in_flight_than_allowed(stage, max_in_flight):
    policy = CountingPolicy(stage, max_in_flight)
    run(policy)
    assert policy.most_active == max_in_flight


def test_problems_are_admitted_in_order_and_only_when_there_is_room(stage):
    taken: list[str] = []

    def problems():
        for problem in PROBLEMS:
            taken.append(problem.problem_id)
            yield problem

    async def first_batch() -> None:
        conversation = conversation_with(CountingPolicy(stage, max_in_flight=2), max_turns=1)
        runs = run_problems(conversation, problems(), 2, lambda _: None)
        async with aclosing(runs):
            await anext(runs)

    asyncio.run(first_batch())
    assert taken == ["p0", "p1"], "the second problem took the place of the first, the others wait"


def test_with_a_seed_every_response_has_one_of_its_own_and_the_same_again(stage):
    def seeds_of(seed: int) -> list[int | None]:
        policy = CountingPolicy(stage, max_in_flight=3)
        run(policy, seed=seed)
        return sorted(policy.seeds)

    first = seeds_of(7)
    assert len(set(first)) == len(first)
    assert all(0 <= seed < 2**63 for seed in first)
    assert seeds_of(7) == first
    assert not set(seeds_of(8)) & set(first)


def test_without_a_seed_the_engine_draws(stage):
    policy = CountingPolicy(stage)
    run(policy)
    assert set(policy.seeds) == {None}


def test_a_slow_consumer_holds_sampling_up(stage):
    """What is finished and not taken stays bounded, so memory does."""
    finished = 0

    def count(_: Trajectory) -> None:
        nonlocal finished
        finished += 1

    class Instant(CountingPolicy):
        async def generate(self, token_ids, sampling, seed=None):
            await asyncio.sleep(0)
            return Completion([*self.chat.tokenizer("It is 1.")["input_ids"], *sampling.stop_ids], stopped=True)

    async def take_one_and_wait() -> int:
        conversation = conversation_with(Instant(stage, max_in_flight=4), max_turns=1)
        runs = run_problems(conversation, (PROBLEMS[0] for _ in range(1000)), 1, count)
        async with aclosing(runs):
            await anext(runs)
            await asyncio.sleep(0.5)
            return finished

    assert asyncio.run(take_one_and_wait()) <= 4 * 4


def test_an_engine_that_fails_ends_the_rollout_and_leaves_nothing_running(stage):
    policy = CountingPolicy(stage, fails_at=4)

    async def fail() -> None:
        with pytest.raises(ConnectionError, match="the engine is gone"):
            async for _ in run_problems(conversation_with(policy), PROBLEMS, 3, lambda _: None):
                pass
        assert policy.active == 0
        assert policy.cancelled == len(policy.contexts) - 1 >= 3

    asyncio.run(fail())
