"""Which cells a study has, what decides them, and which of them are done."""

import json
import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drift.errors import UserError
from drift.study.design import cells_of, result_path, steps_of_rounds, swept_name, unfinished

VARIANTS = {
    "drift": {},
    "sft_5turn": {"weighting": {"beta": math.inf}},
    "no_penalty": {"weighting": {"penalty": 0}},
    "refreshed": {"rounds": 2},
}


@pytest.fixture
def parameters(request):
    base = yaml.safe_load((request.config.rootpath / "conf/base/parameters.yml").read_text())
    study = {"name": "small", "seeds": [0, 3], "chosen": ["drift", "sft_5turn"], "variants": VARIANTS}
    return {**base, "study": study}


def with_study(parameters, **changes):
    return {**parameters, "study": {**parameters["study"], **changes}}


def test_every_chosen_variant_has_a_cell_for_every_seed(parameters):
    cells = cells_of(parameters)
    assert [(cell.seed, cell.variant) for cell in cells] == [
        (0, "drift"),
        (0, "sft_5turn"),
        (3, "drift"),
        (3, "sft_5turn"),
    ]
    assert len({cell.namespace for cell in cells}) == 4


def test_a_variant_changes_what_it_names_and_nothing_else(parameters):
    drift, sft, *_ = cells_of(parameters)
    assert sft.weighting.beta == math.inf
    assert sft.weighting.model_copy(update={"beta": drift.weighting.beta}) == drift.weighting
    assert sft.training == drift.training
    differing = {key for key in drift.facts if drift.facts[key] != sft.facts[key]}
    assert differing == {"weighting"}


def test_a_sweep_replaces_one_value_of_the_swept_variant(parameters):
    swept = with_study(parameters, seeds=[0], chosen=["drift"], sweeps={"beta": [0.05, math.inf], "n": [2, 4]})
    cells = {cell.variant: cell for cell in cells_of(swept)}
    assert set(cells) == {"drift", "beta_0_05", "beta_inf", "n_2", "n_4"}
    assert cells["beta_0_05"].weighting.beta == 0.05
    assert cells["beta_inf"].swept == {"parameter": "beta", "value": "inf"}
    assert cells["n_4"].weighting == cells["drift"].weighting.model_copy(update={"n": 4})


@given(st.sets(st.floats(0.001, 100).map(lambda value: float(f"{value:g}")), min_size=2, max_size=6))
def test_swept_values_have_names_of_their_own_without_dots(values):
    names = {swept_name("beta", value) for value in values}
    assert len(names) == len(values) and not any("." in name for name in names)


@given(st.integers(1, 8), st.integers(0, 100))
def test_rounds_share_the_steps_as_evenly_as_they_can(rounds, more):
    shares = steps_of_rounds(rounds + more, rounds)
    assert sum(shares) == rounds + more and max(shares) - min(shares) <= 1 and min(shares) >= 1


def test_more_rounds_than_steps_are_refused(parameters):
    with pytest.raises(UserError, match=r"3 rounds cannot share 2 training\.steps"):
        steps_of_rounds(2, 3)
    one_step = {**with_study(parameters, chosen=["refreshed"]), "training": {**parameters["training"], "steps": 1}}
    with pytest.raises(UserError, match=r"2 rounds cannot share 1 training\.steps"):
        cells_of(one_step)


@pytest.mark.parametrize(
    ("weighting", "said"),
    [
        ({"betta": 1}, r"weighting\.betta of the variant `drift` is not a parameter"),
        ({"beta": -1}, r"weighting\.beta of the variant `drift` cannot be used \(Input should be greater than 0\)"),
    ],
)
def test_a_variant_that_cannot_be_made_is_refused_with_its_name(parameters, weighting, said):
    with pytest.raises(UserError, match=said):
        cells_of(with_study(parameters, variants={**VARIANTS, "drift": {"weighting": weighting}}))


def test_a_cell_is_done_when_its_result_was_asked_for_with_the_same_facts(parameters, tmp_path):
    first, *others = cells_of(parameters)
    result = result_path(tmp_path, first.namespace)
    result.parent.mkdir(parents=True)
    result.write_text(json.dumps({"facts": first.facts}))
    assert unfinished(cells_of(parameters), tmp_path) == others
    changed = {**parameters, "protocol": {**parameters["protocol"], "feedback": "Wrong."}}
    assert unfinished(cells_of(changed), tmp_path) == cells_of(changed)


def test_a_problem_file_that_has_changed_makes_its_cells_undone(parameters, tmp_path):
    file = tmp_path / "mine.jsonl"
    file.write_text('{"problem": "1 + 1", "answer": "2"}\n')
    mine = {"source": "file", "path": str(file), "problem_column": "problem", "answer_column": "answer"}
    asked = {**parameters, "problems": {**parameters["problems"], "train": mine}}
    before = cells_of(asked)
    assert before == cells_of(asked)
    file.write_text('{"problem": "1 + 2", "answer": "3"}\n{"problem": "2 + 2", "answer": "4"}\n')
    assert all(old.facts != new.facts for old, new in zip(before, cells_of(asked), strict=True))


def test_a_swept_value_that_a_variant_has_already_is_not_trained_again(parameters):
    swept = with_study(parameters, seeds=[0], sweeps={"beta": [0.1, math.inf, 0.3]})
    assert [cell.variant for cell in cells_of(swept)] == ["drift", "sft_5turn", "beta_0_3"]


@pytest.mark.parametrize(
    ("variants", "said"),
    [
        ({"reference": {}}, "rename it"),
        ({"sft_solutions": {"data": "solutions", "rounds": 2}}, "leave one of them out"),
    ],
)
def test_variants_that_mean_nothing_are_refused(parameters, variants, said):
    with pytest.raises(ValidationError, match=said):
        cells_of(with_study(parameters, variants={**VARIANTS, **variants}))


def test_two_variants_of_one_name_are_refused(parameters):
    clash = with_study(parameters, variants={**VARIANTS, "n_2": {}}, chosen=["n_2"], sweeps={"n": [2]})
    with pytest.raises(UserError, match="two variants would be called `n_2`"):
        cells_of(clash)


@pytest.mark.parametrize(
    ("sweeps", "said"),
    [
        ({"n": [9]}, r"`n_9` cannot be made: weighting\.n: 9 traj"),
        ({"max_turns": [6]}, r"weighting\.max_turns: 6 turns"),
    ],
)
def test_parts_larger_than_the_rollout_are_refused_before_anything_is_sampled(parameters, sweeps, said):
    with pytest.raises(UserError, match=said):
        cells_of(with_study(parameters, sweeps=sweeps))


def test_settings_of_speed_and_of_the_scores_decide_nothing(parameters):
    other = {
        **parameters,
        "training": {**parameters["training"], "checkpoint_every": 3},
        "evaluation": {
            **parameters["evaluation"],
            "bootstrap_samples": 100,
            "policies": {"ppo": "/somewhere"},
            "attempts": 3,
        },
    }
    assert [cell.facts for cell in cells_of(other)] == [cell.facts for cell in cells_of(parameters)]


def test_the_settings_of_the_engine_decide_nothing(parameters):
    other = {**parameters, "rollout": {**parameters["rollout"], "engine": {"kind": "transformers"}}}
    assert [cell.facts for cell in cells_of(other)] == [cell.facts for cell in cells_of(parameters)]
