import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.problems.problem import VERIFIER_NAMES
from drift.verification import cache as cache_module
from drift.verification.cache import GradeCache, cache_key
from drift.verification.grade import Grade
from drift.verification.pool import VerifierPool
from drift.verification.verifiers import grade

HANGING, ALSO_HANGING = r"\boxed{9^{9^{9}}}", r"\boxed{8^{9^{9}}}"
GOLDS = {"choice": "B", "bool": "True", "list": "[1, 2.5]"}
answers = st.sampled_from(["29", "30", "B", "yes", "[1, 2.5]", r"\frac{58}{2}", "A or B", "", "14 + 15"])
wrappings = st.sampled_from(["{}", r"\boxed{{{}}}", "<answer>{}</answer>", "The answer is {}.", "not 7 but {}"])


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(VERIFIER_NAMES), answers, wrappings, wrappings, st.sampled_from(["", "x " * 200, "First, 29. "]))
def test_responses_with_one_key_have_one_grade(verifier, answer: str, way: str, other_way: str, before: str) -> None:
    gold = GOLDS.get(verifier, "29")
    responses = [way.format(answer), before + other_way.format(answer)]
    if len({cache_key(verifier, gold, response) for response in responses}) == 1:
        assert len({grade(verifier, gold, response) for response in responses}) == 1


def test_the_key_is_the_explicit_answer_or_else_the_whole_response() -> None:
    one, other = r"Because of this, \boxed{29}", "Because of that, <answer>29</answer>"
    assert cache_key("math", "29", one) == cache_key("math", "29", other)
    keys = {cache_key("math", "29", response) for response in (one, "29", "so 29", r"\boxed{2 9}")}
    keys |= {cache_key("math", "30", one), cache_key("numeric", "29", one)}
    assert len(keys) == 6


def test_the_cache_is_bounded_in_entries_and_in_bytes_and_forgets_the_oldest(monkeypatch) -> None:
    monkeypatch.setattr(cache_module, "MAX_ENTRIES", 10)
    monkeypatch.setattr(cache_module, "MAX_TEXT_BYTES", 3000)
    cache = GradeCache()
    keys = [cache_key("exact", "29", f"{number}" + "x" * 40) for number in range(100)]
    for number, key in enumerate(keys):
        cache.add(key, Grade("wrong", "y" * number))
    known = [key for key in keys if cache.get(key)]
    assert known == keys[-len(known) :] and 0 < len(known) == len(cache) <= 10
    assert sum(sys.getsizeof(text) for key in known for text in (key[1], key[3])) < 3000


def test_a_long_response_is_remembered_by_a_digest() -> None:
    keys = {cache_key("exact", "29", letter * 16_000 + "\ud800") for letter in "ab"}
    assert len(keys) == 2 and all(len(key[3]) == 16 for key in keys)


@pytest.fixture(scope="module")
def pool():
    with VerifierPool(num_workers=2, timeout_seconds=10) as opened:
        yield opened


def test_a_known_grade_is_there_at_once(pool) -> None:
    first = pool.submit("math", "29", r"so \boxed{29}")
    assert not first.done() and first.result(timeout=30) == Grade("correct", "29")
    graded, cached = pool.num_graded, pool.num_cached
    again = pool.submit("math", "29", r"indeed \boxed{29}")
    assert again.done() and again.result() == first.result() and not again.cancel()
    assert (pool.num_graded, pool.num_cached) == (graded, cached + 1)


def test_what_took_too_long_is_not_tried_again() -> None:
    """One hanging answer that all trajectories of a problem give would stop verification for minutes."""
    with VerifierPool(num_workers=1, timeout_seconds=0.5) as pool:
        first = pool.submit("math", "29", HANGING)
        assert first.result(timeout=30).verdict == "timeout"
        again = pool.submit("math", "29", HANGING)
        assert again.done() and again.result().verdict == "timeout"
        assert (pool.num_graded, pool.num_cached) == (1, 1)


def test_equal_questions_that_are_open_together_are_graded_once() -> None:
    with VerifierPool(num_workers=1, timeout_seconds=10) as pool:
        asked = [pool.submit("math", "29", r"so \boxed{58/2}") for _ in range(20)]
        assert {future.result(timeout=30) for future in asked} == {Grade("correct", "29")}
        assert (pool.num_graded, pool.num_cached) == (1, 19)


def test_who_cancels_takes_nothing_from_those_who_asked_the_same() -> None:
    with VerifierPool(num_workers=1, timeout_seconds=0.5) as pool:
        pool.submit("math", "29", HANGING)  # keeps the only worker busy
        asked = [pool.submit("math", "29", "29") for _ in range(3)]
        assert asked[0].cancel() and asked[2].cancel()
        assert asked[1].result(timeout=30) == Grade("correct", "29")
        graded = pool.num_graded
        pool.submit("math", "29", ALSO_HANGING)
        everyone_left = [pool.submit("math", "29", "30") for _ in range(2)]
        assert all(future.cancel() for future in everyone_left)
        assert pool.submit("math", "29", "31").result(timeout=30).verdict == "wrong"
        assert pool.num_graded == graded + 2, "the hanging one and the last one; nobody waited for the other"
