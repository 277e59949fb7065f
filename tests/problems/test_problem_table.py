"""Problems survive the way into a table and back."""

from hypothesis import given
from hypothesis import strategies as st

from drift.fingerprint import table_fingerprint
from drift.pipelines.problem_frames import from_frame, to_frame
from drift.problems.problem import PROBLEM_SCHEMA, VERIFIER_NAMES, Problem, from_table, to_table
from drift.rollout.plan import problems_fingerprint

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
PROBLEMS = st.builds(
    Problem,
    problem_id=TEXTS,
    problem=TEXTS,
    answer=TEXTS,
    verifier=st.sampled_from(VERIFIER_NAMES),
    source=TEXTS,
    num_choices=st.none() | st.integers(2, 10),
    original=st.none() | TEXTS,
    solution=st.none() | TEXTS,
)


@given(st.lists(PROBLEMS, max_size=8))
def test_a_table_gives_back_the_problems_it_was_made_of(problems: list[Problem]) -> None:
    table = to_table(problems)
    assert table.schema == PROBLEM_SCHEMA
    assert from_table(table) == problems


def test_further_columns_and_their_order_do_not_matter() -> None:
    problems = [Problem("a", "What?", "1", "exact", "test")]
    table = to_table(problems)
    reordered = table.select(table.column_names[::-1]).append_column("note", [["x"]])
    assert from_table(reordered) == problems


def test_a_table_of_before_rephrasings_and_solutions_were_known_is_read() -> None:
    problems = [Problem("a", "What?", "1", "exact", "test", 4)]
    frame = to_frame(problems)
    assert from_frame(frame) == problems
    assert from_frame(frame.drop(columns="solution")) == problems
    assert from_frame(frame.drop(columns=["original", "solution"])) == problems
    assert from_table(to_table(problems).drop_columns(["original", "solution"])) == problems


@given(st.lists(PROBLEMS, max_size=4))
def test_a_rollout_does_not_depend_on_what_is_not_asked(problems: list[Problem]) -> None:
    """A rollout of before the columns were there is found again, so the others alone decide its name."""
    asked = ["problem_id", "problem", "answer", "verifier", "source", "num_choices"]
    assert problems_fingerprint(problems) == table_fingerprint(to_table(problems).select(asked))
