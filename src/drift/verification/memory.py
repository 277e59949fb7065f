"""How much memory grading may take: what a worker uses, and what it may use.

Two limits, because neither is enough alone. The parent looks at each busy worker every `CHECK_SECONDS` and kills one
that has grown; it needs no help from the worker, which may be inside one endless C call. Between two looks the kernel
refuses address space beyond `HEADROOM_BYTES`. Linux only: elsewhere there is no `/proc`, and `RLIMIT_AS` is ignored.
"""

import sys

# All are counted from what a worker holds when it is ready (100 MiB). Grading the 5,000 answers of MATH adds 15 MiB.
LIMIT_BYTES = 2**30
# sympy remembers what it computed. A worker that has grown this much after an answer is replaced.
RECYCLE_BYTES = 2**29
HEADROOM_BYTES = 2 * 2**30
CHECK_SECONDS = 0.05

_IS_LINUX = sys.platform == "linux"


def resident_bytes(pid: int | None) -> int:
    """Memory a process holds; 0 where that cannot be told or the process is gone."""
    return 0 if pid is None else _bytes(f"/proc/{pid}/statm", field=1)


def limit_address_space() -> None:
    """Lets this process have `HEADROOM_BYTES` more than now; an allocation beyond raises `MemoryError`.

    Counted from what is in use, because libraries may map more than they hold.
    """
    if not _IS_LINUX:
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _bytes("/proc/self/statm", field=0) + HEADROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _bytes(path: str, field: int) -> int:
    if not _IS_LINUX:
        return 0
    import resource

    try:
        with open(path, "rb") as pages:
            return int(pages.read().split()[field]) * resource.getpagesize()
    except (FileNotFoundError, ProcessLookupError):
        return 0
