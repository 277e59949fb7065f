"""Training examples: what one row of `weighted_turns` asks of the model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drift.errors import UserError
from drift.shards import Shards


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
    examples = [_example(row) for table in weighted_turns.tables() for row in table.to_pylist()]
    if not examples:
        raise UserError(
            "There is nothing to train on: no problem was solved by any trajectory and weighting.unsolved is "
            "`drop`; take easier problems, a larger rollout.n, or `keep`."
        )
    return sorted(examples, key=lambda example: (example.problem_id, example.trajectory_id))


def _example(row: dict) -> Example:
    spans = row["targets"]
    targets = np.concatenate([np.arange(span["start"], span["end"]) for span in spans])
    return Example(
        row["problem_id"], row["trajectory_id"], np.asarray(row["token_ids"], dtype=np.int64), targets, row["weight"]
    )


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


def micro_batches(examples: Sequence[Example], max_tokens: int) -> list[list[Example]]:
    """Cuts a batch into groups of similar length that hold at most `max_tokens` with their padding.

    A single example longer than `max_tokens` is a group of its own. Order and cut change speed and memory, never the
    gradient of the whole batch.
    """
    groups: list[list[Example]] = []
    for example in sorted(examples, key=lambda example: len(example.token_ids), reverse=True):
        longest = len(groups[-1][0].token_ids) if groups else 0
        if groups and (len(groups[-1]) + 1) * longest <= max_tokens:
            groups[-1].append(example)
        else:
            groups.append([example])
    return groups
