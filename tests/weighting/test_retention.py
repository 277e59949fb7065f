import numpy as np
import pyarrow as pa
import pytest

from drift.parameters import WeightingParameters
from drift.protocol.trajectory import Trajectory, Turn, to_table
from drift.weighting.retention import WEIGHTED_TURN_SCHEMA, weigh_trajectories
from drift.weighting.returns import shape_returns
from drift.weighting.weights import importance_weights


def conversation(problem_id: str, index: int, num_turns: int, solved: bool) -> Trajectory:
    turns = [Turn("text", 4 + 6 * turn, 7 + 6 * turn, str(turn), "wrong", True) for turn in range(num_turns - 1)]
    last = 4 + 6 * (num_turns - 1)
    turns.append(Turn("text", last, last + 3, str(num_turns), "correct" if solved else "wrong", solved))
    return Trajectory(problem_id, index, list(range(100, 100 + last + 3)), turns)


@pytest.fixture
def trajectories() -> pa.Table:
    rows = [
        conversation("mixed", 0, 1, True),
        conversation("mixed", 1, 3, True),
        conversation("mixed", 2, 5, False),
        conversation("unsolved", 0, 5, False),
        conversation("unsolved", 1, 5, False),
    ]
    return to_table(rows)


def weigh(trajectories: pa.Table, weighting: WeightingParameters) -> pa.Table:
    return weigh_trajectories(trajectories, shape_returns(trajectories, weighting), weighting)


def test_each_trajectory_gives_one_example_with_its_terminal_response_as_target(trajectories):
    table = weigh(trajectories, WeightingParameters())
    assert table.schema == WEIGHTED_TURN_SCHEMA
    for before, after in zip(trajectories.to_pylist(), table.to_pylist(), strict=True):
        last = before["turns"][-1]
        assert after["targets"] == [{"start": last["start"], "end": last["end"]}]
        assert after["token_ids"] == before["token_ids"]
        assert len(after["token_ids"]) == last["end"]


def test_all_turns_are_targets_when_asked_for(trajectories):
    table = weigh(trajectories, WeightingParameters(retain="all"))
    for before, after in zip(trajectories.to_pylist(), table.to_pylist(), strict=True):
        assert after["targets"] == [{"start": turn["start"], "end": turn["end"]} for turn in before["turns"]]


def test_weights_are_those_of_each_problem(trajectories):
    weighting = WeightingParameters(beta=0.3)
    returns = shape_returns(trajectories, weighting)["shaped_return"].to_numpy()
    weights = weigh(trajectories, weighting)["weight"].to_numpy()
    np.testing.assert_allclose(weights[:3], importance_weights(returns[:3], 0.3), rtol=1e-14)
    np.testing.assert_allclose(weights[3:], 1.0, rtol=1e-14)


def test_unsolved_problems_leave_the_data_only_when_asked(trajectories):
    assert weigh(trajectories, WeightingParameters(unsolved="keep")).num_rows == 5
    assert set(weigh(trajectories, WeightingParameters(unsolved="drop"))["problem_id"].to_pylist()) == {"mixed"}


def test_a_shard_without_rows_gives_no_examples(trajectories):
    table = weigh(trajectories.slice(0, 0), WeightingParameters(unsolved="drop"))
    assert table.schema == WEIGHTED_TURN_SCHEMA
    assert table.num_rows == 0
