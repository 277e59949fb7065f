"""Every metric against a plain loop over the turns of every trajectory."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from drift.evaluation.metrics import correction_rate, multi_at_k
from drift.evaluation.outcomes import Outcomes, outcomes_of
from drift.evaluation.ratios import METRICS
from drift.protocol.trajectory import EVAL_TRAJECTORY_SCHEMA

MAX_TURNS = 5
grades = st.one_of(
    st.tuples(st.sampled_from(["1", "2", "3"]), st.just("wrong")),
    st.sampled_from([(None, "unparsable"), (None, "timeout")]),
)
wrong_turns = st.lists(st.tuples(grades, st.integers(1, 9), st.booleans()), min_size=MAX_TURNS, max_size=MAX_TURNS)


@st.composite
def trajectories(draw):
    """Conversations of up to five turns; only the last one may be right."""
    rows = []
    for index in range(draw(st.integers(1, 6))):
        solved_turn = draw(st.integers(0, MAX_TURNS))
        turns, position = [], 3
        for turn, ((answer, verdict), num_tokens, stopped) in enumerate(draw(wrong_turns), start=1):
            if turn == solved_turn:
                answer, verdict = draw(st.sampled_from(["0", "1"])), "correct"
            span = {"start": position, "end": position + num_tokens}
            turns.append({"response": "", **span, "answer": answer, "verdict": verdict, "stopped": stopped})
            position += num_tokens + 2
            if turn == solved_turn:
                break
        row = {"policy": "reference", "benchmark": "file", "problem_id": f"{index}", "trajectory_id": 0}
        rows.append(row | {"token_ids": [], "turns": turns, "success": solved_turn > 0, "num_turns": len(turns)})
    return rows


def share(part, whole):
    return part / whole if whole else np.nan


def by_plain_loops(rows):
    """The metrics as their definitions read."""
    retries = repeated = followed = lost = responses = cut = tokens = 0
    distinct, distinct_failed = [], []
    for row in rows:
        given_before, answers = set(), [turn["answer"] for turn in row["turns"]]
        for number, turn in enumerate(row["turns"]):
            responses += 1
            cut += not turn["stopped"]
            tokens += turn["end"] - turn["start"]
            if number > 0:
                retries += 1
                repeated += turn["answer"] is not None and turn["answer"] in given_before
                if answers[number - 1] is not None:
                    followed += 1
                    lost += turn["verdict"] == "unparsable"
            given_before.add(turn["answer"])
        distinct.append(len(given_before - {None}))
        if not row["success"]:
            distinct_failed.append(distinct[-1])
    solved = [row["num_turns"] for row in rows if row["success"]]
    wrong_at_first = len(rows) - solved.count(1)
    return {
        "correction_rate_overall": share(len(solved) - solved.count(1), wrong_at_first),
        "distinct_answers": share(sum(distinct), len(rows)),
        "distinct_answers_failed": share(sum(distinct_failed), len(distinct_failed)),
        "repeated_answer_rate": share(repeated, retries),
        "format_loss_rate": share(lost, followed),
        "response_tokens": share(tokens, len(rows)),
        "response_tokens_per_solved": share(tokens, len(solved)),
        "cut_share": share(cut, responses),
    }


@settings(max_examples=150, deadline=None)
@given(trajectories())
def test_every_metric_is_what_a_plain_loop_over_its_definition_counts(rows):
    frame = outcomes_of(pa.Table.from_pylist(rows, schema=EVAL_TRAJECTORY_SCHEMA))
    outcomes = Outcomes.of(frame, MAX_TURNS)
    values = {name: ratio_of(outcomes).value() for name, ratio_of in METRICS.items()}
    solved_turn_P = np.array([row["num_turns"] if row["success"] else 0 for row in rows])
    np.testing.assert_allclose(values.pop("multi_at_k"), multi_at_k(solved_turn_P, MAX_TURNS), rtol=1e-14)
    np.testing.assert_allclose(values.pop("correction_rate"), correction_rate(solved_turn_P, MAX_TURNS), rtol=1e-14)
    expected = by_plain_loops(rows)
    assert set(values) == set(expected)
    for name, (value,) in values.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-14, err_msg=name)


@settings(max_examples=50, deadline=None)
@given(trajectories())
def test_a_share_never_counts_more_than_there_are(rows):
    outcomes = Outcomes.of(outcomes_of(pa.Table.from_pylist(rows, schema=EVAL_TRAJECTORY_SCHEMA)), MAX_TURNS)
    for name, ratio_of in METRICS.items():
        ratio = ratio_of(outcomes)
        assert not ratio.is_share or (ratio.numerator_PX <= ratio.denominator_PX).all(), name


def test_a_hand_counted_conversation():
    """7, unreadable, 7 again, then the right answer."""
    turns = [
        {"response": "", "start": start, "end": end, "answer": answer, "verdict": verdict, "stopped": stopped}
        for start, end, answer, verdict, stopped in [
            (5, 10, "7", "wrong", True),
            (14, 30, None, "unparsable", False),
            (33, 37, "7", "wrong", True),
            (40, 45, "8", "correct", True),
        ]
    ]
    row = {"policy": "trained", "benchmark": "file", "problem_id": "a", "trajectory_id": 0, "token_ids": []}
    table = pa.Table.from_pylist([row | {"turns": turns, "success": True, "num_turns": 4}], EVAL_TRAJECTORY_SCHEMA)
    outcomes = Outcomes.of(outcomes_of(table), MAX_TURNS)
    values = {name: ratio_of(outcomes).value().tolist() for name, ratio_of in METRICS.items()}
    assert values["multi_at_k"] == [0, 0, 0, 1, 1]
    assert values["repeated_answer_rate"] == [1 / 3]
    assert values["format_loss_rate"] == [1 / 2]  # after the first 7 the answer was lost, after the second it was not
    assert values["response_tokens"] == values["response_tokens_per_solved"] == [5 + 16 + 4 + 5]
    assert values["cut_share"] == [1 / 4]
