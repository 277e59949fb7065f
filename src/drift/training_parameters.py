"""The parameters of the training, and what all parameter models share."""

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

CREDENTIALS = "credentials"
"""Type of the fault whose input is not repeated."""
_BEFORE_HOST = re.compile(r"(?<=://)[^/\s]*@")


def without_credentials(text: str) -> str:
    """A text whose addresses name no user and no password."""
    return _BEFORE_HOST.sub("", text)


class Parameters(BaseModel):
    """What all parameter models share: unknown names are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, ser_json_inf_nan="strings")


class LoraParameters(Parameters):
    """`training.lora`: low-rank adapters are trained in place of the weights (Hu et al. 2021), through peft."""

    rank: int = Field(default=16, ge=1)
    """Rank of the adapters."""
    alpha: float = Field(default=32, gt=0, allow_inf_nan=False)
    """Numerator of their scale, alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the adapters' inputs that is dropped, by noise keyed by seed, step and pack."""
    target_modules: list[str] | Literal["all-linear"] = "all-linear"
    """Names of the layers that get one; `all-linear` means every linear layer but the output layer."""
    merge: bool = False
    """Whether the checkpoint has the adapter in its weights; otherwise it is a directory inside, beside the reference's
    weights, and is served as an adapter."""


class HeldOutParameters(Parameters):
    """`training.held_out`: loss on problems that are kept out of training."""

    share: float = Field(default=0.1, gt=0, lt=1)
    """Share of the problems that is kept out."""
    every: int = Field(default=10, ge=1)
    """Steps from one measurement to the next; the last step is always measured."""


class MlflowParameters(Parameters):
    """`training.mlflow`: the training log as an MLflow run, while it grows."""

    tracking_uri: str | None = None
    """Where runs are kept: an address or a database, a SQLite file relative to the project; null takes MLflow's own
    setting (MLFLOW_TRACKING_URI), and is the way for an address with a user or a password in it: parameters are written
    into records and checkpoints."""
    experiment: str = "drift"
    """Experiment the run belongs to; it is made where it does not exist."""

    @field_validator("tracking_uri")
    @classmethod
    def _address_is_no_secret(cls, tracking_uri: str | None) -> str | None:
        if tracking_uri is not None and without_credentials(tracking_uri) != tracking_uri:
            raise PydanticCustomError(
                CREDENTIALS,
                "the address has a user or a password in it, and would be written into records and checkpoints: leave "
                "it null and set the environment variable MLFLOW_TRACKING_URI",
            )
        return tracking_uri

    def anchored(self, project: Path) -> Self:
        """The same with a relative SQLite file taken from the project, wherever the command is given."""
        scheme, _, file = (self.tracking_uri or "").partition(":///")
        if not scheme.startswith("sqlite") or not file or file.startswith(("/", ":")):
            return self
        return self.model_copy(update={"tracking_uri": f"{scheme}:///{project / file}"})


class TrainingParameters(Parameters):
    """`training`: the weighted fine-tuning (Eq. 14 and 15)."""

    steps: int = Field(ge=1)
    """Number of optimiser steps; the data is passed over as often as they need."""
    batch_size: int = Field(ge=1)
    """B: trajectories of one optimiser step, the divisor of the loss."""
    learning_rate: float = Field(gt=0, allow_inf_nan=False)
    """Learning rate after warm-up."""
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """What the learning rate does after warm-up: stays (the paper), or falls to 0."""
    warmup_share: float = Field(default=0.1, ge=0, le=1)
    """Share of the steps over which the learning rate rises linearly from 0."""
    weight_decay: float = Field(default=0.1, ge=0, allow_inf_nan=False)
    """AdamW's decoupled weight decay."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient of a whole step; `.inf` never clips."""
    token_normalisation: Literal["mean", "sum"] = "mean"
    """How an example's tokens count: their mean (Eq. 14), or their sum, the log-likelihood of Theorem 5."""
    precision: Literal["float32", "bfloat16", "auto"] = "auto"
    """Number format of the computation; weights and optimiser state are float32 in either case. `auto` takes what suits
    the machine, as model.dtype does; on a GPU without bfloat16 it takes float32. There is no float16: its gradients
    would need loss scaling."""
    micro_batch_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of one forward and backward pass, unless one sequence is longer; it changes memory and speed, not
    the result. Null takes 2,048 on a CPU and 16,384 on a GPU."""
    activation_checkpointing: bool | None = None
    """Whether layers are computed again on the way back, which saves memory for a third more computation; null does so
    where the memory would not suffice."""
    compile: bool = False
    """Whether layers are compiled (`torch.compile`); needs a C++ compiler on a CPU and a minute at the start."""
    processes: int | None = Field(default=None, ge=1)
    """Processes on each host, one a GPU; null takes as many as there are GPUs, one on a CPU."""
    hosts: int = Field(default=1, ge=1)
    """Number of machines; the others run the command that is printed."""
    rendezvous: str | None = Field(default=None, min_length=1)
    """`host:port` of this machine, where the others find it; needed with more than one host."""
    checkpoint_every: int = Field(default=50, ge=1)
    """Steps from one saved state to the next; the last two are kept, and the same command continues from them."""
    held_out: HeldOutParameters | None = None
    """Loss on problems kept out of training; null keeps none out."""
    lora: LoraParameters | None = None
    """Low-rank adapters; null trains all weights."""
    mlflow: MlflowParameters | None = None
    """Tracking with MLflow; null tracks nothing. `--env mlflow` turns it on."""

    @model_validator(mode="after")
    def _hosts_can_meet(self) -> Self:
        if self.hosts > 1 and self.rendezvous is None:
            raise ValueError("`hosts` above 1 needs `rendezvous`: say host:port of this machine")
        return self
