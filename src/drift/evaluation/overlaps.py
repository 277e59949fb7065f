"""Benchmarks that ask some of the same problems share the draws of these: MATH-500 lies inside MATH.

Drawn independently, what is the same problem would count as two that agree by chance, and the interval of an average
over both would be too narrow.

Shapes: _P problems, in the order of their ids.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from drift.evaluation.statistics import Resampling
from drift.problems.leaks import normalised_text

Question = tuple[str, int]
"""A normalised text, and how many problems of its benchmark had it before: these stay problems of their own."""


def shared_resamplings(texts: Mapping[str, Sequence[str]], num_samples: int, seed: int) -> dict[str, Resampling]:
    """The draws of every benchmark.

    Benchmarks without a problem in common are drawn independently. Of others, the distinct problems of all are drawn
    together, so one of them is drawn a few problems more or less than it has.

    Args:
        texts: by benchmark, the text of each problem.
        num_samples: B, at least 1.
        seed: of the run.
    """
    questions = {name: questions_of(of_benchmark) for name, of_benchmark in texts.items()}
    resamplings = {}
    for group in overlapping(questions):
        distinct = {question: None for name in group for question in questions[name]}
        together = Resampling.of(len(distinct), num_samples, seed, "\n".join(group))
        place = {question: index for index, question in enumerate(distinct)}
        for name in group:
            index_P = np.array([place[question] for question in questions[name]])
            resamplings[name] = together.of_problems(index_P) if len(group) > 1 else together
    return resamplings


def questions_of(texts: Sequence[str]) -> list[Question]:
    """What each problem of one benchmark asks."""
    times: dict[str, int] = {}
    questions = []
    for text in map(normalised_text, texts):
        times[text] = times.get(text, -1) + 1
        questions.append((text, times[text]))
    return questions


def overlapping(questions: Mapping[str, Sequence[Question]]) -> list[list[str]]:
    """Benchmarks in groups, sorted by name, such that no two groups have a problem in common."""
    groups: list[tuple[list[str], set[Question]]] = []
    for name in sorted(questions):
        names, asked = [name], set(questions[name])
        for group in [group for group in groups if not group[1].isdisjoint(asked)]:
            names, asked = names + group[0], asked | group[1]
            groups.remove(group)
        groups.append((sorted(names), asked))
    return [names for names, _ in groups]
