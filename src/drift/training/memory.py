"""Memory of activations: measured on a few tokens, so that recomputation is chosen only where it is needed."""

import os

import psutil
import torch

from drift.training.examples import Example
from drift.training.model import PackedPolicy
from drift.training.packing import packed

_PROBE_TOKENS, _PROBE_TOKENS_ON_CPU = 64, 512
"""On a CPU attention keeps its scores up to this length (`drift.training.attention`), where a token takes the most."""
_SHARE_OF_FREE_MEMORY = 0.8
"""What activations may take of it; the rest is for temporary results and fragments."""


def activation_bytes_per_token(
    policy: PackedPolicy, computing_dtype: torch.dtype, computing_device: torch.device
) -> float:
    """What autograd keeps of a token for the way back, weights not counted, in sequences of the most costly length.

    Args:
        policy: in the number format it is stored in, on any device.
        computing_dtype: the format it will compute in; the measured bytes are scaled to it, also the few that are
            float32 in any format, which makes them up to a fifth too few where it is stored in float32.
        computing_device: where it will compute.
    """
    device, dtype = policy.model.device, policy.model.dtype
    num_tokens = _PROBE_TOKENS_ON_CPU if computing_device.type == "cpu" else _PROBE_TOKENS
    ids = torch.arange(num_tokens) % policy.model.config.get_text_config().vocab_size
    example = Example("", 0, ids.numpy(), torch.tensor([1]).numpy(), 1.0)
    weights = {weight.untyped_storage().data_ptr() for weight in policy.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def count(tensor: torch.Tensor) -> None:
        # Its memory only, for a way back that is never gone: an output that its own node keeps would never be freed.
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage

    def give_back(_: None) -> torch.Tensor:
        raise RuntimeError("Nothing was kept.")

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, give_back):
        policy(packed([example], device))
    return sum(storage.nbytes() for storage in kept.values()) / num_tokens * computing_dtype.itemsize / dtype.itemsize


def free_bytes(device: torch.device) -> int:
    """Memory of the device nothing has taken yet; on a CPU this process's part of it."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def needs_activation_checkpointing(
    bytes_per_token: float, longest_pack: int, reserved: int, device: torch.device
) -> bool:
    """Whether the activations of the longest pack would not fit.

    Args:
        bytes_per_token: of activations.
        longest_pack: tokens.
        reserved: bytes that will be taken by gradients, which do not exist yet.
        device: where.
    """
    return bytes_per_token * longest_pack > _SHARE_OF_FREE_MEMORY * (free_bytes(device) - reserved)
