import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from drift.runs.command import equal_command, given_command, same_settings


def parsed(settings: str) -> dict:
    """What Kedro makes of `--params` (its own parser: split at commas, then OmegaConf)."""
    (option,) = shlex.split(settings)
    assert option.startswith("--params=")
    return OmegaConf.to_container(OmegaConf.from_dotlist(option.removeprefix("--params=").split(",")))


VALUES = st.one_of(
    st.booleans(),
    st.none(),
    st.integers(-(10**9), 10**9),
    st.floats(1e-9, 1e9) | st.just(float("inf")),
    st.from_regex(r"[A-Za-z/][A-Za-z0-9 _./-]{0,20}[A-Za-z0-9]", fullmatch=True),
    st.sampled_from(["true", "null", "0.5", "1e-5", "yes", "2026-01-01", ".inf", "~/models/x", "it's"]),
)
NAMES = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, min_size=1, max_size=3), min_size=1, max_size=3))
def test_parameters_said_again_are_the_same_parameters(parameters):
    assert parsed(same_settings({"env": None, "runtime_params": parameters})) == parameters


def test_a_change_wins_over_what_the_run_was_given():
    run = {"env": "test", "runtime_params": {"weighting": {"beta": 0.5, "gamma": 0.8}, "seed": 3}}
    settings = same_settings(run, "weighting.beta=0.2")
    assert settings == " --env=test --params=weighting.beta=0.2,weighting.gamma=0.8,seed=3"


def test_a_run_without_environment_and_parameters_has_nothing_to_say_again():
    assert same_settings({"env": None, "runtime_params": None}) == ""
    assert same_settings({"env": None, "runtime_params": {}}, "weighting.beta=0.2") == " --params=weighting.beta=0.2"


@pytest.mark.parametrize(
    ("run", "command"),
    [
        ({"env": None, "runtime_params": {}}, "kedro run"),
        (
            {"env": "test", "runtime_params": {"model": {"path": "/my models/x"}}, "pipeline_names": ["rollout"]},
            "kedro run --pipelines=rollout --env=test '--params=model.path=/my models/x'",
        ),
        (
            {
                "env": None,
                "runtime_params": {},
                "node_names": ["score_node"],
                "load_versions": {"checkpoint": "2026-01-01T00.00.00.000Z"},
            },
            "kedro run --nodes=score_node --load-versions=checkpoint:2026-01-01T00.00.00.000Z",
        ),
    ],
)
def test_a_run_that_a_program_started_has_the_command_that_does_the_same(run, command):
    assert equal_command(run) == given_command(run) == command
