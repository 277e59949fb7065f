"""Attention over packs: every sequence of a row attends to itself alone, and nothing is computed for any other pair.

Registered with transformers under one name. On a GPU in half precision it is torch's variable-length flash attention;
elsewhere each sequence is attended by itself.

Shapes: _B one, _H heads, _G key-value heads, _L tokens of the row, _D size of a head.
"""

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PACKED = "drift_packed"
_SHORT = 512
"""Tokens up to which plain products are taken on a CPU; they keep their scores for the way back, which longer
sequences cannot afford. `benchmarks/attention.py`: 1.5 times as fast as the fused kernel at 128 tokens, 0.9 at 512."""
_QUERIES_AT_ONCE = 256
"""Rows of scores in one block of plain products."""


@dataclass(frozen=True, eq=False)
class PackLayout:
    """The sequences of a row. Layers hand it on as it is: compiled ones do not look into it.

    Attributes:
        lengths: tokens of each sequence.
        offsets: where each sequence begins and the last one ends, int32, on the device.
    """

    lengths: tuple[int, ...]
    offsets: "torch.Tensor"

    @classmethod
    def of(cls, lengths: tuple[int, ...], device: "torch.device") -> "PackLayout":
        """The layout of sequences one after another."""
        import torch

        offsets = [0, *itertools.accumulate(lengths)]
        return cls(lengths, torch.tensor(offsets, dtype=torch.int32, device=device))


class UnsupportedAttentionError(Exception):
    """The model wants something of attention that packs do not have."""


def register_packed_attention() -> None:
    """Lets models be loaded with `attn_implementation=PACKED`."""
    import torch
    from transformers import AttentionInterface

    # Compiled layers break off here: what follows depends on the sequences of each pack.
    AttentionInterface.register(PACKED, torch.compiler.disable(packed_attention))


def packed_attention(
    module: "torch.nn.Module",
    query_BHLD: "torch.Tensor",
    key_BGLD: "torch.Tensor",
    value_BGLD: "torch.Tensor",
    attention_mask: "torch.Tensor | None",
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: "torch.Tensor | None" = None,
    pack_layout: PackLayout | None = None,
    **_: Any,  # noqa: ANN401
) -> "tuple[torch.Tensor, None]":
    """The function transformers calls in every layer.

    Args:
        module: the layer's attention.
        query_BHLD: shape (1, H, L, D).
        key_BGLD: shape (1, G, L, D), G divides H.
        value_BGLD: shape (1, G, L, D).
        attention_mask: None; what may be attended to follows from the lengths.
        scaling: factor on the scores; None takes 1 / sqrt(D).
        dropout: 0.
        sliding_window: each token attends to itself and the `sliding_window` - 1 before it; None to all before it.
        softcap: None.
        s_aux: None.
        pack_layout: the sequences of the row; None for a row that is one sequence.

    Raises:
        UnsupportedAttentionError: when scores are to be capped, sunk or dropped, or there is a mask.
    """
    import torch

    if attention_mask is not None or softcap is not None or s_aux is not None or dropout:
        raise UnsupportedAttentionError(type(module).__name__)
    layout = pack_layout or PackLayout.of((query_BHLD.shape[2],), query_BHLD.device)
    if query_BHLD.is_cuda and query_BHLD.dtype in (torch.bfloat16, torch.float16):
        out = _flash(query_BHLD, key_BGLD, value_BGLD, scaling, sliding_window, layout)
    else:
        out = _one_by_one(query_BHLD, key_BGLD, value_BGLD, scaling, sliding_window, layout.lengths)
    return out, None


def _flash(
    query_BHLD: "torch.Tensor",
    key_BGLD: "torch.Tensor",
    value_BGLD: "torch.Tensor",
    scaling: float | None,
    sliding_window: int | None,
    layout: PackLayout,
) -> "torch.Tensor":
    """Torch's variable-length flash attention, shape (1, L, H, D)."""
    from torch.nn.attention.varlen import varlen_attn

    query, key, value = (tensor[0].transpose(0, 1) for tensor in (query_BHLD, key_BGLD, value_BGLD))
    longest = max(layout.lengths)
    window = (-1, 0) if sliding_window is None or longest <= sliding_window else (sliding_window - 1, 0)
    out = varlen_attn(
        query,
        key,
        value,
        layout.offsets,
        layout.offsets,
        longest,
        longest,
        scale=scaling,
        window_size=window,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return out[None]  # type: ignore[index]


def _one_by_one(
    query_BHLD: "torch.Tensor",
    key_BGLD: "torch.Tensor",
    value_BGLD: "torch.Tensor",
    scaling: float | None,
    sliding_window: int | None,
    lengths: tuple[int, ...],
) -> "torch.Tensor":
    """Each sequence by itself, shape (1, L, H, D)."""
    import torch

    parts = zip(*(tensor.split(lengths, dim=2) for tensor in (query_BHLD, key_BGLD, value_BGLD)), strict=True)
    outs = [_causal(query, key, value, scaling, sliding_window) for query, key, value in parts]
    return torch.cat(outs, dim=2).transpose(1, 2)


def _causal(
    query_BHLD: "torch.Tensor",
    key_BGLD: "torch.Tensor",
    value_BGLD: "torch.Tensor",
    scaling: float | None,
    sliding_window: int | None,
) -> "torch.Tensor":
    """Causal attention of one sequence, shape (1, H, L, D)."""
    import torch

    num_groups, length = query_BHLD.shape[1] // key_BGLD.shape[1], query_BHLD.shape[2]
    key, value = (tensor.repeat_interleave(num_groups, dim=1) for tensor in (key_BGLD, value_BGLD))
    if length > _SHORT and (sliding_window is None or length <= sliding_window):
        return torch.nn.functional.scaled_dot_product_attention(query_BHLD, key, value, is_causal=True, scale=scaling)
    return _in_blocks(query_BHLD, key, value, scaling, sliding_window)


def _in_blocks(
    query_BHLD: "torch.Tensor",
    key_BHLD: "torch.Tensor",
    value_BHLD: "torch.Tensor",
    scaling: float | None,
    sliding_window: int | None,
) -> "torch.Tensor":
    """Plain products in blocks of queries that see no key after their last and none before their window."""
    import torch

    length = query_BHLD.shape[2]
    scaling = query_BHLD.shape[-1] ** -0.5 if scaling is None else scaling
    outs = []
    for start in range(0, length, _QUERIES_AT_ONCE):
        stop = min(start + _QUERIES_AT_ONCE, length)
        first = 0 if sliding_window is None else max(0, start - sliding_window + 1)
        scores = query_BHLD[:, :, start:stop] @ key_BHLD[:, :, first:stop].transpose(2, 3) * scaling
        scores = scores + _mask(start, stop, first, sliding_window, scores)
        share = torch.softmax(scores, dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32))
        outs.append(share.to(value_BHLD.dtype) @ value_BHLD[:, :, first:stop])
    return torch.cat(outs, dim=2)


def _mask(start: int, stop: int, first: int, sliding_window: int | None, like: "torch.Tensor") -> "torch.Tensor":
    """0 where query `start` … `stop` may see key `first` … `stop`, -inf elsewhere, shape (queries, keys)."""
    import torch

    query = torch.arange(start, stop, device=like.device)[:, None]
    key = torch.arange(first, stop, device=like.device)[None]
    unseen = key > query if sliding_window is None else (key > query) | (key <= query - sliding_window)
    return torch.zeros_like(unseen, dtype=like.dtype).masked_fill_(unseen, float("-inf"))
