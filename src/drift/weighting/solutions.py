r"""Written solutions as training examples: plain supervised fine-tuning, the study's `sft_solutions`.

The prompt is the one that is sampled from, and the solution is the response, in the answer format that the prompt asks
for. It is tokenised by itself and appended, as a response that was sampled is.
"""

import logging
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from drift.errors import UserError
from drift.problems.problem import Problem
from drift.protocol.chat import ChatFormat, tokenize
from drift.verification.answers import extract_answer
from drift.weighting.composition import effective_sample_size_of_sums
from drift.weighting.retention import WEIGHTED_TURN_SCHEMA

SOLUTIONS = "solutions"
"""What the provenance of such examples says they are."""

logger = logging.getLogger(__name__)


def solution_examples(problems: Sequence[Problem], chat: ChatFormat, prompt: str, context: int | None) -> pa.Table:
    """One example of weight 1 for each problem with a solution.

    Args:
        problems: the training problems.
        chat: the policy's chat format.
        prompt: name of the prompt style, whose answer format the response has.
        context: tokens that fit into the policy's context; None where its configuration does not say.

    Returns:
        Rows of `WEIGHTED_TURN_SCHEMA`; what does not fit is left out and counted.

    Raises:
        UserError: when no problem has a solution that fits.
    """
    solved = [problem for problem in problems if problem.solution is not None]
    rows = [_row(problem, chat, prompt) for problem in solved]
    fitting = [row for row in rows if context is None or len(row["token_ids"]) <= context]
    if not fitting:
        raise UserError(
            f"None of the {len(problems)} training problems has a written solution that fits the model's context: "
            "train on a source that has some (math, metamathqa, gsm8k, or a file with `solution_column`), or leave the "
            "variants with `data: solutions` out."
        )
    if len(fitting) < len(problems):
        logger.info(
            "%d of %d problems have no written solution, those of %d more are too long: they are left out",
            len(problems) - len(solved),
            len(problems),
            len(rows) - len(fitting),
        )
    return pa.Table.from_pylist(fitting, schema=WEIGHTED_TURN_SCHEMA)


def _row(problem: Problem, chat: ChatFormat, prompt: str) -> dict[str, Any]:
    asked = chat.prompt_ids(problem)
    # Not tokenised with the prompt: a policy also continues the prompt's tokens as they are.
    said = tokenize(chat.tokenizer, written_response(problem, prompt))
    end_of_turn = chat.feedback_ids_cut[0]
    token_ids = [*asked, *said, end_of_turn]
    return {
        "problem_id": problem.problem_id,
        "trajectory_id": 0,
        "token_ids": token_ids,
        "targets": [{"start": len(asked), "end": len(token_ids)}],
        "weight": 1.0,
        "shaped_return": 1.0,
        "num_turns": 1,
        "success": True,
    }


def written_response(problem: Problem, prompt: str) -> str:
    r"""The solution as a response in the answer format of a prompt style.

    Raises:
        ValueError: when the problem has no solution.
    """
    if problem.solution is None:
        raise ValueError(f"{problem.problem_id} has no written solution.")
    solution = problem.solution.strip()
    if prompt == "think_answer":
        return f"<think> {solution} </think> <answer> {problem.answer} </answer>"
    is_boxed = "\\boxed" in solution and extract_answer(solution) is not None
    return solution if is_boxed else f"{solution}\nThe answer is \\boxed{{{problem.answer}}}."


def longest_response(examples: pa.Table) -> int:
    """Tokens of the longest solution among examples."""
    return max(spans[0]["end"] - spans[0]["start"] for spans in examples["targets"].to_pylist())


def composition_of_solutions(weighted_turns: pa.Table) -> dict[str, float]:
    """The counts of `Composition` for solutions, which are right and weigh the same."""
    number = weighted_turns.num_rows
    return {
        "num_problems": number,
        "all_right": number,
        "mixed": 0,
        "all_wrong": 0,
        "num_examples": number,
        "num_pruned": 0,
        "pruned_mass": 0.0,
        "effective_sample_size": effective_sample_size_of_sums(float(number), float(number)),
    }
