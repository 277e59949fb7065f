"""What a page holds: an index that its list is made of, and the conversations in chunks.

The page reads the index when it opens and a chunk when something in it is looked at, so it opens as fast with long
conversations as with short ones.

A text is a string, or a list of parts: strings, indices of formulas, and special tokens (lists of one string).
"""

from dataclasses import dataclass
from typing import Any

from drift.evaluation.viewer.conversations import Conversation, Shown
from drift.evaluation.viewer.mathematics import Formulas
from drift.evaluation.viewer.raw_chat import RawChat, RawChatReader
from drift.problems.problem import Problem

CONVERSATIONS_PER_CHUNK = 100


@dataclass(frozen=True)
class Heading:
    """The words at the top of a page.

    Attributes:
        title: what the conversations are.
        explanation: in one sentence, where they are from.
        feedback: what the user says after a wrong response.
        max_turns: budget K.
    """

    title: str
    explanation: str
    feedback: str
    max_turns: int


@dataclass(frozen=True)
class Content:
    """What is embedded in a page, as values of JSON."""

    index: dict[str, Any]
    chunks: list[dict[str, Any]]


def content_of(shown: Shown, heading: Heading, reader: RawChatReader) -> Content:
    """Everything one page says.

    Args:
        shown: the conversations.
        heading: the words at the top.
        reader: decodes the chats as the model saw them; what it cannot read is left out, and the page says so.
    """
    raw_chats = [reader.read(said.token_ids, said.turns) for said in shown.conversations]
    chunks = []
    for start in range(0, len(shown.conversations), CONVERSATIONS_PER_CHUNK):
        formulas = Formulas()
        chunk = slice(start, start + CONVERSATIONS_PER_CHUNK)
        conversations = [
            [_turn(said, index, raw, formulas) for index in range(len(said.turns))]
            for said, raw in zip(shown.conversations[chunk], raw_chats[chunk], strict=True)
        ]
        chunks.append({"formulas": formulas.table, "conversations": conversations})
    formulas = Formulas()
    prompts = {
        said.problem_id: raw.prompt for said, raw in zip(shown.conversations, raw_chats, strict=True) if raw is not None
    }
    problems = [_problem(problem, prompts.get(problem.problem_id), formulas) for problem in shown.problems]
    index = {
        "title": heading.title,
        "explanation": heading.explanation,
        "feedback": heading.feedback,
        "maxTurns": heading.max_turns,
        "total": shown.total,
        "totalProblems": shown.total_problems,
        "perChunk": CONVERSATIONS_PER_CHUNK,
        "problems": problems,
        "formulas": formulas.table,
        "rows": [_row(said, raw) for said, raw in zip(shown.conversations, raw_chats, strict=True)],
    }
    return Content(index, chunks)


def _problem(problem: Problem, prompt: list[Any] | None, formulas: Formulas) -> dict[str, Any]:
    return {
        "id": problem.problem_id,
        "benchmark": problem.source,
        "text": formulas.parts(problem.problem),
        "gold": formulas.bare(problem.answer),
        "prompt": prompt,
    }


def _row(said: Conversation, raw: RawChat | None) -> dict[str, Any]:
    """What the list and the filters know of a conversation; `verdicts` has the first letter of each turn's."""
    return {
        "problem": said.problem_id,
        "policy": said.policy,
        "trajectory": said.trajectory_id,
        "verdicts": "".join(turn["verdict"][0] for turn in said.turns),
        "return": round(said.shaped_return, 6),
        "weight": None if said.weight is None else float(f"{said.weight:.6g}"),
        "example": said.example,
        "raw": raw is not None,
    }


def _turn(said: Conversation, index: int, raw: RawChat | None, formulas: Formulas) -> dict[str, Any]:
    turn = said.turns[index]
    last = index == len(said.turns) - 1
    return {
        "text": formulas.parts(turn["response"]),
        "answer": turn["answer"],
        "tokens": turn["end"] - turn["start"],
        "cut": not turn["stopped"],
        "trained": turn["start"] in said.targets,
        "raw": None if raw is None else [raw.responses[index], [] if last else raw.between[index]],
    }
