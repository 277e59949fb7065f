"""Training on GPUs: memory of each process, and time.

Float32 master weights, gradients and two moments; with several processes each holds its shards of them and gathers one
layer after the other (`drift.training.sharded_weights`).
"""

from dataclasses import dataclass, replace

import numpy as np

from drift.parameters import TrainingParameters
from drift.planning.conversations import Conversations
from drift.planning.gpus import Gpu
from drift.planning.model_shape import ModelShape

TOKENS_OF_A_PACK = 16_384
"""Where `training.micro_batch_tokens` says nothing, on a GPU."""
OVERHEAD_BYTES = 2 * 2**30
"""Of a GPU's memory for logits, temporary results and the driver."""
RECOMPUTATION = 4 / 3
"""Time with layers computed again to time without."""
_SHARE_FOR_ACTIVATIONS = 0.8  # as in drift.training.memory
_FLOAT32 = 4


@dataclass(frozen=True)
class TrainingSetup:
    """One training on some GPUs.

    Attributes:
        shape: of the policy.
        training: its settings.
        gpu: kind of GPU.
        processes: of all hosts, one a GPU.
        mfu: share of the peak.
        all_turns: whether all turns are targets, or the terminal one.
    """

    shape: ModelShape
    training: TrainingParameters
    gpu: Gpu
    processes: int
    mfu: float
    all_turns: bool

    @property
    def _computing_bytes(self) -> int:
        return 4 if self.training.precision == "float32" else 2

    @property
    def state_bytes(self) -> int:
        """Of weights, gradients and moments in one process, with the copies it computes with."""
        shape, computing = self.shape, self._computing_bytes
        frozen = shape.num_weights - shape.num_trained if self.training.lora else 0
        if self.processes == 1:
            copies = 2 * computing if computing < _FLOAT32 else 0  # weights and the gradients of one pack
            return shape.num_trained * (4 * _FLOAT32 + copies) + frozen * computing
        shards = (4 * shape.num_trained + frozen) * _FLOAT32 // self.processes
        gathered = (shape.outside_layers + 2 * shape.largest_layer) * computing  # the next layer is on its way
        gradients = (shape.outside_layers + shape.largest_layer) * (computing + _FLOAT32) if not frozen else 0
        return shards + gathered + gradients

    def activation_bytes_per_token(self, recomputed: bool) -> int:
        """What is kept of a token for the way back."""
        of_layer, shape = layer_activation_bytes(self.shape, self._computing_bytes), self.shape
        if recomputed:  # the inputs of all layers, and what is inside one
            return shape.num_layers * shape.hidden_size * self._computing_bytes + of_layer
        return shape.num_layers * of_layer

    def pack_tokens(self, conversations: Conversations) -> float:
        """Tokens of the largest pack of a process, when conversations are as long as they can be."""
        asked = self.training.micro_batch_tokens or TOKENS_OF_A_PACK
        of_process = self.training.batch_size / self.processes * conversations.most_tokens
        return max(conversations.most_tokens, min(asked, of_process))

    def recomputes(self, conversations: Conversations) -> bool:
        """Whether layers are computed again: as asked for, or where their activations would not fit."""
        asked = self.training.activation_checkpointing
        if asked is not None:
            return asked
        kept = self.activation_bytes_per_token(False) * self.pack_tokens(conversations)
        return kept > _SHARE_FOR_ACTIVATIONS * (self.gpu.memory_bytes - self.state_bytes - OVERHEAD_BYTES)

    def memory_bytes(self, conversations: Conversations, recomputed: bool) -> float:
        """Of one GPU at its fullest."""
        activations = self.activation_bytes_per_token(recomputed) * self.pack_tokens(conversations)
        return self.state_bytes + activations + OVERHEAD_BYTES

    def expected_seconds(self, conversations: Conversations) -> float:
        """Of all steps."""
        turns = range(1, conversations.max_turns + 1)
        lengths = [conversations.tokens_at(turn) for turn in turns]
        targets = [conversations.response_tokens * (turn if self.all_turns else 1) for turn in turns]
        flops = [self._flops(*example) for example in zip(lengths, targets, strict=True)]
        mean = sum(share * count for share, count in zip(conversations.ends_at_K, flops, strict=True))
        return self._seconds(mean, conversations)

    def most_seconds(self, conversations: Conversations) -> float:
        """Of all steps, when every conversation is as long as it can be."""
        targets = conversations.max_new_tokens * (conversations.max_turns if self.all_turns else 1)
        return self._seconds(self._flops(conversations.most_tokens, targets), conversations)

    def _flops(self, length: float, targets: float) -> float:
        """Of one example, forward and backward."""
        from drift.training.examples import Example
        from drift.training.flops import training_flops

        example = Example("", 0, np.zeros(round(length), np.int64), np.zeros(round(targets), np.int64), 1.0)
        return training_flops(self.shape.flops, [example])

    def _seconds(self, flops_of_example: float, conversations: Conversations) -> float:
        work = self.training.steps * self.training.batch_size * flops_of_example
        again = RECOMPUTATION if self.recomputes(conversations) else 1.0
        return again * work / (self.processes * self.gpu.flops_per_second * self.mfu)


def fewest_processes(trainer: TrainingSetup, conversations: Conversations) -> int | None:
    """The smallest power of two of processes whose GPUs suffice; None where not even 64 do."""
    for processes in (2**exponent for exponent in range(7)):
        setup = replace(trainer, processes=processes)
        if setup.memory_bytes(conversations, setup.recomputes(conversations)) <= setup.gpu.memory_bytes:
            return processes
    return None


def layer_activation_bytes(shape: ModelShape, computing_bytes: int) -> int:
    """What autograd keeps of a token in one decoder layer with two RMS norms and a gated feed-forward part.

    A norm keeps its input in float32 and twice in the computing format; attention keeps queries, keys, values, its
    output, and a float32 number a head; the feed-forward part keeps both its branches, the activated one and their
    product.
    """
    norms = 2 * (_FLOAT32 + 2 * computing_bytes) * shape.hidden_size
    attention = 2 * (shape.query_width + shape.key_value_width) * computing_bytes + _FLOAT32 * shape.attention_heads
    return norms + attention + 4 * shape.intermediate_size * computing_bytes
