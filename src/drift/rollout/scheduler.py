"""The multi-turn loop: every trajectory runs on its own, sampled, verified, answered with feedback, sampled again.

It is the only such loop in the program; evaluation drives it with greedy decoding.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from drift.problems.problem import Problem
from drift.protocol.chat import ChatFormat
from drift.protocol.episode import Episode
from drift.protocol.trajectory import Trajectory
from drift.rollout.engine import Engine, Sampling
from drift.verification.pool import VerifierPool


@dataclass(frozen=True)
class Conversation:
    """What all episodes of one rollout share: the policy, its chat format, the judge and the budget of turns."""

    engine: Engine
    chat: ChatFormat
    verifiers: VerifierPool
    sampling: Sampling
    max_turns: int

    async def run_episode(self, problem: Problem, trajectory_id: int) -> Trajectory:
        """One whole conversation."""
        episode = Episode(problem, trajectory_id, self.chat.prompt_ids(problem), self.max_turns)
        while True:
            completion = await self.engine.generate(episode.token_ids, self.sampling)
            response = self.chat.text(completion.token_ids)
            grade = await asyncio.wrap_future(self.verifiers.submit(problem.verifier, problem.answer, response))
            episode.add_turn(completion.token_ids, completion.stopped, response, grade.verdict, grade.answer)
            if episode.finished:
                return episode.trajectory()
            episode.add_feedback(self.chat)


async def run_problems(
    conversation: Conversation,
    problems: Sequence[Problem],
    num_trajectories: int,
    max_in_flight: int,
    on_trajectory: Callable[[Trajectory], None],
) -> AsyncGenerator[list[Trajectory], None]:
    """Runs `num_trajectories` episodes of each problem and yields whole problems as they finish.

    Args:
        conversation: what the episodes share.
        problems: what is asked; admitted in order.
        num_trajectories: N.
        max_in_flight: most episodes in progress at once.
        on_trajectory: told of each finished episode, for progress.

    Yields:
        The N trajectories of one problem, in order of `trajectory_id`.
    """
    slots = asyncio.Semaphore(max_in_flight)

    async def run_one(problem: Problem, trajectory_id: int) -> Trajectory:
        async with slots:
            trajectory = await conversation.run_episode(problem, trajectory_id)
        on_trajectory(trajectory)
        return trajectory

    tasks = [asyncio.create_task(run_one(problem, index)) for problem in problems for index in range(num_trajectories)]
    unfinished: dict[str, list[Trajectory]] = defaultdict(list)
    try:
        for next_finished in asyncio.as_completed(tasks):
            trajectory = await next_finished
            siblings = unfinished[trajectory.problem_id]
            siblings.append(trajectory)
            if len(siblings) == num_trajectories:
                yield sorted(unfinished.pop(trajectory.problem_id), key=lambda sibling: sibling.trajectory_id)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
