"""A helper process ends when the program that started it ends, and not before.

vLLM's engine runs in processes of its own. They would survive when their parent is killed with SIGKILL, and keep their
memory, or the GPU, for ever; and Ctrl-C, which a terminal sends to all of them, would make each die with a traceback
while the program still counts on it. vLLM calls `die_with_parent` in each of its processes, through the entry point
`vllm.general_plugins` of this package; it does nothing in engines that other programs start. Training workers of
several GPUs call `die_with` themselves.
"""

import os
import signal
import threading
import time

PARENT_VARIABLE = "DRIFT_ENGINE_PARENT"
_POLL_SECONDS = 0.5


def die_with_parent() -> None:
    """Watches the parent from a thread and leaves Ctrl-C to it, if this process is an engine `drift` has started."""
    program = int(os.environ.get(PARENT_VARIABLE, "0"))
    if program and program != os.getpid():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        die_with(program)


def die_with(process_id: int) -> None:
    """Watches a process from a thread; this one is killed when that one is gone."""
    threading.Thread(target=_watch, args=(process_id,), name="parent-death", daemon=True).start()


def _watch(process_id: int) -> None:
    """Ends this process when the other is gone."""
    while _is_alive(process_id):
        time.sleep(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True
