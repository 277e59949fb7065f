"""The trained policy: loaded with float32 master weights, asked for target tokens only, saved as it was found."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from drift.adapters import merged
from drift.errors import UserError
from drift.model_directory import model_files
from drift.training.examples import Example

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_LOGIT_TOLERANCE = 1e-3


def load_policy(
    path: Path, device: "torch.device", trust_remote_code: bool, adapter: Path | None = None
) -> "PreTrainedModel":
    """Loads a policy in float32, with dropout off; an adapter that belongs to it is merged into its weights.

    Raises:
        UserError: when the model does something to its logits that `target_nll` would miss.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(
        path,
        dtype=torch.float32,
        trust_remote_code=trust_remote_code,
        # benchmarks/attention.py: on a CPU the plain form is the faster one for short sequences.
        attn_implementation="eager" if device.type == "cpu" else "sdpa",
    )
    if adapter is not None:
        model = merged(model, adapter)
    model = model.to(device).eval()
    probe = torch.arange(2, 10, device=device)[None]
    with torch.no_grad():
        own, ours = model(probe).logits, output_logits(model, _hidden_states(model, probe))
    if not torch.allclose(own, ours, atol=_LOGIT_TOLERANCE, rtol=_LOGIT_TOLERANCE):
        raise UserError(
            f"{type(model).__name__} changes its logits after the output layer (soft-capping or scaling), which "
            "training does not support: use a model without it."
        )
    return model


def _hidden_states(model: "PreTrainedModel", token_ids: "torch.Tensor") -> "torch.Tensor":
    """Last hidden states, shape (E, L, D)."""
    return model.base_model(input_ids=token_ids, use_cache=False).last_hidden_state


def output_logits(model: "PreTrainedModel", hidden: "torch.Tensor") -> "torch.Tensor":
    """The output layer alone, shape (…, V)."""
    head = cast("torch.nn.Module", model.get_output_embeddings())
    return head(hidden)


@dataclass(frozen=True)
class MicroBatch:
    """Examples as tensors, padded on the right, where a causal model never sees the padding.

    Attributes:
        token_ids: shape (E, L).
        example_T: row of each target, shape (T,).
        position_T: position of each target in its row, shape (T,).
        weight_E: shape (E,).
        num_targets_E: shape (E,).
    """

    token_ids: "torch.Tensor"
    example_T: "torch.Tensor"
    position_T: "torch.Tensor"
    weight_E: "torch.Tensor"
    num_targets_E: "torch.Tensor"


def collate(examples: Sequence[Example], device: "torch.device") -> MicroBatch:
    """Pads examples to the longest; nothing attends to the padding and nothing is learned there."""
    import torch

    sequences = [torch.from_numpy(example.token_ids) for example in examples]
    num_targets = torch.tensor([len(example.targets) for example in examples])
    return MicroBatch(
        torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True).to(device),
        torch.arange(len(examples)).repeat_interleave(num_targets).to(device),
        torch.cat([torch.from_numpy(example.targets) for example in examples]).to(device),
        torch.tensor([example.weight for example in examples], dtype=torch.float64).to(device),
        num_targets.to(device),
    )


def target_nll(model: "PreTrainedModel", batch: MicroBatch) -> "torch.Tensor":
    """-log pi of each target token given what stands before it, float32, shape (T,).

    Only the rows of the output layer that predict a target are computed; logits of other positions never exist.
    """
    import torch

    hidden = _hidden_states(model, batch.token_ids)[batch.example_T, batch.position_T - 1]
    logits = output_logits(model, hidden).to(torch.promote_types(hidden.dtype, torch.float32))
    targets = batch.token_ids[batch.example_T, batch.position_T]
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none")


def save_policy(model: "PreTrainedModel", reference: Path, target: Path) -> None:
    """Saves the policy in the reference's layout: its own weights, the reference's tokenizer files unchanged.

    Args:
        model: the trained policy, in the number format it shall have on disk.
        reference: the directory it was loaded from.
        target: an empty directory.
    """
    model.save_pretrained(target)
    for file in model_files(reference):
        if file.parent == reference and "safetensors" not in file.name and not (target / file.name).exists():
            shutil.copy2(file, target / file.name)
