"""The leak check: no held-out problem may also be a training problem."""

from collections.abc import Iterable, Sequence

from drift.errors import UserError
from drift.problems.problem import Problem

NUM_IDS_SHOWN = 5


def overlap(train: Iterable[Problem], held_out: Iterable[Problem]) -> list[str]:
    """The ids of the held-out problems whose text, but for case and white space, is also in `train`, in order."""
    trained_on = {normalised_text(problem) for problem in train}
    return [problem.problem_id for problem in held_out if normalised_text(problem) in trained_on]


def refuse_leaks(train: Iterable[Problem], held_out: Sequence[Problem]) -> None:
    """Refuses held-out problems that are also trained on.

    Raises:
        UserError: when there are any; it says how many and names the first few.
    """
    leaked = overlap(train, held_out)
    if not leaked:
        return
    shown = ", ".join(leaked[:NUM_IDS_SHOWN]) + (", …" if len(leaked) > NUM_IDS_SHOWN else "")
    raise UserError(
        f"{len(leaked)} of the {len(held_out)} evaluation problems are also training problems ({shown}): remove them "
        f"from `problems.train` or from `problems.evaluation`, or multi@k measures memory instead of correction."
    )


def normalised_text(problem: Problem) -> str:
    """The problem's text with case folded and every run of white space made one space."""
    return " ".join(problem.problem.casefold().split())
