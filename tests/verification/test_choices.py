import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.verification.choices import read_choice
from drift.verification.verifiers import grade

LETTERS = "ABCDEFGHIJ"

# {} stands for the letter; every one must be read for each of A to J
WAYS = [
    "{}", "({})", "{}.", "{})", "[{}]", "**{}**", "**{}.**", "**({})**", "__{}__", "`{}`", "【{}】", "（{}）",
    "{}: foo", "{}. forty-two", "{}) 42", "**{}**: foo", "**{})** foo", "({}) foo bar",
    "Answer: {}", "answer: {}", "Answer:{}", "**Answer:** {}", "**Answer: {}**", "Answer: ({})", "Answer: **{}**",
    "The answer is {}.", "The answer is ({}).", "The answer is: {}", "The answer is **{}**.", "The answer is ${}$.",
    "The answer is option {}.", "The correct answer is {}", "The correct option is ({}) because it fits.",
    "So the correct choice is {}: forty", "The answer is\n\n{}) forty", "The answer must be {}.", "Final answer: {}",
    "I think it's {}", "I think it is {}.", "I choose {}.", "I would pick option {}.", "I'll go with {}.",
    "Option {} is correct.", "Option {} is the right one.", "{} is correct.", "({}) is the correct answer",
    "option {}", "Choice {}", "答案是{}", "答案：{}", "答案是（{}）。", "选{}",
    "Some long reasoning.\n\nIt follows that x = 3.\n{}", "The others fail, hence {}.", r"The answer is \text{{{}}}.",
]  # fmt: skip
EXPLICIT_WAYS = [
    "{}", "({})", "{}.", "{})", r"\text{{{}}}", r"\text{{({})}}", r"\textbf{{({})}}", r"\textbf{{({})}}\ 42", "{}. 42",
    "{}: foo", "{}) 42", "Option {}", "option {}", "${}$", "**{}**", r"\mathrm{{{}}}", "The answer is {}", " {} ",
]  # fmt: skip
LOWER_CASE_WAYS = ["The answer is {}.", "the answer is ({})", "option {}", "Answer: {}", "The answer is **{}**."]


@pytest.mark.parametrize("way", WAYS)
def test_a_letter_is_read_however_it_is_written(way: str) -> None:
    assert {letter: read_choice(way.format(letter), explicit=False) for letter in LETTERS} == dict(
        zip(LETTERS, LETTERS, strict=True)
    )


@pytest.mark.parametrize("way", EXPLICIT_WAYS)
@pytest.mark.parametrize("box", [r"\boxed{{{}}}", "<answer>{}</answer>"])
def test_an_explicit_letter_is_read_in_either_case(way: str, box: str) -> None:
    for letter in LETTERS:
        for written in (letter, letter.lower()):
            response = "A or B? " + box.format(way.format(written))
            assert (response, grade("choice", letter, response).verdict) == (response, "correct")


@pytest.mark.parametrize("way", LOWER_CASE_WAYS)
def test_a_lower_case_letter_is_read_after_a_cue(way: str) -> None:
    assert [read_choice(way.format(letter.lower()), explicit=False) for letter in LETTERS] == list(LETTERS)


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("(A) is wrong, so (C)", "C"),
        ("Both A and B are wrong, so C", "C"),
        ("Option A is correct because option B is too large.", "A"),
        ("The correct answer is B. Option C is too large.", "B"),
        ("The answer is not A but B.", "B"),
        ("A good question. The answer is C", "C"),
        ("I believe that D", "D"),
        ("The answer is A because it fits.", "A"),
        ("We first thought that the answer is A. But no: the answer is D.", "D"),
        ("A cat sat on the mat.", None),
        ("Answer: A cat", None),
        ("I think so", None),
        ("the answer is a mystery", None),
        ("The answer is I think unclear", None),
        ("Bad Cabbage DNA HEADACHE", None),
        ("it's a trap", None),
        ("The answer is A or B.", None),
        ("The answer is (A) and (B).", None),
        ("The answer is either B or C", None),
        ("", None),
    ],
)
def test_what_is_no_choice_is_not_read_as_one(response: str, letter: str | None) -> None:
    assert read_choice(response, explicit=False) == letter


@pytest.mark.parametrize("answer", ["A, B", "A or B", "B and C", "(A) or (B)", "A/B", r"\text{A and C}", "K", "42", ""])
def test_an_explicit_answer_that_names_two_letters_or_none_is_no_choice(answer: str) -> None:
    assert read_choice(answer, explicit=True) is None


@given(st.text(max_size=200), st.booleans())
def test_reading_a_choice_never_raises(text: str, explicit: bool) -> None:
    assert read_choice(text, explicit) in {*LETTERS, None}
