import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.errors import UserError
from drift.training.examples import Example
from drift.training.held_out import split_by_problem


def some(num_problems: int) -> list[Example]:
    return [
        Example(f"p{problem}", trajectory, np.arange(3), np.array([2]), 1.0)
        for problem in range(num_problems)
        for trajectory in range(3)
    ]


@given(st.integers(0, 20))
def test_no_problem_is_in_both_parts_and_none_is_lost(seed):
    examples = some(200)
    trained_on, held_out = split_by_problem(examples, 0.2, seed)
    assert {e.problem_id for e in trained_on}.isdisjoint(e.problem_id for e in held_out)
    assert len(trained_on) + len(held_out) == len(examples)
    assert 40 < len(held_out) < 210


def test_a_problem_stays_held_out_when_others_come_and_go():
    few, many = (split_by_problem(some(number), 0.3, seed=1)[1] for number in (50, 100))
    assert {e.problem_id for e in few} == {e.problem_id for e in many if int(e.problem_id[1:]) < 50}


def test_another_seed_is_another_choice():
    first, second = ({e.problem_id for e in split_by_problem(some(50), 0.3, seed)[1]} for seed in (0, 1))
    assert first != second


def test_nothing_is_held_out_unless_asked_for():
    examples = some(2)
    trained_on, held_out = split_by_problem(examples, 0.0, 0)
    assert held_out == [] and [id(e) for e in trained_on] == [id(e) for e in examples]


@pytest.mark.parametrize("share", [1e-9, 0.999999999])
def test_an_empty_part_is_one_clear_sentence(share):
    with pytest.raises(UserError, match=r"training\.held_out\.share.*take another share"):
        split_by_problem(some(2), share, 0)
