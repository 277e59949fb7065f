"""Float32 master weights behind a policy that computes in another number format, in one process."""

import torch


class MasterWeights:
    """The weights the optimiser sees; the model holds their copies in the format it computes in.

    Gradients of packs are added up in the masters' format and never in the model's, so small contributions are not
    lost. When both formats are the same, the model's weights are the masters. Weights that are not trained have none.

    Attributes:
        by_name: the masters by their names in the model.
    """

    def __init__(self, model: torch.nn.Module, computing_dtype: torch.dtype) -> None:
        """Takes the model's trained weights as masters and gives the model copies to compute with.

        Only weights are converted; buffers, such as the frequencies of rotary positions, keep their precision.
        """
        self._weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.by_name: dict[str, torch.nn.Parameter] = {}
        for name, weight in model.named_parameters():
            if not weight.requires_grad:
                weight.data = weight.data.to(computing_dtype)
                continue
            master = weight.data.to(torch.promote_types(computing_dtype, torch.float32))
            weight.data = weight.data.to(computing_dtype)
            self.by_name[name] = weight if master.dtype == computing_dtype else torch.nn.Parameter(master)

    def collect_gradients(self) -> None:
        """Adds the gradients of one pack to the masters' and clears them in the model."""
        for name, weight in self._weights.items():
            master = self.by_name[name]
            if weight is master or weight.grad is None:
                continue
            if master.grad is None:
                master.grad = weight.grad.to(master.dtype)
            else:
                master.grad.add_(weight.grad)
            weight.grad = None

    def publish(self) -> None:
        """Rounds the masters into the model, after an optimiser step."""
        for name, weight in self._weights.items():
            if weight is not self.by_name[name]:
                weight.data.copy_(self.by_name[name].data)

    def full(self, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """The final weights, rounded once from the masters to `dtype`, on the CPU."""
        return {name: master.data.to("cpu", dtype) for name, master in self.by_name.items()}
