"""Grades that were given before: a model repeats itself, and trajectories of one problem agree.

The key is what a verifier looks at: the explicit answer where a response states one, else the whole response. So
responses that argue differently and box the same answer are graded once.
"""

import sys
from concurrent.futures import Future
from hashlib import blake2b

from drift.problems.problem import VerifierName
from drift.verification.answers import MAX_RESPONSE_CHARACTERS, extract_answer
from drift.verification.grade import Grade

# A finished future takes 1.6 kB, so the entries take 26 MB and their texts at most 16 MiB more.
MAX_ENTRIES = 16_384
MAX_TEXT_BYTES = 16 * 2**20
# A longer text is remembered by its digest.
_MAX_KEY_CHARACTERS = 256

Key = tuple[VerifierName, str, bool, str | bytes]


def cache_key(verifier: VerifierName, gold: str, response: str) -> Key:
    """What decides the grade: the verifier, the gold answer, and the explicit answer or else the response."""
    explicit = extract_answer(response)
    text = response[-MAX_RESPONSE_CHARACTERS:] if explicit is None else explicit
    if len(text) <= _MAX_KEY_CHARACTERS:
        return verifier, gold, explicit is None, text
    return verifier, gold, explicit is None, blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


class GradeCache:
    """Finished futures of grades, bounded in entries and in bytes of text; the oldest entry goes first.

    Not thread-safe: the pool holds its lock. It lives as long as the pool, so that a `timeout` on a busy machine is not
    held against an answer for ever.
    """

    def __init__(self) -> None:
        self._futures: dict[Key, Future[Grade]] = {}
        self._text_bytes = 0

    def __len__(self) -> int:
        """Number of grades remembered."""
        return len(self._futures)

    def get(self, key: Key) -> Future[Grade] | None:
        """The finished future of a grade given before; shared, which is safe since nothing can change it."""
        return self._futures.get(key)

    def add(self, key: Key, grade: Grade) -> None:
        """Remembers a grade, and forgets the oldest ones if there is no room."""
        if key in self._futures:
            return
        future: Future[Grade] = Future()
        future.set_result(grade)
        self._futures[key] = future
        self._text_bytes += _text_bytes(key, grade)
        while len(self._futures) > MAX_ENTRIES or self._text_bytes > MAX_TEXT_BYTES:
            oldest = next(iter(self._futures))
            self._text_bytes -= _text_bytes(oldest, self._futures.pop(oldest).result())


def _text_bytes(key: Key, grade: Grade) -> int:
    _, gold, _, text = key
    return sys.getsizeof(gold) + sys.getsizeof(text) + sys.getsizeof(grade.answer)
