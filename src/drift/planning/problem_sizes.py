"""How many problems there are and how long their prompts: read where they are here, else as they are published.

Nothing is downloaded, and no tokenizer is needed: lengths are characters, and a token is taken for 3.5 of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from drift.errors import UserError
from drift.parameters import ProblemsParameters, ProtocolParameters
from drift.problems.arithmetic import ProblemPart
from drift.problems.benchmark_source import BenchmarkSource
from drift.problems.benchmarks import BENCHMARKS
from drift.problems.problem import Problem
from drift.problems.sources import ProblemSource, load_problems, source_name
from drift.protocol.prompts import PROMPT_STYLES, PromptStyle

CHARACTERS_PER_TOKEN = 3.5
FEWEST_CHARACTERS_PER_TOKEN = 2.0
"""Of the longest prompts: formulas have shorter tokens than prose."""
TEMPLATE_TOKENS, FEEDBACK_TEMPLATE_TOKENS = 30, 12
"""What a chat template puts around a prompt, and around the feedback."""
ASSUMED_CHARACTERS = {"math": 210, "general": 350}
"""Mean of the problems of a set that is not read, by its domain; options included."""
ASSUMED_LONGEST_CHARACTERS = 4000


@dataclass(frozen=True)
class ProblemSize:
    """The problems of one source.

    Attributes:
        name: what its results are called.
        count: how many there are, at most.
        is_read: whether they were read, or are as published.
        prompt_tokens: mean of the prompts, the template included.
        longest_prompt_tokens: of the longest prompt, at most.
    """

    name: str
    count: int
    is_read: bool
    prompt_tokens: float
    longest_prompt_tokens: float


@dataclass(frozen=True)
class ProblemSizes:
    """All problems of a run.

    Attributes:
        train: what is sampled on.
        evaluation: the held-out ones, by source.
        refusals: what a run would refuse of them, in its own sentences.
    """

    train: ProblemSize
    evaluation: tuple[ProblemSize, ...]
    refusals: tuple[str, ...]

    @property
    def held_out(self) -> ProblemSize:
        """The problems of all held-out sources together."""
        count = sum(size.count for size in self.evaluation)
        mean = sum(size.count * size.prompt_tokens for size in self.evaluation) / max(count, 1)
        most = max(size.longest_prompt_tokens for size in self.evaluation)
        return ProblemSize("evaluation", count, all(size.is_read for size in self.evaluation), mean, most)

    @property
    def not_read(self) -> tuple[str, ...]:
        """Names of the sets that were taken as they are published."""
        return tuple(dict.fromkeys(size.name for size in (self.train, *self.evaluation) if not size.is_read))


def problem_sizes(problems: ProblemsParameters, protocol: ProtocolParameters, seed: int) -> ProblemSizes:
    """Counts the problems of all sources.

    Args:
        problems: the sources.
        protocol: whose prompt style is written around them.
        seed: of the embedded problems.
    """
    style, refusals = PROMPT_STYLES[protocol.prompt], []
    asked: list[tuple[ProblemSource, ProblemPart]] = [
        (problems.train, "train"),
        *((source, "evaluation") for source in problems.evaluation_sources),
    ]
    sizes = []
    for source, part in asked:
        try:
            sizes.append(_size(source, part, style, seed))
        except UserError as error:
            refusals.append(str(error))
            sizes.append(ProblemSize(source_name(source), 0, True, 0.0, 0.0))
    return ProblemSizes(sizes[0], tuple(sizes[1:]), tuple(refusals))


def feedback_tokens(protocol: ProtocolParameters) -> float:
    """Tokens between two responses."""
    return len(protocol.feedback) / CHARACTERS_PER_TOKEN + FEEDBACK_TEMPLATE_TOKENS


def assumptions(sizes: ProblemSizes) -> Iterator[str]:
    """What was taken for granted, in sentences."""
    yield (
        f"prompts: {CHARACTERS_PER_TOKEN} characters a token (the longest ones {FEWEST_CHARACTERS_PER_TOKEN}), and "
        f"{TEMPLATE_TOKENS} tokens of the chat template."
    )
    if sizes.not_read:
        lengths = ", ".join(f"{number} in {domain}" for domain, number in ASSUMED_CHARACTERS.items())
        yield (
            f"{', '.join(sizes.not_read)}: not read but counted as published (which is more than is asked where rows "
            f"are left out), with {lengths} characters a problem, {ASSUMED_LONGEST_CHARACTERS:,} at most. A run "
            "downloads them."
        )


def _size(source: ProblemSource, part: ProblemPart, style: PromptStyle, seed: int) -> ProblemSize:
    if isinstance(source, BenchmarkSource) and source.path is None:
        return _as_published(source, part, style)
    lengths = [_characters(style, problem) for problem in load_problems(source, part, seed)]
    mean, most = fmean(lengths), max(lengths)
    return ProblemSize(source_name(source), len(lengths), True, *_tokens(mean, most))


def _as_published(source: BenchmarkSource, part: ProblemPart, style: PromptStyle) -> ProblemSize:
    benchmark = BENCHMARKS[source.source]
    if part not in benchmark.parts:
        load_problems(source, part, 0)  # says which sets have such a part
    rows = benchmark.parts[part].num_rows
    around = _characters(
        style, Problem("", "", "", benchmark.verifier if benchmark.verifier == "choice" else "math", "")
    )
    mean, most = around + ASSUMED_CHARACTERS[benchmark.domain], around + ASSUMED_LONGEST_CHARACTERS
    return ProblemSize(source.source, min(rows, source.limit or rows), False, *_tokens(mean, most))


def _characters(style: PromptStyle, problem: Problem) -> int:
    return sum(len(message["content"]) for message in style.messages(problem))


def _tokens(mean_characters: float, most_characters: float) -> tuple[float, float]:
    return (
        mean_characters / CHARACTERS_PER_TOKEN + TEMPLATE_TOKENS,
        most_characters / FEWEST_CHARACTERS_PER_TOKEN + TEMPLATE_TOKENS,
    )
