"""LoRA adapters, through peft."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from drift.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def merged(model: "PreTrainedModel", adapter: Path) -> "PreTrainedModel":
    """The model with an adapter added to its weights.

    Raises:
        UserError: when peft is not installed, or the adapter was made for another model.
    """
    try:
        from peft import PeftModel
    except ImportError as error:
        raise UserError("model.adapter needs peft: `pip install -e '.[lora]'` brings it.") from error
    try:
        return cast("PreTrainedModel", PeftModel.from_pretrained(model, str(adapter)).merge_and_unload())  # type: ignore[operator]
    except (RuntimeError, ValueError) as error:
        raise UserError(f"model.adapter: {adapter} does not fit the model ({error}).") from error
