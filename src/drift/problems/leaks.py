"""The leak check: no held-out problem, nor what it rephrases, may also be a training problem or what that rephrases."""

from collections.abc import Iterable, Sequence

from drift.errors import UserError
from drift.problems.problem import Problem

NUM_IDS_SHOWN = 5


def overlap(train: Iterable[Problem], held_out: Iterable[Problem]) -> list[str]:
    """The ids of the held-out problems that share a text, but for case and white space, with `train`, in order.

    The texts of a problem are its own and, where it rephrases another, that one's.
    """
    trained_on = texts_of(train)
    return [problem.problem_id for problem in held_out if texts_of([problem]) & trained_on]


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


def texts_of(problems: Iterable[Problem]) -> set[str]:
    """The normalised texts of problems and of what they rephrase."""
    texts: set[str] = set()
    for problem in problems:
        texts.add(normalised_text(problem.problem))
        if problem.original is not None:
            texts.add(normalised_text(problem.original))
    return texts


def normalised_text(text: str) -> str:
    """A text with case folded and every run of white space made one space."""
    return " ".join(text.casefold().split())
