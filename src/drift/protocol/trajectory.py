"""The trajectory: one finished conversation as a single token sequence with the spans of its turns.

One sequence with spans is what makes training exact: the context of turn t is `token_ids[:start_t]`, the
target of terminal-step retention is the last span, and nothing is ever tokenised a second time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, get_args

import pyarrow as pa

Verdict = Literal["correct", "wrong", "unparsable", "timeout"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

TURN_TYPE = pa.struct(
    [
        pa.field("response", pa.string(), nullable=False),
        pa.field("start", pa.int32(), nullable=False),
        pa.field("end", pa.int32(), nullable=False),
        pa.field("answer", pa.string()),
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("stopped", pa.bool_(), nullable=False),
    ]
)

TRAJECTORY_SCHEMA = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("trajectory_id", pa.int32(), nullable=False),
        pa.field("token_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("turns", pa.list_(TURN_TYPE), nullable=False),
        pa.field("success", pa.bool_(), nullable=False),
        pa.field("num_turns", pa.int32(), nullable=False),
    ]
)

EVAL_TRAJECTORY_SCHEMA = pa.schema(
    [
        pa.field("policy", pa.string(), nullable=False),
        pa.field("benchmark", pa.string(), nullable=False),
        *TRAJECTORY_SCHEMA,
    ]
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One response of the model.

    Attributes:
        response: its text, without special tokens.
        start: position of its first token in the trajectory's `token_ids`.
        end: one past its last token; the end-of-turn token is inside the span exactly when `stopped`.
        answer: the normalised answer found in it, None if there is none.
        verdict: what the verifier said.
        stopped: True when the model ended the turn itself, False when it was cut at the token limit.
    """

    response: str
    start: int
    end: int
    answer: str | None
    verdict: Verdict
    stopped: bool


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One finished conversation, as a row of the `trajectories` table.

    Attributes:
        problem_id: the problem it belongs to.
        trajectory_id: 0 … N-1 within the problem.
        token_ids: the whole chat, ending with the last response.
        turns: its turns, in order; only the last one can be correct.
    """

    problem_id: str
    trajectory_id: int
    token_ids: list[int]
    turns: list[Turn]

    @property
    def success(self) -> bool:
        """Whether the terminal turn was correct."""
        return self.turns[-1].verdict == "correct"

    @property
    def num_turns(self) -> int:
        """Effective length T: the turn at which the episode ended."""
        return len(self.turns)


def to_table(trajectories: Sequence[Trajectory]) -> pa.Table:
    """The rows of `TRAJECTORY_SCHEMA`, one a trajectory, in order; columns are built ten times as fast as rows."""
    turns = [turn for trajectory in trajectories for turn in trajectory.turns]
    fields = [pa.array([getattr(turn, field.name) for turn in turns], field.type) for field in TURN_TYPE]
    offsets = [0, *accumulate(trajectory.num_turns for trajectory in trajectories)]
    columns = {
        "problem_id": [trajectory.problem_id for trajectory in trajectories],
        "trajectory_id": [trajectory.trajectory_id for trajectory in trajectories],
        "token_ids": [trajectory.token_ids for trajectory in trajectories],
        "turns": pa.ListArray.from_arrays(
            pa.array(offsets, pa.int32()),
            pa.StructArray.from_arrays(fields, fields=list(TURN_TYPE)),
            type=pa.list_(TURN_TYPE),
        ),
        "success": [trajectory.success for trajectory in trajectories],
        "num_turns": [trajectory.num_turns for trajectory in trajectories],
    }
    return pa.table(columns, schema=TRAJECTORY_SCHEMA)
