"""The control: is it correction, or just another try? The same policy asked again and again, without the conversation.

Independent attempts at the same problem, drawn at `rollout.temperature`, give pass@k, the share of problems solved by
at least one of k. Conversations are greedy, and greedy decoding may be better or worse at one try than sampling. Lest
the conversation be credited with that, it is compared with a retrier that begins as it does: its first attempt is the
conversation's own greedy first turn, and only the retries are drawn. Whoever never corrects itself gains nothing on it.
The comparison has a price: the retrier stops when it is right, as a conversation does, and the number of its attempts
is chosen so that both spend equally many response tokens.

Shapes: _P problems, _N drawn attempts (index k-1 is k attempts), _M = N + 1 attempts of the retrier, _B bootstrap
samples.
"""

from typing import Any

import numpy as np
import polars as pl

from drift.evaluation.outcomes import Outcomes
from drift.evaluation.plain import plain
from drift.evaluation.ratios import mean_over_problems, solved_within
from drift.evaluation.statistics import (
    Resampling,
    agreement_interval,
    bootstrap_p_value,
    interval,
    percentiles,
    samples,
    sums,
)

_MOST_UNDEFINED = 0.01  # of the bootstrap samples; to leave out more of them would bend the interval


def pass_at_k(num_attempts: int, num_correct: np.ndarray, k: int) -> np.ndarray:
    """pass@k = 1 - C(n - c, k) / C(n, k): the probability that k of n attempts, c of them right, hold a right one.

    Unbiased for the probability that one of k new attempts is right (Chen et al., arXiv 2107.03374).

    Args:
        num_attempts: n, attempts made at each problem.
        num_correct: c, how many of them were right, any shape.
        k: attempts allowed, 1…n.

    Raises:
        ValueError: when k or c is outside its range.
    """
    num_correct = np.asarray(num_correct)
    if not 1 <= k <= num_attempts:
        raise ValueError(f"k is {k}, but pass@k needs 1 to {num_attempts} of the {num_attempts} attempts.")
    return 1 - none_right(num_attempts, num_correct, k)


def none_right(num_attempts: int, num_correct: np.ndarray, k: int) -> np.ndarray:
    """C(n - c, k) / C(n, k): the probability that k of n attempts, drawn without replacement, are all wrong.

    Raises:
        ValueError: when c is outside 0…n.
    """
    num_correct = np.asarray(num_correct)
    if num_correct.size and (num_correct.min() < 0 or num_correct.max() > num_attempts):
        raise ValueError(f"num_correct must lie between 0 and the number of attempts, {num_attempts}.")
    index_k = np.arange(k)
    factors = (num_attempts - num_correct[..., None] - index_k) / (num_attempts - index_k)
    return np.maximum(factors, 0).prod(axis=-1)


def retry_tokens(
    num_correct_P: np.ndarray, right_tokens_P: np.ndarray, wrong_tokens_P: np.ndarray, n: int
) -> np.ndarray:
    """Mean response tokens of trying until one attempt is right, at most k times, over all orders of the n attempts.

    Attempt j is made when the j - 1 before it are wrong. A right one at place j costs its tokens with the probability
    C(n - c, j - 1) / C(n - 1, j - 1); a wrong one with C(n - 1 - c, j - 1) / C(n - 1, j - 1).

    Args:
        num_correct_P: c, right attempts at each problem, shape (P,).
        right_tokens_P: tokens of the right attempts together, shape (P,).
        wrong_tokens_P: tokens of the wrong ones, shape (P,).
        n: attempts at each problem.

    Returns:
        For k = 1…n, shape (P, N).
    """
    others_right_P = np.maximum(num_correct_P - 1, 0)  # where none is right, there are no tokens to count either
    others_right_or_all_P = np.minimum(num_correct_P, n - 1)  # where none is wrong, the same
    tokens = [
        right_tokens_P * none_right(n - 1, others_right_P, j)
        + wrong_tokens_P * none_right(n - 1, others_right_or_all_P, j)
        for j in range(n)
    ]
    return np.cumsum(np.stack(tokens, axis=-1), axis=-1) / n


def score_control(attempts: pl.DataFrame, outcomes: Outcomes, resampling: Resampling) -> dict[str, Any]:
    """pass@k of one policy's drawn attempts on one benchmark, and its conversations beside the retrier.

    Args:
        attempts: rows of `outcomes_of`, equally many of each problem.
        outcomes: the policy's conversations about the same problems.
        resampling: the benchmark's draws.

    Returns:
        Of drawn attempts alone `attempts` (n), `pass_at_k` and `ci95` (k = 1…n), `response_tokens_at_k` (mean of trying
        until right, at most k times); `at_equal_tokens`, where the first attempt is the conversation's.
    """
    right = pl.col("solved_turn") == 1
    of_problem = (
        attempts.group_by("problem_id")
        .agg(
            num_attempts=pl.len(),
            num_correct=right.sum().cast(pl.Int64),
            right_tokens=pl.col("response_tokens").filter(right).sum(),
            wrong_tokens=pl.col("response_tokens").filter(~right).sum(),
        )
        .sort("problem_id")
    )
    n = int(of_problem["num_attempts"][0])
    num_correct_P, right_tokens_P, wrong_tokens_P = (
        of_problem[name].to_numpy() for name in ("num_correct", "right_tokens", "wrong_tokens")
    )
    pass_PN = np.stack([pass_at_k(n, num_correct_P, k) for k in range(1, n + 1)], axis=-1)
    tokens_PN = retry_tokens(num_correct_P, right_tokens_P, wrong_tokens_P, n)
    return {
        "attempts": n,
        "pass_at_k": plain(pass_PN.mean(axis=0)),
        "ci95": plain(interval(mean_over_problems(pass_PN), resampling)),
        "response_tokens_at_k": plain(tokens_PN.mean(axis=0)),
        "at_equal_tokens": at_equal_tokens(*after_first_turn(pass_PN, tokens_PN, outcomes), outcomes, resampling),
    }


def after_first_turn(pass_PN: np.ndarray, tokens_PN: np.ndarray, outcomes: Outcomes) -> tuple[np.ndarray, np.ndarray]:
    """The retrier: the conversation's first turn, then drawn attempts where that was wrong.

        solved@1 = [first turn right],    solved@k = [first turn right] + [first turn wrong] * pass@(k-1)

    Its tokens likewise. The first turn is given and the rest is unbiased, so the whole is.

    Args:
        pass_PN: pass@k of the drawn attempts at each problem.
        tokens_PN: what they spend.
        outcomes: the conversations about the same problems.

    Returns:
        The probability that at most k = 1…N+1 attempts solve a problem, and their tokens, shape (P, M) each.
    """
    right_P1, first_P1 = outcomes.solved_turn_P[:, None] == 1, outcomes.first_response_tokens_P[:, None]
    solved_PN = np.where(right_P1, 1, pass_PN)
    spent_PN = first_P1 + np.where(right_P1, 0, tokens_PN)
    return np.concatenate([right_P1, solved_PN], axis=1), np.concatenate([first_P1, spent_PN], axis=1)


def at_equal_tokens(
    solved_PM: np.ndarray, tokens_PM: np.ndarray, outcomes: Outcomes, resampling: Resampling
) -> dict[str, Any]:
    """multi@K beside the retrier with k' attempts, at which trying until right spends as many tokens as talking.

    Args:
        solved_PM: from `after_first_turn`.
        tokens_PM: from `after_first_turn`.
        outcomes: the conversations.
        resampling: the benchmark's draws.

    Returns:
        `response_tokens` (a problem), `attempts` (k', the first turn counted; between two whole numbers where the
        budget is), `pass_at_k` (share that these solve), `multi_at_k`, `difference` (multi@K minus that share) with
        `ci95` and `p_value`. All but the first and `multi_at_k` are None where all attempts together spend less than
        the conversations did; interval and p-value also where they would in more than a few bootstrap samples.
    """
    solved, drawn_BP = solved_within(outcomes), resampling.drawn_BP
    value = equal_tokens(
        outcomes.response_tokens_P.mean(keepdims=True), tokens_PM.mean(axis=0)[None], solved_PM.mean(axis=0)[None]
    )
    weight_B1 = drawn_BP.sum(axis=1, keepdims=True)
    tokens_B = (sums(drawn_BP, outcomes.response_tokens_P[:, None]) / weight_B1)[:, 0]
    _, retried_B = equal_tokens(tokens_B, sums(drawn_BP, tokens_PM) / weight_B1, sums(drawn_BP, solved_PM) / weight_B1)
    multi, multi_B = solved.value()[-1], samples(solved, resampling)[:, -1]
    attempts, retried = (float(of_all[0]) for of_all in value)
    is_known = not np.isnan(retried) and np.isnan(retried_B).mean() <= _MOST_UNDEFINED
    difference_B = multi_B - retried_B if is_known else np.full(len(multi_B), np.nan)
    low, high = percentiles(difference_B[:, None])[0]
    return {
        "response_tokens": float(outcomes.response_tokens_P.mean()),
        "attempts": plain(attempts),
        "pass_at_k": plain(retried),
        "multi_at_k": float(multi),
        "difference": plain(multi - retried),
        "ci95": plain(agreement_interval(low, len(solved_PM)) if low == high else [low, high]),
        "p_value": plain(bootstrap_p_value(difference_B)),
    }


def equal_tokens(
    tokens_B: np.ndarray, retry_tokens_BN: np.ndarray, pass_BN: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How many attempts a budget pays for, and pass@k of that many.

    Between two whole numbers both are linear: the mixture of the two that spends the budget on average.

    Args:
        tokens_B: the budgets.
        retry_tokens_BN: what 1…N attempts spend; rises with k.
        pass_BN: pass@k of 1…N attempts.

    Returns:
        Attempts and pass@k, shape (B,) each; NaN where N attempts spend less than the budget.
    """
    num_B = len(tokens_B)
    spent_BM = np.concatenate([np.zeros((num_B, 1)), retry_tokens_BN], axis=1)
    passed_BM = np.concatenate([np.zeros((num_B, 1)), pass_BN], axis=1)
    below_B = (spent_BM < tokens_B[:, None]).sum(axis=1) - 1  # the most attempts that spend less than the budget
    is_enough_B = below_B < spent_BM.shape[1] - 1
    low_B, high_B = np.maximum(below_B, 0), np.minimum(below_B + 1, spent_BM.shape[1] - 1)
    row_B = np.arange(num_B)
    step_B = spent_BM[row_B, high_B] - spent_BM[row_B, low_B]
    part_B = np.divide(tokens_B - spent_BM[row_B, low_B], step_B, out=np.zeros(num_B), where=step_B > 0)
    pass_B = passed_BM[row_B, low_B] + part_B * (passed_BM[row_B, high_B] - passed_BM[row_B, low_B])
    return np.where(is_enough_B, low_B + part_B, np.nan), np.where(is_enough_B, pass_B, np.nan)
