"""How threads wait for one another: asleep, so that a machine that does something else too is still of use.

OpenMP's threads spin at the end of every parallel piece of work until the slowest has arrived. Beside another busy
process the slowest has no core, and the others burn the time it needs (`benchmarks/contention.py`).
"""

import os
from collections.abc import MutableMapping

PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE"}
"""What libgomp and libiomp read when they are loaded; later changes do nothing."""


def wait_passively(environment: MutableMapping[str, str] | None = None) -> None:
    """Lets OpenMP's threads sleep while they wait, unless the user has said how they wait.

    Must come before torch is imported, because the library reads its settings once.

    Args:
        environment: of the process, or of one that will be started; None means this process's own.
    """
    place = os.environ if environment is None else environment
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & set(place):
        place.update(PASSIVE)
