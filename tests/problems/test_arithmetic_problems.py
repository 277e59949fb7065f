"""The embedded arithmetic set: its parts never meet, and its limits only extend."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drift.errors import UserError
from drift.problems.arithmetic import ArithmeticSource, ProblemPart, arithmetic_problems, pairs_of_part
from drift.problems.leaks import overlap
from drift.problems.problem import Problem

SEEDS = st.integers(min_value=0, max_value=2**63)
PARTS: tuple[ProblemPart, ...] = ("train", "evaluation")


@st.composite
def sources(draw: st.DrawFn) -> ArithmeticSource:
    smallest = draw(st.integers(0, 30))
    largest = draw(st.integers(smallest + 1, smallest + 15))
    return ArithmeticSource(source="arithmetic", limit=1, smallest_addend=smallest, largest_addend=largest)


def with_limit(source: ArithmeticSource, limit: int) -> ArithmeticSource:
    return source.model_copy(update={"limit": limit})


def num_problems(source: ArithmeticSource, part: ProblemPart, seed: int) -> int:
    return sum(1 if a == b else 2 for a, b in pairs_of_part(source, part, seed))


def addends(problem: Problem) -> frozenset[str]:
    return frozenset(problem.problem_id.split("+"))


@given(sources(), SEEDS, st.data())
def test_no_held_out_problem_is_trained_on_in_either_order(
    source: ArithmeticSource, seed: int, data: st.DataObject
) -> None:
    limits = {part: data.draw(st.integers(1, num_problems(source, part, seed)), label=part) for part in PARTS}
    train, held_out = (arithmetic_problems(with_limit(source, limits[part]), part, seed) for part in PARTS)
    assert not {addends(problem) for problem in train} & {addends(problem) for problem in held_out}
    assert overlap(train, held_out) == []


@given(sources(), SEEDS)
def test_the_two_parts_are_halves_that_cover_the_range(source: ArithmeticSource, seed: int) -> None:
    train, held_out = (pairs_of_part(source, part, seed) for part in PARTS)
    assert 0 <= len(train) - len(held_out) <= 1
    numbers = range(source.smallest_addend, source.largest_addend + 1)
    assert set(train) | set(held_out) == {(a, b) for a in numbers for b in numbers if a <= b}


@given(sources(), SEEDS, st.sampled_from(PARTS))
def test_both_orders_of_a_pair_are_problems_of_its_part(source: ArithmeticSource, seed: int, part: ProblemPart) -> None:
    everything = arithmetic_problems(with_limit(source, num_problems(source, part, seed)), part, seed)
    ids = [problem.problem_id for problem in everything]
    expected = {order for a, b in pairs_of_part(source, part, seed) for order in (f"{a}+{b}", f"{b}+{a}")}
    assert set(ids) == expected
    assert len(ids) == len(expected)


@given(sources(), SEEDS, st.sampled_from(PARTS), st.data())
def test_a_larger_limit_extends_a_smaller_one(
    source: ArithmeticSource, seed: int, part: ProblemPart, data: st.DataObject
) -> None:
    larger = data.draw(st.integers(1, num_problems(source, part, seed)))
    smaller = data.draw(st.integers(1, larger))
    problems = arithmetic_problems(with_limit(source, larger), part, seed)
    assert len(problems) == larger
    assert arithmetic_problems(with_limit(source, smaller), part, seed) == problems[:smaller]


@given(sources(), SEEDS, st.sampled_from(PARTS), st.data())
def test_a_limit_beyond_the_part_is_refused_with_its_size(
    source: ArithmeticSource, seed: int, part: ProblemPart, data: st.DataObject
) -> None:
    available = num_problems(source, part, seed)
    limit = data.draw(st.integers(available + 1, available + 1000))
    with pytest.raises(UserError) as refusal:
        arithmetic_problems(with_limit(source, limit), part, seed)
    assert f"`problems.{part}.limit` is {limit}" in str(refusal.value)
    assert f"only {available} problems" in str(refusal.value)


def test_a_seed_gives_the_same_problems_on_every_machine() -> None:
    source = ArithmeticSource(source="arithmetic", limit=4)
    train, held_out = (arithmetic_problems(source, part, seed=7) for part in PARTS)
    assert [problem.problem_id for problem in train] == ["13+16", "2+17", "13+6", "7+16"]
    assert [problem.problem_id for problem in held_out] == ["9+15", "18+7", "20+6", "2+10"]


def test_another_seed_gives_other_parts() -> None:
    source = ArithmeticSource(source="arithmetic", limit=1)
    assert set(pairs_of_part(source, "train", seed=1)) != set(pairs_of_part(source, "train", seed=2))


def test_a_problem_asks_for_the_sum_and_knows_it() -> None:
    source = ArithmeticSource(source="arithmetic", limit=1, smallest_addend=14, largest_addend=14)
    assert arithmetic_problems(source, "train", seed=0) == [
        Problem("14+14", "What is 14 + 14?", "28", "numeric", "arithmetic")
    ]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"smallest_addend": 9, "largest_addend": 8}, "swap them"),
        ({"smallest_addend": -1}, "greater than or equal to 0"),
        ({"largest_addend": 1001}, "less than or equal to 1000"),
        ({"limit": 0}, "greater than or equal to 1"),
        ({"path": "x"}, "Extra inputs are not permitted"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        ArithmeticSource.model_validate({"source": "arithmetic", "limit": 3, **settings})
