"""Held-out conversations made from the turns at which problems were solved, and cells made of them."""

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pytest

from drift.problems.problem import PROBLEM_SCHEMA
from drift.protocol.trajectory import EVAL_TRAJECTORY_SCHEMA

MAX_TURNS = 5


def trajectory_row(policy: str, benchmark: str, problem_id: str, solved_turn: int) -> dict[str, object]:
    """One conversation whose second turn is unparsable and whose answers repeat from the fourth turn on."""
    num_turns = solved_turn or MAX_TURNS
    turns = [
        {
            "response": f"I say {turn}.",
            "start": 2 * turn,
            "end": 2 * turn + 1,
            "answer": None if turn == 2 else str(min(turn, 3)),
            "verdict": "correct" if turn == solved_turn else "unparsable" if turn == 2 else "wrong",
            "stopped": True,
        }
        for turn in range(1, num_turns + 1)
    ]
    return {
        "policy": policy,
        "benchmark": benchmark,
        "problem_id": problem_id,
        "trajectory_id": 0,
        "token_ids": list(range(2 * num_turns + 2)),
        "turns": turns,
        "success": solved_turn > 0,
        "num_turns": num_turns,
    }


@pytest.fixture(scope="session")
def make_trajectories() -> Callable[[Mapping[str, Mapping[str, Sequence[int]]]], pa.Table]:
    """From {benchmark: {policy: solved turns}} to a table of evaluation trajectories."""

    def make(solved_turns: Mapping[str, Mapping[str, Sequence[int]]]) -> pa.Table:
        rows = [
            trajectory_row(policy, benchmark, f"{benchmark}-{index}", int(solved_turn))
            for benchmark, of_policy in solved_turns.items()
            for policy, turns in of_policy.items()
            for index, solved_turn in enumerate(turns)
        ]
        return pa.Table.from_pylist(rows, schema=EVAL_TRAJECTORY_SCHEMA)

    return make


@pytest.fixture(scope="session")
def make_problems() -> Callable[[Mapping[str, int], Mapping[str, int]], pa.Table]:
    """From {benchmark: number of problems} and {benchmark: options} to a table of problems."""

    def make(num_problems: Mapping[str, int], num_choices: Mapping[str, int]) -> pa.Table:
        rows = [
            {
                "problem_id": f"{benchmark}-{index}",
                "problem": f"{benchmark}, question {index}?",
                "answer": "A",
                "verifier": "choice" if benchmark in num_choices else "math",
                "source": benchmark,
                "num_choices": num_choices.get(benchmark),
            }
            for benchmark, num in num_problems.items()
            for index in range(num)
        ]
        return pa.Table.from_pylist(rows, schema=PROBLEM_SCHEMA)

    return make
