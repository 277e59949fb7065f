"""Low-rank adapters in training, through peft: added, saved as an adapter, merged on request."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from drift.adapters import merged
from drift.errors import UserError
from drift.model_directory import ADAPTER, link_or_copy
from drift.parameters import LoraParameters
from drift.training.job import TrainingJob
from drift.training.model import save_policy

if TYPE_CHECKING:
    from peft import PeftModel


def add_adapter(model: PreTrainedModel, lora: LoraParameters) -> "PeftModel":
    """Adds an adapter to a model in place; from here on only the adapter is trained.

    Raises:
        UserError: when peft is not installed or the model has no layers of the names asked for.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise UserError("training.lora needs peft: `pip install -e '.[lora]'` brings it.") from error
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=cast("int", lora.alpha),
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules,
        task_type="CAUSAL_LM",
    )
    try:
        adapter = cast("PeftModel", get_peft_model(model, config, autocast_adapter_dtype=False))
    except ValueError as error:
        what = str(error).rstrip(".")
        raise UserError(f"training.lora.target_modules: {what}: name layers the model has.") from error
    for name, module in model.named_modules():
        module.train("lora_dropout" in name)  # everything else computes as in use
    return adapter


def save_with_adapter(
    adapter: "PeftModel", weights: Mapping[str, torch.Tensor], job: TrainingJob, target: Path
) -> None:
    """Saves what was trained as an adapter inside the reference's directory, or in its weights.

    Args:
        adapter: whose configuration is saved.
        weights: the trained weights, by their names in the model.
        job: says which reference it belongs to and whether to merge.
        target: an empty directory.
    """
    directory = target / ADAPTER
    adapter.peft_config["default"].base_model_name_or_path = job.policy.provenance.get("path", str(job.policy.path))
    adapter.save_pretrained(
        str(directory),
        state_dict={f"base_model.model.{name}": weight for name, weight in weights.items()},
        save_embedding_layers=False,
    )
    (directory / "README.md").unlink(missing_ok=True)  # peft's empty form
    lora = job.training.lora
    if lora is not None and lora.merge:
        model = merged(_reference(job), directory)
        for file in directory.iterdir():
            file.unlink()
        directory.rmdir()
        _save(model, job, target)
    elif job.policy.adapter is None:
        for file in job.policy.files():
            link_or_copy(file, target / file.name)
    else:
        _save(_reference(job), job, target)


def _reference(job: TrainingJob) -> PreTrainedModel:
    """The policy training started from, in float32 on the CPU."""
    model = AutoModelForCausalLM.from_pretrained(
        job.policy.path, dtype=torch.float32, trust_remote_code=job.model.trust_remote_code
    )
    return model if job.policy.adapter is None else merged(model, job.policy.adapter)


def _save(model: PreTrainedModel, job: TrainingJob, target: Path) -> None:
    dtype = getattr(torch, job.model.dtype)
    weights = {name: weight.data.to(dtype) for name, weight in model.named_parameters()}
    save_policy(model.to(dtype), weights, job.policy.path, target)
