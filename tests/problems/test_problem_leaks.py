"""The leak check finds a shared problem whatever its case and white space."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.errors import UserError
from drift.problems.leaks import overlap, refuse_leaks
from drift.problems.problem import Problem


def problems(texts: list[str]) -> list[Problem]:
    return [Problem(f"p{number}", text, "1", "exact", "test") for number, text in enumerate(texts)]


WORDS = st.lists(st.sampled_from(["how", "many", "straße", "2"]), min_size=1, max_size=3)


@given(st.lists(WORDS, max_size=5), st.lists(WORDS, max_size=5))
def test_exactly_the_shared_texts_are_found(train: list[list[str]], held_out: list[list[str]]) -> None:
    respelled = problems([" \n".join(words).upper() + "\t" for words in held_out])
    shared = [problem.problem_id for problem, words in zip(respelled, held_out, strict=True) if words in train]
    assert overlap(problems([" ".join(words) for words in train]), respelled) == shared


def rephrasing(text: str, original: str) -> Problem:
    return Problem(text, text, "1", "exact", "test", original=original)


def test_a_rephrasing_leaks_what_it_rephrases() -> None:
    asked, other = problems(["How  many?"]), problems(["Other?"])
    assert overlap([rephrasing("Tell me how many.", "how many?")], asked) == ["p0"]
    assert overlap(asked, [rephrasing("Tell me how many.", "how many?")]) == ["Tell me how many."]
    two = [rephrasing("Count them.", "How many?"), rephrasing("Give the number.", "how many?")]
    assert overlap(two[:1], two[1:]) == ["Give the number."]
    assert overlap(two, other) == []


def test_disjoint_problems_pass() -> None:
    refuse_leaks(problems(["a", "b"]), problems(["c"]))


def test_a_leak_is_refused_with_the_number_and_the_first_ids() -> None:
    texts = [str(number) for number in range(7)]
    with pytest.raises(UserError, match=r"^7 of the 8 evaluation .* \(p0, p1, p2, p3, p4, …\): remove them"):
        refuse_leaks(problems(texts), problems([*texts, "new"]))
    with pytest.raises(UserError, match=r"^1 of the 1 evaluation .* \(p0\): remove them"):
        refuse_leaks(problems(["x"]), problems(["X "]))
