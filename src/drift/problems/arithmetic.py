"""The embedded problem set: sums of two addends, cut into a train and a held-out part that share no problem.

The unit of the cut is the unordered pair {a, b}, so 2+3 and 3+2 are always in the same part. Which part a pair is
in depends on the seed and on the range of addends, never on `limit`: two sources of one seed and one range never
overlap, whatever their limits. Sources of different ranges may; `ProblemsParameters` refuses them.
"""

from itertools import combinations_with_replacement
from random import Random
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drift.errors import UserError
from drift.problems.problem import Problem

ProblemPart = Literal["train", "evaluation"]
Addends = tuple[int, int]


class ArithmeticSource(BaseModel):
    """Sums of two addends, made on the spot."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    source: Literal["arithmetic"]
    """Chooses the embedded arithmetic set."""
    limit: int = Field(ge=1)
    """Number of problems; a larger limit adds to the problems of a smaller one."""
    smallest_addend: int = Field(default=2, ge=0)
    """Smallest number that is added."""
    largest_addend: int = Field(default=20, le=1000)
    """Largest number that is added, at most 1000 (all pairs are laid out in memory)."""

    @model_validator(mode="after")
    def _range_is_not_empty(self) -> Self:
        if self.largest_addend < self.smallest_addend:
            raise ValueError(
                f"`largest_addend` ({self.largest_addend}) is below `smallest_addend` ({self.smallest_addend}): "
                f"swap them"
            )
        return self


def arithmetic_problems(source: ArithmeticSource, part: ProblemPart, seed: int) -> list[Problem]:
    """The first `limit` problems of a seeded shuffle of one part.

    Raises:
        UserError: when the part has fewer than `limit` problems.
    """
    sums = [order for pair in pairs_of_part(source, part, seed) for order in _orders(pair)]
    if source.limit > len(sums):
        raise UserError(
            f"`problems.{part}.limit` is {source.limit}, but the addends {source.smallest_addend}…"
            f"{source.largest_addend} have only {len(sums)} problems in this part: lower `limit`, or widen "
            f"`smallest_addend`…`largest_addend` of both parts alike."
        )
    Random(f"order of arithmetic problems, {part}, seed {seed}").shuffle(sums)
    return [_problem(a, b) for a, b in sums[: source.limit]]


def pairs_of_part(source: ArithmeticSource, part: ProblemPart, seed: int) -> list[Addends]:
    """The unordered pairs (a <= b) of one part: half of the range's pairs each, train taking the odd one."""
    pairs = list(combinations_with_replacement(range(source.smallest_addend, source.largest_addend + 1), 2))
    Random(f"parts of arithmetic problems, seed {seed}").shuffle(pairs)
    num_train = (len(pairs) + 1) // 2
    return pairs[:num_train] if part == "train" else pairs[num_train:]


def _orders(pair: Addends) -> list[Addends]:
    a, b = pair
    return [(a, b)] if a == b else [(a, b), (b, a)]


def _problem(a: int, b: int) -> Problem:
    return Problem(
        problem_id=f"{a}+{b}", problem=f"What is {a} + {b}?", answer=str(a + b), verifier="numeric", source="arithmetic"
    )
