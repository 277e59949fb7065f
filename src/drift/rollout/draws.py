"""Drawing tokens from logits: one uniform number a token, whatever else is in the batch.

Shapes: R rows, V vocabulary.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from drift.rollout.engine import Sampling

if TYPE_CHECKING:
    import torch

_BLOCK = 256


def draw_tokens(logits_RV: "torch.Tensor", samplings: Sequence[Sampling], uniforms: Sequence[float]) -> list[int]:
    """One token for each row: the smallest whose cumulative probability exceeds the row's uniform number.

    Args:
        logits_RV: of the model.
        samplings: temperature and top_p of each row; a temperature of 0 takes the most likely token.
        uniforms: in [0, 1), one for each row.
    """
    import torch

    device = logits_RV.device
    best_R = logits_RV.argmax(dim=-1)
    if all(sampling.temperature == 0 for sampling in samplings):
        return best_R.tolist()
    temperatures_R = torch.tensor([sampling.temperature for sampling in samplings], device=device)
    greedy_R = temperatures_R == 0
    probabilities_RV = (logits_RV.float() / temperatures_R.masked_fill(greedy_R, 1.0)[:, None]).softmax(dim=-1)
    nucleus_rows = [row for row, sampling in enumerate(samplings) if sampling.top_p < 1]
    if nucleus_rows:
        top_p = torch.tensor([samplings[row].top_p for row in nucleus_rows], device=device)
        probabilities_RV[nucleus_rows] = _nucleus(probabilities_RV[nucleus_rows], top_p)
    # Apple's GPUs have no float64.
    precise = torch.float32 if device.type == "mps" else torch.float64
    uniforms_R = torch.tensor(uniforms, dtype=precise, device=device)
    return torch.where(greedy_R, best_R, _invert_cumulative(probabilities_RV, uniforms_R)).tolist()


def _invert_cumulative(probabilities_RV: "torch.Tensor", uniforms_R: "torch.Tensor") -> "torch.Tensor":
    """The token at which the cumulative probability passes the uniform number, shape (R,).

    First the block of the vocabulary, then the token in it: a running sum over the whole vocabulary is slow, and in
    the sums of blocks it needs no more than a float64 for each.
    """
    import torch

    vocabulary = probabilities_RV.shape[1]
    blocks_RBC = torch.nn.functional.pad(probabilities_RV, (0, -vocabulary % _BLOCK)).unflatten(1, (-1, _BLOCK))
    cumulative_RB = blocks_RBC.sum(dim=-1, dtype=uniforms_R.dtype).cumsum(dim=-1)
    targets_R1 = uniforms_R[:, None] * cumulative_RB[:, -1:]
    block_R1 = _first_beyond(cumulative_RB, targets_R1)
    before_R1 = torch.nn.functional.pad(cumulative_RB, (1, 0)).gather(1, block_R1)
    rows_R = torch.arange(len(blocks_RBC), device=blocks_RBC.device)
    cumulative_RC = blocks_RBC[rows_R, block_R1[:, 0]].cumsum(dim=-1, dtype=uniforms_R.dtype)
    return (block_R1 * _BLOCK + _first_beyond(cumulative_RC, targets_R1 - before_R1))[:, 0]


def _first_beyond(cumulative_RX: "torch.Tensor", targets_R1: "torch.Tensor") -> "torch.Tensor":
    """Index of the first sum above the target, shape (R, 1); if rounding left none, of the last step of the sums."""
    import torch

    last_R1 = torch.searchsorted(cumulative_RX, cumulative_RX[:, -1:].contiguous())
    return torch.minimum(torch.searchsorted(cumulative_RX, targets_R1, right=True), last_R1)


def _nucleus(probabilities_RV: "torch.Tensor", top_p_R: "torch.Tensor") -> "torch.Tensor":
    """Sets to zero all but the fewest most likely tokens of each row that have at least `top_p` together."""
    sorted_RV, order_RV = probabilities_RV.sort(dim=-1, descending=True, stable=True)
    beyond_RV = sorted_RV.cumsum(dim=-1) - sorted_RV >= top_p_R[:, None]
    return probabilities_RV.scatter(1, order_RV, sorted_RV.masked_fill(beyond_RV, 0.0))
