"""Where problems come from: one frozen model for each kind of source, and the function that loads any of them."""

from typing import Annotated

from pydantic import Field

from drift.problems.arithmetic import ArithmeticSource, ProblemPart, arithmetic_problems
from drift.problems.files import FileSource, file_problems
from drift.problems.problem import Problem

__all__ = ["ArithmeticSource", "FileSource", "ProblemPart", "ProblemSource", "load_problems"]

ProblemSource = Annotated[ArithmeticSource | FileSource, Field(discriminator="source")]


def load_problems(source: ProblemSource, part: ProblemPart, seed: int) -> list[Problem]:
    """Loads the problems of a source.

    Args:
        source: the parameters `problems.train` or `problems.evaluation`.
        part: which of the two it is; decides which half of the arithmetic set is drawn from.
        seed: the run's seed; decides the halves and the order of the arithmetic set. Files keep their order.

    Raises:
        UserError: when the source has faults or too few problems.
    """
    match source:
        case ArithmeticSource():
            return arithmetic_problems(source, part, seed)
        case FileSource():
            return file_problems(source)
