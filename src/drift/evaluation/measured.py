"""One benchmark as it is measured: what each policy came to on the same problems, and the draws they share."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from drift.evaluation.outcomes import REFERENCE, TRAINED, Outcomes
from drift.evaluation.statistics import Resampling


@dataclass(frozen=True)
class Measured:
    """One benchmark.

    Attributes:
        max_turns: the budget K.
        num_problems: P.
        frames: rows of `outcomes_of` by policy: the reference, the trained policy, then the others.
        outcomes: the same as arrays, all in the same order of problems.
        num_choices_P: options of each problem, 0 where it is not multiple choice.
        resampling: the draws behind its intervals and p-values.
    """

    max_turns: int
    num_problems: int
    frames: dict[str, pl.DataFrame]
    outcomes: dict[str, Outcomes]
    num_choices_P: np.ndarray
    resampling: Resampling

    @classmethod
    def of(cls, outcomes: pl.DataFrame, max_turns: int, resampling: Resampling) -> "Measured":
        """From all rows of one benchmark, each policy's one per problem."""
        by_policy = {str(policy): frame for (policy,), frame in outcomes.group_by("policy", maintain_order=True)}
        frames = {
            policy: by_policy[policy]
            for policy in sorted(by_policy, key=lambda policy: (policy != REFERENCE, policy != TRAINED))
        }
        return cls(
            max_turns,
            outcomes["problem_id"].n_unique(),
            frames,
            {policy: Outcomes.of(frame, max_turns) for policy, frame in frames.items()},
            next(iter(frames.values()))["num_choices"].fill_null(0).to_numpy(),
            resampling,
        )

    @property
    def compared(self) -> list[str]:
        """The policies that are compared with the reference."""
        return [policy for policy in self.outcomes if policy != REFERENCE] if REFERENCE in self.outcomes else []
