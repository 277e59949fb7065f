"""95 % intervals of what is counted once a problem, right or wrong, from the counts alone.

Near 0 and 100 %, and where two policies disagree on few problems, resampling the problems cannot see what was not
drawn: its intervals miss the truth too often. These do not, and they move with the counts.
"""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np

LEVEL = 0.95
TAIL = (1 - LEVEL) / 2
Z = NormalDist().inv_cdf(1 - TAIL)
_HALVINGS = 60  # of an interval of length 1: to a double's precision


def clopper_pearson(num_right: int, num_problems: int) -> np.ndarray:
    """Exact (Clopper-Pearson) interval of a share: it holds the truth at least 95 % of the time, whatever it is.

    Its upper end is the share p at which so few right ones have a probability of 2.5 %; its lower end is that of the
    wrong ones, mirrored.

    Args:
        num_right: problems that count, 0…P.
        num_problems: P, at least 1.

    Returns:
        Lower and upper end, shape (2,).

    Raises:
        ValueError: when more are right than there are.
    """
    if not 0 <= num_right <= num_problems or num_problems < 1:
        raise ValueError(f"{num_right} of {num_problems} problems cannot be right.")
    wrong_end = _highest_share(num_problems - num_right, num_problems)
    return np.array([1 - wrong_end, _highest_share(num_right, num_problems)])


def _highest_share(num_right: int, num_problems: int) -> float:
    """The p with P(X <= num_right) = 2.5 % for X ~ Binomial(num_problems, p); 1 where all are right."""
    if num_right == num_problems:
        return 1.0
    index = np.arange(num_right + 1)
    log_choose = np.append(0, np.cumsum(np.log((num_problems - index[:-1]) / index[1:])))

    def is_likely(share: float) -> bool:
        log_probability = log_choose + index * np.log(share) + (num_problems - index) * np.log1p(-share)
        return np.exp(log_probability).sum() > TAIL

    return _last_inside(is_likely, num_right / num_problems, 1.0)


def tango(num_gained: int, num_lost: int, num_problems: int) -> np.ndarray:
    """Score interval of a paired difference of shares (Tango, Statistics in Medicine 17, 1998).

    It holds every difference d that a score test does not reject:

        |gained - lost - P d| <= z sqrt(P (2 q + d (1 - d))),

    q being the most likely probability of losing a problem if the true difference is d. At d = 0 the test is McNemar's.
    Two policies that agree on all problems differ by at most z^2 / (P + z^2).

    Args:
        num_gained: problems only the second policy solved.
        num_lost: problems only the first solved.
        num_problems: P, at least 1, those they agree on included.

    Returns:
        Lower and upper end, shape (2,).

    Raises:
        ValueError: when more are gained and lost than there are.
    """
    if min(num_gained, num_lost) < 0 or num_gained + num_lost > num_problems or num_problems < 1:
        raise ValueError(f"{num_gained} gained and {num_lost} lost cannot be of {num_problems} problems.")

    def is_accepted(difference: float) -> bool:
        linear = (2 * num_problems - num_gained + num_lost) * difference - num_gained - num_lost
        root = np.sqrt(linear**2 + 8 * num_problems * num_lost * difference * (1 - difference))
        most_likely_loss = (root - linear) / (4 * num_problems)
        variance = num_problems * (2 * most_likely_loss + difference * (1 - difference))
        return (num_gained - num_lost - num_problems * difference) ** 2 <= Z**2 * variance

    observed = (num_gained - num_lost) / num_problems
    return np.array([_last_inside(is_accepted, observed, -1.0), _last_inside(is_accepted, observed, 1.0)])


def _last_inside(is_inside: Callable[[float], bool], inside: float, outside: float) -> float:
    """Where an interval that begins at `inside` ends, on the way to `outside`, by halving."""
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if is_inside(middle) else (inside, middle)
    return outside
