"""The objective (Eq. 14 and 15)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def weighted_nll(
    nll_T: "torch.Tensor",
    example_T: "torch.Tensor",
    weight_E: "torch.Tensor",
    num_targets_E: "torch.Tensor",
    batch_size: int,
) -> "torch.Tensor":
    """Eq. 14, 15: L = (1/B) sum_i w_i (1/|y_i|) sum_t -log pi(y_it | s_i, y_i<t).

    A sum over target tokens (T) of the examples (E) of one micro-batch, divided once by the global batch: the
    micro-batches of a step add up to L however they are cut.

    Args:
        nll_T: -log pi of each target token, shape (T,).
        example_T: which example of the micro-batch each target belongs to, shape (T,).
        weight_E: w_i, shape (E,).
        num_targets_E: |y_i|, all target tokens of the example, shape (E,).
        batch_size: B, the examples of the whole optimiser step.
    """
    weight_T = (weight_E / num_targets_E)[example_T]
    return (weight_T * nll_T).sum() / batch_size
