"""Conversations with a real tokenizer, and the pages made of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from drift.evaluation.viewer.conversations import Shown, held_out_conversations, training_conversations
from drift.evaluation.viewer.raw_chat import RawChatReader
from drift.parameters import ProtocolParameters, WeightingParameters
from drift.problems.problem import Problem
from drift.protocol.chat import ChatFormat, chat_format_of
from drift.protocol.episode import Episode
from drift.protocol.trajectory import EVAL_TRAJECTORY_SCHEMA, Trajectory, to_table
from drift.shards import Shards, shard_path, write_manifest, write_shard
from drift.weighting import retention
from drift.weighting.returns import RETURN_INPUTS, shape_returns

PROTOCOL = ProtocolParameters(max_turns=3)
WEIGHTING = WeightingParameters(unsolved="drop", prune_below=0.01)
Said = tuple[str, str, str | None, bool]
"""A response, its verdict, the answer found in it, and whether the model ended it."""


@dataclass
class Data:
    """Tables as the pipelines would have made them."""

    problems: list[Problem]
    shards: dict[str, Shards]

    def held_out(self) -> Shown:
        return held_out_conversations(self.shards["eval_trajectories"], self.problems, WEIGHTING)

    def training(self) -> Shown:
        tables = (self.shards[name] for name in ("trajectories", "shaped_returns", "weighted_turns"))
        return training_conversations(*tables, self.problems, WEIGHTING)


@pytest.fixture(scope="session")
def chat(reference_model) -> ChatFormat:
    return chat_format_of(reference_model.path, PROTOCOL)


@pytest.fixture(scope="session")
def reader(chat) -> RawChatReader:
    return RawChatReader(chat.tokenizer)


@pytest.fixture(scope="session")
def converse(chat) -> Callable[[Problem, int, Sequence[Said]], Trajectory]:
    """Holds a conversation in which the model says what it is told to."""

    def hold(problem: Problem, trajectory_id: int, said: Sequence[Said]) -> Trajectory:
        episode = Episode(problem, trajectory_id, chat.prompt_ids(problem), PROTOCOL.max_turns)
        for text, verdict, answer, stopped in said:
            if episode.turns:
                episode.add_feedback(chat)
            ids = chat.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
            response = [*ids, chat.tokenizer.eos_token_id] if stopped else ids
            episode.add_turn(response, stopped, chat.text(response), verdict, answer)
        assert episode.finished
        return episode.trajectory()

    return hold


@pytest.fixture(scope="session")
def make_data(tmp_path_factory) -> Callable[..., Data]:
    """From problems and {policy: trajectories} to tables; those of the first policy are weighted as well."""

    def make(problems: list[Problem], trajectories: dict[str, list[Trajectory]]) -> Data:
        sources = {problem.problem_id: problem.source for problem in problems}
        root = tmp_path_factory.mktemp("tables")
        tables = []
        for policy, said in trajectories.items():
            table = to_table(said)
            columns = dict(zip(table.column_names, table.columns, strict=True))
            benchmarks = [sources[trajectory.problem_id] for trajectory in said]
            labels = {"policy": [policy] * len(said), "benchmark": benchmarks}
            tables.append(pa.table(labels | columns).select(EVAL_TRAJECTORY_SCHEMA.names).cast(EVAL_TRAJECTORY_SCHEMA))
        shards = {
            "eval_trajectories": written(root / "eval", tables),
            "trajectories": written(root / "trajectories", [to_table(next(iter(trajectories.values())))]),
        }
        returns = (shape_returns(table, WEIGHTING) for table in shards["trajectories"].tables(RETURN_INPUTS))
        shards["shaped_returns"] = written(root / "returns", returns)
        pairs = zip(
            shards["trajectories"].tables(retention.EXAMPLE_INPUTS), shards["shaped_returns"].tables(), strict=True
        )
        weighted = (retention.weigh_trajectories(table, returned, WEIGHTING) for table, returned in pairs)
        shards["weighted_turns"] = written(root / "weighted", weighted)
        return Data(problems, shards)

    return make


def written(directory: Path, tables: Iterator[pa.Table] | list[pa.Table]) -> Shards:
    directory.mkdir()
    for index, table in enumerate(tables):
        write_shard(table, shard_path(directory, index))
    write_manifest(directory, {})
    return Shards.open(directory)


@pytest.fixture
def make_written(tmp_path) -> Callable[[list[dict], pa.Schema], Shards]:
    """From rows to a table on disk."""
    return lambda rows, schema: written(tmp_path / "written", [pa.Table.from_pylist(rows, schema=schema)])


@pytest.fixture(scope="session")
def provenance() -> dict:
    return {"protocol": PROTOCOL.model_dump(mode="json")}


CORRECT: Said = ("It is $\\frac{1}{2}$, so \\boxed{\\frac{1}{2}}.", "correct", "1/2", True)
WRONG: Said = ("I think that it is 3.", "wrong", "3", True)
CUT: Said = ("Let us see, the first thing to do", "unparsable", None, False)
SLOW: Said = ("It is $2^{2^{2^{2^{2}}}}$.", "timeout", None, True)


@pytest.fixture(scope="session")
def data(converse, make_data) -> Data:
    """Two benchmarks, two policies, four trajectories a problem with the first, which weighs them.

    The third problem of each benchmark is solved by none; the trajectories of the others are solved at turns 1, 2, 3
    and never.
    """
    outcomes = [[CORRECT], [WRONG, CORRECT], [CUT, WRONG, CORRECT], [WRONG, WRONG, WRONG]]
    texts = {
        "algebra": "Let $x^{2} = \\dfrac{%d}{4}$ with $x > 0$. What is $x$? It costs \\$5 and is no triangle.",
        "geometry": "A triangle has sides 3, 4 and %d. How long is $\\sqrt{\\left(\\frac{a}{b}\\right)$?",
    }
    problems = [
        Problem(f"{source}/{index}", text % index, "\\frac{1}{2}", "math", source)
        for source, text in texts.items()
        for index in range(20)
    ]
    trajectories = {"reference": [], "trained": []}
    for number, problem in enumerate(problems):
        never = problem.problem_id.endswith("/2")
        for index, said in enumerate(outcomes):
            told = [WRONG, CUT, SLOW] if never else said
            trajectories["reference"].append(converse(problem, index, told))
        trajectories["trained"].append(converse(problem, 0, outcomes[number % 2]))
    return make_data(problems, trajectories)
