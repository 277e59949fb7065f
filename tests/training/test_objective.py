"""The loss and its gradient against a plain float64 reference, however the batch is cut."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drift.training.examples import Example
from drift.training.loop import accumulate
from drift.training.objective import weighted_nll
from drift.training.packing import packed, packs

VOCABULARY = 61


@st.composite
def examples(draw: st.DrawFn) -> Example:
    length = draw(st.integers(2, 24))
    token_ids = np.array(draw(st.lists(st.integers(0, VOCABULARY - 1), min_size=length, max_size=length)))
    positions = st.lists(st.integers(1, length - 1), min_size=1, unique=True)
    weight = draw(st.one_of(st.just(0.0), st.just(1e4), st.floats(1e-6, 20)))
    return Example("p", 0, token_ids, np.array(sorted(draw(positions))), weight)


def plain_loss(model, batch: list[Example], batch_size: int, token_normalisation: str = "mean") -> torch.Tensor:
    """Eq. 14/15 as they are written: one example at a time, all logits, token by token."""
    total = torch.zeros((), dtype=torch.float64)
    for example in batch:
        logits = model(torch.from_numpy(example.token_ids)[None]).logits[0]
        log_pi = torch.log_softmax(logits, dim=-1)
        nll = [-log_pi[position - 1, example.token_ids[position]] for position in example.targets]
        total = total + example.weight * sum(nll) / (len(nll) if token_normalisation == "mean" else 1)
    return total / batch_size


def gradient(model) -> torch.Tensor:
    flat = torch.cat([weight.grad.flatten() for weight in model.parameters()])
    model.zero_grad()
    return flat


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batch=st.lists(examples(), min_size=1, max_size=7),
    max_tokens=st.integers(1, 200),
    surplus=st.integers(0, 3),
    order=st.randoms(use_true_random=False),
    token_normalisation=st.sampled_from(["mean", "sum"]),
)
def test_loss_and_gradient_do_not_depend_on_how_the_batch_is_cut(
    tiny_policy, batch, max_tokens, surplus, order, token_normalisation
):
    batch_size = len(batch) + surplus  # pruned examples keep their place in the divisor
    expected = plain_loss(tiny_policy.model, batch, batch_size, token_normalisation)
    expected.backward()
    expected_gradient = gradient(tiny_policy)

    cut = packs(order.sample(batch, len(batch)), max_tokens)
    device = torch.device("cpu")
    parts = [accumulate(tiny_policy, packed(pack, device), batch_size, token_normalisation)[0].item() for pack in cut]
    ours = gradient(tiny_policy)

    assert sum(parts) == pytest.approx(expected.item(), rel=1e-10, abs=1e-12)
    assert torch.linalg.norm(ours - expected_gradient) <= 1e-10 * torch.linalg.norm(expected_gradient) + 1e-14


def test_loss_is_the_worked_value():
    nll = torch.tensor([1.0, 3.0, 5.0], dtype=torch.float64)
    value = weighted_nll(nll, torch.tensor([0, 0, 1]), torch.tensor([2.0, 0.5]), torch.tensor([2, 1]), batch_size=4)
    assert value.item() == pytest.approx((2.0 * (1 + 3) / 2 + 0.5 * 5) / 4)
