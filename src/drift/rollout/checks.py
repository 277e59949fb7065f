"""What is checked about problems before an engine starts: gold answers, and room in the model's context."""

from collections.abc import Sequence

from drift.errors import UserError
from drift.model_directory import ModelDirectory
from drift.parameters import ModelParameters, ProtocolParameters
from drift.problems.problem import Problem
from drift.protocol.chat import chat_format_of
from drift.protocol.fit import refuse_too_long
from drift.rollout.sample import start_verifiers

_LISTED = 10


def check_problems(
    problems: Sequence[Problem],
    policy: ModelDirectory,
    model: ModelParameters,
    protocol: ProtocolParameters,
    max_new_tokens: int,
) -> None:
    """Refuses problems that would not fit, then those that could not be judged; each time all of them in one sentence.

    Raises:
        UserError: naming the problems and what to do.
    """
    chat = chat_format_of(policy.path, protocol, model.trust_remote_code)
    refuse_too_long(problems, chat, policy.path, protocol.max_turns, max_new_tokens)
    refuse_unreadable_answers(problems)


def refuse_unreadable_answers(problems: Sequence[Problem]) -> None:
    """Refuses gold answers that their verifier cannot read, since no response could ever be right.

    Raises:
        UserError: naming the problems.
    """
    with start_verifiers() as verifiers:
        reasons = verifiers.check_golds([(problem.answer, problem.verifier) for problem in problems])
    faults = [f"{problem.problem_id}: {reason}" for problem, reason in zip(problems, reasons, strict=True) if reason]
    if faults:
        more = f"; … and {len(faults) - _LISTED} more" if len(faults) > _LISTED else ""
        raise UserError(
            f"{len(faults)} of {len(problems)} gold answers cannot be judged: {'; '.join(faults[:_LISTED])}{more}: "
            "correct them, or name another verifier (math, numeric, choice, exact)."
        )
