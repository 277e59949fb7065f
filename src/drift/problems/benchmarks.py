"""The table of published problem sets: where each lies on the Hugging Face Hub and how a row becomes a problem.

To add one, add a row; its name can then be a `source`. `read` is one of the functions of `benchmark_rows.py`, or a new
one there. The files may be of any kind that `rows.py` reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from drift.problems import benchmark_rows as rows
from drift.problems.arithmetic import ProblemPart
from drift.problems.benchmark_rows import RowReader

Domain = Literal["math", "general"]


@dataclass(frozen=True, slots=True)
class Part:
    """Where one part of a set lies, and how much it is.

    Attributes:
        patterns: of the files with its rows, from the root of the repository; `*` also matches `/`. Of several, the
            first that any file matches counts: the others are where the same rows lie in another format.
        num_rows: in all its files on the Hub; fewer are a copy that is not whole.
    """

    patterns: tuple[str, ...]
    num_rows: int


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One row of the table.

    Attributes:
        repository: the data set on the Hub.
        parts: what the set has; `train` is what may be trained on, `evaluation` what is held out.
        columns: what every row must have.
        read: how a row becomes a problem.
        domain: which average of the results it belongs to.
        optional_columns: what `read` looks at where the file has it.
        read_corrected: how a row becomes a problem when corrected labels are asked for; None where there are none.
        holds_out: True where one file holds everything: a tenth of the original problems is held out, with all their
            rephrasings.
        drops_repeats: whether a problem that comes again is asked once. Sets that results are reported on keep all
            rows, since the published numbers count them.
    """

    repository: str
    parts: Mapping[ProblemPart, Part]
    columns: tuple[str, ...]
    read: RowReader
    domain: Domain
    optional_columns: tuple[str, ...] = ()
    read_corrected: RowReader | None = None
    holds_out: bool = False
    drops_repeats: bool = False


_METAMATHQA = Part(("MetaMathQA*.json",), 395_000)

BENCHMARKS: Mapping[str, Benchmark] = {
    "math": Benchmark(  # seven configurations
        "EleutherAI/hendrycks_math",
        {"train": Part(("*/train-*.parquet",), 7_500), "evaluation": Part(("*/test-*.parquet",), 5_000)},
        ("problem", "solution"),
        rows.boxed_in_solution,
        "math",
    ),
    "math500": Benchmark(  # of the test part of MATH
        "HuggingFaceH4/MATH-500",
        {"evaluation": Part(("test.jsonl",), 500)},
        ("problem", "answer"),
        rows.answer_beside_solution,
        "math",
    ),
    "theoremqa": Benchmark(  # 747 rows need no picture
        "TIGER-Lab/TheoremQA",
        {"evaluation": Part(("*test-*.parquet",), 800)},
        ("Question", "Answer", "Answer_type", "Picture"),
        rows.theorem_question,
        "math",
    ),
    "metamathqa": Benchmark(  # 155,000 rows are of the MATH part, made of 7,500 problems
        "meta-math/MetaMathQA",
        {"train": _METAMATHQA, "evaluation": _METAMATHQA},
        ("type", "query", "original_question", "response"),
        rows.rephrased,
        "math",
        holds_out=True,
        drops_repeats=True,
    ),
    "gsm8k": Benchmark(
        "openai/gsm8k",
        {"train": Part(("main/train-*.parquet",), 7_473), "evaluation": Part(("main/test-*.parquet",), 1_319)},
        ("question", "answer"),
        rows.answer_after_hashes,
        "math",
    ),
    "mmlu": Benchmark(  # 57 subjects
        "cais/mmlu",
        {"evaluation": Part(("all/test-*.parquet",), 14_042)},
        ("question", "choices", "answer"),
        rows.numbered_choice,
        "general",
    ),
    "mmlu_redux": Benchmark(  # 57 configurations of 100 rows; those that are marked as faulty are left out
        "edinburgh-dawg/mmlu-redux-2.0",
        {"evaluation": Part(("*/data-*.arrow", "*test-*.parquet"), 5_700)},
        ("question", "choices", "answer", "error_type"),
        rows.redux_choice,
        "general",
        optional_columns=("correct_answer",),
        read_corrected=rows.corrected_redux_choice,
    ),
    "mmlu_pro": Benchmark(  # up to ten options
        "TIGER-Lab/MMLU-Pro",
        {"evaluation": Part(("data/test-*.parquet",), 12_032)},
        ("question", "options", "answer", "answer_index"),
        rows.lettered_choice,
        "general",
    ),
    "gpqa_diamond": Benchmark(  # gated
        "Idavidrein/gpqa",
        {"evaluation": Part(("gpqa_diamond.csv",), 198)},
        ("Question", "Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"),
        rows.shuffled_choice,
        "general",
    ),
}


def domains() -> dict[str, str | None]:
    """The domain of each benchmark, by name: which average of the results it belongs to."""
    return {name: benchmark.domain for name, benchmark in BENCHMARKS.items()}
