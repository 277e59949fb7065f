"""Training examples: what one row of `weighted_turns` asks of the model."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from drift.errors import UserError
from drift.shards import Shards

_COLUMNS = ["problem_id", "trajectory_id", "weight", "token_ids", "targets"]


@dataclass(frozen=True, slots=True)
class Example:
    """One token sequence, the spans the loss covers, and its weight.

    Attributes:
        problem_id: the problem it comes from.
        trajectory_id: which of the problem's trajectories it is.
        token_ids: the whole chat up to the last target, shape (L,).
        targets: positions in `token_ids` the loss covers, ascending, shape (T,).
        weight: w_i.
    """

    problem_id: str
    trajectory_id: int
    token_ids: NDArray[np.int64]
    targets: NDArray[np.int64]
    weight: float


def read_examples(weighted_turns: Shards) -> list[Example]:
    """All examples, ordered by problem and trajectory: which problem was sampled first must not decide the training.

    Raises:
        UserError: when there are none.
    """
    examples = [example for table in weighted_turns.tables(_COLUMNS) for example in _examples(table)]
    if not examples:
        if turns := weighted_turns.provenance.get("weighting", {}).get("solved_at"):
            raise UserError(
                f"There is nothing to train on: no trajectory that is used was solved at turn "
                f"{' or '.join(map(str, turns))}, and weighting.solved_at keeps no other; take other turns, easier "
                "problems, or a larger rollout.n."
            )
        raise UserError(
            "There is nothing to train on: no problem was solved by any trajectory and weighting.unsolved is "
            "`drop`; take easier problems, a larger rollout.n, or `keep`."
        )
    return sorted(examples, key=lambda example: (example.problem_id, example.trajectory_id))


def _examples(table: pa.Table) -> Iterator[Example]:
    """The rows of a shard; token ids are read as arrays and never become Python numbers."""
    problem_ids, trajectory_ids, weights = (table[name].to_pylist() for name in _COLUMNS[:3])
    for row, (token_ids, spans) in enumerate(zip(table["token_ids"], table["targets"].to_pylist(), strict=True)):
        yield Example(
            problem_ids[row],
            trajectory_ids[row],
            token_ids.values.to_numpy().astype(np.int64),
            np.concatenate([np.arange(span["start"], span["end"]) for span in spans]),
            weights[row],
        )


def examples_fingerprint(examples: Sequence[Example]) -> str:
    """A short name for what is trained on, whichever version of the data it was read from."""
    digest = hashlib.blake2b(digest_size=8)
    for example in examples:
        digest.update(f"{example.problem_id}\0{example.trajectory_id}\0{example.weight!r}\0".encode())
        digest.update(example.token_ids.tobytes())
        digest.update(example.targets.tobytes())
    return digest.hexdigest()


def batches(num_examples: int, batch_size: int, steps: int, seed: int) -> Iterator[list[int]]:
    """The examples of each optimiser step: seeded permutations of the data, one after another, cut every `batch_size`.

    Args:
        num_examples: size of the data.
        batch_size: B.
        steps: number of batches.
        seed: of the permutations; which examples a step sees depends on nothing else.
    """
    order: list[int] = []
    epoch = 0
    for _ in range(steps):
        while len(order) < batch_size:
            order.extend(np.random.default_rng([seed, epoch]).permutation(num_examples).tolist())
            epoch += 1
        batch, order = order[:batch_size], order[batch_size:]
        yield batch
