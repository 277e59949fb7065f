"""The decoder layers of a model: what is sharded, checkpointed and compiled one at a time."""

from functools import partial

import torch
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel


def decoder_layers(model: PreTrainedModel) -> list[torch.nn.Module]:
    """The modules that transformers says must not be split over devices, in order; also once they are sharded."""
    names = set(model._no_split_modules or ())
    # Sharding gives a module a class of its own, derived from the one that has the name.
    return [module for module in model.modules() if names & {kind.__name__ for kind in type(module).__mro__}]


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Keeps only the inputs of layers for the way back; what is inside them is computed again."""
    for layer in decoder_layers(model):
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)


def compile_layers(model: PreTrainedModel) -> None:
    """Compiles every layer for packs of any length."""
    for layer in decoder_layers(model):
        layer.compile(dynamic=True)
