"""Progress bars: live in a terminal, a line now and then in a log file."""

import sys
from typing import Any

from tqdm import tqdm

_LOG_FILE_SECONDS = 12.0


def progress_bar(description: str, total: int, unit: str, initial: int = 0, hidden: bool = False) -> "tqdm[Any]":
    """A bar over `total` units of which `initial` were done before this process began; hidden, it shows nothing."""
    return tqdm(
        desc=description,
        total=total,
        unit=unit,
        initial=initial,
        disable=hidden,
        mininterval=0.2 if sys.stderr.isatty() else _LOG_FILE_SECONDS,
        dynamic_ncols=True,
        smoothing=0.05,
    )
