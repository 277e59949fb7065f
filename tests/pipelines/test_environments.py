"""Every environment is valid as Kedro merges it, and those of the paper have the paper's settings."""

from pathlib import Path
from typing import Any

import pytest

from drift.config_loader import ConfigLoader
from drift.parameters import check_parameters, complete_parameters
from drift.protocol.prompts import PROMPT_STYLES
from drift.settings import CONFIG_LOADER_ARGS
from drift.study.design import cells_of

CONF = Path(__file__).resolve().parents[2] / "conf"
ENVIRONMENTS = sorted(path.parent.name for path in CONF.glob("*/parameters.yml"))
MODELS = {
    "qwen2.5-3b": "Qwen/Qwen2.5-3B-Instruct",
    "qwen2.5-7b": "Qwen/Qwen2.5-7B-Instruct",
    "llama3.1-8b": "meta-llama/Llama-3.1-8B-Instruct",
}
PAPER = {
    "model": {"dtype": "bfloat16"},
    "protocol": {"max_turns": 5, "feedback": "Incorrect. Please think again.", "prompt": "think_answer"},
    "rollout": {"n": 16, "temperature": 1.0, "top_p": 1.0, "max_new_tokens": 512},
    "weighting": {
        "gamma": 0.9,
        "beta": 0.1,
        "penalty": 0.5,
        "unsolved": "keep",
        "prune_below": 0.0,
        "retain": "terminal",
    },
    "training": {
        "steps": 200,
        "batch_size": 128,
        "learning_rate": 5e-6,
        "schedule": "constant",
        "warmup_share": 0.1,
        "weight_decay": 0.1,
        "clip_norm": 1.0,
        "token_normalisation": "mean",
        "precision": "bfloat16",
        "lora": None,
        "held_out": None,
    },
    "evaluation": {"max_new_tokens": 1024, "attempts": 0},
}
BENCHMARKS = ["math", "math500", "theoremqa", "mmlu_redux", "mmlu_pro", "gpqa_diamond"]


def merged(environment: str) -> dict[str, Any]:
    """The parameters that `kedro run --env …` gets."""
    loader = ConfigLoader(conf_source=str(CONF), env=environment, **CONFIG_LOADER_ARGS)
    return dict(loader["parameters"])


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_environment_is_valid(environment):
    check_parameters(merged(environment))


@pytest.mark.parametrize("environment", MODELS)
@pytest.mark.parametrize("key", PAPER)
def test_an_environment_of_the_paper_has_its_settings(environment, key):
    complete = complete_parameters(merged(environment))[key]
    assert {name: complete[name] for name in PAPER[key]} == PAPER[key]


@pytest.mark.parametrize(("environment", "path"), MODELS.items())
def test_an_environment_of_the_paper_asks_its_problems_of_its_model(environment, path):
    complete = complete_parameters(merged(environment))
    assert complete["model"]["path"] == path
    train, evaluation = complete["problems"]["train"], complete["problems"]["evaluation"]
    assert (train["source"], train["limit"]) == ("metamathqa", 1800)
    assert [source["source"] for source in evaluation] == BENCHMARKS
    assert all(source["limit"] is None for source in evaluation)


def test_environments_of_the_paper_differ_in_the_model_and_the_name_of_their_study_alone():
    studies = [merged(environment)["study"] for environment in MODELS]
    assert len({study["name"] for study in studies}) == len(studies)
    first, *others = (
        {**merged(environment), "model": None, "study": {**study, "name": ""}}
        for environment, study in zip(MODELS, studies, strict=True)
    )
    assert others == [first, first]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_study_of_every_environment_can_be_made(environment):
    parameters = merged(environment)
    if parameters["protocol"]["max_turns"] > 1:
        cells = cells_of(parameters)
        assert len({cell.namespace for cell in cells}) == len(cells)


def test_the_papers_system_line_is_that_of_its_prompt():
    assert PROMPT_STYLES[PAPER["protocol"]["prompt"]].system == "You're a helpful assistant."
