"""Float32 master weights behind a policy that computes in another number format."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


class MasterWeights:
    """The weights the optimiser sees; the model holds their copies in the format it computes in.

    Gradients of micro-batches are added up in the masters' format and never in the model's, so small contributions are
    not lost. When both formats are the same, the model's weights are the masters.
    """

    def __init__(self, model: "PreTrainedModel", computing_dtype: "torch.dtype") -> None:
        """Takes the model's weights as masters and gives the model copies to compute with.

        Only weights are converted; buffers, such as the frequencies of rotary positions, keep their precision.
        """
        import torch

        self._weights = list(model.parameters())
        self._shared = all(weight.dtype == computing_dtype for weight in self._weights)
        if self._shared:
            self.parameters = self._weights
            return
        self.parameters = [torch.nn.Parameter(weight.detach().clone()) for weight in self._weights]
        for weight in self._weights:
            weight.data = weight.data.to(computing_dtype)

    def collect_gradients(self) -> None:
        """Adds the gradients of one micro-batch to the masters' and clears them in the model."""
        if self._shared:
            return
        for weight, master in zip(self._weights, self.parameters, strict=True):
            if weight.grad is None:
                continue
            if master.grad is None:
                master.grad = weight.grad.to(master.dtype)
            else:
                master.grad.add_(weight.grad)
            weight.grad = None

    def fill_missing_gradients(self) -> None:
        """Gives masters without a gradient one of zeros, so that a step with all examples pruned is like any other."""
        import torch

        for master in self.parameters:
            if master.grad is None:
                master.grad = torch.zeros_like(master)

    def publish(self) -> None:
        """Rounds the masters into the model, after an optimiser step."""
        if self._shared:
            return
        for weight, master in zip(self._weights, self.parameters, strict=True):
            weight.data.copy_(master.data)

    def finish(self, dtype: "torch.dtype") -> None:
        """Gives the model its final weights, rounded once from the masters to `dtype`."""
        for weight, master in zip(self._weights, self.parameters, strict=True):
            weight.data = master.data.to(dtype)
