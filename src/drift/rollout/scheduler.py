"""The multi-turn loop: every trajectory runs on its own, sampled, verified, answered with feedback, sampled again.

There is no barrier between turns or problems. As many runners as the engine can keep in flight take the next trajectory
when they have finished one, in the order of the problems, so early problems are complete early, and memory does not
depend on how many there are. It is the only such loop in the program; evaluation drives it with greedy decoding.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from dataclasses import dataclass, field

from drift.problems.problem import Problem
from drift.protocol.chat import ChatFormat
from drift.protocol.episode import Episode
from drift.protocol.trajectory import Trajectory
from drift.rollout.costs import Costs
from drift.rollout.engine import Engine, Sampling
from drift.rollout.seeds import response_seed
from drift.verification.pool import VerifierPool
from drift.verification.verifiers import Grade


@dataclass(frozen=True)
class Conversation:
    """What all episodes of one rollout share.

    Attributes:
        engine: the policy.
        chat: its chat format.
        verifiers: the judge.
        sampling: how responses are drawn.
        max_turns: the budget K.
        seed: keys a seed of its own for every response; None leaves the noise to the engine.
        costs: where time and tokens are counted.
        on_turn: told of each response, for progress: its turn, whether it is right, its tokens.
    """

    engine: Engine
    chat: ChatFormat
    verifiers: VerifierPool
    sampling: Sampling
    max_turns: int
    seed: int | None = None
    costs: Costs = field(default_factory=Costs)
    on_turn: Callable[[int, bool, int], None] = lambda turn, right, num_tokens: None

    async def run(self, episode: Episode) -> Trajectory:
        """One whole conversation."""
        while True:
            started = time.perf_counter()
            context_tokens = len(episode.token_ids)
            completion = await self.engine.generate(episode.token_ids, self.sampling, self._seed_of_next_turn(episode))
            generated = time.perf_counter()
            response = self.chat.text(completion.token_ids)
            grade = await self._grade(episode.problem, response)
            self.costs.add_turn(context_tokens, completion, generated - started, time.perf_counter() - generated)
            self.on_turn(len(episode.turns) + 1, grade.verdict == "correct", len(completion.token_ids))
            episode.add_turn(completion.token_ids, completion.stopped, response, grade.verdict, grade.answer)
            if episode.finished:
                return episode.trajectory()
            episode.add_feedback(self.chat)

    async def _grade(self, problem: Problem, response: str) -> Grade:
        """The verdict on a response; one that is remembered costs no turn of the event loop."""
        verdict = self.verifiers.submit(problem.verifier, problem.answer, response)
        return verdict.result() if verdict.done() else await asyncio.wrap_future(verdict)

    def _seed_of_next_turn(self, episode: Episode) -> int | None:
        if self.seed is None:
            return None
        return response_seed(self.seed, episode.problem.problem_id, episode.trajectory_id, len(episode.turns) + 1)


async def run_problems(
    conversation: Conversation,
    problems: Iterable[Problem],
    num_trajectories: int,
    on_trajectory: Callable[[Trajectory], None],
) -> AsyncGenerator[list[list[Trajectory]], None]:
    """Runs `num_trajectories` episodes of each problem and yields whole problems as they finish.

    Args:
        conversation: what the episodes share.
        problems: what is asked; admitted in order, taken from the iterable when there is room.
        num_trajectories: N.
        on_trajectory: told of each finished episode, for progress.

    Yields:
        The problems that have finished since the last time, at least one; each as its N trajectories in order of
        `trajectory_id`. When the consumer is slow, sampling waits for it.
    """
    episodes = _episodes(conversation, problems, num_trajectories)
    finished: asyncio.Queue[list[Trajectory]] = asyncio.Queue(conversation.engine.max_in_flight)
    unfinished: dict[str, list[Trajectory]] = {}

    async def run_one_after_another() -> None:
        for episode in episodes:
            trajectory = await conversation.run(episode)
            on_trajectory(trajectory)
            siblings = unfinished.setdefault(trajectory.problem_id, [])
            siblings.append(trajectory)
            if len(siblings) == num_trajectories:
                del unfinished[trajectory.problem_id]
                await finished.put(sorted(siblings, key=lambda sibling: sibling.trajectory_id))

    tasks = [asyncio.create_task(run_one_after_another()) for _ in range(conversation.engine.max_in_flight)]
    runners = asyncio.gather(*tasks)
    try:
        async for batch in _batches(finished, runners):
            yield batch
        await runners
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(runners, *tasks, return_exceptions=True)


def _episodes(conversation: Conversation, problems: Iterable[Problem], num_trajectories: int) -> Iterator[Episode]:
    """Every episode in the order of admission; a problem's chat is rendered once."""
    for problem in problems:
        prompt_ids = conversation.chat.prompt_ids(problem)
        for trajectory_id in range(num_trajectories):
            yield Episode(problem, trajectory_id, prompt_ids, conversation.max_turns)


async def _batches(
    finished: "asyncio.Queue[list[Trajectory]]", runners: "asyncio.Future[list[None]]"
) -> AsyncGenerator[list[list[Trajectory]], None]:
    """What is in the queue, again and again, until the runners are done and it is empty."""
    while not (runners.done() and finished.empty()):
        if finished.empty():
            next_one = asyncio.ensure_future(finished.get())
            await asyncio.wait([next_one, runners], return_when=asyncio.FIRST_COMPLETED)
            batch = [next_one.result()] if next_one.done() else []
            next_one.cancel()
        else:
            batch = []
        while not finished.empty():
            batch.append(finished.get_nowait())
        if batch:
            yield batch
