import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.parameters import WeightingParameters
from drift.protocol.trajectory import Trajectory, Turn, to_table
from drift.weighting.returns import shape_returns, shaped_return

WORKED_VALUES = [
    # success, turns, distinct answers, return at gamma 0.9 and penalty 0.5
    (1, 1, 1, 1.0),
    (1, 3, 3, 0.81),
    (1, 3, 2, 0.81 - 0.5 / 3),
    (0, 5, 1, -0.4),
    (0, 5, 5, 0.0),
]


@pytest.mark.parametrize(("success", "turns", "distinct", "expected"), WORKED_VALUES)
def test_return_has_the_worked_values_of_the_paper(success, turns, distinct, expected):
    assert shaped_return(success, turns, distinct, gamma=0.9, penalty=0.5) == pytest.approx(expected, abs=1e-15)


def test_return_is_elementwise():
    success, turns, distinct, expected = zip(*WORKED_VALUES, strict=True)
    np.testing.assert_allclose(shaped_return(success, turns, distinct, 0.9, 0.5), expected, atol=1e-15)


@given(
    turns=st.integers(1, 8),
    gamma=st.floats(0.05, 1.0),
    penalty=st.floats(0, 5),
    data=st.data(),
)
def test_return_rewards_success_early_success_and_new_answers(turns, gamma, penalty, data):
    distinct = data.draw(st.integers(0, turns))
    value = shaped_return(1, turns, distinct, gamma, penalty)
    assert value > shaped_return(0, turns, distinct, gamma, penalty)
    if distinct < turns:
        assert shaped_return(1, turns, distinct + 1, gamma, penalty) >= value
    assert shaped_return(1, turns, turns, gamma, penalty) >= shaped_return(1, turns + 1, turns + 1, gamma, penalty)


def trajectory(problem_id: str, index: int, answers: list[str | None], solved: bool) -> Trajectory:
    verdicts = ["unparsable" if answer is None else "wrong" for answer in answers]
    if solved:
        verdicts[-1] = "correct"
    turns = [
        Turn(f"say {answer}", 3 + 4 * turn, 5 + 4 * turn, answer, verdict, True)
        for turn, (answer, verdict) in enumerate(zip(answers, verdicts, strict=True))
    ]
    return Trajectory(problem_id, index, list(range(turns[-1].end)), turns)


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from(["1", "2", "3", None]), min_size=1, max_size=5), st.booleans()),
        min_size=1,
        max_size=12,
    )
)
def test_returns_of_a_shard_agree_with_one_trajectory_at_a_time(conversations):
    trajectories = [
        trajectory("p", index, answers, solved and answers[-1] is not None)
        for index, (answers, solved) in enumerate(conversations)
    ]
    rows = shape_returns(to_table(trajectories), WeightingParameters(gamma=0.9, penalty=0.5)).to_pylist()
    for row, entry in zip(rows, trajectories, strict=True):
        distinct = len({turn.answer for turn in entry.turns if turn.answer is not None})
        assert row["distinct_answers"] == distinct
        assert row["shaped_return"] == float(shaped_return(entry.success, entry.num_turns, distinct, 0.9, 0.5))
