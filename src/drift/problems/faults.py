"""The faults of one file, gathered while it is read and reported together, so that all are mended in one go."""

from dataclasses import dataclass
from pathlib import Path

from drift.errors import UserError

NUM_FAULTS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a file.

    Attributes:
        place: number of the line (or row, or item), counted from 1; 0 when it concerns the whole file.
        reason: what is wrong there.
    """

    place: int
    reason: str


class CellFault(ValueError):
    """A cell does not hold what its column should; the message completes "the answer …"."""


def refuse_faults(path: Path, unit: str, faults: list[Fault]) -> None:
    """Refuses a file that has faults.

    Args:
        path: the file, absolute.
        unit: what `place` counts: `line`, `row` or `item`.
        faults: what was found, in any order.

    Raises:
        UserError: when there are any; it lists the first ones by place and counts the rest.
    """
    if not faults:
        return
    in_order = sorted(faults, key=lambda fault: fault.place)
    lines = [_described(fault, unit) for fault in in_order[:NUM_FAULTS_SHOWN]]
    if len(faults) > NUM_FAULTS_SHOWN:
        lines.append(f"… and {len(faults) - NUM_FAULTS_SHOWN} more")
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    raise UserError(f"The problem file {path} has {count} to mend:\n" + "\n".join(f"  {line}" for line in lines))


def _described(fault: Fault, unit: str) -> str:
    return f"{unit} {fault.place}: {fault.reason}" if fault.place else fault.reason
