r"""Supervised fine-tuning on written solutions: one training example a problem, and nothing is sampled.

A problem's solution, said in the answer format of the prompt style, becomes the only response to the prompt that
sampling would have used. The rows are `weighted_turns` of weight 1, so training takes them as it takes any others.

No verifier need judge the responses: one that does not state the gold answer explicitly is left out, and gold answers
were judged against themselves when the problems were loaded.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from drift.errors import UserError
from drift.problems.problem import Problem
from drift.protocol.chat import ChatFormat, tokenize
from drift.shards import Shards
from drift.verification.answers import extract_answer
from drift.weighting.retention import WEIGHTED_TURN_SCHEMA

NO_SOLUTION = "without a written solution"


def boxed_response(solution: str, answer: str) -> str:
    r"""The solution as it is where it boxes the answer, else followed by a sentence that does."""
    return solution if extract_answer(solution) == answer else f"{solution}\nThe final answer is \\boxed{{{answer}}}."


def think_answer_response(solution: str, answer: str) -> str:
    """The solution as the thought, then the answer."""
    return f"<think> {solution} </think> <answer> {answer} </answer>"


RESPONSES: Mapping[str, Callable[[str, str], str]] = {
    "boxed": boxed_response,
    "think_answer": think_answer_response,
}
"""How each prompt style (a row of `PROMPT_STYLES`) wants a solution and its answer said."""


@dataclass(frozen=True)
class SolutionExamples:
    """The training examples of a list of problems.

    Attributes:
        table: rows of `WEIGHTED_TURN_SCHEMA`, in the order of the problems.
        left_out: how many problems gave none, by reason.
        longest_response_tokens: of all responses, their end of turn included.
    """

    table: pa.Table
    left_out: Mapping[str, int]
    longest_response_tokens: int

    def left_out_in_words(self) -> str:
        """`without a written solution (53), longer than the model's context (2)`; empty when none is left out."""
        return in_words(self.left_out)


def examples_of_solutions(
    problems: Sequence[Problem], chat: ChatFormat, prompt: str, context_tokens: int | None
) -> SolutionExamples:
    """The training examples of problems whose solutions are written.

    Args:
        problems: what is asked; those that cannot give an example are left out and counted.
        chat: the chat format of the policy, under the same prompt style.
        prompt: name of that style.
        context_tokens: the longest chat the policy can read, None where that is not known.

    Raises:
        UserError: when no problem gives an example.
    """
    rows, left_out, longest = [], Counter[str](), 0
    for problem in problems:
        if problem.solution is None:
            left_out[NO_SOLUTION] += 1
            continue
        response = RESPONSES[prompt](problem.solution, problem.answer)
        prompt_ids = chat.prompt_ids(problem)
        # By itself: when the model speaks, the prompt's tokens are there already, and none of them grows into the
        # response. Tokenised together, the two may share a token that sampling could never produce.
        response_ids = [*tokenize(chat.tokenizer, response), chat.end_of_turn_id]
        if reason := _reason_against(problem, response, response_ids[:-1], chat):
            left_out[reason] += 1
        elif context_tokens is not None and len(prompt_ids) + len(response_ids) > context_tokens:
            left_out["longer than the model's context"] += 1
        else:
            rows.append(_row(problem, prompt_ids, response_ids))
            longest = max(longest, len(response_ids))
    if not rows:
        raise UserError(
            f"None of the {len(problems)} training problems gives an example of a written solution "
            f"({in_words(left_out)}): train on a set that has solutions (math, metamathqa or gsm8k), or name the "
            "`solution_column` of your file, and load `train_problems` again."
        )
    return SolutionExamples(pa.Table.from_pylist(rows, schema=WEIGHTED_TURN_SCHEMA), dict(left_out), longest)


def summary_of_solutions(weighted_turns: Shards) -> dict[str, float | None]:
    """What `Composition` tells of weighted trajectories, told of solutions, under the same names.

    Nobody tried these problems, so how many were solved by all, some or none is null and not zero. Each gives one
    example, and all weigh 1.
    """
    num_examples = weighted_turns.num_rows()
    return {
        "num_problems": num_examples,
        "all_right": None,
        "mixed": None,
        "all_wrong": None,
        "num_examples": num_examples,
        "num_pruned": 0,
        "pruned_mass": 0.0,
        "effective_sample_size": float(num_examples),
    }


def in_words(left_out: Mapping[str, int]) -> str:
    """Reasons with their numbers, the most frequent first."""
    return ", ".join(f"{reason} ({count:,})" for reason, count in Counter(left_out).most_common())


def _reason_against(problem: Problem, response: str, response_ids: Sequence[int], chat: ChatFormat) -> str | None:
    """Why a response must not be learned, None when it may be."""
    # What `check_gold` has judged correct. Verifiers look at nothing but the explicit answer where there is one.
    if extract_answer(response) != extract_answer(f"<answer>{problem.answer}</answer>"):
        return "whose answer cannot be stated in the answer format"
    if not chat.stop_ids.isdisjoint(response_ids):
        return "with an end of turn inside"
    return None


def _row(problem: Problem, prompt_ids: list[int], response_ids: list[int]) -> dict[str, object]:
    start, end = len(prompt_ids), len(prompt_ids) + len(response_ids)
    return {
        "problem_id": problem.problem_id,
        "trajectory_id": 0,
        "token_ids": np.array(prompt_ids + response_ids, np.int32),
        "targets": [{"start": start, "end": end}],
        "weight": 1.0,
        "shaped_return": 1.0,
        "num_turns": 1,
        "success": True,
    }
