"""The report's files: complete, escaped, and enough to repeat the result."""

import json
import math
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml

from drift.errors import UserError
from drift.evaluation.made_from import Cost, costs, origins, version_of
from drift.evaluation.repeat import parameters_yaml, repeating_parameters, unrepeated
from drift.evaluation.report import report_files
from drift.evaluation.scored_from import refuse_other_checkpoint, refuse_other_conversations, scored_from
from drift.model_directory import ModelDirectory
from drift.parameters import TOP_LEVEL_KEYS, check_parameters, complete_parameters
from drift.pipelines.evaluation.nodes import write_model_card, write_report
from drift.pipelines.problem_frames import to_frame
from drift.runs.code import package_versions
from drift.shards import Shards, write_manifest
from drift.training.step_log import StepLog, log_fingerprint

PROJECT = Path(__file__).resolve().parents[2]


class Tags(HTMLParser):
    """Collects the elements of a page, and the text of its table cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def files(make_report):
    return report_files(make_report)


def test_the_report_is_a_page_its_tables_its_numbers_and_its_parameters(files, make_report):
    charts = {"multi_at_k.html", "correction_rate.html", "answers.html", "plotly.min.js"}
    assert set(files) == {"report.html", "table.md", "table.tex", "results.json", "parameters.yml"} | charts
    assert sum(len(text.encode()) for text in files.values()) < 12e6
    results = json.loads(files["results.json"])
    assert results["scores"] == json.loads(json.dumps(make_report.scores))
    assert "NaN" not in files["results.json"]
    assert "multi@5" in files["table.md"] and r"\toprule" in files["table.tex"]


def test_nothing_from_the_data_becomes_part_of_the_page(files, hostile_name):
    page = Tags(files["report.html"])
    assert {"img", "b", "iframe", "link", "object"}.isdisjoint(page.tags)
    assert page.tags.count("script") == 3 + 2  # the data of three charts, plotly.js, and what draws them
    assert any(hostile_name in text for text in page.text)
    names = {name for name, _ in page.attributes}
    assert not any(name.startswith("on") for name in names) and {"src", "href"}.isdisjoint(names)


def test_plotly_is_in_the_page_once(files):
    from plotly.offline import get_plotlyjs

    assert files["report.html"].count(get_plotlyjs()[:2000]) == 1
    assert "default-src 'none'" in files["report.html"]


def test_the_page_shows_every_number_of_the_table(files, make_report):
    text = " ".join(" ".join(Tags(files["report.html"]).text).split())
    for entry in make_report.scores["benchmarks"].values():
        for policy in ("reference", "trained"):
            assert f"{100 * entry[policy]['multi_at_k'][-1]:.1f} % [" in text
            assert f"{entry[policy]['response_tokens']:.0f} [" in text
    for words in ("talking instead of retrying", "1,234 sampled", "not known", "seeds: sampling"):
        assert words in text


@pytest.fixture
def base():
    return yaml.safe_load((PROJECT / "conf/base/parameters.yml").read_text())


LOG = pd.DataFrame({"step": range(1, 8), "num_tokens": [100] * 7, "seconds": [2.0] * 7, "mfu": [math.nan] * 7})


def trained_with(beta="Infinity", seed=1, max_turns=5, path="data/02_intermediate/trajectories/v1/trajectories"):
    sampled = {
        "dtype": "bfloat16",
        "problems": "pp",
        "path": path,
        "seed": seed,
        "n": 32,
        "temperature": 1.0,
        "top_p": 1.0,
        "protocol": {"max_turns": max_turns},
    }
    weighting = {"gamma": 0.9, "beta": beta, "penalty": 0.5}
    return {
        "fingerprint": "bb",
        "reference_model": {"path": "bundled:smollm2-135m-instruct", "fingerprint": "aa"},
        "seed": seed,
        "prune_below": 0.25,
        "packages": package_versions() | {"torch": "1.0"},
        "training_log": log_fingerprint({**row, "mfu": None} for row in LOG.to_dict("records")),
        "training": {"steps": 7, "batch_size": 2, "learning_rate": 1e-5, "no_longer_known": 1},
        "weighted_turns": {
            "path": "x/weighted_turns/v2/weighted_turns",
            "trajectories": sampled,
            "weighting": weighting,
        },
    }


def test_the_parameters_of_a_report_repeat_the_run(base):
    of_this_run = {"weighted_turns": {}, "reference_model": {}}
    read = yaml.safe_load(parameters_yaml(repeating_parameters(complete_parameters(base), of_this_run), []))
    of_other_pipelines = ("working_directory", "plan", "study", "refresh")
    assert not set(read) & set(of_other_pipelines)
    check_parameters(read | {key: base[key] for key in of_other_pipelines})
    for key, model in TOP_LEVEL_KEYS.items():
        if key not in of_other_pipelines:
            assert model.model_validate(read[key]) == model.model_validate(base[key])


def test_validated_parameters_are_as_good_as_plain_ones(base):
    validated = {key: model.model_validate(base[key]) for key, model in TOP_LEVEL_KEYS.items()}
    assert complete_parameters(validated) == complete_parameters(base)


def test_what_the_checkpoint_was_made_with_counts_more_than_the_present_settings(base):
    parameters = repeating_parameters(complete_parameters(base), trained_with())
    assert parameters["rollout"]["n"] == 32 and parameters["rollout"]["temperature"] == 1.0
    assert parameters["training"]["steps"] == 7 and "no_longer_known" not in parameters["training"]
    assert parameters["weighting"]["beta"] == math.inf and parameters["weighting"]["prune_below"] == 0.25
    assert yaml.safe_load(parameters_yaml(parameters, []))["weighting"]["beta"] == math.inf
    assert parameters["evaluation"] == complete_parameters(base)["evaluation"]


def test_the_part_of_the_rollout_is_the_checkpoints_and_not_this_runs(base):
    of_this_run = base | {"weighting": base["weighting"] | {"n": 2, "solved_at": [1]}}
    older = trained_with()
    parameters = repeating_parameters(complete_parameters(of_this_run), older)
    assert (parameters["weighting"]["n"], parameters["weighting"]["solved_at"]) == (None, None)
    star = older["weighted_turns"]["weighting"] | {"n": 4, "max_turns": 2, "solved_at": [2]}
    note = older | {"weighted_turns": older["weighted_turns"] | {"weighting": star}}
    parameters = repeating_parameters(complete_parameters(of_this_run), note)
    read = TOP_LEVEL_KEYS["weighting"].model_validate(yaml.safe_load(parameters_yaml(parameters, []))["weighting"])
    assert (read.n, read.max_turns, read.solved_at) == (4, 2, (2,))
    assert parameters["rollout"]["n"] == 32


def test_what_one_file_cannot_say_is_said(base):
    def said(parameters=base, conversations=None, attempts=None, problems="pp", **trained):
        checkpoint = trained_with(**{"seed": 0} | trained)
        repeating = repeating_parameters(complete_parameters(parameters), checkpoint)
        return unrepeated(repeating, checkpoint, conversations or {}, attempts or {}, problems)

    assert said() == []
    sentences = said(seed=1, max_turns=3)
    assert sentences == [
        "the trajectories were sampled with seed 1, where parameters.yml says 0",
        "the trajectories were sampled with protocol.max_turns 3, where parameters.yml says 5",
        "the policy was trained with seed 1, where parameters.yml says 0",
    ]
    assert "# Not in one file: the trajectories were sampled with seed 1" in parameters_yaml({}, sentences)
    assert "other training problems (pp)" in said(problems="qq")[0]
    assert repeating_parameters(complete_parameters(base), trained_with())["model"]["dtype"] == "bfloat16"
    other_model = base | {"model": {"path": "/m", "dtype": "float32"}}
    assert [sentence.split(",")[0] for sentence in said(other_model)] == [
        "the policy was trained with model.path 'bundled:smollm2-135m-instruct'",
    ]


def trained_on_solutions():
    written = {"model": "aa", "problems": "pp", "protocol": {"max_turns": 5}}
    turns = {"path": "x/weighted_turns/v2/weighted_turns", "trajectories": written, "solutions": {"left_out": {}}}
    return trained_with(seed=0) | {"weighted_turns": turns}


def test_a_report_on_a_policy_that_learned_solutions_says_what_its_file_does_not_repeat(base):
    checkpoint = trained_on_solutions()
    repeating = repeating_parameters(complete_parameters(base), checkpoint)
    assert repeating["rollout"] == complete_parameters(base)["rollout"]
    assert unrepeated(repeating, checkpoint, {}, {}, "pp") == [
        "the policy was trained on the problems' written solutions, where this file samples trajectories"
    ]
    assert "the solutions are of other training problems (pp)" in unrepeated(repeating, checkpoint, {}, {}, "qq")[1]


def test_what_the_evaluation_recorded_is_compared_with_the_file(base):
    checkpoint = trained_with(seed=0)
    repeating = repeating_parameters(complete_parameters(base), checkpoint)
    greedy = {"dtype": "bfloat16", "temperature": 0.0, "seed": 0, "max_new_tokens": 16, "protocol": {"max_turns": 5}}
    drawn = greedy | {"temperature": 0.8, "n": 3, "protocol": {"max_turns": 1}}
    assert unrepeated(repeating, checkpoint, {"trained": greedy}, {}, "pp") == []
    assert unrepeated(repeating, checkpoint, {"trained": greedy | {"max_new_tokens": 9}}, {"trained": drawn}, "pp") == [
        "the trained policy was evaluated with evaluation.max_new_tokens 9, where parameters.yml says 16",
        "attempts of the trained policy were made with rollout.temperature 0.8, where parameters.yml says 1.0",
        "attempts of the trained policy were made with evaluation.attempts 3, where parameters.yml says 0",
    ]


@pytest.fixture
def made(tmp_path):
    trajectories = tmp_path / "trajectories" / "v1" / "trajectories"
    trajectories.mkdir(parents=True)
    write_manifest(trajectories, {}, {"engine_start_seconds": 20.0, "sampling_seconds": 80.0, "response_tokens": 5000})
    conversations = Shards(
        tmp_path / "eval_trajectories" / "v9" / "eval_trajectories",
        {"reference": {"model": "aa"}, "trained": {"model": "bb"}},
        {"reference": {"sampling_seconds": 3.0, "response_tokens": 10}},
    )
    attempts = Shards(tmp_path / "eval_attempts" / "v9" / "eval_attempts", {})
    return conversations, attempts, ModelDirectory(tmp_path, trained_with(path=str(trajectories)))


def test_costs_are_those_of_what_the_policy_was_trained_from(made):
    assert costs(*made, LOG) == [
        Cost("sampling", 100.0, 5000, "sampled"),
        Cost("training", 14.0, 700.0, "trained on"),
        Cost("evaluating reference", 3.0, 10, "sampled"),
        Cost("evaluating trained", None, None, "sampled"),
    ]


def test_a_policy_that_learned_solutions_cost_no_sampling(made):
    conversations, attempts, checkpoint = made
    of_solutions = ModelDirectory(checkpoint.path, trained_on_solutions())
    assert costs(conversations, attempts, of_solutions, LOG) == costs(*made, LOG)[1:]


def test_costs_that_are_not_known_are_not_made_up(made):
    conversations, attempts, checkpoint = made
    elsewhere = ModelDirectory(checkpoint.path, trained_with(path="/nowhere/trajectories"))
    of_another_training = LOG.assign(seconds=LOG["seconds"] * 2)
    sampling, training, *_ = costs(conversations, attempts, elsewhere, of_another_training)
    assert sampling.seconds is training.seconds is None


def test_scores_are_shown_beside_what_they_were_computed_from_and_nothing_else(made):
    conversations, attempts, checkpoint = made
    scores = {"made_from": scored_from(conversations, attempts)}
    assert scores["made_from"]["policies"] == {"reference": "aa", "trained": "bb"}
    refuse_other_conversations(scores, conversations, attempts)
    refuse_other_checkpoint(scores, checkpoint)
    later = replace(conversations, path=conversations.path.parents[1] / "v10" / "eval_trajectories")
    with pytest.raises(
        UserError, match=r"from other conversations \(eval_trajectories v9\) than are loaded now \(v10\)"
    ):
        refuse_other_conversations(scores, later, attempts)
    with pytest.raises(UserError, match=r"eval_attempts v9.* than are loaded now \(v10\)"):
        refuse_other_conversations(scores, conversations, replace(attempts, path=later.path))
    other = ModelDirectory(checkpoint.path, {**checkpoint.provenance, "fingerprint": "cc"})
    with pytest.raises(UserError, match=r"another policy \(bb\) than `checkpoint` is now \(cc\)"):
        refuse_other_checkpoint(scores, other)
    with pytest.raises(UserError, match="another policy"):
        refuse_other_checkpoint({}, checkpoint)


def test_the_nodes_refuse_what_the_scores_are_not_of(made, base):
    conversations, attempts, checkpoint = made
    scores = {"made_from": scored_from(conversations, attempts)}
    other = ModelDirectory(checkpoint.path, {**checkpoint.provenance, "fingerprint": "cc"})
    with pytest.raises(UserError, match="another policy"):
        write_model_card(other, scores)
    problems = to_frame([])
    with pytest.raises(UserError, match="another policy"):
        write_report(scores, conversations, attempts, other, LOG, problems, base)
    later = replace(conversations, provenance={"reference": {"model": "aa"}, "trained": {"model": "cc"}})
    with pytest.raises(UserError, match="from other conversations"):
        write_report(scores, later, attempts, checkpoint, LOG, problems, base)


def test_a_log_is_known_again_after_it_was_a_table(tmp_path):
    rows = [asdict(StepLog(1, 0.1, 0.2, None, 1 / 3, 1e-5, 3.3, 0.0, 4, 200, 20, 0.7, 285.7, None))] * 2
    table = pd.DataFrame(rows).astype({"weighted_mean_loss": float, "mfu": float, "held_out_loss": float})
    table.to_parquet(tmp_path / "log.parquet")
    read = pd.read_parquet(tmp_path / "log.parquet")
    assert log_fingerprint(read.to_dict("records")) == log_fingerprint(rows)
    assert log_fingerprint(read.assign(seconds=0.8).to_dict("records")) != log_fingerprint(rows)


def test_origins_name_versions_policies_and_seeds(made):
    found = origins(*made)
    assert found["data"]["eval_trajectories"] == "v9" and found["data"]["trajectories"] == "v1"
    assert found["policies"] == {"reference": "aa", "trained": "bb"}
    assert found["seeds"] == {"sampling": 1, "training": 1}
    assert found["packages"] == package_versions() and found["other_packages_of_training"] == {"torch": "1.0"}
    assert found["code"]["version"] and found["machine"]["cores"]
    assert version_of("data/work/rollout/0a1b") == "0a1b"
