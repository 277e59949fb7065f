"""The training loop: gradient descent on Eq. 14/15, one optimiser step at a time.

A step is a pure function of weights, moments, data, seed and its number: the order of the data and the noise of dropout
are keyed by them. So a training that goes on from a saved state is the one that was never interrupted.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.distributed.tensor import DTensor

from drift.parameters import TrainingParameters
from drift.training.examples import Example, batches
from drift.training.flops import ModelSize, peak_flops_per_second, training_flops
from drift.training.master_weights import MasterWeights
from drift.training.model import PackedPolicy
from drift.training.objective import weighted_nll
from drift.training.optimizer import NamedAdamW
from drift.training.packing import Pack, most_tokens, packed, packs_by_process
from drift.training.processes import Processes
from drift.training.schedules import learning_rate_factor
from drift.training.sharded_weights import ShardedWeights
from drift.training.step_log import StepLog
from drift.weighting.composition import effective_sample_size


class DivergedError(Exception):
    """Loss or gradient is not finite; the weights are those before the step.

    Attributes:
        step: the step.
        problem_ids: of its batch.
    """

    def __init__(self, step: int, loss: float, gradient_norm: float, problem_ids: Sequence[str]) -> None:
        super().__init__(f"step {step} (loss {loss}, gradient norm {gradient_norm})")
        self.step = step
        self.problem_ids = problem_ids


@dataclass(frozen=True)
class Trainer:
    """What the steps of a training share.

    Attributes:
        policy: what is trained.
        weights: its weights as the optimiser sees them.
        optimizer: with its state.
        training: the settings.
        prune_below: examples of a smaller weight are not computed, but count in the batch and its divisor.
        seed: of the order of the data and of dropout.
        processes: who computes.
        size: of the model.
    """

    policy: PackedPolicy
    weights: MasterWeights | ShardedWeights
    optimizer: NamedAdamW
    training: TrainingParameters
    prune_below: float
    seed: int
    processes: Processes
    size: ModelSize

    def steps(self, examples: Sequence[Example], done: int) -> Iterator[StepLog]:
        """Makes the steps after the first `done`, one when asked for the next row.

        Raises:
            DivergedError: when loss or gradient is not finite.
        """
        order = batches(len(examples), self.training.batch_size, self.training.steps, self.seed)
        for step, indices in enumerate(order, start=1):
            if step > done:
                yield self._step(step, [examples[index] for index in indices])

    def _step(self, step: int, batch: Sequence[Example]) -> StepLog:
        started = time.monotonic()
        computed = [example for example in batch if example.weight >= self.prune_below]
        sums = self._accumulate(step, computed, len(batch))
        gradient_norm = self._clip()
        weighted_loss, plain_sum, weighted_sum = self.processes.sum(sums.tolist())
        if not (math.isfinite(weighted_loss) and math.isfinite(gradient_norm)):
            problem_ids = sorted({example.problem_id for example in batch})
            raise DivergedError(step, weighted_loss, gradient_norm, problem_ids)
        factor = learning_rate_factor(self.training.schedule, step, self.training.steps, self.training.warmup_share)
        self.optimizer.step(self.training.learning_rate * factor)
        self.weights.publish()
        weight_sum = sum(example.weight for example in computed)
        num_tokens = sum(len(example.token_ids) for example in computed)
        seconds = time.monotonic() - started
        return StepLog(
            step=step,
            loss=plain_sum / max(1, len(computed)),
            weighted_loss=weighted_loss,
            weighted_mean_loss=weighted_sum / weight_sum if weight_sum else None,
            gradient_norm=gradient_norm,
            learning_rate=self.training.learning_rate * factor,
            effective_sample_size=effective_sample_size(np.array([example.weight for example in batch])),
            pruned_mass=sum(example.weight for example in batch if example.weight < self.prune_below) / len(batch),
            num_computed=len(computed),
            num_tokens=num_tokens,
            num_targets=sum(len(example.targets) for example in computed),
            seconds=seconds,
            tokens_per_second=num_tokens / seconds,
            mfu=self._utilisation(computed, seconds),
        )

    def _accumulate(self, step: int, computed: Sequence[Example], batch_size: int) -> torch.Tensor:
        """Adds up the gradient of the batch's share of this process.

        Returns:
            This process's part of L, of the sum of the examples' token-mean losses, and of the same with weights.
        """
        sums = torch.zeros(3, dtype=torch.float64, device=self.processes.device)
        for index, examples in enumerate(self._packs(computed)):
            self._key_dropout(step, index)
            sums += accumulate(
                self.policy, packed(examples, self.processes.device), batch_size, self.training.token_normalisation
            )
            self.weights.collect_gradients()
        return sums

    def _packs(self, examples: Sequence[Example]) -> list[list[Example]]:
        """This process's packs of a batch; as many as every other's."""
        max_tokens = most_tokens(self.training.micro_batch_tokens, self.processes.device)
        return packs_by_process(examples, max_tokens, self.processes.size)[self.processes.rank]

    def _key_dropout(self, step: int, pack: int) -> None:
        """The noise of a pack depends on what it is, not on what was drawn before it."""
        if self.training.lora is not None and self.training.lora.dropout:
            key = np.random.SeedSequence([self.seed, step, pack, self.processes.rank]).generate_state(1, np.uint64)
            torch.manual_seed(int(key[0]) >> 1)

    def _clip(self) -> float:
        """Scales the gradient of the whole step to `clip_norm` where it is longer; returns its length before."""
        masters = list(self.optimizer.weights.values())
        for master in masters:
            if master.grad is None:  # a step with all examples pruned is like any other
                master.grad = torch.zeros_like(master)
        norm = torch.nn.utils.clip_grad_norm_(masters, self.training.clip_norm)
        return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)

    def _utilisation(self, computed: Sequence[Example], seconds: float) -> float | None:
        peak = peak_flops_per_second(self.processes.device)
        return training_flops(self.size, computed) / (seconds * peak * self.processes.size) if peak else None

    @torch.no_grad()
    def held_out_loss(self, examples: Sequence[Example]) -> float:
        """Weighted mean of the token-mean loss of examples, nats per token, without a gradient."""
        noisy = [module for module in self.policy.modules() if module.training]
        for module in noisy:
            module.eval()
        weighted_sum = torch.zeros((), dtype=torch.float64, device=self.processes.device)
        for share in self._packs(examples):
            pack = packed(share, self.processes.device)
            weighted_sum += weighted_nll(self.policy(pack), pack.example_T, pack.weight_E, pack.num_targets_E, 1)
        for module in noisy:
            module.train()
        (total,) = self.processes.sum([weighted_sum.item()])
        return total / sum(example.weight for example in examples)


def accumulate(policy: PackedPolicy, pack: Pack, batch_size: int, token_normalisation: str = "mean") -> torch.Tensor:
    """Adds the gradient of one pack to the policy's.

    Args:
        policy: the policy.
        pack: some examples.
        batch_size: B, of the whole step.
        token_normalisation: `mean` or `sum`, over the tokens of an example.

    Returns:
        The pack's part of L, the sum over its examples of their token-mean loss, and that sum with weights; float64,
        shape (3,), on the device.
    """
    nll_T = policy(pack)
    divisor_E = pack.num_targets_E if token_normalisation == "mean" else torch.ones_like(pack.num_targets_E)
    loss = weighted_nll(nll_T, pack.example_T, pack.weight_E.to(nll_T.dtype), divisor_E, batch_size)
    loss.backward()
    of_tokens = (nll_T.detach().double(), pack.example_T)
    plain = weighted_nll(*of_tokens, torch.ones_like(pack.weight_E), pack.num_targets_E, 1)
    weighted = weighted_nll(*of_tokens, pack.weight_E, pack.num_targets_E, 1)
    return torch.stack([loss.detach().double(), plain, weighted])
