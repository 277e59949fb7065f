"""The user's own problems, from a JSONL, JSON, CSV or Parquet file.

Every row is checked, whatever `limit` is, and all faults of the file are reported together.
"""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from drift.errors import UserError
from drift.problems.cells import is_blank, last_match, problem_text, scalar_text
from drift.problems.faults import CellFault, Fault, refuse_faults
from drift.problems.problem import Problem, VerifierName
from drift.problems.rows import ABSENT, READERS, FileRows

logger = logging.getLogger(__name__)


def _has_a_group(pattern: str) -> str:
    try:
        num_groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression ({error})") from error
    if num_groups == 0:
        raise ValueError(f"{pattern!r} has no group: put parentheses around the part that is the answer")
    return pattern


class FileSource(BaseModel):
    """Problems from a file of the user's."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    source: Literal["file"]
    """Chooses a file."""
    path: str = Field(min_length=1)
    """The file: `.jsonl`, `.json` (an array of objects, or JSON lines), `.csv` (with a header), `.parquet` or `.arrow`;
    UTF-8."""
    problem_column: str = "problem"
    """Column of the problem's text."""
    answer_column: str = "answer"
    """Column of the gold answer, text or a number."""
    answer_pattern: Annotated[str, AfterValidator(_has_a_group)] | None = None
    r"""Regular expression that finds the answer in its column: the first group of the last match. None takes the whole
    cell. For GSM8K: `'####\s*(.+)'`."""
    solution_column: str | None = None
    """Column of a written solution, which may be empty in some rows; None where there are none. Only supervised
    fine-tuning on solutions reads it."""
    id_column: str | None = None
    """Column of a unique id; None makes ids from `name` and the row's number in the file."""
    verifier: VerifierName = "math"
    """Who judges answers: `math`, `numeric`, `choice` or `exact`."""
    num_choices: int | None = Field(default=None, ge=2)
    """Options of each problem, for `choice`: results then have chance curves beside them."""
    limit: int | None = Field(default=None, ge=1)
    """At most this many problems: the first ones, in the file's order, repeated texts not counted. None takes all."""
    name: str | None = Field(default=None, min_length=1)
    """What results are grouped by; None takes the file's name without its ending."""


def file_problems(source: FileSource) -> list[Problem]:
    """The first `limit` problems of a file, each text once.

    Raises:
        UserError: when the file cannot be found or has faults; it lists them with their places.
    """
    path = Path(source.path).expanduser().absolute()
    columns = (source.problem_column, source.answer_column, source.id_column, source.solution_column)
    wanted = [column for column in columns if column is not None]
    content = _read(path, wanted)
    missing = _missing_columns(content, wanted)
    checker = _RowChecker(source, source.name or path.stem, content.unit, missing)
    for place, cells in content.rows:
        checker.check(place, dict(zip(wanted, cells, strict=True)))
    refuse_faults(path, content.unit, content.faults + _faults_of_file(content, missing) + checker.faults)
    if checker.num_repeated:
        logger.info("%s: dropped %d rows that repeat an earlier problem and its answer", path, checker.num_repeated)
    return checker.problems[: source.limit]


def _read(path: Path, wanted: list[str]) -> FileRows:
    if path.suffix.lower() not in READERS:
        raise UserError(f"The problem file {path} ends in none of {', '.join(READERS)}: convert or rename it.")
    if not path.is_file():
        what = "is a directory, not a file" if path.is_dir() else "does not exist"
        raise UserError(
            f"The problem file {path} {what}: correct `path` (a relative one starts where the command runs)."
        )
    return READERS[path.suffix.lower()](path, wanted)


def _missing_columns(content: FileRows, wanted: list[str]) -> list[str]:
    """The columns no row has; none when no column could be read at all."""
    return [column for column in dict.fromkeys(wanted) if column not in content.columns] if content.columns else []


def _faults_of_file(content: FileRows, missing: list[str]) -> list[Fault]:
    present = ", ".join(f"`{column}`" for column in content.columns)
    faults = [Fault(0, f"there is no column `{column}`; the file's columns are {present}") for column in missing]
    if not content.rows and not content.faults:
        faults.append(Fault(0, "there are no problems in it"))
    return faults


@dataclass(slots=True)
class _RowChecker:
    """Turns rows into problems or faults, and knows every id and text it has seen.

    Attributes:
        source: what the user asked for.
        name: what results are grouped by.
        unit: what places count.
        missing: columns the whole file lacks, which is a fault of the file and not of each row.
        problems: the problems of the rows without fault.
        faults: what is wrong with the others.
        num_repeated: rows dropped because an earlier one has the same problem and answer.
    """

    source: FileSource
    name: str
    unit: str
    missing: list[str]
    problems: list[Problem] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    num_repeated: int = 0
    _place_of_id: dict[str, int] = field(default_factory=dict)
    _first_of_problem: dict[str, tuple[int, str]] = field(default_factory=dict)

    def check(self, place: int, cells: Mapping[str, object]) -> None:
        """Adds the row's problem, or every fault of the row; cells come by column."""
        problem = self._read_cell(place, self.source.problem_column, cells, problem_text)
        answer = self._read_cell(place, self.source.answer_column, cells, self._answer)
        problem_id = self._id(place, cells)
        solution = self._solution(place, cells)
        if problem is None or answer is None or problem_id is None or self._is_repeated(place, problem, answer):
            return
        verifier, num_choices = self.source.verifier, self.source.num_choices
        self.problems.append(Problem(problem_id, problem, answer, verifier, self.name, num_choices, solution=solution))

    def _read_cell(
        self, place: int, column: str, cells: Mapping[str, object], read: Callable[[object], str]
    ) -> str | None:
        cell = cells[column]
        if cell is ABSENT:
            if column not in self.missing:
                self.faults.append(Fault(place, f"there is no `{column}`"))
            return None
        try:
            return read(cell)
        except CellFault as fault:
            self.faults.append(Fault(place, f"`{column}` {fault}"))
            return None

    def _answer(self, cell: object) -> str:
        text = scalar_text(cell)
        # re.compile keeps the compiled pattern, so this is a look-up.
        return text if self.source.answer_pattern is None else last_match(re.compile(self.source.answer_pattern), text)

    def _solution(self, place: int, cells: Mapping[str, object]) -> str | None:
        """The written solution, None where the row has none, which is no fault."""
        column = self.source.solution_column
        if column is None or cells[column] is ABSENT or is_blank(cells[column]):
            return None
        return self._read_cell(place, column, cells, problem_text)

    def _id(self, place: int, cells: Mapping[str, object]) -> str | None:
        if self.source.id_column is None:
            return f"{self.name}-{place:06d}"
        problem_id = self._read_cell(place, self.source.id_column, cells, scalar_text)
        if problem_id is None:
            return None
        first = self._place_of_id.setdefault(problem_id, place)
        if first != place:
            self.faults.append(
                Fault(place, f"`{self.source.id_column}` {problem_id!r} is taken by {self.unit} {first}")
            )
            return None
        return problem_id

    def _is_repeated(self, place: int, problem: str, answer: str) -> bool:
        first, first_answer = self._first_of_problem.setdefault(problem, (place, answer))
        if first == place:
            return False
        if first_answer == answer:
            self.num_repeated += 1
        else:
            reason = f"the problem of {self.unit} {first} again, with the answer {answer!r} instead of {first_answer!r}"
            self.faults.append(Fault(place, reason))
        return True
