"""GPU memory, time and disk, against what the program really holds where that can be seen without a GPU."""

import copy
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config

from drift.errors import UserError
from drift.parameters import LoraParameters, ModelParameters, TrainingParameters
from drift.plan_parameters import PlanParameters
from drift.planning.conversations import Conversations, ends_at
from drift.planning.disk import disk
from drift.planning.gpus import GPUS, Gpu, gpu_named, gpu_of
from drift.planning.model_shape import ModelShape, find_config, model_shape
from drift.planning.sampling import SamplingSetup
from drift.planning.training import TrainingSetup, fewest_processes, layer_activation_bytes
from drift.training.attention import PACKED, register_packed_attention
from drift.training.master_weights import MasterWeights
from drift.training.memory import activation_bytes_per_token
from drift.training.model import packed_policy
from drift.training.optimizer import NamedAdamW

SIZES = {"vocab_size": 61, "hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 3}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2}
CONFIGS = {"llama": LlamaConfig(**SIZES, **HEADS), "qwen2": Qwen2Config(**SIZES, **HEADS)}
TRAINING = TrainingParameters(steps=200, batch_size=128, learning_rate=5e-6)
GIB = 2**30


def conversations() -> Conversations:
    plan = PlanParameters()
    return Conversations(28_800, 150, 2000, 20, 5, 512, plan.response_tokens, ends_at(plan, 5))


def paper_shape(path: str = "Qwen/Qwen2.5-3B-Instruct") -> ModelShape:
    return model_shape(find_config(ModelParameters(path=path))[0])


@pytest.fixture(scope="module")
def shape() -> ModelShape:
    return paper_shape()


def sampling(shape: ModelShape, **values) -> SamplingSetup:
    defaults = {
        "shape": shape,
        "number_bytes": 2,
        "gpu": gpu_named("H100-80GB"),
        "copies": 1,
        "spread": 1,
        "memory_share": 0.9,
        "max_sequences": 1024,
        "mfu": 0.35,
        "tokens_per_second": None,
    }
    return SamplingSetup(**defaults | values)


def training(shape: ModelShape, processes: int = 1, gpu: str = "H100-80GB", **values) -> TrainingSetup:
    return TrainingSetup(shape, TRAINING.model_copy(update=values), gpu_named(gpu), processes, 0.35, False)


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
@pytest.mark.parametrize("name", CONFIGS)
def test_weights_gradients_and_moments_are_what_the_training_holds(name, precision):
    """At its fullest: the gradients of a pack are there, and those of the packs before it."""
    model = AutoModelForCausalLM.from_config(CONFIGS[name])
    weights = MasterWeights(model, getattr(torch, precision))
    optimizer = NamedAdamW(weights.by_name, TRAINING)
    held = {}
    for tensor in [*model.parameters(), *optimizer.tensors().values()]:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
    gradients = {id(weight): weight for weight in [*model.parameters(), *weights.by_name.values()]}
    most = sum(held.values()) + sum(weight.nbytes for weight in gradients.values())
    assert training(model_shape(CONFIGS[name]), precision=precision).state_bytes == most


@pytest.mark.parametrize("name", CONFIGS)
def test_activations_are_near_what_autograd_keeps(name):
    """One head and many layers, so that the scores which only a CPU keeps, and the last norm, are a small part."""
    register_packed_attention()
    config = copy.deepcopy(CONFIGS[name])
    config.num_hidden_layers, config.num_attention_heads, config.num_key_value_heads, config.head_dim = 8, 1, 1, 256
    config.layer_types = ["full_attention"] * 8
    policy = packed_policy(AutoModelForCausalLM.from_config(config, attn_implementation=PACKED).bfloat16())
    measured = activation_bytes_per_token(policy, torch.bfloat16, torch.device("cuda"))
    reckoned = config.num_hidden_layers * layer_activation_bytes(model_shape(config), 2)
    assert reckoned == pytest.approx(measured, rel=0.06)


def test_the_states_on_disk_are_those_of_the_optimiser():
    model = AutoModelForCausalLM.from_config(CONFIGS["llama"])
    optimizer = NamedAdamW(MasterWeights(model, torch.bfloat16).by_name, TRAINING)
    of_one = sum(tensor.nbytes for tensor in optimizer.tensors().values())
    assert disk(model_shape(CONFIGS["llama"]), "bfloat16", 0, 0).states == 3 * of_one


def test_a_3b_model_trains_on_one_80_gib_gpu_with_recomputation_and_a_7b_model_on_four(shape):
    held = conversations()
    assert training(shape).recomputes(held)
    assert training(shape).memory_bytes(held, True) < gpu_named("H100-80GB").memory_bytes
    larger = paper_shape("Qwen/Qwen2.5-7B-Instruct")
    assert training(larger).memory_bytes(held, True) > gpu_named("H100-80GB").memory_bytes
    assert training(larger, processes=4).memory_bytes(held, True) < gpu_named("H100-80GB").memory_bytes
    assert fewest_processes(training(shape), held) == 1
    assert fewest_processes(training(larger), held) in (2, 4)


@pytest.mark.parametrize("processes", [2, 4, 8])
def test_more_processes_hold_less_each(shape, processes):
    alone, shared = training(shape, processes // 2 if processes > 2 else 2), training(shape, processes)
    assert shared.state_bytes <= alone.state_bytes
    assert shared.expected_seconds(conversations()) < training(shape).expected_seconds(conversations())


def test_recomputation_is_what_was_asked_for(shape):
    for asked in (True, False):
        assert training(shape, activation_checkpointing=asked).recomputes(conversations()) is asked


def test_adapters_need_hardly_more_than_the_model(shape):
    config = find_config(ModelParameters(path="Qwen/Qwen2.5-3B-Instruct"))[0]
    lora = LoraParameters(rank=16)
    adapted = training(model_shape(config, lora), lora=lora)
    assert adapted.state_bytes < 1.3 * 2 * shape.num_weights
    assert adapted.expected_seconds(conversations()) < training(shape).expected_seconds(conversations())


def test_a_cache_is_full_when_its_conversations_are(shape):
    engine = sampling(shape, max_sequences=10**6)
    at_once = engine.at_once(1000)
    room = engine.cache_bytes - at_once * 1000 * engine.cache_bytes_per_token
    assert 0 <= room < 1000 * engine.cache_bytes_per_token
    assert engine.cache_bytes + engine.weights_bytes < 0.9 * engine.gpu.memory_bytes


def test_a_model_that_does_not_fit_takes_no_time(shape):
    small = sampling(shape, gpu=replace(gpu_named("RTX 4090"), memory_bytes=4 * GIB))
    assert small.at_once(1000) == 0
    assert small.expected_seconds(conversations()) is None
    spread = sampling(shape, gpu=small.gpu, spread=4)
    assert spread.at_once(1000) > 0


@given(at_once=st.integers(1, 2000), context=st.integers(1, 5000))
def test_more_at_once_is_faster_in_all_and_slower_for_each(shape, at_once, context):
    engine = sampling(shape)
    rate, doubled = engine.decoding_rate(at_once, context), engine.decoding_rate(2 * at_once, context)
    assert rate < doubled <= 2 * rate


def test_a_rate_that_is_told_is_taken(shape):
    engine, held = sampling(shape, tokens_per_second=1000.0, copies=2), conversations()
    reading = 2 * shape.num_weights * held.prefill_tokens / 2 / (engine.gpu.flops_per_second * 0.35)
    assert engine.expected_seconds(held) == pytest.approx(held.expected_responses / 2 / 1000 + reading)


@pytest.mark.parametrize(
    ("driver_name", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "H100-80GB"),
        ("NVIDIA A100-SXM4-80GB", "A100-80GB"),
        ("NVIDIA A100-PCIE-40GB", "A100-40GB"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
    ],
)
def test_a_gpu_is_known_by_the_name_its_driver_gives_it(driver_name, name):
    named = gpu_named(name)
    assert gpu_of(driver_name, 1) == Gpu(driver_name, 1, named.bytes_per_second, named.flops_per_second)


def test_every_gpu_of_the_table_can_be_planned_for():
    for name in GPUS:
        assert gpu_named(PlanParameters(gpu=name).gpu).flops_per_second > 1e14


def test_a_gpu_nothing_is_known_of_is_refused():
    with pytest.raises(UserError, match=r"plan\.gpu: nothing is known of this machine's GPU, NVIDIA T4: name"):
        gpu_of("NVIDIA T4", 1)
