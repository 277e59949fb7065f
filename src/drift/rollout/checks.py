"""What is checked about problems before an engine starts: gold answers, and room in the model's context."""

import logging
from collections.abc import Collection, Sequence

from drift.errors import UserError
from drift.model_directory import ModelDirectory
from drift.parameters import ModelParameters, ProtocolParameters
from drift.problems.problem import Problem
from drift.protocol.chat import chat_format_of
from drift.protocol.fit import refuse_too_long
from drift.rollout.sample import start_verifiers

logger = logging.getLogger(__name__)

_LISTED = 10


def check_problems(
    problems: Sequence[Problem],
    policy: ModelDirectory,
    model: ModelParameters,
    protocol: ProtocolParameters,
    max_new_tokens: int,
    published: Collection[str] = (),
) -> list[Problem]:
    """Refuses problems that would not fit, then those that could not be judged; each time all of them in one sentence.

    Args:
        problems: what will be asked.
        policy: whose context and chat template they must fit.
        model: its loading options.
        protocol: how they are asked.
        max_new_tokens: most tokens of one response.
        published: sources that are published sets. Nobody can correct those, so their problems that cannot be judged
            are left out instead, and counted.

    Returns:
        The problems to ask, in order.

    Raises:
        UserError: naming the problems and what to do.
    """
    refuse_misfits(problems, policy, model, protocol, max_new_tokens)
    unreadable = unreadable_answers(problems)
    users_own = {problem: reason for problem, reason in unreadable.items() if problem.source not in published}
    refuse_unreadable_answers(users_own or (unreadable if len(unreadable) == len(problems) else {}), len(problems))
    if unreadable:
        logger.warning(
            "Left out: %d of %d problems, whose published answers cannot be judged: %s",
            len(unreadable),
            len(problems),
            _list(unreadable),
        )
    return [problem for problem in problems if problem not in unreadable]


def refuse_misfits(
    problems: Sequence[Problem],
    policy: ModelDirectory,
    model: ModelParameters,
    protocol: ProtocolParameters,
    max_new_tokens: int,
) -> None:
    """Refuses a policy whose chat template cannot be used, or in whose context the problems do not fit.

    Raises:
        UserError: naming the problems and what to change.
    """
    chat = chat_format_of(policy.path, protocol, model.trust_remote_code)
    refuse_too_long(problems, chat, policy.path, protocol.max_turns, max_new_tokens)


def unreadable_answers(problems: Sequence[Problem]) -> dict[Problem, str]:
    """The problems whose gold answer their verifier cannot read, since no response could ever be right, and why."""
    with start_verifiers() as verifiers:
        reasons = verifiers.check_golds([(problem.answer, problem.verifier) for problem in problems])
    return {problem: reason for problem, reason in zip(problems, reasons, strict=True) if reason}


def refuse_unreadable_answers(unreadable: dict[Problem, str], num_problems: int) -> None:
    """Refuses gold answers that cannot be read.

    Raises:
        UserError: when there are any, naming the problems.
    """
    if unreadable:
        raise UserError(
            f"{len(unreadable)} of {num_problems} gold answers cannot be judged: {_list(unreadable)}: "
            "correct them, or name another verifier (math, numeric, choice, exact)."
        )


def _list(unreadable: dict[Problem, str]) -> str:
    faults = [f"{problem.problem_id}: {reason}" for problem, reason in list(unreadable.items())[:_LISTED]]
    more = f"; … and {len(unreadable) - _LISTED} more" if len(unreadable) > _LISTED else ""
    return "; ".join(faults) + more
