"""The output layer at target positions: -log pi of each target token, without logits of the whole pack at once.

Where there are many, logits are made for a few rows at a time, reduced to one number a row, and made again when
gradients are asked for.
torch's own fused form (`linear_cross_entropy`) is compared in `benchmarks/output_layer.py`.

Shapes: _T target tokens, _D hidden size, _V vocabulary.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOGIT_BYTES = 128 * 2**20
"""Float32 logits that exist at the same time."""


def token_nll(
    hidden_TD: torch.Tensor,
    weight_VD: torch.Tensor,
    bias_V: torch.Tensor | None,
    target_T: torch.Tensor,
    softcap: float | None = None,
    scale: float = 1.0,
    logit_bytes: int = _LOGIT_BYTES,
) -> torch.Tensor:
    """-log softmax(logits)[target], with logits = softcap(scale * (hidden W^T + bias)), float32 or better, shape (T,).

    Args:
        hidden_TD: hidden states that predict the targets, shape (T, D).
        weight_VD: output layer, shape (V, D).
        bias_V: its bias, shape (V,), or None.
        target_T: target token ids, shape (T,).
        softcap: c of c * tanh(logits / c), or None.
        scale: factor on the logits.
        logit_bytes: most bytes of logits at the same time; it changes memory, not the result.
    """
    if 4 * len(target_T) * len(weight_VD) <= logit_bytes:  # few enough to keep: nothing is made twice
        logits = _logits(hidden_TD, weight_VD, bias_V, softcap, scale)
        return torch.nn.functional.cross_entropy(logits, target_T, reduction="none")
    return _TokenNLL.apply(hidden_TD, weight_VD, bias_V, target_T, softcap, scale, logit_bytes)


class _TokenNLL(torch.autograd.Function):
    """Keeps the logarithm of each row's normaliser for the way back, and no logits."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        hidden_TD: torch.Tensor,
        weight_VD: torch.Tensor,
        bias_V: torch.Tensor | None,
        target_T: torch.Tensor,
        softcap: float | None,
        scale: float,
        logit_bytes: int,
    ) -> torch.Tensor:
        ctx.cut, ctx.softcap, ctx.scale = logit_bytes // (4 * len(weight_VD)) or 1, softcap, scale
        normaliser_T = hidden_TD.new_empty(len(target_T), dtype=_exact(hidden_TD.dtype))
        nll_T = torch.empty_like(normaliser_T)
        for rows in _chunks(len(target_T), ctx.cut):
            logits = _logits(hidden_TD[rows], weight_VD, bias_V, softcap, scale)
            torch.logsumexp(logits, dim=-1, out=normaliser_T[rows])
            nll_T[rows] = normaliser_T[rows] - logits.gather(1, target_T[rows, None])[:, 0]
        ctx.save_for_backward(hidden_TD, weight_VD, bias_V, target_T, normaliser_T)
        return nll_T

    @staticmethod
    @once_differentiable
    def backward(  # type: ignore[override]
        ctx: Any,  # noqa: ANN401
        *grad_outputs: torch.Tensor,
    ) -> tuple[torch.Tensor | None, ...]:
        (gradient_T,) = grad_outputs
        hidden_TD, weight_VD, bias_V, target_T, normaliser_T = ctx.saved_tensors
        to_hidden, to_weight, to_bias, *_ = ctx.needs_input_grad
        hidden_grad = torch.empty_like(hidden_TD) if to_hidden else None
        weight_grad = torch.zeros_like(weight_VD, dtype=_exact(weight_VD.dtype)) if to_weight else None
        bias_grad = torch.zeros_like(bias_V, dtype=_exact(weight_VD.dtype)) if to_bias else None
        for rows in _chunks(len(target_T), ctx.cut):
            logits = _logits(hidden_TD[rows], weight_VD, bias_V, ctx.softcap, ctx.scale)
            # d nll / d logits = softmax - one-hot, times what comes from above.
            logits_grad = torch.exp(logits - normaliser_T[rows, None])
            logits_grad.scatter_add_(1, target_T[rows, None], -torch.ones_like(logits_grad[:, :1]))
            logits_grad *= gradient_T[rows, None] * ctx.scale
            if ctx.softcap is not None:
                logits_grad *= 1 - (logits / ctx.softcap).square()
            logits_grad = logits_grad.to(hidden_TD.dtype)
            if hidden_grad is not None:
                hidden_grad[rows] = logits_grad @ weight_VD
            if weight_grad is not None:
                weight_grad += logits_grad.T @ hidden_TD[rows]
            if bias_grad is not None:
                bias_grad += logits_grad.sum(0)
        weight_grad = None if weight_grad is None else weight_grad.to(weight_VD.dtype)
        bias_grad = None if bias_grad is None else bias_grad.to(weight_VD.dtype)
        return hidden_grad, weight_grad, bias_grad, None, None, None, None


def _logits(
    hidden_TD: torch.Tensor, weight_VD: torch.Tensor, bias_V: torch.Tensor | None, softcap: float | None, scale: float
) -> torch.Tensor:
    """Logits of some rows, float32 or better, shape (rows, V)."""
    logits = torch.nn.functional.linear(hidden_TD, weight_VD, bias_V).to(_exact(hidden_TD.dtype)) * scale
    return logits if softcap is None else softcap * torch.tanh(logits / softcap)


def _exact(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _chunks(num_rows: int, rows: int) -> "Iterator[slice]":
    for start in range(0, num_rows, rows):
        yield slice(start, start + rows)
