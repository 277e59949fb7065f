"""How threads wait for one another: spinning while the machine is quiet, asleep while it does something else too.

OpenMP's threads spin at the end of every parallel piece of work until the slowest has arrived. On a quiet machine that
is faster than sleeping, by up to a half where the work is short and the processor fast. Beside another busy process the
slowest has no core, and the others burn the time it needs: training then keeps a third of its speed, and asleep more
than half (`benchmarks/contention.py`). So a process looks once, before its libraries are loaded, and decides.
"""

import os
import sys
import time
from collections.abc import Mapping, MutableMapping
from pathlib import Path

PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}
SHORT_SPIN = {"GOMP_SPINCOUNT": "2000"}
"""As fast as spinning for long in training, and kind to the threads of the interpreter in the transformers engine."""
LONG_SPIN = {"GOMP_SPINCOUNT": "300000"}
"""What libgomp does by itself; vLLM's processes are fastest with it, and nothing else runs in them."""
_OF_THE_USER = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
_SAMPLES, _SECONDS_BETWEEN = 5, 0.004
_OURS = "DRIFT_CHOSE_HOW_TO_WAIT"


def choose_how_to_wait(environment: MutableMapping[str, str] | None = None) -> None:
    """Tells this process's OpenMP how its threads wait, unless the user has.

    Must come before torch is imported, because the library reads its settings once.

    Args:
        environment: of the process; None means this one's own.
    """
    place = os.environ if environment is None else environment
    if not user_has_chosen(place):
        place.update(PASSIVE if machine_is_busy() else SHORT_SPIN)
        place[_OURS] = "1"


def waiting_of_engine(environment: Mapping[str, str]) -> dict[str, str | None]:
    """The same for vLLM's processes, which are started with this one's environment.

    Returns:
        What to set, and what to take away (None); nothing where the user has chosen.
    """
    if user_has_chosen(environment):
        return {}
    chosen = PASSIVE if machine_is_busy() else LONG_SPIN
    return {name: chosen.get(name) for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}


def user_has_chosen(environment: Mapping[str, str]) -> bool:
    """Whether somebody else than this module has said how threads wait."""
    return _OURS not in environment and any(name in environment for name in _OF_THE_USER)


def machine_is_busy() -> bool:
    """Whether other processes want the cores that this one may use, as far as the system says."""
    if sys.platform != "linux":
        return False
    free = (os.cpu_count() or 1) - others_running()
    return free < len(os.sched_getaffinity(0))


def others_running() -> int:
    """Threads of the whole machine that run or want to, this one not counted: the fewest in some looks."""
    fewest = sys.maxsize
    for _ in range(_SAMPLES):
        running, _, _ = Path("/proc/loadavg").read_text().split()[3].partition("/")
        fewest = min(fewest, int(running) - 1)
        time.sleep(_SECONDS_BETWEEN)
    return max(0, fewest)
