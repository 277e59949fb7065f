"""How numbers are printed: shares, differences in points, means, p-values, each with its interval."""

from collections.abc import Sequence

UNDEFINED = "-"

Ends = Sequence[float | None]
"""Lower and upper end of a 95 % interval; None where it is not defined."""


def share_text(share: float | None, interval: Ends) -> str:
    """A share as `46.1 % [38.3, 54.7]`."""
    return with_interval("{:.1f}", " %", share, interval, scale=100)


def points_text(difference: float | None, interval: Ends) -> str:
    """A difference of shares in points, as `+32.0 [+24.2, +39.8]`."""
    return with_interval("{:+z.1f}", "", difference, interval, scale=100)


def mean_text(mean: float | None, interval: Ends) -> str:
    """A mean as `1.85 [1.72, 1.98]`."""
    return with_interval("{:.2f}", "", mean, interval)


def gain_text(difference: float | None, interval: Ends) -> str:
    """A difference of means as `+0.26 [+0.12, +0.41]`."""
    return with_interval("{:+z.2f}", "", difference, interval)


def tokens_text(mean: float | None, interval: Ends) -> str:
    """A mean number of tokens as `127 [113, 142]`."""
    return with_interval("{:,.0f}", "", mean, interval)


def more_tokens_text(difference: float | None, interval: Ends) -> str:
    """A difference of mean numbers of tokens as `-116 [-202, -51]`; four digits fit beside the other columns."""
    return with_interval("{:+z.0f}", "", difference, interval)


def p_text(p_value: float | None) -> str:
    """A p-value as `0.031`, `< 0.001`, or a dash where there is none."""
    if p_value is None:
        return UNDEFINED
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def with_interval(number: str, unit: str, value: float | None, interval: Ends, scale: float = 1) -> str:
    """A value and its interval, each formatted by `number`; a dash when the value is not defined."""
    if value is None:
        return UNDEFINED
    texts = [number.format(scale * end).replace("100.0", "100") for end in (value, *interval) if end is not None]
    return f"{texts[0]}{unit} [{texts[1]}, {texts[2]}]" if len(texts) == 3 else f"{texts[0]}{unit}"
