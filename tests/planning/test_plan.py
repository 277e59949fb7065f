"""The dry run as a whole: the paper's environments on GPUs that suffice and on GPUs that do not."""

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from drift.config_loader import ConfigLoader
from drift.parameters import TOP_LEVEL_KEYS, ModelParameters
from drift.planning.model_shape import find_config, model_shape
from drift.planning.plan import plan
from drift.planning.reckoning import Settings
from drift.planning.table import plan_rows, time_text
from drift.settings import CONFIG_LOADER_ARGS

PROJECT = Path(__file__).resolve().parents[2]
PAPER = ["qwen2.5-3b", "qwen2.5-7b", "llama3.1-8b"]


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Whoever asks the network fails."""

    def refuse(*_: object) -> None:
        raise AssertionError("a plan asks the network for nothing")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def planned(environment: str, working_directory: Path, **changes: dict[str, Any]) -> dict[str, Any]:
    """The plan of an environment with some parameters changed; where `plan` says no GPU, an H100."""
    loader = ConfigLoader(conf_source=str(PROJECT / "conf"), env=environment, **CONFIG_LOADER_ARGS)
    raw = dict(loader["parameters"])
    changes = {"plan": {}, **changes}
    changes["plan"] = {"gpu": "H100-80GB", **changes["plan"]}
    merged = {key: {**raw[key], **changes[key]} if key in changes else raw[key] for key in TOP_LEVEL_KEYS}
    settings = {key: model.model_validate(merged[key]) for key, model in TOP_LEVEL_KEYS.items()}
    settings |= {"seed": settings["seed"].root, "working_directory": working_directory}
    return plan(Settings(**{name: settings[name] for name in Settings.__dataclass_fields__}))


@pytest.mark.parametrize("environment", PAPER)
def test_a_model_of_the_paper_fits_on_eight_h100(environment, tmp_path):
    made = planned(environment, tmp_path, plan={"gpus": 8})
    assert not [sentence for sentence in made["warnings"] if "FIT" in sentence or "refuse" in sentence]
    for stage in ("sampling", "training", "evaluation"):
        hours = made[stage]["hours"]
        assert 0 < hours["expected"] < hours["most"]
    assert made["hours"]["gpu_hours"] == 8 * made["hours"]["expected"]
    assert made["sampling"]["trajectories"] == 28_800 and made["training"]["examples"] == 25_600
    assert sum(made["evaluation"]["problems"].values()) == 5000 + 500 + 800 + 5700 + 12032 + 198
    assert json.loads(json.dumps(made)) == made


@pytest.mark.parametrize(("environment", "fits"), [("qwen2.5-3b", True), ("qwen2.5-7b", False), ("llama3.1-8b", False)])
def test_one_h100_trains_the_smallest_of_the_three(environment, fits, tmp_path):
    made = planned(environment, tmp_path)
    assert any("TRAINING DOES NOT FIT" in sentence for sentence in made["warnings"]) is not fits
    assert (made["hours"]["expected"] is not None) is fits
    assert made["sampling"]["hours"]["expected"] is not None
    assert any("does not fit" in sentence for _, sentence in plan_rows(made)) is not fits


def test_the_table_in_the_documentation_is_what_the_plan_says(tmp_path):
    lines = (PROJECT / "docs/plan.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    assert len(rows) == 2 * len(PAPER)
    for environment, gpus, *cells in rows:
        made = planned(environment.strip("`"), tmp_path, plan={"gpus": int(gpus)})
        hours = [made[stage]["hours"]["expected"] for stage in ("sampling", "training", "evaluation")]
        whole = "" if made["hours"]["expected"] is None else time_text(made["hours"]["expected"])
        memory = f"{made['training']['memory_gib_recomputed']:.1f} GiB"
        assert cells == [*map(time_text, hours), whole, memory], (environment, gpus)


def test_eight_gpus_are_faster_and_hold_more_than_one(tmp_path):
    one, eight = (planned("qwen2.5-3b", tmp_path, plan={"gpus": gpus}) for gpus in (1, 8))
    for stage in ("sampling", "training", "evaluation"):
        assert eight[stage]["hours"]["expected"] < one[stage]["hours"]["expected"]
    assert eight["training"]["state_gib"] < one["training"]["state_gib"]


def test_a_small_gpu_is_warned_of_in_both_stages(tmp_path):
    rollout = {"n": 16, "max_new_tokens": 16384}
    made = planned("llama3.1-8b", tmp_path, plan={"gpu": "RTX 4090"}, rollout=rollout)
    for stage in ("SAMPLING", "TRAINING"):
        assert any(f"{stage} DOES NOT FIT" in sentence for sentence in made["warnings"]), stage
    assert made["sampling"]["hours"]["most"] is None and made["hours"]["expected"] is None


def test_what_a_run_would_refuse_is_among_the_warnings(tmp_path):
    made = planned(
        "qwen2.5-3b",
        tmp_path,
        problems={"train": {"source": "file", "path": "/nowhere.jsonl"}},
        rollout={"n": 8, "max_new_tokens": 8192, "engine": {"tensor_parallel_size": 2}},
        training={"steps": 1, "batch_size": 1, "learning_rate": 1e-5, "processes": 3},
    )
    for part in (
        "/nowhere.jsonl does not exist",
        "asks for 1 x 2 GPUs",
        "and the model's context is 32,768",
        "training.processes is 3",
        "loads the model by itself",
    ):
        assert any(part in sentence for sentence in made["warnings"]), part


def test_a_disk_that_is_too_small_is_warned_of(tmp_path):
    made = planned("qwen2.5-3b", tmp_path / "not" / "there", rollout={"n": 10**6, "max_new_tokens": 512})
    assert any("make room" in sentence for sentence in made["warnings"])


def test_the_default_is_planned_for_an_assumed_gpu_where_there_is_none(tmp_path, reference_model):
    made = planned("base", tmp_path, plan={"gpu": None})
    if torch.cuda.is_available():
        assert made["gpu"]["from"] == "this machine's"
    else:
        assert made["gpu"]["name"] == "H100-80GB" and "assumed" in made["gpu"]["from"]
    config, _ = find_config(ModelParameters(path=str(reference_model.path)))
    assert made["model"]["weights"] == model_shape(config).num_weights


def test_attempts_and_further_policies_are_counted(tmp_path):
    plain = planned("qwen2.5-3b", tmp_path)["evaluation"]
    more = planned("qwen2.5-3b", tmp_path, evaluation={"max_new_tokens": 1024, "attempts": 3, "policies": {"a": "/x"}})
    assert plain["policies"] == 2 and more["evaluation"]["policies"] == 3
    assert more["evaluation"]["conversations"] == 3 * 4 * plain["conversations"] / 2


def test_a_study_and_a_refresh_are_counted_in_stages_of_one_run(tmp_path):
    chosen = ["drift", "sft_5turn", "longer", "sft_solutions", "refreshed"]
    base = planned("qwen2.5-3b", tmp_path)
    variants = {name: {} for name in ("drift", "sft_5turn")}
    variants |= {
        "longer": {"training": {"steps": 2 * base["training"]["steps"]}},
        "sft_solutions": {"data": "solutions"},
        "refreshed": {"rounds": 3},
    }
    made = planned(
        "qwen2.5-3b",
        tmp_path,
        study={"name": "five", "seeds": [0, 7], "chosen": chosen, "variants": variants, "sweeps": {"n": [4]}},
        refresh={"rounds": 4},
    )
    hours = {stage: made[stage]["hours"]["expected"] for stage in ("sampling", "training", "evaluation")}
    study, refresh = made["study"], made["refresh"]
    assert (study["results"], study["rollouts"], study["trainings"], study["evaluations"]) == (12, 6, 16, 14)
    # the one of twice the steps counts twice; rounds share the steps of one training
    assert study["hours"]["expected"] == pytest.approx(
        6 * hours["sampling"] + 14 * hours["training"] + 7 * hours["evaluation"]
    )
    assert study["disk_gib"] > 16 * made["disk"]["checkpoint_gib"]
    assert refresh["hours"]["expected"] == pytest.approx(made["hours"]["expected"] + 3 * hours["sampling"])
    assert any("a study may write" in sentence for sentence in made["warnings"]) == (
        shutil.disk_usage(tmp_path).free / 2**30 < study["disk_gib"]
    )
    rows = dict(plan_rows(made))
    assert rows["study five"] == "12 results with 2 seeds: 6 rollouts, 16 trainings, 14 evaluations"
    assert rows["refresh"].startswith("4 rounds: ")


def test_a_study_that_cannot_be_made_does_not_hinder_the_plan_of_a_run(tmp_path):
    base = planned("qwen2.5-3b", tmp_path)
    made = planned("qwen2.5-3b", tmp_path, refresh={"rounds": 1000})
    assert made["refresh"] is None and made["study"] == base["study"] and made["hours"] == base["hours"]
    other = {
        "name": "other",
        "chosen": ["drift"],
        "variants": {"drift": {"weighting": {"betta": 1}}},
        "baseline": "drift",
    }
    of_study = planned("qwen2.5-3b", tmp_path, study={**other, "sweeps": {}})
    assert of_study["study"] is None and of_study["refresh"] == base["refresh"]
    assert any("--pipelines=study would refuse this. study: weighting.betta" in text for text in of_study["warnings"])
    assert any("--pipelines=refresh would refuse this. 1000 rounds cannot share" in text for text in made["warnings"])


def test_the_command_prints_the_plan_and_keeps_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("conf", "pyproject.toml", ".telemetry"):
        source = PROJECT / name
        shutil.copytree(source, tmp_path / name) if source.is_dir() else shutil.copy(source, tmp_path / name)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "drift").symlink_to(PROJECT / "src" / "drift")
    bootstrap_project(tmp_path)
    with KedroSession.create(tmp_path, env="llama3.1-8b", runtime_params={"plan": {"gpu": "H200"}}) as session:
        session.run(pipeline_names=["plan"])
    printed = " ".join(capsys.readouterr().out.split())
    for part in ("8,030,261,248 weights", "1 x H200", "28,800 trajectories of 1,800 problems", "Assumed:", "Beware:"):
        assert part in printed
    assert printed.endswith("Nothing was spent. The job itself: kedro run --env=llama3.1-8b --params=plan.gpu=H200")
    (saved,) = (tmp_path / "data/08_reporting/plan.json").glob("*/plan.json")
    assert json.loads(saved.read_text())["gpu"]["name"] == "H200"
    assert not (tmp_path / "data/work").exists()
