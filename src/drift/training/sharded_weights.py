"""Weights, gradients and optimiser state sharded over processes (FSDP2).

The same interface as `MasterWeights`. Shards are float32. Layer by layer, weights are gathered in the computing format
for a pass, and gradients are summed (not averaged) in float32 and scattered, so that a step is that of one process, to
rounding.
"""

import torch
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from drift.training.decoder_layers import decoder_layers
from drift.training.model import PackedPolicy


class ShardedWeights:
    """The shards of this process.

    Attributes:
        by_name: the shards by the weights' names in the model; those that are trained.
    """

    def __init__(self, policy: PackedPolicy, computing_dtype: torch.dtype, device: torch.device) -> None:
        """Shards a policy in place.

        Args:
            policy: the same in every process, on the CPU; layer by layer it is moved to the device and cut.
            computing_dtype: number format of the passes.
            device: of this process.
        """
        master_dtype = torch.promote_types(computing_dtype, torch.float32)
        mesh = torch.distributed.init_device_mesh(device.type, (torch.distributed.get_world_size(),))
        precision = MixedPrecisionPolicy(param_dtype=computing_dtype, reduce_dtype=master_dtype)
        # A layer is widened just before it is sharded: the whole model is never held in float32 by one process.
        for module in [*decoder_layers(policy.model), policy]:
            for weight in module.parameters():
                if not isinstance(weight, DTensor):
                    weight.data = weight.data.to(master_dtype)
            fully_shard(module, mesh=mesh, mp_policy=precision)
            assert isinstance(module, FSDPModule)
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
        self.by_name = {name: weight for name, weight in policy.model.named_parameters() if weight.requires_grad}

    def collect_gradients(self) -> None:
        """Nothing to do: gradients were summed over processes and packs in the backward pass."""

    def publish(self) -> None:
        """Nothing to do: the next pass gathers what the optimiser has written."""

    def full(self, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """The final weights on the CPU of the first process, rounded once to `dtype`; all must ask at the same time."""
        full: dict[str, torch.Tensor] = {}
        for name, weight in self.by_name.items():
            assert isinstance(weight, DTensor)
            gathered = weight.full_tensor()
            if torch.distributed.get_rank() == 0:
                full[name] = gathered.to("cpu", dtype)
        return full
