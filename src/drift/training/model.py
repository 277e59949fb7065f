"""The policy in training: loaded as it is stored, asked for target tokens only, saved as it was found."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from drift.adapters import merged
from drift.errors import UserError
from drift.model_directory import model_files
from drift.training.attention import PACKED, PackLayout, UnsupportedAttentionError, register_packed_attention
from drift.training.output_layer import token_nll
from drift.training.packing import Pack

if TYPE_CHECKING:
    from transformers import PretrainedConfig

logger = logging.getLogger(__name__)

_HALF_TOLERANCE, _TOLERANCE = 3e-2, 1e-3
"""Of -log pi, relative to the largest: what rounding may change, in half precision and in others."""


class PackedPolicy(torch.nn.Module):
    """A causal language model that is asked for -log pi of the targets of a pack.

    Attributes:
        model: the model, as transformers loaded it.
        packs: whether all sequences of a pack go through the model in one row. Models that keep a state besides
            attention, or want something of attention that packs do not have, get them one by one.
    """

    def __init__(self, model: PreTrainedModel, packs: bool) -> None:
        super().__init__()
        self.model = model
        self.packs = packs

    def forward(self, pack: Pack) -> torch.Tensor:
        """-log pi of each target token given what stands before it, float32 or better, shape (T,).

        Only the rows of the output layer that predict a target are computed; logits of a pack never exist at once.
        """
        head = output_layer(self.model)
        hidden_TD = self.hidden_states(pack)[pack.target_T - 1].to(head.weight.dtype)  # some keep float32 until here
        return token_nll(
            hidden_TD,
            head.weight,
            head.bias,
            pack.token_ids_L[pack.target_T],
            softcap=getattr(self.model.config.get_text_config(), "final_logit_softcapping", None),
            scale=_logit_scale(self.model.config.get_text_config()),
        )

    def hidden_states(self, pack: Pack) -> torch.Tensor:
        """Last hidden states, shape (L, D)."""
        if not self.packs:
            rows = zip(pack.token_ids_L.split(pack.lengths_E), pack.position_L.split(pack.lengths_E), strict=True)
            return torch.cat([self._row(token_ids, position) for token_ids, position in rows])
        layout = PackLayout.of(pack.lengths_E, pack.token_ids_L.device)
        return self._row(pack.token_ids_L, pack.position_L, pack_layout=layout)

    def _row(self, token_ids_L: torch.Tensor, position_L: torch.Tensor, **pack: Any) -> torch.Tensor:  # noqa: ANN401
        row = {"input_ids": token_ids_L[None], "position_ids": position_L[None]}
        return self.model.base_model(**row, use_cache=False, **pack).last_hidden_state[0]


def output_layer(model: PreTrainedModel) -> torch.nn.Linear:
    """The layer from hidden states to logits."""
    return cast("torch.nn.Linear", model.get_output_embeddings())


def _logit_scale(config: "PretrainedConfig") -> float:
    """Factor on the logits: Granite divides them, Cohere multiplies them."""
    return getattr(config, "logit_scale", None) or 1.0 / getattr(config, "logits_scaling", 1.0)


def load_policy(
    path: Path, device: torch.device, trust_remote_code: bool = False, adapter: Path | None = None
) -> PackedPolicy:
    """Loads a policy in the number format it is stored in; an adapter that belongs to it is merged in float32.

    Raises:
        UserError: when the model does something to its logits that training would miss.
    """
    register_packed_attention()
    policy = _load(path, device, trust_remote_code, adapter, PACKED)
    if policy is not None and agrees_with_itself(policy):
        return policy
    policy = cast("PackedPolicy", _load(path, device, trust_remote_code, adapter, None))
    if not agrees_with_itself(policy):
        raise UserError(
            f"{type(policy.model).__name__} does something to its logits that training does not know of, and would "
            "learn from wrong ones: use another model."
        )
    logger.info("%s cannot be packed: sequences are computed one by one", type(policy.model).__name__)
    return policy


def _load(
    path: Path, device: torch.device, trust_remote_code: bool, adapter: Path | None, attention: str | None
) -> PackedPolicy | None:
    """The policy with one kind of attention (None: the model's own); None where it does not have this kind."""
    transformers_logging.disable_progress_bar()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            path,
            dtype="auto" if adapter is None else torch.float32,
            trust_remote_code=trust_remote_code,
            attn_implementation=attention or "eager",
        )
    except ValueError:
        if attention is None:
            raise
        return None
    if adapter is not None:
        model = merged(model, adapter)
    return packed_policy(model.to(device), packs=attention == PACKED)


def packed_policy(model: PreTrainedModel, packs: bool = True) -> PackedPolicy:
    """A loaded model as a policy in training, in which it computes as in use: without dropout."""
    return PackedPolicy(model.eval(), packs and not model._is_stateful)


@torch.no_grad()
def agrees_with_itself(policy: PackedPolicy) -> bool:
    """Whether what training computes of two packed sequences is what the model says of each by itself."""
    device = policy.model.device
    sequences = [torch.arange(2, 13, device=device), torch.arange(3, 10, device=device)]
    lengths = tuple(map(len, sequences))
    pack = Pack(
        token_ids_L=torch.cat(sequences),
        position_L=torch.cat([torch.arange(length, device=device) for length in lengths]),
        lengths_E=lengths,
        target_T=torch.cat([torch.arange(1, length, device=device) for length in lengths])
        + torch.tensor([0] * (lengths[0] - 1) + [lengths[0]] * (lengths[1] - 1), device=device),
        example_T=torch.empty(0),
        weight_E=torch.empty(0),
        num_targets_E=torch.empty(0),
    )
    try:
        ours = policy(pack)
    except UnsupportedAttentionError:
        return False
    logits = [policy.model(sequence[None], use_cache=False).logits[0, :-1].float() for sequence in sequences]
    own = torch.nn.functional.cross_entropy(torch.cat(logits), pack.token_ids_L[pack.target_T], reduction="none")
    half = policy.model.dtype in (torch.bfloat16, torch.float16)
    error = (own.to(ours) - ours).abs().max() / own.abs().max()
    return bool(error <= (_HALF_TOLERANCE if half else _TOLERANCE))


def save_policy(model: PreTrainedModel, weights: Mapping[str, torch.Tensor], reference: Path, target: Path) -> None:
    """Saves the policy in the reference's layout: its own weights, the reference's tokenizer files unchanged.

    Args:
        model: whose configuration is saved.
        weights: the trained weights by their names in the model, in the number format they shall have on disk.
        reference: the directory it was loaded from.
        target: an empty directory.
    """
    model.save_pretrained(target, state_dict=dict(weights))
    model.config.dtype = next(iter(weights.values())).dtype  # transformers notes the format the model computes in
    model.config.save_pretrained(target)
    for file in model_files(reference):
        if file.parent == reference and "safetensors" not in file.name and not (target / file.name).exists():
            shutil.copy2(file, target / file.name)
