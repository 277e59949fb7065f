"""Attention over packs against the plain form with a mask over the whole row."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.training.attention import PackLayout, UnsupportedAttentionError, packed_attention

HEADS, GROUPS, SIZE = 4, 2, 8


def plain(query, key, value, lengths, window):
    """Softmax over all pairs of the row, with everything masked that may not be seen."""
    sequence = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    position = torch.cat([torch.arange(length) for length in lengths])
    seen = (sequence[:, None] == sequence) & (position[:, None] >= position)
    if window is not None:
        seen &= position[:, None] - position < window
    key, value = (tensor.repeat_interleave(HEADS // GROUPS, dim=1) for tensor in (key, value))
    scores = (query @ key.transpose(2, 3)) * 0.3
    return (scores.masked_fill(~seen, float("-inf")).softmax(-1) @ value).transpose(1, 2)


def row(length: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(1, heads, length, SIZE) for heads in (HEADS, GROUPS, GROUPS)]
    return [torch.randn(*shape, dtype=torch.float64, generator=generator, requires_grad=True) for shape in shapes]


def ours(query, key, value, lengths, window):
    layout = PackLayout.of(tuple(lengths), query.device)
    settings = {"scaling": 0.3, "sliding_window": window, "pack_layout": layout}
    return packed_attention(torch.nn.Identity(), query, key, value, None, **settings)[0]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.none() | st.integers(1, 40), st.integers(0, 99))
def test_sequences_attend_to_themselves_alone(lengths, window, seed):
    inputs = row(sum(lengths), seed)
    upstream = torch.randn(1, sum(lengths), HEADS, SIZE, dtype=torch.float64)
    results = [form(*inputs, lengths, window) for form in (plain, ours)]
    gradients = [torch.autograd.grad((result * upstream).sum(), inputs) for result in results]
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)
    for expected, found in zip(*gradients, strict=True):
        torch.testing.assert_close(expected, found, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("window", [None, 100, 600])
def test_long_sequences_are_attended_in_blocks_without_a_seam(window):
    inputs = row(1100, 0)
    lengths = [300, 800]
    torch.testing.assert_close(plain(*inputs, lengths, window), ours(*inputs, lengths, window), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("wish", [{"softcap": 50.0}, {"s_aux": torch.zeros(HEADS)}, {"dropout": 0.1}])
def test_what_packs_do_not_have_is_refused(wish):
    with pytest.raises(UnsupportedAttentionError):
        packed_attention(torch.nn.Identity(), *row(4, 0), None, **wish)
