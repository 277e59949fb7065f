"""The plan of a rollout: everything that decides what is sampled."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from drift.fingerprint import table_fingerprint
from drift.model_directory import ModelDirectory
from drift.parameters import ModelParameters, ProtocolParameters
from drift.problems.problem import BESIDE_THE_QUESTION, Problem, to_table
from drift.protocol.chat import ChatFormat
from drift.protocol.prompts import PROMPT_STYLES
from drift.rollout.engine import Sampling


@dataclass(frozen=True)
class Rollout:
    """What is sampled; how the machine is used is not part of it.

    Attributes:
        policy: the model directory of the policy.
        model: its number format and loading options.
        problems: what is asked.
        protocol: how it is asked.
        num_trajectories: N, per problem.
        temperature: 0 is greedy.
        top_p: probability mass that is kept.
        max_new_tokens: most tokens of one response.
        seed: of the sampling.
        seed_per_request: whether every response has a seed of its own.
    """

    policy: ModelDirectory
    model: ModelParameters
    problems: Sequence[Problem]
    protocol: ProtocolParameters
    num_trajectories: int
    temperature: float
    top_p: float
    max_new_tokens: int
    seed: int
    seed_per_request: bool = False

    def facts(self) -> dict[str, Any]:
        """What the fingerprint is taken of, and what goes into the data's provenance."""
        return {
            "model": self.policy.fingerprint,
            "dtype": self.model.dtype,
            "problems": problems_fingerprint(self.problems),
            "protocol": self.protocol.model_dump(mode="json"),
            "prompt_style": asdict(PROMPT_STYLES[self.protocol.prompt]),
            "n": self.num_trajectories,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_new_tokens": self.max_new_tokens,
            "seed": self.seed,
            "seed_per_request": self.seed_per_request,
        }

    def sampling(self, chat: ChatFormat) -> Sampling:
        """How one response is drawn from a policy of this chat format."""
        return Sampling(self.temperature, self.top_p, self.max_new_tokens, chat.stop_ids)


def problems_fingerprint(problems: Sequence[Problem]) -> str:
    """A short name for what is asked; what a problem rephrases and how it is solved is not, so neither counts."""
    return table_fingerprint(to_table(problems).drop_columns(list(BESIDE_THE_QUESTION)))
