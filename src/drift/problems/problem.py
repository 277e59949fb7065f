"""The problem: what is asked, what the right answer is, and who may judge it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import pyarrow as pa

VerifierName = Literal["math", "numeric", "choice", "exact", "integer", "float", "list", "bool"]
VERIFIER_NAMES: tuple[VerifierName, ...] = get_args(VerifierName)

PROBLEM_SCHEMA = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("problem", pa.string(), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
        pa.field("verifier", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("num_choices", pa.int32()),
        pa.field("original", pa.string()),
        pa.field("solution", pa.string()),
    ]
)

BESIDE_THE_QUESTION = ("original", "solution")
"""What is known of a problem without being asked or judged by: a table may lack it, and no rollout depends on it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, as a row of the `problems` table.

    Attributes:
        problem_id: unique within its table.
        problem: the text the model is asked, without the prompt style around it.
        answer: the gold answer, as the verifier reads it.
        verifier: name of the verifier that judges answers to it.
        source: the benchmark (or file) it comes from; results are grouped by it.
        num_choices: number of answers one can choose from (options, or 2 for true and false), else None.
        original: the text of the problem that this one rephrases, None when it rephrases none.
        solution: how its source solves it, in words, None where that is not written.
    """

    problem_id: str
    problem: str
    answer: str
    verifier: VerifierName
    source: str
    num_choices: int | None = None
    original: str | None = None
    solution: str | None = None


def to_table(problems: Sequence[Problem]) -> pa.Table:
    """The problems as a table of `PROBLEM_SCHEMA`, in order."""
    columns = {name: [getattr(problem, name) for problem in problems] for name in PROBLEM_SCHEMA.names}
    return pa.table(columns, schema=PROBLEM_SCHEMA)


def from_table(table: pa.Table) -> list[Problem]:
    """The problems of a `problems` table, in order; the inverse of `to_table`."""
    names = [name for name in PROBLEM_SCHEMA.names if name not in BESIDE_THE_QUESTION or name in table.column_names]
    return [Problem(**row) for row in table.select(names).to_pylist()]
