"""Problems as the data frames that Kedro's catalog keeps."""

import pandas as pd
import pyarrow as pa

from drift.problems.problem import BESIDE_THE_QUESTION, PROBLEM_SCHEMA, Problem, from_table, to_table


def to_frame(problems: list[Problem]) -> pd.DataFrame:
    """The `problems` table of the catalog."""
    return to_table(problems).to_pandas(types_mapper=pd.ArrowDtype)


def from_frame(frame: pd.DataFrame) -> list[Problem]:
    """The problems of a catalog table."""
    present = [field for field in PROBLEM_SCHEMA if field.name not in BESIDE_THE_QUESTION or field.name in frame]
    schema = pa.schema(present)
    return from_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False))
