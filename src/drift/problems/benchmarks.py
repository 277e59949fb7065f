"""The table of published problem sets: where each lies on the Hugging Face Hub and how a row becomes a problem.

To add one, add a row; its name can then be a `source`. `read` is one of the functions of `benchmark_rows.py`, or a new
one there. The files may be of any kind that `rows.py` reads.

The prompt is that of the style `protocol.prompt` (a row of `PROMPT_STYLES`), the same for all sets: problems that
`choice` judges are asked with its `choice_task`, all others with its `task`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from drift.problems import benchmark_rows as rows
from drift.problems.arithmetic import ProblemPart
from drift.problems.benchmark_rows import Draft, RowReader
from drift.problems.problem import VerifierName

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
        verifier: who judges answers; where a set has several kinds of answers, who judges each.
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
    verifier: VerifierName | Mapping[str, VerifierName]
    domain: Domain
    optional_columns: tuple[str, ...] = ()
    read_corrected: RowReader | None = None
    holds_out: bool = False
    drops_repeats: bool = False

    def verifier_of(self, draft: Draft) -> VerifierName:
        """Who judges answers to a problem of the set."""
        return self.verifier if isinstance(self.verifier, str) else self.verifier[draft.answer_type]


_METAMATHQA = Part(("MetaMathQA*.json",), 395_000)

BENCHMARKS: Mapping[str, Benchmark] = {
    "math": Benchmark(  # seven configurations
        repository="EleutherAI/hendrycks_math",
        parts={"train": Part(("*/train-*.parquet",), 7_500), "evaluation": Part(("*/test-*.parquet",), 5_000)},
        columns=("problem", "solution"),
        read=rows.boxed_in_solution,
        verifier="math",
        domain="math",
    ),
    "math500": Benchmark(  # of the test part of MATH
        repository="HuggingFaceH4/MATH-500",
        parts={"evaluation": Part(("test.jsonl",), 500)},
        columns=("problem", "answer"),
        read=rows.answer_beside_solution,
        verifier="math",
        domain="math",
        optional_columns=("solution",),
    ),
    "theoremqa": Benchmark(  # 747 rows need no picture
        repository="TIGER-Lab/TheoremQA",
        parts={"evaluation": Part(("*test-*.parquet",), 800)},
        columns=("Question", "Answer", "Answer_type", "Picture"),
        read=rows.theorem_question,
        verifier=rows.THEOREM_VERIFIERS,
        domain="math",
    ),
    "metamathqa": Benchmark(  # 155,000 rows are of the MATH part, made of 7,500 problems
        repository="meta-math/MetaMathQA",
        parts={"train": _METAMATHQA, "evaluation": _METAMATHQA},
        columns=("type", "query", "original_question", "response"),
        read=rows.rephrased,
        verifier="math",
        domain="math",
        holds_out=True,
        drops_repeats=True,
    ),
    "gsm8k": Benchmark(
        repository="openai/gsm8k",
        parts={"train": Part(("main/train-*.parquet",), 7_473), "evaluation": Part(("main/test-*.parquet",), 1_319)},
        columns=("question", "answer"),
        read=rows.answer_after_hashes,
        verifier="math",
        domain="math",
    ),
    "mmlu": Benchmark(  # 57 subjects
        repository="cais/mmlu",
        parts={"evaluation": Part(("all/test-*.parquet",), 14_042)},
        columns=("question", "choices", "answer"),
        read=rows.numbered_choice,
        verifier="choice",
        domain="general",
    ),
    "mmlu_redux": Benchmark(  # 57 configurations of 100 rows; those that are marked as faulty are left out
        repository="edinburgh-dawg/mmlu-redux-2.0",
        parts={"evaluation": Part(("*/data-*.arrow", "*test-*.parquet"), 5_700)},
        columns=("question", "choices", "answer", "error_type"),
        read=rows.redux_choice,
        verifier="choice",
        domain="general",
        optional_columns=("correct_answer",),
        read_corrected=rows.corrected_redux_choice,
    ),
    "mmlu_pro": Benchmark(  # up to ten options
        repository="TIGER-Lab/MMLU-Pro",
        parts={"evaluation": Part(("data/test-*.parquet",), 12_032)},
        columns=("question", "options", "answer", "answer_index"),
        read=rows.lettered_choice,
        verifier="choice",
        domain="general",
    ),
    "gpqa_diamond": Benchmark(  # gated
        repository="Idavidrein/gpqa",
        parts={"evaluation": Part(("gpqa_diamond.csv",), 198)},
        columns=("Question", "Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"),
        read=rows.shuffled_choice,
        verifier="choice",
        domain="general",
    ),
}


def domains() -> dict[str, str | None]:
    """The domain of each benchmark, by name: which average of the results it belongs to."""
    return {name: benchmark.domain for name, benchmark in BENCHMARKS.items()}
