"""What a rollout cost: seconds by phase, tokens computed and tokens found in the engine's cache."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from drift.rollout.engine import Completion
from drift.shards import replace_durably
from drift.verification.pool import VerifierPool

_FILE = "costs.json"


@dataclass
class Costs:
    """Sums over all processes that worked on a rollout; what a killed one had not saved yet is missing.

    Attributes:
        engine_start_seconds: starting the engine.
        sampling_seconds: from the first request to the last trajectory, `writing_seconds` included.
        writing_seconds: bringing finished problems to the disk.
        responses: turns sampled.
        generation_seconds: waiting for a response, summed over all turns (many are waited for at once).
        verdict_seconds: waiting for a verdict, summed over all turns.
        context_tokens: tokens of the contexts the engine was given.
        cached_tokens: those of them it found in its cache.
        response_tokens: tokens sampled.
        grades: verdicts given.
        cached_grades: those of them that were remembered, or asked for by another trajectory at the same time.
    """

    engine_start_seconds: float = 0.0
    sampling_seconds: float = 0.0
    writing_seconds: float = 0.0
    responses: int = 0
    generation_seconds: float = 0.0
    verdict_seconds: float = 0.0
    context_tokens: int = 0
    cached_tokens: int = 0
    response_tokens: int = 0
    grades: int = 0
    cached_grades: int = 0

    @classmethod
    def load(cls, directory: Path) -> "Costs":
        """What earlier processes saved in a rollout's directory."""
        path = directory / _FILE
        return cls(**json.loads(path.read_text())) if path.exists() else cls()

    def save(self, directory: Path) -> None:
        """Saves the sums."""
        partial = directory / f".{_FILE}.partial"
        partial.write_text(json.dumps(asdict(self), indent=2) + "\n")
        replace_durably(partial, directory / _FILE)

    def add_turn(
        self, context_tokens: int, completion: Completion, generation_seconds: float, verdict_seconds: float
    ) -> None:
        """Counts one turn."""
        self.responses += 1
        self.context_tokens += context_tokens
        self.cached_tokens += completion.num_cached_tokens
        self.response_tokens += len(completion.token_ids)
        self.generation_seconds += generation_seconds
        self.verdict_seconds += verdict_seconds

    @contextmanager
    def count_grades(self, verifiers: VerifierPool) -> Iterator[None]:
        """Adds the verdicts that are given inside."""
        graded, cached = verifiers.num_graded, verifiers.num_cached
        try:
            yield
        finally:
            self.grades += verifiers.num_graded - graded + verifiers.num_cached - cached
            self.cached_grades += verifiers.num_cached - cached

    @contextmanager
    def time(self, phase: str) -> Iterator[None]:
        """Adds the time spent inside to `<phase>_seconds`."""
        name, started = f"{phase}_seconds", time.perf_counter()
        try:
            yield
        finally:
            setattr(self, name, getattr(self, name) + time.perf_counter() - started)
