"""Held-out conversations made from the turns at which problems were solved, and cells made of them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import pytest

from drift.study.cell import ASKED, SETTINGS, CellResult, benchmarks_of
from drift.study.results import study_results
from drift.study_parameters import Swept

MAX_TURNS = 5


@pytest.fixture(scope="session")
def make_cell(make_trajectories, make_problems) -> Callable[..., CellResult]:
    """A cell whose trained policy solves a share of its problems at each turn, drawn with noise of its own seed.

    The problems of a benchmark are the same for all seeds, the reference's conversations too.
    """

    def make(
        variant: str,
        seed: int = 0,
        rate: float = 0.5,
        benchmarks: Mapping[str, int] = MappingProxyType({"arithmetic": 40}),
        swept: Swept | None = None,
        weighting: Mapping[str, object] = MappingProxyType({}),
        num_choices: Mapping[str, int] = MappingProxyType({}),
    ) -> CellResult:
        generator = np.random.default_rng([seed, *variant.encode()])
        turns = {
            name: {
                "reference": solved_turns(np.random.default_rng(0), size, 0.2),
                "trained": solved_turns(generator, size, rate),
            }
            for name, size in benchmarks.items()
        }
        settings = {
            "beta": 0.1,
            "gamma": 0.9,
            "penalty": 0.5,
            "n": None,
            "max_turns": None,
            "retain": "terminal",
            **weighting,
        }
        facts = {
            "weighting": settings,
            "training": {"steps": 64},
            "rollout": {"n": 8},
            "rounds": 1,
            "data": "trajectories",
            "model": {"path": "bundled:smollm2-135m-instruct"},
            "problems": {},
            "protocol": {"max_turns": MAX_TURNS},
            "evaluation": {},
        }
        mixed = int(generator.integers(20, 30))
        return {
            "study": "main",
            "seed": seed,
            "variant": variant,
            "swept": swept,
            "facts": facts,
            "settings": {name: facts[name] for name in SETTINGS},
            "asked": {name: facts[name] for name in ASKED},
            "trajectories": f"rollout of seed {seed}",
            "composition": {
                "num_problems": 100,
                "all_right": 30,
                "mixed": mixed,
                "all_wrong": 70 - mixed,
                "num_examples": 800,
                "num_pruned": 10 * seed,
                "pruned_mass": 0.001 * seed,
                "effective_sample_size": 300.0 + mixed,
            },
            "costs": {
                "sampling_seconds": 100.0 + seed,
                "engine_start_seconds": 20.0,
                "training_seconds": 200.0 + mixed,
                "evaluation_seconds": 10.0,
                "response_tokens": 1000,
                "tokens_trained": 5000,
                "response_tokens_by_turn": [400, 300, 150, 100, 50],
            },
            "max_turns": MAX_TURNS,
            "benchmarks": benchmarks_of(make_trajectories(turns), make_problems(benchmarks, num_choices), MAX_TURNS),
        }

    return make


def solved_turns(generator: np.random.Generator, num_problems: int, rate: float) -> list[int]:
    """Turns at which problems are solved: half the rate at the first, a quarter of what is left at each other."""
    rates = np.array([rate, *[rate / 2] * (MAX_TURNS - 1)])
    solved = generator.random((num_problems, MAX_TURNS)) < rates
    return [int(row.argmax()) + 1 if row.any() else 0 for row in solved]


@pytest.fixture(scope="session")
def full_study(make_cell) -> list[CellResult]:
    """Three seeds of every variant and sweep; one variant lacks a seed."""
    rates = {"drift": 0.55, "sft_5turn": 0.45, "star_2turn": 0.4, "all_turns": 0.35, "no_penalty": 0.5}
    star = {"beta": "Infinity", "max_turns": 2, "solved_at": [2]}
    changes = {
        "sft_5turn": {"beta": "Infinity"},
        "star_2turn": star,
        "all_turns": {"retain": "all"},
        "no_penalty": {"penalty": 0.0},
    }
    sweeps = {"beta": [0.01, 0.5], "gamma": [0.5, 1.0], "penalty": [1.0], "n": [2, 4], "max_turns": [1, 3]}
    cells = [
        make_cell(variant, seed, rate, weighting=changes.get(variant, {}))
        for seed in range(3)
        for variant, rate in rates.items()
        if (variant, seed) != ("star_2turn", 2)
    ]
    return cells + [
        make_cell(
            f"{parameter}_{value:g}".replace(".", "_"),
            seed,
            0.5,
            swept={"parameter": parameter, "value": value},
            weighting={parameter: value},
        )
        for seed in range(3)
        for parameter, values in sweeps.items()
        for value in values
    ]


@pytest.fixture(scope="session")
def full_results(full_study) -> dict[str, object]:
    """What the whole study came to."""
    return study_results(full_study, "sft_5turn", "drift", num_samples=200)


@pytest.fixture(scope="session")
def smallest_results(make_cell) -> dict[str, object]:
    """One cell of one variant and one seed."""
    return study_results([make_cell("drift")], "sft_5turn", "drift", num_samples=100)
