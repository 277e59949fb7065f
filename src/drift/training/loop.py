"""The training loop: plain gradient descent on Eq. 14/15, with float32 master weights.

Left out on purpose here: several processes, resuming inside a run, packing without padding.
"""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from drift.errors import UserError
from drift.parameters import FloatType, TrainingParameters
from drift.progress import progress_bar
from drift.training.examples import Example, batches, micro_batches
from drift.training.master_weights import MasterWeights
from drift.training.model import collate, target_nll
from drift.training.objective import weighted_nll
from drift.weighting.composition import effective_sample_size

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StepLog:
    """One row of `training_log`.

    Attributes:
        step: 1 … steps.
        loss: mean over the computed examples of the token-mean negative log-likelihood, nats per token.
        weighted_loss: L of Eq. 14/15.
        gradient_norm: of the whole step, before clipping.
        learning_rate: of this step.
        effective_sample_size: of the batch's weights.
        num_computed: examples that were not pruned.
        num_tokens: tokens computed, without padding.
        tokens_per_second: of this step.
    """

    step: int
    loss: float
    weighted_loss: float
    gradient_norm: float
    learning_rate: float
    effective_sample_size: float
    num_computed: int
    num_tokens: int
    tokens_per_second: float


def warmup_then_constant(step: int, steps: int, warmup_share: float) -> float:
    """Factor on the learning rate at step 1 … steps: linear up to 1 over the first `warmup_share`, then 1."""
    return min(1.0, step / max(1, round(steps * warmup_share)))


def train(
    model: "PreTrainedModel",
    examples: Sequence[Example],
    training: TrainingParameters,
    prune_below: float,
    dtype: FloatType,
    seed: int,
) -> list[dict[str, float]]:
    """Fine-tunes `model` in place.

    Args:
        model: float32, on its device.
        examples: the data.
        training: the settings.
        prune_below: examples of a smaller weight are not computed, but count in the batch and its divisor.
        dtype: number format the weights end in, rounded once from the masters.
        seed: of the order of the data.

    Returns:
        The rows of `training_log`.

    Raises:
        UserError: when the loss or the gradient is not finite.
    """
    import torch

    masters = MasterWeights(model, getattr(torch, training.precision))
    optimizer = _adamw(masters.parameters, training)
    log: list[dict[str, float]] = []
    with progress_bar("training", training.steps, "step") as bar:
        for step, indices in enumerate(batches(len(examples), training.batch_size, training.steps, seed), start=1):
            row = _step(model, masters, optimizer, [examples[index] for index in indices], training, prune_below, step)
            log.append(asdict(row))
            bar.set_postfix_str(f"loss {row.loss:.3f}, {row.tokens_per_second:.0f} tokens/s", refresh=False)
            bar.update()
    masters.finish(getattr(torch, dtype))
    return log


def _step(
    model: "PreTrainedModel",
    masters: MasterWeights,
    optimizer: "torch.optim.Optimizer",
    batch: Sequence[Example],
    training: TrainingParameters,
    prune_below: float,
    step: int,
) -> StepLog:
    import torch

    started = time.monotonic()
    learning_rate = training.learning_rate * warmup_then_constant(step, training.steps, training.warmup_share)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    computed = [example for example in batch if example.weight >= prune_below]
    losses = []
    for group in micro_batches(computed, training.micro_batch_tokens):
        losses.append(accumulate(model, group, len(batch)))
        masters.collect_gradients()
    masters.fill_missing_gradients()
    gradient_norm = float(torch.nn.utils.clip_grad_norm_(masters.parameters, training.clip_norm))
    weighted_loss = sum(weighted for weighted, _ in losses)
    if not (math.isfinite(weighted_loss) and math.isfinite(gradient_norm)):
        problem_ids = ", ".join(sorted({example.problem_id for example in batch}))
        raise UserError(
            f"Training diverged at step {step} (loss {weighted_loss}, gradient norm {gradient_norm}) on the problems "
            f"{problem_ids}: lower training.learning_rate."
        )
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    masters.publish()
    num_tokens = sum(len(example.token_ids) for example in computed)
    return StepLog(
        step=step,
        loss=sum(plain for _, plain in losses) / max(1, len(computed)),
        weighted_loss=weighted_loss,
        gradient_norm=gradient_norm,
        learning_rate=learning_rate,
        effective_sample_size=effective_sample_size(np.array([example.weight for example in batch])),
        num_computed=len(computed),
        num_tokens=num_tokens,
        tokens_per_second=num_tokens / (time.monotonic() - started),
    )


def accumulate(model: "PreTrainedModel", examples: Sequence[Example], batch_size: int) -> tuple[float, float]:
    """Adds the gradient of one micro-batch to the model's.

    Args:
        model: the policy.
        examples: the micro-batch.
        batch_size: B, of the whole step.

    Returns:
        The micro-batch's part of L, and the sum over its examples of their token-mean negative log-likelihood.
    """
    import torch

    batch = collate(examples, model.device)
    nll_T = target_nll(model, batch)
    loss = weighted_nll(nll_T, batch.example_T, batch.weight_E.to(nll_T.dtype), batch.num_targets_E, batch_size)
    loss.backward()
    ones = torch.ones_like(batch.weight_E)
    return loss.item(), weighted_nll(nll_T.detach(), batch.example_T, ones, batch.num_targets_E, 1).item()


def _adamw(weights: Sequence["torch.nn.Parameter"], training: TrainingParameters) -> "torch.optim.Optimizer":
    """AdamW; matrices decay, biases and norms do not."""
    import torch

    matrices = [weight for weight in weights if weight.ndim >= 2]
    vectors = [weight for weight in weights if weight.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": training.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=training.learning_rate, fused=True)
