"""One engine for a whole run; the engine is one that answers nothing, what is tested is who starts and ends it when."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from drift.model_directory import ModelDirectory
from drift.parameters import EngineParameters, ModelParameters, ProtocolParameters
from drift.rollout import kept_engine
from drift.rollout.kept_engine import engine_kept, release_engine, run_with_engine
from drift.rollout.plan import Rollout


class SilentEngine:
    max_in_flight = 1

    def __init__(self, takes: bool | Exception) -> None:
        self.takes = takes

    async def take_weights(self, model_path, version) -> bool:
        if isinstance(self.takes, Exception):
            raise self.takes
        return self.takes


class Events(list):
    """Starts and ends, in order; `takes` says what the engines do with new weights."""

    takes: bool | Exception = True


@pytest.fixture
def happened(monkeypatch) -> Events:
    events = Events()

    @asynccontextmanager
    async def start(kind, rollout, parameters, room, seed):
        events.append(f"start {rollout.policy.fingerprint}, room {room}")
        yield SilentEngine(events.takes)
        events.append("end")

    monkeypatch.setattr(kept_engine, "start_engine", start)
    monkeypatch.setattr(kept_engine, "choose_engine", lambda *_: "vllm")
    return events


@pytest.fixture
def policies(tmp_path):
    for name, config in {"a": {"hidden": 1}, "b": {"hidden": 1, "dtype": "float32"}, "wider": {"hidden": 2}}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    return {name: ModelDirectory(tmp_path / name, {"fingerprint": name}) for name in ("a", "b", "wider")}


def ask(policy: ModelDirectory, context_tokens: int = 100, **changes) -> None:
    rollout = Rollout(policy, ModelParameters(path="m", dtype="float32"), [], ProtocolParameters(), 1, 0, 1, 1, 0)

    async def work(keeper) -> None:
        await keeper.engine(replace(rollout, **changes), EngineParameters(), context_tokens, 0)

    run_with_engine(work)


def test_alone_every_piece_of_work_has_an_engine_of_its_own(happened, policies):
    ask(policies["a"])
    ask(policies["a"])
    assert happened == ["start a, room 128", "end"] * 2


def test_a_run_has_one_start_and_new_weights_go_into_the_running_engine(happened, policies):
    with engine_kept():
        for name in ("a", "a", "b", "a"):
            ask(policies[name], 120)
        assert happened == ["start a, room 128"]
    assert happened == ["start a, room 128", "end"]


@pytest.mark.parametrize("takes", [False, RuntimeError("half of the weights")])
def test_an_engine_that_cannot_take_weights_is_started_anew(happened, policies, takes):
    happened.takes = takes
    with engine_kept():
        ask(policies["a"])
        ask(policies["b"])
    assert happened == ["start a, room 128", "end", "start b, room 128", "end"]


def test_what_a_running_engine_does_not_suit_has_a_new_one(happened, policies):
    with engine_kept():
        ask(policies["a"])
        ask(policies["wider"])  # another architecture
        ask(policies["wider"], seed_per_request=True)
        ask(policies["wider"], 200, seed_per_request=True)  # longer conversations
    assert [event for event in happened if event != "end"] == [
        "start a, room 128",
        "start wider, room 128",
        "start wider, room 128",
        "start wider, room 256",
    ]
    assert happened.count("end") == 4


def test_work_that_fails_ends_the_engine(happened, policies):
    async def fails(keeper) -> None:
        raise KeyboardInterrupt

    with engine_kept():
        ask(policies["a"])
        with pytest.raises(KeyboardInterrupt):
            run_with_engine(fails)
        assert happened[-1] == "end"
        ask(policies["a"])
        release_engine()
        assert happened[-1] == "end"
    assert happened.count("end") == 2


def test_in_a_notebook_whose_loop_runs_the_engine_is_its_works_own(happened, policies):
    async def cell() -> None:
        ask(policies["a"])

    with engine_kept():
        asyncio.run(cell())
        assert happened == ["start a, room 128", "end"]
