"""Where problems come from: one frozen model for each kind of source, and the functions that load them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from drift.errors import UserError
from drift.problems.arithmetic import ArithmeticSource, ProblemPart, arithmetic_problems
from drift.problems.benchmark_source import BenchmarkSource, benchmark_problems
from drift.problems.files import FileSource, file_problems
from drift.problems.leaks import texts_of
from drift.problems.problem import Problem

__all__ = [
    "ArithmeticSource",
    "BenchmarkSource",
    "FileSource",
    "ProblemPart",
    "ProblemSource",
    "load_evaluation_problems",
    "load_problems",
    "load_train_problems",
    "published_names",
    "source_name",
]

ProblemSource = Annotated[ArithmeticSource | FileSource | BenchmarkSource, Field(discriminator="source")]


def source_name(source: ProblemSource) -> str:
    """What the results of a source are grouped by: `Problem.source`."""
    match source:
        case FileSource():
            return source.name or Path(source.path).stem
        case _:
            return source.source


def published_names(sources: Iterable[ProblemSource]) -> set[str]:
    """The names of those sources that are published sets, which nobody can correct."""
    return {source.source for source in sources if isinstance(source, BenchmarkSource)}


def load_problems(source: ProblemSource, part: ProblemPart, seed: int) -> list[Problem]:
    """Loads the problems of one source.

    Args:
        source: the parameters `problems.train` or (one of) `problems.evaluation`.
        part: which of the two it is; decides which half of the arithmetic set, and which part of a published set.
        seed: the run's seed; decides the halves and the order of the arithmetic set. Files keep their order.

    Raises:
        UserError: when the source has faults or too few problems.
    """
    match source:
        case ArithmeticSource():
            return arithmetic_problems(source, part, seed)
        case FileSource():
            return file_problems(source)
        case BenchmarkSource():
            return benchmark_problems(source, part)


def load_train_problems(train: ProblemSource, evaluation: Sequence[ProblemSource], seed: int) -> list[Problem]:
    """Loads the training problems; of a published set, none that is evaluated, and none that rephrases one.

    Nobody can take rows out of a published set, so they are left out here, before `limit` counts. Files are taken as
    they are: problems that are evaluated as well are refused when those are loaded.

    Raises:
        UserError: when a source, also one of the evaluation, has faults.
    """
    if not isinstance(train, BenchmarkSource):
        return load_problems(train, "train", seed)
    return benchmark_problems(train, "train", avoid=texts_of(load_evaluation_problems(evaluation, seed)))


def load_evaluation_problems(sources: Sequence[ProblemSource], seed: int) -> list[Problem]:
    """Loads the held-out problems of all sources, one after the other.

    Raises:
        UserError: when a source has faults, or two have problems of the same id.
    """
    problems = [problem for source in sources for problem in load_problems(source, "evaluation", seed)]
    ids = Counter(problem.problem_id for problem in problems)
    taken = [problem_id for problem_id, count in ids.items() if count > 1]
    if taken:
        names = " and ".join(sorted({problem.source for problem in problems if problem.problem_id == taken[0]}))
        raise UserError(
            f"`problems.evaluation`: {len(taken)} ids are taken twice (such as {taken[0]!r}, in {names}): "
            "leave `id_column` out of one of the files, or make their ids differ."
        )
    return problems
