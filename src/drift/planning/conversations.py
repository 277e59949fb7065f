"""How long conversations are: at most, by the protocol, and as expected, under stated assumptions.

Shapes: _K turns.
"""

from dataclasses import dataclass

from drift.plan_parameters import PlanParameters


@dataclass(frozen=True)
class Conversations:
    """A number of conversations under one protocol.

    Attributes:
        count: how many.
        prompt_tokens: mean length of a prompt.
        longest_prompt_tokens: of the longest.
        feedback_tokens: from the end of one response to the beginning of the next.
        max_turns: K.
        max_new_tokens: most tokens of a response.
        response_tokens: expected tokens of a response.
        ends_at_K: share that ends at turn 1 … K.
    """

    count: int
    prompt_tokens: float
    longest_prompt_tokens: float
    feedback_tokens: float
    max_turns: int
    max_new_tokens: int
    response_tokens: float
    ends_at_K: tuple[float, ...]

    @property
    def expected_turns(self) -> float:
        """Mean number of turns."""
        return sum(share * turn for turn, share in enumerate(self.ends_at_K, 1))

    @property
    def expected_responses(self) -> float:
        """Tokens sampled in all conversations."""
        return self.count * self.expected_turns * self.response_tokens

    @property
    def most_responses(self) -> int:
        """Tokens sampled when no turn is right and every response is cut."""
        return self.count * self.max_turns * self.max_new_tokens

    @property
    def expected_tokens(self) -> float:
        """Mean length of a whole conversation."""
        return self.tokens_at(self.expected_turns)

    @property
    def most_tokens(self) -> float:
        """Length of the longest possible conversation: every response is cut, every turn is used."""
        responses = self.max_turns * self.max_new_tokens
        return self.longest_prompt_tokens + responses + (self.max_turns - 1) * self.feedback_tokens

    @property
    def expected_context(self) -> float:
        """Mean length of what a sampled token looks at: a token of turn t stands on half of its own response."""
        before = [self.tokens_at(turn) - self.response_tokens / 2 for turn in range(1, self.max_turns + 1)]
        reaching_K = [sum(self.ends_at_K[turn:]) for turn in range(self.max_turns)]
        return sum(share * tokens for share, tokens in zip(reaching_K, before, strict=True)) / self.expected_turns

    @property
    def prefill_tokens(self) -> float:
        """Tokens of all conversations that are read and not sampled: prompts and the expected feedback."""
        return self.count * (self.prompt_tokens + (self.expected_turns - 1) * self.feedback_tokens)

    def tokens_at(self, turns: float) -> float:
        """Expected length of a conversation that ends after so many turns."""
        return self.prompt_tokens + turns * self.response_tokens + (turns - 1) * self.feedback_tokens


def ends_at(plan: PlanParameters, max_turns: int) -> tuple[float, ...]:
    """Share of conversations that end at turn 1 … K: solved there, or, at the last one, given up."""
    going_on, shares = 1.0, []
    for turn in range(1, max_turns):
        solved = going_on * (plan.solved_at_first if turn == 1 else plan.solved_later)
        shares.append(solved)
        going_on -= solved
    return (*shares, going_on)
