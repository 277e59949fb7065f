"""Which format suits a machine: real races here, and processors that are made up."""

import json
import logging
import math

import pytest

from drift.formats import shapes_of, with_sampling_format, with_training_format
from drift.machine import number_formats
from drift.machine.number_formats import MEMORY, choice_for_cpu, choice_for_gpu, race, read_memory
from drift.parameters import ModelParameters, TrainingParameters

SHAPES = [(64, 64), (64, 128), (128, 64)]
CONFIG = {"hidden_size": 64, "intermediate_size": 128}


@pytest.fixture
def processor(monkeypatch):
    """A processor of given speeds; says how often it was raced."""
    races = []

    def make(float32: float, bfloat16: float) -> list:
        def raced(*_, **__) -> dict[str, float]:
            races.append(1)
            return {"float32": float32, "bfloat16": bfloat16}

        monkeypatch.setattr(number_formats, "race", raced)
        monkeypatch.setattr(number_formats, "_MEASURED", {})
        monkeypatch.setattr(number_formats, "CHOSEN", {})
        return races

    return make


@pytest.fixture
def policy(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path


@pytest.mark.parametrize(
    ("float32", "bfloat16", "chosen"),
    [(46, 7, "float32"), (100, 450, "bfloat16"), (50, 50, "bfloat16"), (55, 50, "bfloat16")],
)
def test_the_faster_format_is_taken_and_bfloat16_where_they_are_alike(float32, bfloat16, chosen):
    for use in ("sampling", "training"):
        assert choice_for_cpu("auto", use, {"float32": float32, "bfloat16": bfloat16}).format == chosen


@pytest.mark.parametrize("figures", [{}, {"float32": 0, "bfloat16": 5}, {"float32": math.nan, "bfloat16": 5}])
def test_a_race_that_says_nothing_leads_to_float32(figures):
    choice = choice_for_cpu("auto", "sampling", figures)
    assert (choice.format, choice.gflops) == ("float32", {})
    assert "could not be measured" in choice.reason


def test_what_was_chosen_is_said_once_with_the_reason(processor, policy, caplog):
    processor(46, 7.4)
    with caplog.at_level(logging.INFO, logger="drift"):
        for _ in range(2):
            assert with_sampling_format(ModelParameters(path="m"), policy, policy).dtype == "float32"
    assert [record.getMessage() for record in caplog.records] == [
        "Sampling in float32: bfloat16 products are 6.2 times slower on this processor."
    ]
    assert number_formats.record_of_choices()["sampling"]["gflops"] == {"float32": 46, "bfloat16": 7.4}


def test_an_explicit_format_wins_and_is_warned_of_where_it_is_slow(processor, policy, caplog):
    processor(60, 10)
    training = TrainingParameters(steps=1, batch_size=1, learning_rate=1e-5, precision="bfloat16")
    assert with_training_format(training, policy, policy).precision == "bfloat16"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and "float32 products are 6.0 times faster" in record.getMessage()
    assert "training.precision says so" in record.getMessage()


def test_a_killed_run_is_continued_in_its_format_even_when_another_race_would_end_otherwise(processor, policy):
    races = processor(10, 50)
    assert with_sampling_format(ModelParameters(path="m"), policy, policy).dtype == "bfloat16"
    processor(500, 5)  # another process, at a bad moment
    assert with_sampling_format(ModelParameters(path="m"), policy, policy).dtype == "bfloat16"
    assert len(races) == 1


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"a": 1}', '{"a": {"float32": "fast", "bfloat16": 1}}'])
def test_a_damaged_memory_is_raced_anew(processor, policy, content):
    processor(46, 7)
    (policy / MEMORY).write_text(content)
    assert with_sampling_format(ModelParameters(path="m"), policy, policy).dtype == "float32"
    assert len(read_memory(policy / MEMORY)) == 1


@pytest.mark.parametrize(
    ("asked", "use", "capability", "chosen"),
    [
        ("auto", "sampling", (9, 0), "bfloat16"),
        ("auto", "training", (8, 0), "bfloat16"),
        ("auto", "sampling", (7, 5), "float16"),
        ("auto", "training", (7, 5), "float32"),
        ("float32", "sampling", (9, 0), "float32"),
    ],
)
def test_a_gpu_is_asked_for_its_capability(asked, use, capability, chosen):
    assert choice_for_gpu(asked, use, capability).format == chosen


def test_a_real_race_measures_both_formats_and_is_short():
    ticks = iter(range(10**6))
    figures = race([(64, 64)], 8, backward=True, seconds=20, clock=lambda: float(next(ticks)))
    assert set(figures) == {"float32", "bfloat16"} and all(figure > 0 for figure in figures.values())
    assert next(ticks) < 60, "no round begins after the time is over"


def test_shapes_are_those_of_the_text_part():
    assert shapes_of(CONFIG) == SHAPES == shapes_of({"text_config": CONFIG})
    assert shapes_of({"n_embd": 64})[0] == (2048, 2048)
