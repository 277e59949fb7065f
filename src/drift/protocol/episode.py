"""The episode: one conversation as it grows, in tokens, until it is solved or its turns are used up."""

from collections.abc import Sequence

from drift.problems.problem import Problem
from drift.protocol.chat import ChatFormat
from drift.protocol.trajectory import Trajectory, Turn, Verdict


class Episode:
    """One conversation in progress: a state of the finite-horizon MDP of the paper.

    The state is `token_ids`, which only ever grows at its end, so the context of every turn starts with the exact
    tokens of the turn before.
    """

    def __init__(self, problem: Problem, trajectory_id: int, prompt_ids: Sequence[int], max_turns: int) -> None:
        self.problem = problem
        self.trajectory_id = trajectory_id
        self.token_ids: list[int] = list(prompt_ids)
        self.turns: list[Turn] = []
        self._max_turns = max_turns

    @property
    def finished(self) -> bool:
        """Whether the last response was correct or the budget of turns is spent."""
        return bool(self.turns) and (self.turns[-1].verdict == "correct" or len(self.turns) == self._max_turns)

    def add_turn(
        self, response_ids: Sequence[int], stopped: bool, response: str, verdict: Verdict, answer: str | None
    ) -> None:
        """Appends one response; its span ends with the end-of-turn token exactly when `stopped`."""
        start = len(self.token_ids)
        self.token_ids.extend(response_ids)
        self.turns.append(Turn(response, start, len(self.token_ids), answer, verdict, stopped))

    def add_feedback(self, chat: ChatFormat) -> None:
        """Appends the fixed feedback and the header of the next response."""
        last = self.turns[-1]
        self.token_ids.extend(chat.feedback_ids_stopped if last.stopped else chat.feedback_ids_cut)

    def trajectory(self) -> Trajectory:
        """The finished conversation."""
        return Trajectory(self.problem.problem_id, self.trajectory_id, self.token_ids, self.turns)


def longest_episode_tokens(prompt_tokens: int, chat: ChatFormat, max_turns: int, max_new_tokens: int) -> int:
    """The most tokens an episode can come to: every response is cut, every turn is used."""
    return prompt_tokens + max_turns * max_new_tokens + (max_turns - 1) * len(chat.feedback_ids_cut)
