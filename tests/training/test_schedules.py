import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.training.schedules import learning_rate_factor


def factors(schedule: str, steps: int, warmup_share: float) -> list[float]:
    return [learning_rate_factor(schedule, step, steps, warmup_share) for step in range(1, steps + 1)]


def test_constant_rises_then_stays():
    assert factors("constant", 20, 0.2) == [0.25, 0.5, 0.75] + [1.0] * 17
    assert factors("constant", 5, 0.0) == [1.0] * 5


def test_linear_falls_by_equal_parts_after_warmup():
    assert factors("linear", 6, 0.34) == pytest.approx([0.5, 1.0, 0.8, 0.6, 0.4, 0.2])


def test_cosine_is_half_way_down_in_the_middle():
    assert factors("cosine", 5, 0.0) == pytest.approx([1.0, 0.9045085, 0.6545085, 0.3454915, 0.0954915])
    assert learning_rate_factor("cosine", 6, 10, 0.0) == pytest.approx(0.5)


@given(st.sampled_from(["constant", "cosine", "linear"]), st.integers(1, 200), st.floats(0, 1))
def test_no_step_is_wasted_and_none_exceeds_the_rate(schedule, steps, warmup_share):
    rates = factors(schedule, steps, warmup_share)
    assert all(0 < rate <= 1 for rate in rates)
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
