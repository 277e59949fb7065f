"""The shape of a model, from its configuration alone: counted on a model that has no memory.

The configuration comes from the model's directory, from the bundled file, from the Hub's cache, or, for the paper's
models, from the table below. Nothing is downloaded.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drift.errors import UserError
from drift.parameters import ModelParameters
from drift.rollout.reference import BUNDLED_PREFIX, bundled_file, local_directory

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from drift.parameters import LoraParameters
    from drift.training.flops import ModelSize

PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "Qwen/Qwen2.5-3B-Instruct": (
        "qwen2",
        {
            "hidden_size": 2048,
            "intermediate_size": 11008,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "vocab_size": 151936,
            "tie_word_embeddings": True,
            "max_position_embeddings": 32768,
        },
    ),
    "Qwen/Qwen2.5-7B-Instruct": (
        "qwen2",
        {
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "vocab_size": 152064,
            "tie_word_embeddings": False,
            "max_position_embeddings": 32768,
        },
    ),
    "meta-llama/Llama-3.1-8B-Instruct": (
        "llama",
        {
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "vocab_size": 128256,
            "tie_word_embeddings": False,
            "max_position_embeddings": 131072,
        },
    ),
}
"""Kind of model and shape of the paper's models, as their configurations on the Hub have them."""


@dataclass(frozen=True)
class ModelShape:
    """What memory and time depend on.

    Attributes:
        num_weights: all of them; shared ones once.
        num_trained: those that are trained: all, or those of the adapters.
        largest_layer: weights of the largest decoder layer.
        outside_layers: weights of embeddings, output layer and the last norm.
        num_layers: decoder layers.
        hidden_size: width of the residual stream.
        intermediate_size: width inside the feed-forward part.
        attention_heads: of queries.
        query_width: those heads times their size.
        key_value_heads: heads of keys, and of values.
        key_value_width: those heads times their size.
        max_context_tokens: longest context; None where the configuration does not say.
        flops: what the count of operations needs.
    """

    num_weights: int
    num_trained: int
    largest_layer: int
    outside_layers: int
    num_layers: int
    hidden_size: int
    intermediate_size: int
    attention_heads: int
    query_width: int
    key_value_heads: int
    key_value_width: int
    max_context_tokens: int | None
    flops: "ModelSize"

    @property
    def cached_numbers_per_token(self) -> int:
        """Keys and values of all layers."""
        return 2 * self.num_layers * self.key_value_width


def find_config(model: ModelParameters) -> "tuple[PretrainedConfig, str]":
    """The configuration of `model.path`, and where it is from, in words.

    Raises:
        UserError: when there is no such directory, or a Hub id whose configuration is not on this machine.
    """
    from huggingface_hub import try_to_load_from_cache
    from transformers import AutoConfig

    if model.path.startswith(BUNDLED_PREFIX):
        file = bundled_file(model.path)
        return AutoConfig.from_pretrained(str(file.parent), gguf_file=file.name), f"its file {file.name}"
    directory = local_directory(model.path)
    cached = None if directory else try_to_load_from_cache(model.path, "config.json")
    if isinstance(cached, str):
        directory = Path(cached).parent
    if directory is not None:
        if not (directory / "config.json").is_file():
            raise UserError(f"model.path: {directory} has no config.json: name a Hugging Face model directory.")
        config = AutoConfig.from_pretrained(directory, trust_remote_code=model.trust_remote_code)
        return config, f"{directory / 'config.json'}"
    if model.path in PUBLISHED:
        kind, shape = PUBLISHED[model.path]
        return AutoConfig.for_model(kind, **shape), "the table of published shapes (the model is not on this machine)"
    raise UserError(
        f"model.path: the shape of {model.path} is not known here: run `hf download {model.path} config.json`, or name "
        "a local directory."
    )


def model_shape(config: "PretrainedConfig", lora: "LoraParameters | None" = None) -> ModelShape:
    """Counts a model of this configuration.

    Args:
        config: of a causal language model.
        lora: the adapters that are trained; None trains all weights.

    Raises:
        UserError: when it is no model of attention layers.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from drift.training.decoder_layers import decoder_layers
    from drift.training.flops import ModelSize
    from drift.training.model import packed_policy

    text = config.get_text_config()
    if not getattr(text, "num_attention_heads", None):
        raise UserError(f"model.path: a plan can be made of models with attention, and {text.model_type} has none.")
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    num_weights = sum(weight.numel() for weight in model.parameters())
    layers = decoder_layers(model)
    of_layers = [sum(weight.numel() for weight in layer.parameters()) for layer in layers]
    if lora is not None:
        model.requires_grad_(False)
    head_size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    key_value_heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    return ModelShape(
        num_weights=num_weights,
        num_trained=num_weights if lora is None else _adapter_weights(layers, lora),
        largest_layer=max(of_layers),
        outside_layers=num_weights - sum(of_layers),
        num_layers=len(layers),
        hidden_size=text.hidden_size,
        intermediate_size=getattr(text, "intermediate_size", None) or 4 * text.hidden_size,
        attention_heads=text.num_attention_heads,
        query_width=text.num_attention_heads * head_size,
        key_value_heads=key_value_heads,
        key_value_width=key_value_heads * head_size,
        max_context_tokens=getattr(text, "max_position_embeddings", None),
        flops=ModelSize.of(packed_policy(model)),
    )


def _adapter_weights(layers: "list[Any]", lora: "LoraParameters") -> int:
    """rank * (inputs + outputs) of every linear layer that gets an adapter."""
    from torch.nn import Linear

    modules = [named for layer in layers for named in layer.named_modules() if isinstance(named[1], Linear)]
    if lora.target_modules != "all-linear":
        modules = [(name, module) for name, module in modules if name.split(".")[-1] in lora.target_modules]
    return sum(lora.rank * (module.in_features + module.out_features) for _, module in modules)
