import math
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from drift.weighting.composition import effective_sample_size
from drift.weighting.weights import importance_weights, importance_weights_by_problem

returns = hnp.arrays(np.float64, st.integers(1, 64), elements=st.floats(-10, 10))
betas = st.floats(0.01, 100)


@given(returns, betas)
def test_weights_of_one_problem_average_one(returns_N, beta):
    assert importance_weights(returns_N, beta).mean() == pytest.approx(1.0, rel=1e-12)


@given(returns, betas)
def test_weights_are_monotone_in_the_return(returns_N, beta):
    weights = importance_weights(returns_N, beta)
    order = np.argsort(returns_N, kind="stable")
    assert (np.diff(weights[order]) >= 0).all()


@given(returns, betas, st.floats(-100, 100))
def test_weights_do_not_change_when_a_constant_is_added_to_all_returns(returns_N, beta, constant):
    shifted = importance_weights(returns_N + constant, beta)
    np.testing.assert_allclose(shifted, importance_weights(returns_N, beta), rtol=1e-13 * 200 / beta, atol=1e-12)


@given(returns)
def test_weights_tend_to_one_as_beta_grows(returns_N):
    distances = [np.abs(importance_weights(returns_N, beta) - 1).max() for beta in (1e1, 1e3, 1e5, math.inf)]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(distances))
    assert distances[-1] == 0


@given(returns, betas)
def test_weights_equal_the_plain_formula(returns_N, beta):
    assume(np.abs(returns_N).max() / beta < 600)
    plain = np.exp(returns_N / beta) / np.mean(np.exp(returns_N / beta))
    np.testing.assert_allclose(importance_weights(returns_N, beta), plain, rtol=1e-9, atol=1e-300)


def test_huge_returns_neither_overflow_nor_vanish():
    np.testing.assert_allclose(importance_weights(np.array([1e300, 1e300, -1e300]), 0.1), [1.5, 1.5, 0.0])


def test_a_return_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        importance_weights(np.array([0.0, np.nan]), 0.1)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(-2, 2)), min_size=1, max_size=60), betas)
def test_weights_of_a_shard_agree_with_one_problem_at_a_time(rows, beta):
    frame = pl.DataFrame(rows, schema=["problem_id", "shaped_return"], orient="row")
    frame = frame.with_columns(weight=importance_weights_by_problem(beta))
    for _, problem in frame.group_by("problem_id", maintain_order=True):
        expected = importance_weights(problem["shaped_return"].to_numpy(), beta)
        np.testing.assert_allclose(problem["weight"].to_numpy(), expected, rtol=1e-12)


@given(hnp.arrays(np.float64, st.integers(1, 50), elements=st.floats(0.01, 100)))
def test_effective_sample_size_lies_between_one_and_the_number_of_examples(weights):
    assert 1 - 1e-9 <= effective_sample_size(weights) <= weights.size + 1e-9


def test_effective_sample_size_of_equal_weights_is_their_number():
    assert effective_sample_size(np.full(7, 3.0)) == pytest.approx(7)
