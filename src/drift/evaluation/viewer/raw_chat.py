"""The chat as the model saw it, special tokens included, taken from a trajectory's token ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

RawPart = str | list[str] | None
"""A stretch of text, a special token (a list of one), or None for the turn's response."""


@dataclass(frozen=True)
class RawChat:
    """One trajectory in parts.

    Attributes:
        prompt: what comes before the first response.
        responses: each turn's span; `None` in it stands for the response's own text.
        between: what comes after each turn but the last.
    """

    prompt: list[RawPart]
    responses: list[list[RawPart]]
    between: list[list[RawPart]]


class RawChatReader:
    """Decodes trajectories of one tokenizer."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self._tokenizer = tokenizer
        marked = {token_id for token_id, token in tokenizer.added_tokens_decoder.items() if token.special}
        self._special_ids = marked | set(tokenizer.all_special_ids)

    @classmethod
    def of_model(cls, model_path: Path, trust_remote_code: bool) -> "RawChatReader":
        """The reader for the tokenizer in a model directory."""
        from transformers import AutoTokenizer

        loaded = AutoTokenizer.from_pretrained(model_path, trust_remote_code=trust_remote_code)
        return cls(cast("PreTrainedTokenizerBase", loaded))

    def read(self, token_ids: list[int], turns: Sequence[Mapping[str, Any]]) -> RawChat | None:
        """The chat in parts; None when the ids do not decode to the responses, as those of another tokenizer would."""
        responses = []
        for turn in turns:
            span = token_ids[turn["start"] : turn["end"]]
            if self._tokenizer.decode(span, skip_special_tokens=True) != turn["response"]:
                return None
            parts = self._parts(span)
            responses.append([None if part == turn["response"] else part for part in parts])
        gaps = [self._parts(token_ids[before["end"] : after["start"]]) for before, after in pairwise(turns)]
        return RawChat(self._parts(token_ids[: turns[0]["start"]]), responses, gaps)

    def _parts(self, token_ids: list[int]) -> list[RawPart]:
        parts: list[RawPart] = []
        for special, run in groupby(token_ids, self._special_ids.__contains__):
            if special:
                parts.extend([str(self._tokenizer.decode([token_id]))] for token_id in run)
            else:
                parts.append(str(self._tokenizer.decode(list(run))))
        return parts
