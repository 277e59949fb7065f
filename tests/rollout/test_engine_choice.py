"""Which engine ends a job sooner, on machines that were measured."""

import pytest

from drift.rollout.engine_choice import SPEEDS, sooner

WEIGHTS = 134.5e6
DEFAULT_TOKENS = 512 * 120 * 1.5


@pytest.mark.parametrize(
    ("gflops", "number_format", "engine"),
    [
        (46, "float32", "transformers"),  # AVX2: vLLM starts in 34 to 58 s, and computes no faster
        (160, "float32", "transformers"),
        (585, "bfloat16", "vllm"),  # AVX-512 with bfloat16
    ],
)
def test_the_default_job_takes_the_engine_that_was_measured_to_end_it_sooner(gflops, number_format, engine):
    assert sooner(DEFAULT_TOKENS, WEIGHTS, gflops, number_format)[0] == engine


@pytest.mark.parametrize("number_format", ["float32", "bfloat16"])
def test_a_short_job_wants_the_short_start_and_a_long_one_the_faster_engine(number_format):
    assert sooner(100, WEIGHTS, 300, number_format)[0] == "transformers"
    assert sooner(1e8, WEIGHTS, 300, number_format)[0] == "vllm"


def test_what_is_saved_is_the_difference():
    kind, seconds = sooner(0, WEIGHTS, 1e9, "bfloat16")
    assert kind == "transformers"
    assert seconds == pytest.approx(SPEEDS["vllm"].start_seconds - SPEEDS["transformers"].start_seconds, abs=0.01)
