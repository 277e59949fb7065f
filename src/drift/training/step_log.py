"""One row of the training log, and the name of a whole log."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from drift.fingerprint import fingerprint


@dataclass(frozen=True, slots=True)
class StepLog:
    """What one optimiser step did.

    Attributes:
        step: 1 … steps.
        loss: mean over the computed examples of the token-mean negative log-likelihood, nats per token.
        weighted_loss: L of Eq. 14/15.
        weighted_mean_loss: L with the weights of the computed examples summing to one: sum w_i l_i / sum w_i, nats per
            token; unlike L it does not move with the weights a batch happens to hold. None when nothing was computed.
        gradient_norm: of the whole step, before clipping.
        learning_rate: of this step.
        effective_sample_size: of the batch's weights.
        pruned_mass: sum over the pruned examples of w_i / B. The gradient differs from the one without pruning by at
            most this times the largest gradient of a single example.
        num_computed: examples that were not pruned.
        num_tokens: tokens computed.
        num_targets: target tokens among them.
        seconds: what the step took.
        tokens_per_second: computed tokens per second.
        mfu: model FLOPs utilisation: the share of the devices' peak that was used; None where it is not known.
        held_out_loss: weighted mean loss on problems kept out of training, after this step; None where not measured.
    """

    step: int
    loss: float
    weighted_loss: float
    weighted_mean_loss: float | None
    gradient_norm: float
    learning_rate: float
    effective_sample_size: float
    pruned_mass: float
    num_computed: int
    num_tokens: int
    num_targets: int
    seconds: float
    tokens_per_second: float
    mfu: float | None
    held_out_loss: float | None = None


def log_fingerprint(log: Iterable[Mapping[Any, float | None]]) -> str:
    """A short name for a training log, by which a checkpoint knows its own.

    Args:
        log: its rows, also as a table gives them back: with 2.0 for 2, and NaN for None.
    """
    return fingerprint({"rows": [{name: _number(value) for name, value in row.items()} for row in log]})


def _number(value: float | None) -> float | None:
    return None if value is None or value != value else float(value)
