"""Activation memory: what is measured on a few tokens holds for a pack, and recomputation is chosen by it."""

import copy
import gc

import numpy as np
import psutil
import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from drift.training.decoder_layers import checkpoint_activations
from drift.training.examples import Example
from drift.training.memory import activation_bytes_per_token, free_bytes, needs_activation_checkpointing
from drift.training.packing import packed

CPU = torch.device("cpu")


class Results(TorchDispatchMode):
    """Watches everything that is computed, without keeping it alive."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: dict[StorageWeakRef, int] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self.storages[StorageWeakRef(storage)] = storage.nbytes()
        return result


def kept_bytes_per_token(policy, num_sequences: int, length: int) -> float:
    """What is still in memory after the forward pass of a pack, for no other reason than its result."""
    ids = np.random.default_rng(0).integers(0, policy.model.config.vocab_size, length)
    pack = packed([Example("", 0, ids, np.array([length - 1]), 1.0)] * num_sequences, CPU)
    weights = {StorageWeakRef(weight.untyped_storage()) for weight in policy.parameters()}
    with Results() as results:
        loss = policy(pack)
    alive = [size for ref, size in results.storages.items() if not ref.expired() and ref not in weights]
    assert loss.requires_grad
    return sum(alive) / (num_sequences * length)


@pytest.fixture
def policy(tiny_policy):
    return copy.deepcopy(tiny_policy)


@pytest.mark.parametrize(("num_sequences", "length"), [(1, 512), (3, 512), (40, 100), (2, 700), (1, 1500)])
def test_no_pack_keeps_more_than_was_measured(policy, num_sequences, length):
    measured = activation_bytes_per_token(policy, torch.float64, CPU)
    assert 0.05 * measured < kept_bytes_per_token(policy, num_sequences, length) <= 1.02 * measured


def test_nothing_is_left_of_the_measurement(policy):
    activation_bytes_per_token(policy, torch.float64, CPU)
    with Results() as results:
        activation_bytes_per_token(policy, torch.float64, CPU)
    gc.collect()
    left = sum(size for ref, size in results.storages.items() if not ref.expired())
    assert left <= 0.02 * sum(results.storages.values())  # a few constants that the model keeps


def test_a_pack_of_the_measured_length_keeps_what_was_measured(policy):
    measured = activation_bytes_per_token(policy, torch.float64, CPU)
    assert kept_bytes_per_token(policy, 4, 512) == pytest.approx(measured, rel=0.02)


def test_where_scores_are_not_kept_a_short_sequence_tells_as_much(policy):
    measured = activation_bytes_per_token(policy, torch.float64, torch.device("cuda"))
    assert kept_bytes_per_token(policy, 8, 64) == pytest.approx(measured, rel=0.02)


def test_half_the_precision_takes_half_the_memory(policy):
    measured = [activation_bytes_per_token(policy, dtype, CPU) for dtype in (torch.float64, torch.float32)]
    assert measured[0] == 2 * measured[1]


def test_layers_that_are_computed_again_keep_much_less(policy):
    before = kept_bytes_per_token(policy, 2, 256)
    checkpoint_activations(policy.model)
    assert kept_bytes_per_token(policy, 2, 256) < 0.1 * before


def test_recomputation_is_chosen_where_the_activations_do_not_fit():
    bytes_per_token = 1e6
    fitting = 0.8 * psutil.virtual_memory().available / bytes_per_token

    def needed(tokens: float, reserved: float = 0) -> bool:
        return needs_activation_checkpointing(bytes_per_token, int(tokens), int(reserved), CPU)

    assert not needed(0.7 * fitting)
    assert needed(1.3 * fitting)
    assert needed(0.7 * fitting, reserved=0.5 * free_bytes(CPU))
