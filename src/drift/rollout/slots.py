"""A model that decodes many conversations at once, each in a slot of one key-value cache.

A slot keeps what it has computed until another conversation needs the room. A next turn therefore finds its own earlier
turns there and computes only the feedback, and a context that begins like another one copies that beginning.

Shapes: R rows of a forward pass, T new tokens of all rows, S slots, L positions, V vocabulary.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from drift.errors import UserError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# A context waits one forward pass for another's beginning if that saves it more tokens than this.
_WORTH_WAITING_TOKENS = 16
_PROBE_IDS = tuple(range(5, 21))
_PROBE_TOLERANCE = 0.1
_ATTENTION = "drift_grouped"


class _Placement:
    """Where the tokens of the current forward pass lie: shared by the layers, renewed before each pass."""

    row_T: "torch.Tensor"
    column_T: "torch.Tensor"
    slot_T: "torch.Tensor"
    position_T: "torch.Tensor"
    slots_R: "torch.Tensor | None"  # None: all slots, in order
    length: int


class _SlotLayer:
    """Keys and values of one layer, each of shape (S, heads, L, D): a layer for `transformers.Cache`."""

    is_sliding = False
    is_compileable = False
    is_initialized = True

    def __init__(self, num_slots: int, num_positions: int, placement: _Placement) -> None:
        self._size = num_slots, num_positions
        self._placement = placement
        self.states: list[torch.Tensor] = []

    def update(
        self, keys: "torch.Tensor", values: "torch.Tensor", *_: object, **__: object
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """Writes the new tokens where they belong and returns all that the rows may look at."""
        if not self.states:
            num_slots, num_positions = self._size
            # Zeros, not empty memory: masked positions are multiplied by a probability of 0, and 0 * NaN is NaN.
            self.states = [
                new.new_zeros(num_slots, new.shape[1], num_positions, new.shape[3]) for new in (keys, values)
            ]
        at = self._placement
        for state, new in zip(self.states, (keys, values), strict=True):
            state[at.slot_T, :, at.position_T] = new[at.row_T, :, at.column_T]
        keys, values = (state[:, :, : at.length] for state in self.states)
        if at.slots_R is None:
            return keys, values
        return keys.index_select(0, at.slots_R), values.index_select(0, at.slots_R)

    def get_seq_length(self) -> int:
        """Longest row of the current pass, before it."""
        return self._placement.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Positions that are looked at, and where they begin."""
        return self._placement.length, 0


class Slots:
    """The cache, and which token ids each slot holds."""

    def __init__(self, model: "PreTrainedModel", num_slots: int, max_context_tokens: int) -> None:
        import torch
        from transformers import AttentionInterface, Cache

        self._model = model
        self._placement = _Placement()
        num_layers = model.config.get_text_config().num_hidden_layers
        self._layers = [_SlotLayer(num_slots, max_context_tokens, self._placement) for _ in range(num_layers)]
        self._cache = Cache(layers=cast("list[Any]", self._layers))
        self._held_SL = np.zeros((num_slots, max_context_tokens), np.int64)
        self._computed_S = np.zeros(num_slots, np.int64)
        self._claimed_S = np.zeros(num_slots, np.int64)
        self._free = dict.fromkeys(range(num_slots))  # in the order in which they were released
        self._keeps_last_logits = cast("Callable[[], bool]", model._supports_logits_to_keep)()
        plain = model(input_ids=torch.tensor([_PROBE_IDS], device=model.device)).logits[0, -1]
        AttentionInterface.register(_ATTENTION, _grouped_attention)
        model.set_attn_implementation(_ATTENTION)
        self._refuse_other_logits(plain)

    @property
    def num_free(self) -> int:
        """Slots that nothing is being decoded in."""
        return len(self._free)

    def place(self, token_ids: Sequence[int]) -> tuple[int, int] | None:
        """Takes a slot for a context, with as much of its beginning as any slot has computed.

        Returns:
            The slot and how many tokens of the context it holds (never all: the last one gives the logits); None if
            more of the context is about to be computed for another one, which is worth waiting for.
        """
        num_tokens = len(token_ids)
        same_SL = self._held_SL[:, :num_tokens] == np.asarray(token_ids)
        agree_S = np.where(same_SL.all(axis=1), num_tokens, same_SL.argmin(axis=1)).clip(max=num_tokens - 1)
        computed_S = np.minimum(agree_S, self._computed_S)
        source = int(computed_S.argmax())
        num_cached = int(computed_S[source])
        if np.minimum(agree_S, self._claimed_S).max() > num_cached + _WORTH_WAITING_TOKENS:
            return None
        own = [slot for slot in self._free if computed_S[slot] == num_cached == self._computed_S[slot]]
        slot = own[0] if own else next(iter(self._free))
        del self._free[slot]
        if slot != source and num_cached and not own:
            for layer in self._layers:
                for state in layer.states:
                    state[slot, :, :num_cached] = state[source, :, :num_cached]
        self._held_SL[slot, :num_tokens] = token_ids
        self._computed_S[slot] = num_cached
        self._claimed_S[slot] = num_tokens
        return slot, num_cached

    def release(self, slot: int) -> None:
        """Gives a slot back; what it holds stays useful until the slot is taken again."""
        self._claimed_S[slot] = self._computed_S[slot]
        self._free[slot] = None

    def feed(self, slots: Sequence[int], new_ids: Sequence[Sequence[int]]) -> "torch.Tensor":
        """Computes the next tokens of some slots.

        Args:
            slots: R different ones.
            new_ids: at least one token for each.

        Returns:
            Logits after the last token of each, shape (R, V).
        """
        import torch

        num_rows, num_columns = len(slots), max(map(len, new_ids))
        # Rows are padded on the left, so that the last column is the last token of each. The padding looks at the
        # first position, which is always there, and is not written to the cache.
        ids_RC = np.zeros((num_rows, num_columns), np.int64)
        positions_RC = np.zeros((num_rows, num_columns), np.int64)
        valid_RC = np.zeros((num_rows, num_columns), bool)
        for row, (slot, ids) in enumerate(zip(slots, new_ids, strict=True)):
            start, first = self._computed_S[slot], num_columns - len(ids)
            ids_RC[row, first:] = ids
            positions_RC[row, first:] = np.arange(start, start + len(ids))
            valid_RC[row, first:] = True
        rows_T, columns_T = valid_RC.nonzero()
        slots_T, positions_T = np.asarray(slots)[rows_T], positions_RC[rows_T, columns_T]
        device = self._model.device
        at = self._placement
        at.row_T, at.column_T, at.slot_T, at.position_T = (
            torch.from_numpy(index).to(device) for index in (rows_T, columns_T, slots_T, positions_T)
        )
        at.length = int(positions_RC.max()) + 1
        at.slots_R = None if list(slots) == list(range(len(self._held_SL))) else torch.tensor(slots, device=device)

        positions = torch.from_numpy(positions_RC).to(device)
        hidden_RCL = torch.arange(at.length, device=device) > positions[:, :, None]
        mask = torch.zeros(hidden_RCL.shape, dtype=self._model.dtype, device=device)
        mask.masked_fill_(hidden_RCL, torch.finfo(mask.dtype).min)
        output = self._model(
            input_ids=torch.from_numpy(ids_RC).to(device),
            attention_mask=mask[:, None],
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            **({"logits_to_keep": 1} if self._keeps_last_logits else {}),
        )
        self._held_SL[slots_T, positions_T] = ids_RC[rows_T, columns_T]
        ends_R = positions_RC[:, -1] + 1
        self._computed_S[list(slots)] = ends_R
        self._claimed_S[list(slots)] = ends_R
        return output.logits[:, -1]

    def _refuse_other_logits(self, plain: "torch.Tensor") -> None:
        """Asks in two pieces for the logits that the plain model gave, then forgets."""
        half = len(_PROBE_IDS) // 2
        self.feed([0], [_PROBE_IDS[:half]])
        ours = self.feed([0], [_PROBE_IDS[half:]])[0]
        self._computed_S[:] = self._claimed_S[:] = 0
        if not (ours - plain).float().norm() <= _PROBE_TOLERANCE * plain.float().norm():
            raise UserError(
                f"{type(self._model).__name__} does not compute in the transformers engine what it computes by itself: "
                "use vLLM (rollout.engine.kind) or a model with plain attention."
            )


def _grouped_attention(
    module: "torch.nn.Module",
    queries: "torch.Tensor",
    keys: "torch.Tensor",
    values: "torch.Tensor",
    attention_mask: "torch.Tensor",
    scaling: float | None = None,
    **_: object,
) -> "tuple[torch.Tensor, None]":
    """Attention that does not copy the keys for each query head that shares them: the heads become queries.

    benchmarks/transformers_engine.py: with a CPU's single queries that copy costs more than the attention.
    """
    from torch.nn.functional import scaled_dot_product_attention

    num_rows, num_heads, num_queries, width = queries.shape
    sharing = num_heads // keys.shape[1]
    grouped = queries.reshape(num_rows, keys.shape[1], sharing * num_queries, width)
    mask = attention_mask.repeat(1, 1, sharing, 1)
    seen = scaled_dot_product_attention(grouped, keys, values, mask, scale=scaling)
    return seen.reshape(num_rows, num_heads, num_queries, -1).transpose(1, 2).contiguous(), None


def cache_bytes_per_token(model: "PreTrainedModel", max_context_tokens: int) -> int:
    """Size of one position of a slot.

    Raises:
        UserError: when the model keeps something else of a token than full attention's keys and values.
    """
    import torch
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    probe = torch.tensor([_PROBE_IDS], device=model.device)
    layers = model(input_ids=probe, use_cache=True).past_key_values.layers
    for layer in layers:
        window = getattr(layer, "sliding_window", None) or max_context_tokens
        if type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer) or window < max_context_tokens:
            raise UserError(
                f"{type(model).__name__} has layers that do not look at the whole conversation "
                f"({type(layer).__name__}), which the transformers engine does not support: use vLLM "
                "(rollout.engine.kind) or a model with full attention."
            )
    return sum(layer.keys.nbytes + layer.values.nbytes for layer in layers) // len(_PROBE_IDS)
