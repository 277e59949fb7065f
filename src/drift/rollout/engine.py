"""What an engine is: token ids in, token ids out.

A new engine is one class with `generate`; the scheduler knows nothing else of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
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
        num_cached_tokens: tokens of the context that were not computed again.
    """

    token_ids: list[int]
    stopped: bool
    num_cached_tokens: int = 0


class Engine(Protocol):
    """Draws responses from one policy; many calls may be in progress at once.

    Attributes:
        max_in_flight: how many conversations keep the engine full without pushing each other out of its cache.
    """

    max_in_flight: int

    async def generate(self, token_ids: Sequence[int], sampling: Sampling, seed: int | None = None) -> Completion:
        """Continues `token_ids` by one response.

        Args:
            token_ids: the whole chat so far.
            sampling: how the response is drawn.
            seed: of this response's own noise; None draws from the engine's stream, in which no two responses share
                noise but each depends on what else runs.
        """
        ...

    async def take_weights(self, model_path: Path, version: str) -> bool:
        """Goes on with another policy of the same architecture; nothing may be in progress.

        Args:
            model_path: its Hugging Face directory.
            version: its fingerprint.

        Returns:
            False where a new engine is started as quickly.
        """
        ...
