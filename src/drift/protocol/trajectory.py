"""The trajectory: one finished conversation as a single token sequence with the spans of its turns.

One sequence with spans is what makes training exact: the context of turn t is `token_ids[:start_t]`, the
target of terminal-step retention is the last span, and nothing is ever tokenised a second time.
"""

from dataclasses import asdict, dataclass
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

    def to_row(self) -> dict[str, object]:
        """The row of `TRAJECTORY_SCHEMA`."""
        return {
            "problem_id": self.problem_id,
            "trajectory_id": self.trajectory_id,
            "token_ids": self.token_ids,
            "turns": [asdict(turn) for turn in self.turns],
            "success": self.success,
            "num_turns": self.num_turns,
        }
