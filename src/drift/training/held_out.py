"""Problems kept out of training: which ones follows from their names and the seed alone."""

import hashlib
from collections.abc import Sequence

from drift.errors import UserError
from drift.training.examples import Example

_RANGE = 2**64


def split_by_problem(examples: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Keeps whole problems out, about `share` of them.

    Args:
        examples: the data.
        share: 0 keeps none out.
        seed: of the choice.

    Returns:
        What is trained on, and what is held out, each in the order it came.

    Raises:
        UserError: when a part would be empty.
    """
    if not share:
        return list(examples), []
    kept_out = {
        problem_id for problem_id in {example.problem_id for example in examples} if _draw(problem_id, seed) < share
    }
    trained_on = [example for example in examples if example.problem_id not in kept_out]
    held_out = [example for example in examples if example.problem_id in kept_out]
    if not trained_on or not sum(example.weight for example in held_out):
        raise UserError(
            f"training.held_out.share: {share} of {len({example.problem_id for example in examples})} problems leaves "
            "nothing to measure or nothing to train on: take another share, or more problems."
        )
    return trained_on, held_out


def _draw(problem_id: str, seed: int) -> float:
    """A number in [0, 1) that belongs to a problem."""
    digest = hashlib.blake2b(f"{seed}\0{problem_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / _RANGE
