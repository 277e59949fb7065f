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
class Benchmark:
    """One row of the table.

    Attributes:
        repository: the data set on the Hub.
        files: for each part that the set has, patterns of the files with its rows (`*` also matches `/`); `train`
            is what may be trained on, `evaluation` what is held out.
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
    files: Mapping[ProblemPart, tuple[str, ...]]
    columns: tuple[str, ...]
    read: RowReader
    domain: Domain
    optional_columns: tuple[str, ...] = ()
    read_corrected: RowReader | None = None
    holds_out: bool = False
    drops_repeats: bool = False


_METAMATHQA = ("MetaMathQA*.json",)
_GPQA = ("Question", "Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")

BENCHMARKS: Mapping[str, Benchmark] = {
    "math": Benchmark(  # seven configurations, 7,500 and 5,000 rows in all
        "EleutherAI/hendrycks_math",
        {"train": ("*/train-*.parquet",), "evaluation": ("*/test-*.parquet",)},
        ("problem", "solution"),
        rows.boxed_in_solution,
        "math",
    ),
    "math500": Benchmark(  # 500 rows of the test part of MATH
        "HuggingFaceH4/MATH-500",
        {"evaluation": ("test.jsonl",)},
        ("problem", "answer"),
        rows.answer_beside_solution,
        "math",
    ),
    "theoremqa": Benchmark(  # 800 rows, of which 747 need no picture
        "TIGER-Lab/TheoremQA",
        {"evaluation": ("*test-*.parquet",)},
        ("Question", "Answer", "Answer_type"),
        rows.theorem_question,
        "math",
        optional_columns=("Picture",),
    ),
    "metamathqa": Benchmark(  # 395,000 rows, of which 155,000 are of the MATH part, made of 7,500 problems
        "meta-math/MetaMathQA",
        {"train": _METAMATHQA, "evaluation": _METAMATHQA},
        ("type", "query", "original_question", "response"),
        rows.rephrased,
        "math",
        holds_out=True,
        drops_repeats=True,
    ),
    "gsm8k": Benchmark(  # 7,473 and 1,319 rows
        "openai/gsm8k",
        {"train": ("main/train-*.parquet",), "evaluation": ("main/test-*.parquet",)},
        ("question", "answer"),
        rows.answer_after_hashes,
        "math",
    ),
    "mmlu": Benchmark(  # 14,042 rows of 57 subjects
        "cais/mmlu",
        {"evaluation": ("all/test-*.parquet",)},
        ("question", "choices", "answer"),
        rows.numbered_choice,
        "general",
    ),
    "mmlu_redux": Benchmark(  # 57 configurations of 100 rows; those that are marked as faulty are left out
        "edinburgh-dawg/mmlu-redux-2.0",
        {"evaluation": ("*/data-*.arrow", "*test-*.parquet")},
        ("question", "choices", "answer", "error_type"),
        rows.redux_choice,
        "general",
        optional_columns=("correct_answer",),
        read_corrected=rows.corrected_redux_choice,
    ),
    "mmlu_pro": Benchmark(  # 12,032 rows of up to ten options
        "TIGER-Lab/MMLU-Pro",
        {"evaluation": ("data/test-*.parquet",)},
        ("question", "options", "answer", "answer_index"),
        rows.lettered_choice,
        "general",
    ),
    "gpqa_diamond": Benchmark(  # 198 rows; gated
        "Idavidrein/gpqa", {"evaluation": ("gpqa_diamond.csv",)}, _GPQA, rows.shuffled_choice, "general"
    ),
}


def domains() -> dict[str, str | None]:
    """The domain of each benchmark, by name: which average of the results it belongs to."""
    return {name: benchmark.domain for name, benchmark in BENCHMARKS.items()}
