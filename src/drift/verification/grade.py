"""The grade: what a verifier says of one response."""

from dataclasses import dataclass

from drift.protocol.trajectory import Verdict


@dataclass(frozen=True, slots=True)
class Grade:
    """What a verifier says of one response.

    Attributes:
        verdict: `correct`, `wrong`, `unparsable` (no answer could be read) or `timeout` (the verifier was killed).
        answer: the normalised answer, None exactly when the verdict is `unparsable` or `timeout`.
    """

    verdict: Verdict
    answer: str | None


UNPARSABLE = Grade("unparsable", None)
TIMEOUT = Grade("timeout", None)


def judge(correct: bool, answer: str) -> Grade:
    """The grade of an answer that could be read."""
    return Grade("correct" if correct else "wrong", answer)
