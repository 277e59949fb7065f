"""Which problems a page shows when there are too many: every benchmark its fair share, problems always whole."""

import heapq
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

# More make a page slow to open, and no person reads so many.
MAX_CONVERSATIONS = 2_000
MAX_TOKENS = 8_000_000


@dataclass(frozen=True)
class ProblemSize:
    """What it takes to show a problem with all its conversations.

    Attributes:
        benchmark: where the problem is from.
        problem_id: unique in the data.
        conversations: how many it has, over all policies.
        tokens: of them all.
    """

    benchmark: str
    problem_id: str
    conversations: int
    tokens: int


def choose_problems(
    sizes: Iterable[ProblemSize], max_conversations: int = MAX_CONVERSATIONS, max_tokens: int = MAX_TOKENS
) -> set[str]:
    """Ids of the problems to show: all of them when they fit.

    The benchmark with the fewest conversations so far gives the next problem, until one more would be too much. Within
    a benchmark problems come in the order of a digest of their ids: as good as drawn, and the same in every run.
    """
    waiting: dict[str, list[ProblemSize]] = defaultdict(list)
    for size in sorted(sizes, key=lambda size: blake2b(size.problem_id.encode()).digest(), reverse=True):
        waiting[size.benchmark].append(size)
    chosen: set[str] = set()
    conversations = tokens = 0
    turn = [(0, benchmark) for benchmark in sorted(waiting)]
    while turn:
        given, benchmark = heapq.heappop(turn)
        size = waiting[benchmark].pop()
        too_much = conversations + size.conversations > max_conversations or tokens + size.tokens > max_tokens
        if chosen and too_much:
            continue
        chosen.add(size.problem_id)
        conversations += size.conversations
        tokens += size.tokens
        if waiting[benchmark]:
            heapq.heappush(turn, (given + size.conversations, benchmark))
    return chosen
