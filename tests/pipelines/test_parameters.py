"""Wrong parameters end with one sentence that names them all."""

from pathlib import Path

import pytest
import yaml

from drift.errors import UserError
from drift.parameters import check_parameters

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def parameters() -> dict:
    return yaml.safe_load((PROJECT / "conf/base/parameters.yml").read_text())


def test_the_default_is_valid(parameters):
    check_parameters(parameters)


@pytest.mark.parametrize(
    ("key", "name", "value", "complaint"),
    [
        ("weighting", "gamma", 0, r"weighting\.gamma: input should be greater than 0, not 0"),
        ("weighting", "gamma", 1.01, r"weighting\.gamma: input should be less than or equal to 1"),
        ("weighting", "beta", 0, r"weighting\.beta: input should be greater than 0"),
        ("weighting", "penalty", -1, r"weighting\.penalty"),
        ("weighting", "unsolved", "forget", r"weighting\.unsolved"),
        ("weighting", "retain", "first", r"weighting\.retain"),
        ("weighting", "n", 0, r"weighting\.n: input should be greater than or equal to 1, not 0"),
        ("weighting", "max_turns", 0, r"weighting\.max_turns: input should be greater than or equal to 1, not 0"),
        ("weighting", "solved_at", [1, 0], r"weighting\.solved_at\.1: input should be greater than or equal to 1"),
        ("weighting", "solved_at", [], r"weighting\.solved_at: tuple should have at least 1 item"),
        ("rollout", "n", 0, r"rollout\.n: input should be greater than or equal to 1, not 0"),
        ("rollout", "temperature", 0, r"rollout\.temperature"),
        ("rollout", "engine", {"max_sequences": 0}, r"rollout\.engine\.max_sequences"),
        ("rollout", "temprature", 1, r"rollout\.temprature is not a parameter"),
        ("protocol", "max_turns", 0, r"protocol\.max_turns"),
        ("protocol", "prompt", "boxd", r"protocol\.prompt"),
        ("training", "learning_rate", "fast", r"training\.learning_rate"),
        ("training", "batch_size", 0, r"training\.batch_size"),
        (
            "training",
            "hosts",
            2,
            r"used: training: `hosts` above 1 needs `rendezvous`: say host:port",
        ),
        ("problems", "train", {"source": "file"}, r"problems\.train\.path is missing"),
        ("problems", "train", {"source": "arithmetic", "limit": 9, "largest_addend": 30}, "share problems"),
        (
            "problems",
            "train",
            {"source": "filee"},
            r"train\.source: there is no source 'filee'; .*arithmetic, file",
        ),
        (
            "problems",
            "evaluation",
            [{"source": "math"}, {"source": "file"}],
            r"problems\.evaluation\.1\.path is missing",
        ),
        ("problems", "evaluation", {"source": "math", "limit": 0}, r"problems\.evaluation\.limit: input should be"),
        (
            "problems",
            "evaluation",
            [{"source": "maths"}],
            r"0\.source: there is no source 'maths'; .*math, math500",
        ),
        ("problems", "evaluation", [], r"list of the evaluation's sources is empty"),
        ("evaluation", "attempts", -1, r"evaluation\.attempts: input should be greater than or equal to 0"),
        ("evaluation", "policies", {"sft": ""}, r"evaluation\.policies\.sft: string should have at least 1"),
        (
            "problems",
            "train",
            {"source": "arithmetic", "limit": 1, "path": "x"},
            r"problems\.train\.path is not a param",
        ),
    ],
)
def test_a_wrong_value_is_named(parameters, key, name, value, complaint):
    parameters[key][name] = value
    with pytest.raises(UserError, match=complaint):
        check_parameters(parameters)


def test_all_faults_are_in_one_sentence(parameters):
    parameters["weighting"]["gamma"] = 2
    parameters["rollout"]["n"] = 0
    parameters["wieghting"] = {}
    del parameters["seed"]
    with pytest.raises(UserError) as error:
        check_parameters(parameters)
    for part in ("weighting.gamma", "rollout.n", "wieghting is not a parameter", "seed is missing"):
        assert part in str(error.value)


@pytest.mark.parametrize("address", ["https://me:secret@host/x", "https://secret@host", "mysql+pymysql://a:secret@b/c"])
def test_an_address_with_a_password_is_refused_and_not_repeated(parameters, address):
    parameters["training"]["mlflow"] = {"tracking_uri": address}
    with pytest.raises(UserError, match=r"training\.mlflow\.tracking_uri: .* MLFLOW_TRACKING_URI") as error:
        check_parameters(parameters)
    assert "secret" not in str(error.value)
    for harmless in ("http://host:5000/a@b", "sqlite:////tmp/runs.db", "file:///tmp/a@b", None):
        parameters["training"]["mlflow"] = {"tracking_uri": harmless}
        check_parameters(parameters)


def test_beta_may_be_infinite(parameters):
    parameters["weighting"]["beta"] = float("inf")
    check_parameters(parameters)


def test_every_field_is_explained():
    from pydantic import BaseModel

    from drift.parameters import TOP_LEVEL_KEYS

    def unexplained(model: type[BaseModel]) -> list[str]:
        return [name for name, field in model.model_fields.items() if not field.description and name != "root"]

    assert {key: unexplained(model) for key, model in TOP_LEVEL_KEYS.items() if unexplained(model)} == {}
