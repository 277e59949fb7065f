"""-log pi without logits of all targets at once, against the plain form."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.training.output_layer import token_nll

HIDDEN, VOCABULARY = 6, 23


def plain(hidden, weight, bias, targets, softcap, scale):
    logits = (hidden @ weight.T + (0 if bias is None else bias)) * scale
    logits = logits if softcap is None else softcap * torch.tanh(logits / softcap)
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none")


@settings(max_examples=60, deadline=None)
@given(
    num_targets=st.integers(0, 12),
    rows_at_once=st.integers(1, 14),
    with_bias=st.booleans(),
    softcap=st.none() | st.floats(0.5, 30),
    scale=st.floats(0.1, 4),
    seed=st.integers(0, 99),
)
def test_loss_and_gradients_are_the_plain_ones(num_targets, rows_at_once, with_bias, softcap, scale, seed):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator, requires_grad=True)

    hidden, weight, bias = draw(num_targets, HIDDEN), draw(VOCABULARY, HIDDEN), draw(VOCABULARY)
    targets = torch.randint(VOCABULARY, (num_targets,), generator=generator)
    inputs = [hidden, weight, *([bias] if with_bias else [])]
    bias = bias if with_bias else None
    upstream = torch.rand(num_targets, dtype=torch.float64, generator=generator)
    results = [
        plain(hidden, weight, bias, targets, softcap, scale),
        token_nll(hidden, weight, bias, targets, softcap, scale, logit_bytes=4 * VOCABULARY * rows_at_once),
    ]
    gradients = [torch.autograd.grad((result * upstream).sum(), inputs) for result in results]
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)
    for expected, found in zip(*gradients, strict=True):
        torch.testing.assert_close(expected, found, rtol=1e-10, atol=1e-12)


def test_logits_of_all_targets_never_exist():
    hidden = torch.randn(512, 8, requires_grad=True)
    weight = torch.randn(4096, 8, requires_grad=True)
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                largest = max(largest, result.numel())
            return result

    with Watch():
        token_nll(hidden, weight, None, torch.zeros(512, dtype=torch.int64), logit_bytes=4 * 4096 * 16).sum().backward()
    assert largest == 4096 * 16


def test_frozen_layers_get_no_gradient():
    hidden, weight = torch.randn(3, 4, requires_grad=True), torch.randn(5, 4)
    token_nll(hidden, weight, None, torch.tensor([0, 1, 2])).sum().backward()
    assert hidden.grad is not None and weight.grad is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_reduced_in_float32(dtype):
    hidden, weight = torch.randn(3, 4).to(dtype), torch.randn(5, 4).to(dtype)
    nll = token_nll(hidden, weight, None, torch.tensor([0, 1, 2]))
    assert nll.dtype == torch.float32
    expected = torch.nn.functional.cross_entropy((hidden @ weight.T).float(), torch.tensor([0, 1, 2]), reduction="none")
    torch.testing.assert_close(nll, expected)
