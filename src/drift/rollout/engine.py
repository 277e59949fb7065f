"""What an engine is: token ids in, token ids out.

A new engine is one class with `generate`; the scheduler knows nothing else of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one response is drawn.

    Attributes:
        temperature: 0 is greedy decoding.
        top_p: probability mass that is kept.
        max_new_tokens: most tokens of the response.
        stop_ids: ids that end the response; the one that ended it is its last token.
    """

    temperature: float
    top_p: float
    max_new_tokens: int
    stop_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class Completion:
    """One response.

    Attributes:
        token_ids: the sampled ids, with the end-of-turn token if the model stopped by itself.
        stopped: False when the response was cut at the token limit.
    """

    token_ids: list[int]
    stopped: bool


class Engine(Protocol):
    """Draws responses from one policy; many calls may be in progress at once."""

    async def generate(self, token_ids: Sequence[int], sampling: Sampling) -> Completion:
        """Continues `token_ids` by one response."""
        ...
