"""AdamW over named weights, with a state that can be saved and filled by name."""

from collections.abc import Mapping

import torch

from drift.parameters import TrainingParameters

_MOMENTS = ("exp_avg", "exp_avg_sq")


class NamedAdamW:
    """torch's fused AdamW; matrices decay, biases and norms do not.

    Attributes:
        weights: what is optimised, by name.
    """

    def __init__(self, weights: Mapping[str, torch.nn.Parameter], training: TrainingParameters) -> None:
        """Begins with moments of zero, as AdamW itself would at its first step."""
        self.weights = dict(weights)
        matrices = [weight for weight in weights.values() if weight.ndim >= 2]
        vectors = [weight for weight in weights.values() if weight.ndim < 2]
        groups = [
            {"params": matrices, "weight_decay": training.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self._adamw = torch.optim.AdamW(
            [group for group in groups if group["params"]], lr=training.learning_rate, fused=True
        )
        for weight in weights.values():
            state = {name: torch.zeros_like(weight) for name in _MOMENTS}
            self._adamw.state[weight] = {"step": torch.zeros((), device=weight.device), **state}

    def step(self, learning_rate: float) -> None:
        """One step with the gradients that are there, which are cleared."""
        for group in self._adamw.param_groups:
            group["lr"] = learning_rate
        self._adamw.step()
        self._adamw.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Weights and moments by name: what a saved state holds."""
        tensors = {f"weight.{name}": weight.data for name, weight in self.weights.items()}
        for moment in _MOMENTS:
            tensors |= {f"{moment}.{name}": self._adamw.state[weight][moment] for name, weight in self.weights.items()}
        return tensors

    def continue_after(self, step: int) -> None:
        """Says how many steps the moments that were filled have seen."""
        for weight in self.weights.values():
            self._adamw.state[weight]["step"].fill_(step)
