"""Which engine is taken and how it is set up for the machine."""

import logging
import os
import re
import sys

import pytest

from drift.errors import UserError
from drift.parameters import EngineParameters
from drift.rollout import vllm_settings
from drift.rollout.engines import choose_engine, context_room
from drift.rollout.vllm_settings import engine_arguments, gpu_arguments, threads_of_processes, usable_cores

pytest.importorskip("vllm")


@pytest.fixture
def on_cpu() -> None:
    from vllm.platforms import current_platform

    if not current_platform.is_cpu():
        pytest.skip("this machine has a GPU")


def test_vllm_is_taken_where_it_can_be_imported(caplog) -> None:
    with caplog.at_level(logging.INFO, logger="drift"):
        assert choose_engine(EngineParameters()) == "vllm"
    assert re.search(r"Engine: vLLM \S+, because it works here", caplog.text)


def test_transformers_is_taken_elsewhere_and_says_why(caplog, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm.v1.engine.async_llm", None)
    with caplog.at_level(logging.INFO, logger="drift"):
        assert choose_engine(EngineParameters()) == "transformers"
    assert "Engine: plain transformers, because vLLM cannot be used here" in caplog.text


def test_vllm_that_is_asked_for_and_not_there_is_the_users_error(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm.v1.engine.async_llm", None)
    with pytest.raises(UserError, match=r"cannot be used here.* or set rollout.engine.kind to auto"):
        choose_engine(EngineParameters(kind="vllm"))


def test_an_engine_that_is_named_is_taken(caplog) -> None:
    with caplog.at_level(logging.INFO, logger="drift"):
        assert choose_engine(EngineParameters(kind="transformers")) == "transformers"
        assert choose_engine(EngineParameters(kind="vllm")) == "vllm"
    assert caplog.text.count("because rollout.engine.kind says so") == 2


def test_what_is_left_open_suits_a_cpu(on_cpu) -> None:
    arguments = engine_arguments(EngineParameters(), max_context_tokens=200, seed_per_request=False)
    assert arguments["max_num_seqs"] == 128
    assert arguments["max_model_len"] == 200
    assert arguments["enforce_eager"] is True
    assert arguments["enable_chunked_prefill"] is True
    assert 1 <= arguments["kv_cache_memory_bytes"] / 2**30 <= 8


def test_what_is_said_is_taken(on_cpu) -> None:
    said = EngineParameters(max_sequences=7, max_batched_tokens=900, cpu_cache_gib=3, compile=True)
    arguments = engine_arguments(said, max_context_tokens=200, seed_per_request=False)
    assert arguments["max_num_seqs"] == 7
    assert arguments["max_num_batched_tokens"] == 900
    assert arguments["kv_cache_memory_bytes"] == 3 * 2**30
    assert arguments["enforce_eager"] is False


def test_with_seeds_prompts_are_prefilled_whole_on_a_cpu(on_cpu) -> None:
    """The settings that meet vLLM's bug with seeded requests are never used."""
    for batched in (None, 8192):
        parameters = EngineParameters(max_batched_tokens=batched)
        arguments = engine_arguments(parameters, max_context_tokens=6000, seed_per_request=True)
        assert arguments["enable_chunked_prefill"] is False
        assert arguments["max_num_batched_tokens"] >= 6000
    with pytest.raises(UserError, match=r"seed_per_request needs whole prompts .* is 512 and .* come to 6000 tokens"):
        engine_arguments(EngineParameters(max_batched_tokens=512), max_context_tokens=6000, seed_per_request=True)


def test_too_little_room_for_a_conversation_is_refused() -> None:
    with pytest.raises(UserError, match=r"max_context_tokens is 100, but a conversation can come to 200 tokens"):
        context_room(EngineParameters(max_context_tokens=100), 200)
    assert context_room(EngineParameters(), 200) == 200
    assert context_room(EngineParameters(max_context_tokens=300), 200) == 300


def test_several_copies_need_gpus(on_cpu) -> None:
    for parameters in (EngineParameters(tensor_parallel_size=2), EngineParameters(data_parallel_size=2)):
        with pytest.raises(UserError, match="this machine has no GPU"):
            engine_arguments(parameters, max_context_tokens=200, seed_per_request=False)


def test_transformers_refuses_what_only_vllm_does() -> None:
    with pytest.raises(UserError, match="which the engine on plain transformers does not do"):
        choose_engine(EngineParameters(kind="transformers", tensor_parallel_size=2))


@pytest.mark.parametrize(("num_gpus", "spread", "said", "copies"), [(8, 1, None, 8), (8, 4, None, 2), (8, 2, 1, 1)])
def test_all_gpus_are_used_unless_it_is_said_otherwise(num_gpus, spread, said, copies) -> None:
    parameters = EngineParameters(tensor_parallel_size=spread, data_parallel_size=said)
    arguments = gpu_arguments(parameters, 200, num_gpus)
    assert (arguments["tensor_parallel_size"], arguments["data_parallel_size"]) == (spread, copies)
    assert arguments["max_num_seqs"] == 1024
    assert "enforce_eager" not in arguments, "vLLM compiles on a GPU by itself"


def test_more_gpus_than_there_are_are_refused() -> None:
    with pytest.raises(UserError, match=r"asks for 2 x 4 GPUs .* this machine has 4"):
        gpu_arguments(EngineParameters(tensor_parallel_size=4, data_parallel_size=2), 200, 4)


def test_a_small_machine_gives_all_its_cores_to_vllm_and_gets_its_environment_back(monkeypatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("VLLM_CPU_OMP_THREADS_BIND", raising=False)
    monkeypatch.setattr(vllm_settings, "usable_cores", lambda: 2)
    before = dict(os.environ)
    with threads_of_processes(EngineParameters()):
        assert (os.environ["OMP_NUM_THREADS"], os.environ["VLLM_CPU_OMP_THREADS_BIND"]) == ("2", "nobind")
    assert dict(os.environ) == before
    monkeypatch.setattr(vllm_settings, "usable_cores", lambda: 64)
    with threads_of_processes(EngineParameters()):
        threads = ("OMP_NUM_THREADS", "VLLM_CPU_OMP_THREADS_BIND")
        assert not set(threads) & set(os.environ), "vLLM binds its threads itself"


def test_threads_the_user_has_set_stay_unless_a_parameter_says_otherwise(monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with threads_of_processes(EngineParameters()):
        assert os.environ["OMP_NUM_THREADS"] == "1"
    with threads_of_processes(EngineParameters(cpu_threads=3)):
        assert os.environ["OMP_NUM_THREADS"] == "3"
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_cores_are_counted() -> None:
    assert usable_cores() >= 1
