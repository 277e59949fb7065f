"""Problems of a published set: every row is read and checked, and what is not asked is counted.

Which problems `limit` takes, and which are held out, is decided by their texts alone: not by a seed, the order of the
files or anything else in them. Runs of different seeds therefore ask the same problems.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drift.errors import UserError
from drift.problems.arithmetic import ProblemPart
from drift.problems.benchmark_rows import Draft, LeftOut, Row
from drift.problems.benchmarks import BENCHMARKS, Benchmark
from drift.problems.faults import CellFault, Fault, refuse_faults
from drift.problems.hub import check_num_rows, data_files
from drift.problems.leaks import normalised_text
from drift.problems.problem import Problem
from drift.problems.rows import ABSENT, READERS, FileRows

logger = logging.getLogger(__name__)

HELD_OUT_SHARE = 1 / 10
"""Of the original problems of a set whose one file holds everything."""


class BenchmarkSource(BaseModel):
    """Problems of a published set."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    source: Literal[tuple(BENCHMARKS)]  # pyrefly: ignore
    """Name of the set, a row of the table in `src/drift/problems/benchmarks.py`."""
    path: str | None = Field(default=None, min_length=1)
    """A file with the columns the set has on the Hub (JSONL, JSON, CSV, Parquet or Arrow), or a directory with the
    Hub's files; None downloads them from the Hugging Face Hub."""
    revision: str | None = Field(default=None, min_length=1)
    """Commit, tag or branch on the Hub; None takes the newest."""
    limit: int | None = Field(default=None, ge=1)
    """At most this many problems: a fixed random choice (those whose texts have the smallest hashes), the same
    for every seed, in the set's order; a larger limit adds to a smaller one. None takes all."""
    corrected: bool = False
    """MMLU-Redux: also ask the questions whose annotators corrected the label, with the corrected one."""

    @model_validator(mode="after")
    def _options_suit_the_set(self) -> Self:
        if self.corrected and BENCHMARKS[self.source].read_corrected is None:
            have = ", ".join(name for name, benchmark in BENCHMARKS.items() if benchmark.read_corrected)
            raise ValueError(f"`corrected` means something for {have} only: leave it out")
        if self.revision is not None and self.path is not None:
            raise ValueError("`revision` names one on the Hub, but `path` is read: leave one of them out")
        return self


def benchmark_problems(source: BenchmarkSource, part: ProblemPart, avoid: Collection[str] = ()) -> list[Problem]:
    """The problems of one part of a published set.

    Args:
        source: which set, and from where.
        part: training problems or held-out ones.
        avoid: normalised texts; a problem with one of them, or that rephrases one, is left out.

    Raises:
        UserError: when the set has no such part, cannot be had, is not whole, has faults, or no problem is left.
    """
    benchmark = BENCHMARKS[source.source]
    if part not in benchmark.parts:
        can = ", ".join(name for name, other in BENCHMARKS.items() if part in other.parts)
        raise UserError(
            f"`problems.{part}.source`: {source.source} has no problems for {part}; these have: {can}, and your own "
            "(`source: file`)."
        )
    name, repository, asked = source.source, benchmark.repository, benchmark.parts[part]
    root, files = data_files(name, repository, asked.patterns, source.path, source.revision)
    reading = _Reading(source, benchmark, part, frozenset(avoid))
    for file in files:
        reading.add(file)
    check_num_rows(name, repository, reading.num_rows, asked.num_rows, root, source.path)
    reading.say_what_is_left_out()
    if not reading.problems:
        raise UserError(
            f"`problems.{part}`: no problem of {name} is left; rows are left out: "
            f"{reading.left_out_in_words()}: look at {', '.join(map(str, files))}."
        )
    return fixed_choice(reading.problems, source.limit)


def fixed_choice(problems: list[Problem], limit: int | None) -> list[Problem]:
    """The `limit` problems whose texts have the smallest hashes, in their order."""
    if limit is None or limit >= len(problems):
        return problems
    by_hash = sorted(range(len(problems)), key=lambda index: _hash(f"choice of {problems[index].problem}"))
    return [problems[index] for index in sorted(by_hash[:limit])]


def is_held_out(original: str) -> bool:
    """Whether an original problem, and so every rephrasing of it, is never trained on."""
    return _hash(f"part of {normalised_text(original)}") < HELD_OUT_SHARE * 2**64


def _hash(text: str) -> int:
    """The same on every machine, from 0 to 2^64."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


@dataclass(slots=True)
class _Reading:
    """The files of one set, one after the other.

    Attributes:
        source: what the user asked for.
        benchmark: its row of the table.
        part: which problems are wanted.
        avoid: normalised texts of problems that must not be among them.
        problems: what is asked.
        left_out: rows that are not, by reason.
        num_rows: all that were read.
    """

    source: BenchmarkSource
    benchmark: Benchmark
    part: ProblemPart
    avoid: frozenset[str]
    problems: list[Problem] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    num_rows: int = 0
    _answer_of: dict[str, str] = field(default_factory=dict)

    def add(self, file: Path) -> None:
        """Reads one file.

        Raises:
            UserError: when it has faults; it lists them with their places.
        """
        columns = (*self.benchmark.columns, *self.benchmark.optional_columns)
        content = READERS[file.suffix.lower()](file, columns)
        faults = content.faults + _faults_of_file(content, self.benchmark.columns)
        read = (self.source.corrected and self.benchmark.read_corrected) or self.benchmark.read
        for place, row, lacking in _rows(content, columns, self.benchmark.columns):
            self.num_rows += 1
            if lacking:
                faults += [Fault(place, f"there is no `{column}`") for column in lacking if column in content.columns]
                continue
            try:
                found = read(row)
            except CellFault as fault:
                faults.append(Fault(place, str(fault)))
            else:
                self._take(found)
        refuse_faults(file, content.unit, faults)

    def _take(self, found: Draft | LeftOut) -> None:
        """Adds a problem, or counts why it is not asked."""
        reason = found.reason if isinstance(found, LeftOut) else self._reason_against(found)
        if reason is not None:
            self.left_out[reason] += 1
        elif isinstance(found, Draft):
            name = self.source.source
            self.problems.append(
                Problem(
                    f"{name}-{self.num_rows:06d}",
                    found.problem,
                    found.answer,
                    self.benchmark.verifier_of(found),
                    name,
                    found.num_choices,
                    found.original,
                    found.solution,
                )
            )

    def _reason_against(self, draft: Draft) -> str | None:
        """Why a readable row is not asked, None when it is."""
        original = draft.problem if draft.original is None else draft.original
        if self.benchmark.holds_out and is_held_out(original) != (self.part == "evaluation"):
            return "in the other part"
        text = normalised_text(draft.problem)
        if text in self.avoid or normalised_text(original) in self.avoid:
            return "asked in the evaluation"
        if not self.benchmark.drops_repeats:
            return None
        if text not in self._answer_of:
            self._answer_of[text] = draft.answer
            return None
        is_same = self._answer_of[text] == draft.answer
        return "an earlier problem again" if is_same else "an earlier problem with another answer"

    def left_out_in_words(self) -> str:
        """`needs a picture (53), marked expert (2)`."""
        return ", ".join(f"{reason} ({count:,})" for reason, count in self.left_out.most_common())

    def say_what_is_left_out(self) -> None:
        """One line in the log."""
        if self.left_out:
            kept = f"{len(self.problems):,} of {self.num_rows:,} rows"
            logger.info("%s: %s are problems; left out: %s", self.source.source, kept, self.left_out_in_words())


def _rows(
    content: FileRows, columns: tuple[str, ...], required: tuple[str, ...]
) -> Iterator[tuple[int, Row, list[str]]]:
    """Place, row and the required columns it lacks."""
    for place, cells in content.rows:
        by_column: Mapping[str, object] = dict(zip(columns, cells, strict=True))
        lacking = [column for column in required if by_column[column] is ABSENT]
        yield place, Row({column: None if cell is ABSENT else cell for column, cell in by_column.items()}), lacking


def _faults_of_file(content: FileRows, required: tuple[str, ...]) -> list[Fault]:
    """Columns that no row has, and no rows at all."""
    if not content.columns:
        return [] if content.faults else [Fault(0, "there are no rows in it")]
    present = ", ".join(f"`{column}`" for column in content.columns)
    return [
        Fault(0, f"there is no column `{column}`; the file's columns are {present}")
        for column in required
        if column not in content.columns
    ]
