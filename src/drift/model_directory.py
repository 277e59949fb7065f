"""A policy on disk: a local Hugging Face directory with a note of where it came from."""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drift.errors import UserError

NOTE = "drift.json"
CARD = "README.md"
ADAPTER = "adapter"
_MODEL_SUFFIXES = {".safetensors", ".json", ".txt", ".model", ".jinja", ".py", ".tiktoken"}


@dataclass(frozen=True)
class ModelDirectory:
    """A policy that `AutoModelForCausalLM.from_pretrained` and vLLM load as it is.

    Attributes:
        path: the directory.
        provenance: where it came from; `fingerprint` in it names the content.
        card: what a reader should know of it, Markdown; it is no part of the content. None where it has none.
    """

    path: Path
    provenance: dict[str, Any]
    card: str | None = None

    @classmethod
    def open(cls, path: Path) -> "ModelDirectory":
        """Opens a directory that carries its note."""
        card = path / CARD
        return cls(path, json.loads((path / NOTE).read_text()), card.read_text() if card.is_file() else None)

    @property
    def fingerprint(self) -> str:
        """Name of the content."""
        return str(self.provenance["fingerprint"])

    @property
    def adapter(self) -> Path | None:
        """The LoRA adapter that belongs to the policy, in a directory inside; None when there is none."""
        return self.path / ADAPTER if "adapter" in self.provenance else None

    def files(self) -> list[Path]:
        """The files of the model, and those of its adapter."""
        return [*model_files(self.path), *(model_files(self.adapter) if self.adapter else [])]

    def is_at(self, path: Path) -> bool:
        """Whether the same policy already lies at `path`, whole."""
        if not (path / NOTE).is_file() or json.loads((path / NOTE).read_text()) != self.provenance:
            return False
        return _names_and_sizes(ModelDirectory(path, self.provenance)) == _names_and_sizes(self)

    def write_to(self, path: Path) -> None:
        """Fills an empty directory: files are hard-linked where the file system allows, copied elsewhere."""
        for file in self.files():
            link_or_copy(file, path / file.relative_to(self.path))
        (path / NOTE).write_text(json.dumps(self.provenance, indent=2, sort_keys=True, allow_nan=False) + "\n")
        if self.card is not None:
            (path / CARD).write_text(self.card)


def ancestry(provenance: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The provenance of a policy, then of the one it was trained from, and so on, back to one that was not trained."""
    yield provenance
    while "reference_model" in provenance:
        provenance = provenance["reference_model"]
        yield provenance


def origin(provenance: Mapping[str, Any]) -> str:
    """The path or Hub id of the model that a policy descends from, itself where it was not trained here."""
    *_, first = ancestry(provenance)
    return str(first["path"])


def model_files(directory: Path) -> Iterator[Path]:
    """The files of a model directory that belong to the model, without notes and other formats of the weights."""
    for file in sorted(directory.iterdir()):
        if file.is_file() and file.suffix in _MODEL_SUFFIXES and file.name != NOTE:
            yield file


def _names_and_sizes(model: ModelDirectory) -> list[tuple[str, int]]:
    return [(str(file.relative_to(model.path)), file.stat().st_size) for file in model.files()]


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file without its cost, where the file system has such a thing; the target must be new."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS):
            raise
        shutil.copy2(source, target)


def check_adapter_directory(directory: Path) -> None:
    """Refuses a directory that is not a LoRA adapter as peft saves one.

    Raises:
        UserError: when its configuration or weights are missing, or it is another kind of adapter.
    """
    config = directory / "adapter_config.json"
    if not config.is_file() or not (directory / "adapter_model.safetensors").is_file():
        raise UserError(
            f"model.adapter: {directory.resolve()} is not a LoRA adapter (adapter_config.json and "
            "adapter_model.safetensors): name a directory that peft's save_pretrained has written."
        )
    kind = json.loads(config.read_text()).get("peft_type")
    if kind != "LORA":
        raise UserError(f"model.adapter: {directory.resolve()} is a {kind} adapter; only LORA can be used.")


def check_model_directory(directory: Path) -> None:
    """Refuses a directory that cannot be a policy, before anything loads it.

    Raises:
        UserError: when configuration, weights or tokenizer are missing.
    """
    if not (directory / "config.json").is_file():
        raise UserError(f"model.path: {directory} has no config.json: name a Hugging Face model directory.")
    if not any(directory.glob("*.safetensors")):
        raise UserError(
            f"model.path: {directory} has no weights (*.safetensors): save the model with save_pretrained, which "
            f"writes them."
        )
    if not any((directory / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise UserError(f"model.path: {directory} has no tokenizer: save it beside the weights with save_pretrained.")
