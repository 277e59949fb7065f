"""Whether every conversation fits into the model's context, checked before an engine is started."""

import json
from collections.abc import Sequence
from pathlib import Path

from drift.errors import UserError
from drift.problems.problem import Problem
from drift.protocol.chat import ChatFormat
from drift.protocol.episode import longest_episode_tokens

_LISTED = 5


def refuse_too_long(
    problems: Sequence[Problem], chat: ChatFormat, model_path: Path, max_turns: int, max_new_tokens: int
) -> int:
    """Refuses problems whose longest possible episode exceeds the model's context.

    Returns:
        Tokens of the longest possible episode.

    Raises:
        UserError: naming the problems and what to change.
    """
    needed = {
        problem.problem_id: longest_episode_tokens(len(chat.prompt_ids(problem)), chat, max_turns, max_new_tokens)
        for problem in problems
    }
    context = context_tokens(model_path) or max(needed.values())
    too_long = {problem_id: tokens for problem_id, tokens in needed.items() if tokens > context}
    if too_long:
        listed = ", ".join(f"{problem_id} ({tokens})" for problem_id, tokens in list(too_long.items())[:_LISTED])
        more = f" and {len(too_long) - _LISTED} more" if len(too_long) > _LISTED else ""
        raise UserError(
            f"{len(too_long)} of {len(problems)} problems may need more tokens than the model's context of {context}: "
            f"{listed}{more}: lower max_new_tokens or protocol.max_turns, or take these problems out."
        )
    return max(needed.values())


def context_tokens(model_path: Path) -> int | None:
    """The model's context length in tokens, None if its configuration does not say."""
    config = json.loads((model_path / "config.json").read_text())
    return config.get("max_position_embeddings") or config.get("text_config", {}).get("max_position_embeddings")
