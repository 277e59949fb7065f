"""Sampling on a GPU: what fits into its memory at once, and how long the tokens take.

Decoding reads all weights and every conversation's keys and values once for each token, so memory's bandwidth decides;
reading prompts is computation. No step is faster than what the engine does around it.
"""

from dataclasses import dataclass

from drift.planning.conversations import Conversations
from drift.planning.gpus import Gpu
from drift.planning.model_shape import ModelShape

BANDWIDTH_SHARE = 0.6
"""What decoding reaches of the maker's number."""
STEP_SECONDS = 0.01
"""What the engine does around a step."""
ENGINE_START_SECONDS = 120
"""Of vLLM on a GPU: weights, compilation, graphs."""
OVERHEAD_BYTES = 2 * 2**30
"""Of a GPU's memory for passes, graphs and the driver."""


@dataclass(frozen=True)
class SamplingSetup:
    """One policy on some GPUs.

    Attributes:
        shape: of the policy.
        number_bytes: of a weight, and of a cached number.
        gpu: kind of GPU.
        copies: of the model, each with conversations of its own.
        spread: GPUs one copy is spread over.
        memory_share: of each GPU that the engine may take.
        max_sequences: most conversations a copy decodes at once.
        mfu: share of the peak that reading prompts reaches.
        tokens_per_second: of one GPU, as told; None estimates it.
    """

    shape: ModelShape
    number_bytes: int
    gpu: Gpu
    copies: int
    spread: int
    memory_share: float
    max_sequences: int
    mfu: float
    tokens_per_second: float | None

    @property
    def weights_bytes(self) -> int:
        """Of one copy, all its GPUs together."""
        return self.shape.num_weights * self.number_bytes

    @property
    def cache_bytes_per_token(self) -> float:
        """Of one copy; where it is spread over more GPUs than it has heads to share out, heads are held twice."""
        heads_twice = max(1.0, self.spread / self.shape.key_value_heads)
        return self.shape.cached_numbers_per_token * self.number_bytes * heads_twice

    @property
    def cache_bytes(self) -> float:
        """Room for keys and values in one copy; 0 or less where the weights do not fit."""
        return self.spread * (self.memory_share * self.gpu.memory_bytes - OVERHEAD_BYTES) - self.weights_bytes

    def at_once(self, tokens: float) -> int:
        """Conversations of a length that one copy holds at once; none where not even one fits."""
        return max(0, min(self.max_sequences, int(self.cache_bytes / (tokens * self.cache_bytes_per_token))))

    def decoding_rate(self, at_once: float, context: float) -> float:
        """Tokens a second of one copy that decodes so many conversations with so long contexts."""
        if self.tokens_per_second is not None:
            return self.tokens_per_second * self.spread
        read = self.weights_bytes + at_once * context * self.cache_bytes_per_token
        reading = read / (self.spread * self.gpu.bytes_per_second * BANDWIDTH_SHARE)
        computing = 2 * self.shape.num_weights * at_once / (self.spread * self.gpu.flops_per_second)
        return at_once / (max(reading, computing) + STEP_SECONDS)

    def expected_seconds(self, conversations: Conversations) -> float | None:
        """To hold the conversations; None where they do not fit."""
        return self._seconds(
            conversations,
            conversations.expected_responses,
            conversations.expected_tokens,
            conversations.expected_context,
        )

    def most_seconds(self, conversations: Conversations) -> float | None:
        """To hold them when no turn is right and every response is cut; None where they do not fit."""
        length = conversations.most_tokens
        return self._seconds(conversations, conversations.most_responses, length, length / 2)

    def _seconds(self, conversations: Conversations, responses: float, length: float, context: float) -> float | None:
        """Prompts are read, all tokens are sampled at the full rate, and the last conversation goes on alone."""
        of_copy = conversations.count / self.copies
        at_once = min(self.at_once(length), of_copy)
        if at_once <= 0:
            return None if of_copy else 0.0
        prefill = 2 * self.shape.num_weights * conversations.prefill_tokens / self.copies
        reading = prefill / (self.spread * self.gpu.flops_per_second * self.mfu)
        decoding = responses / self.copies / self.decoding_rate(at_once, context)
        alone = conversations.max_turns * conversations.max_new_tokens / self.decoding_rate(1, context)
        return reading + decoding + (alone if self.tokens_per_second is None else 0.0)
