"""A policy on disk: a local Hugging Face directory with a note of where it came from."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drift.errors import UserError

NOTE = "drift.json"
_MODEL_SUFFIXES = {".safetensors", ".json", ".txt", ".model", ".jinja", ".py", ".tiktoken"}


@dataclass(frozen=True)
class ModelDirectory:
    """A policy that `AutoModelForCausalLM.from_pretrained` and vLLM load as it is.

    Attributes:
        path: the directory.
        provenance: where it came from; `fingerprint` in it names the content.
    """

    path: Path
    provenance: dict[str, Any]

    @classmethod
    def open(cls, path: Path) -> "ModelDirectory":
        """Opens a directory that carries its note."""
        return cls(path, json.loads((path / NOTE).read_text()))

    @property
    def fingerprint(self) -> str:
        """Name of the content."""
        return str(self.provenance["fingerprint"])

    def is_at(self, path: Path) -> bool:
        """Whether the same policy already lies at `path`, whole."""
        if not (path / NOTE).is_file() or json.loads((path / NOTE).read_text()) != self.provenance:
            return False
        return _names_and_sizes(path) == _names_and_sizes(self.path)

    def write_to(self, path: Path) -> None:
        """Fills an empty directory: files are hard-linked where the file system allows, copied elsewhere."""
        path.mkdir(parents=True)
        for file in model_files(self.path):
            link_or_copy(file, path / file.name)
        (path / NOTE).write_text(json.dumps(self.provenance, indent=2, sort_keys=True, allow_nan=False) + "\n")


def model_files(directory: Path) -> Iterator[Path]:
    """The files of a model directory that belong to the model, without notes and other formats of the weights."""
    for file in sorted(directory.iterdir()):
        if file.is_file() and file.suffix in _MODEL_SUFFIXES and file.name != NOTE:
            yield file


def _names_and_sizes(directory: Path) -> list[tuple[str, int]]:
    return [(file.name, file.stat().st_size) for file in model_files(directory)]


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file without its cost, where the file system has such a thing."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copy2(source, target)


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
