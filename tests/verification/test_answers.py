from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.verification.answers import MAX_RESPONSE_CHARACTERS, extract_answer, read_number

text_without_markup = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\\{}<>"), max_size=60)


@given(text_without_markup, st.text("abc123 +", min_size=1, max_size=20), text_without_markup)
def test_the_tagged_answer_is_found_whatever_surrounds_it(before: str, answer: str, after: str) -> None:
    assert extract_answer(f"{before}<answer>{answer}</answer>{after}") == answer.strip()


@given(
    st.recursive(
        st.text("ab1 ", max_size=4), lambda inner: inner.map("{{{}}}".format) | st.tuples(inner, inner).map("".join)
    )
)
def test_a_box_ends_at_its_own_brace(content: str) -> None:
    assert extract_answer(rf"so \boxed{{{content}}} and {{more}}") == content.strip()


@given(st.text(max_size=200))
def test_extraction_never_raises(text: str) -> None:
    extract_answer(text)
    read_number(text)


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("<answer>1</answer> no, <answer>2</answer>", "2"),
        (r"\boxed{1} <answer>2</answer> \boxed{3}", "2"),
        (r"<answer>it is \boxed{2}</answer>", "2"),
        (r"first \boxed{1}, then \fbox{2}", "2"),
        (r"\boxed{\left\{1, 2\right.}", r"\left\{1, 2\right."),
        (r"\boxed{1} and \boxed{2", "1"),
        ("<answer>cut at the token li", None),
        ("<answer></answer>", ""),
        ("14 + 15 = 29.", None),
        ("", None),
    ],
)
def test_the_last_explicit_answer_counts(response: str, answer: str | None) -> None:
    assert extract_answer(response) == answer


def test_only_the_end_of_a_long_response_is_read() -> None:
    assert extract_answer(r"\boxed{1}" + "x" * MAX_RESPONSE_CHARACTERS) is None
    assert extract_answer("x" * 10**6 + r"\boxed{1}") == "1"


def spellings(number: int) -> list[str]:
    grouped = f"{number:,}"
    return [str(number), grouped, f"{number}.0", f"{number}.", f"so it is {number}", f"= {grouped}.00", f"{number}e0",
            f"{number}/1", f"{2 * number}/2", rf"\frac{{{number}}}{{1}}", f"{number}%", f"**{number}**"]  # fmt: skip


@given(st.integers(-(10**9), 10**9))
def test_a_number_is_read_exactly_however_it_is_written(number: int) -> None:
    assert {read_number(text) for text in spellings(number)} == {Fraction(number)}


@given(st.decimals(-(10**6), 10**6, places=4))
def test_a_decimal_is_read_exactly(number) -> None:
    assert read_number(f"the answer is {number:f}.") == Fraction(number)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("$1,234.50", Fraction(2469, 2)),
        ("-$5", Fraction(-5)),
        ("\u22127", Fraction(-7)),
        ("10-3", Fraction(3)),
        ("1{,}234", Fraction(1234)),
        (r"1.5 \times 10^{3}", Fraction(1500)),
        ("1.5e-3", Fraction(3, 2000)),
        (".5", Fraction(1, 2)),
        ("3 apples and 4 pears", Fraction(4)),
        ("H2O", None),
        ("1/0", None),
        ("none", None),
    ],
)
def test_the_last_number_of_a_text_is_read(text: str, number: Fraction | None) -> None:
    assert read_number(text) == number
