r"""Verifier throughput on the gold answers of MATH, and what hostile input costs.

    python benchmarks/verification.py PATH/TO/math_test.jsonl

The file has a `solution` per line whose last `\boxed{}` is the answer. Prints, and writes to
`benchmarks/verification.json`:

* pairs per second on distinct pairs (each distinct answer boxed), in one process as the naive version and through the
  pool with one and two workers; on repeated pairs, which the pool's cache answers; and the same where each answer
  stands at the end of a response of 4,000 characters;
* per hostile response the verdict, the seconds until it came, and the peak memory of the workers beyond what they hold
  before their first call. The timeout is 2 s; a worker that is killed may have exceeded the limit by what it grew
  between two looks.
"""

import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from hostile import HOSTILE

from drift.verification.answers import extract_answer
from drift.verification.grade import Grade
from drift.verification.memory import resident_bytes
from drift.verification.pool import VerifierPool
from drift.verification.verifiers import grade

RESULT = Path(__file__).with_suffix(".json")
TIMEOUT_SECONDS = 2.0
REPEATS = 20
REASONING = "We have $x = \\frac{1}{2}$, so that the sum is $2x + 1$. " * 75

Pair = tuple[str, str]


def read_pairs(path: Path) -> list[Pair]:
    """The distinct gold answers, each with the response that boxes it."""
    solutions = [json.loads(line)["solution"] for line in path.read_text().splitlines()]
    golds = dict.fromkeys(gold for solution in solutions if (gold := extract_answer(solution)))
    return [(gold, rf"Thus \boxed{{{gold}}}.") for gold in golds]


def wait_until_ready(pool: VerifierPool, num_workers: int) -> None:
    while len(pool._workers) < num_workers or not all(hired.ready for hired in list(pool._workers)):
        time.sleep(0.01)


def rate(num_pairs: int, started: float) -> int:
    return round(num_pairs / (time.perf_counter() - started))


def naive_rate(pairs: list[Pair]) -> int:
    grade("math", "1/2", "0.5")  # imports
    started = time.perf_counter()
    assert all(grade("math", gold, response).verdict == "correct" for gold, response in pairs)
    return rate(len(pairs), started)


def pool_rates(pairs: list[Pair], num_workers: int) -> dict[str, int]:
    with VerifierPool(num_workers, timeout_seconds=30) as pool:
        wait_until_ready(pool, num_workers)
        started = time.perf_counter()
        futures: list[Future[Grade]] = [pool.submit("math", gold, response) for gold, response in pairs]
        assert all(future.result().verdict == "correct" for future in futures)
        rates = {"distinct": rate(len(pairs), started)}
        for name, before in (("repeated", ""), ("repeated, long responses", REASONING)):
            responses = [(gold, before + response) for gold, response in pairs]
            started = time.perf_counter()
            for _ in range(REPEATS):
                assert all(pool.submit("math", gold, response).done() for gold, response in responses)
            rates[name] = rate(REPEATS * len(pairs), started)
    return rates


@contextmanager
def watching(pool: VerifierPool) -> Iterator[list[int]]:
    """Yields a list whose only element is the most memory a worker has added, in bytes, looked at every 2 ms."""
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            for hired in list(pool._workers):
                if hired.ready:
                    peak[0] = max(peak[0], _resident(hired) - hired.bytes_at_start)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def _resident(hired) -> int:
    try:
        return resident_bytes(hired.process.pid)
    except ValueError:  # the process was closed meanwhile
        return 0


def hostile_rows() -> list[dict[str, str | float]]:
    """Verdict, seconds and memory, each in a fresh worker."""
    rows: list[dict[str, str | float]] = []
    with tempfile.TemporaryDirectory() as directory:
        marker = Path(directory) / "marker"
        for name, response in HOSTILE.items():
            with VerifierPool(1, TIMEOUT_SECONDS) as pool:
                wait_until_ready(pool, 1)
                with watching(pool) as peak:
                    started = time.perf_counter()
                    verdict = pool.submit("math", "29", response.replace("MARKER", str(marker))).result().verdict
                    seconds = time.perf_counter() - started
                alive = pool.submit("math", "29", "29").result().verdict == "correct"
            row = {"input": name, "verdict": verdict, "seconds": round(seconds, 3), "added_mib": peak[0] >> 20}
            print(f"{name:40} {verdict:11} {seconds:7.3f} s {peak[0] >> 20:5} MiB")
            assert alive and not marker.exists(), name
            rows.append(row)
    return rows


def main(path: Path) -> None:
    """Measures both."""
    pairs = read_pairs(path)
    result = {
        "command": "python benchmarks/verification.py math_test.jsonl",
        "num_distinct_pairs": len(pairs),
        "pairs_per_second": {
            "in one process, no pool": {"distinct": naive_rate(pairs)},
            "pool, 1 worker": pool_rates(pairs, 1),
            "pool, 2 workers": pool_rates(pairs, 2),
        },
    }
    print(json.dumps(result["pairs_per_second"], indent=2))
    result |= {"timeout_seconds": TIMEOUT_SECONDS, "hostile": hostile_rows()}
    RESULT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
