r"""Whether gold answers verify against themselves, benchmark by benchmark: what no policy could ever exceed.

    python benchmarks/gold_answers.py DIRECTORY

DIRECTORY holds `math_test.jsonl`, `math500_test.jsonl`, `theoremqa_test.json`, `gsm8k_train.jsonl`, `gsm8k_test.jsonl`
and `mmlu_stem_test.jsonl`, with the columns the sets have on the Hub. Every gold answer is given as a response in each
way a prompt asks for, `\boxed{…}` and `<answer>…</answer>`, to the verifier that its row of the table names. As a
control, so is the answer of the next problem, where it is spelled differently. Written to
`benchmarks/gold_answers.json`.
"""

import argparse
import itertools
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from drift.problems.problem import Problem
from drift.problems.sources import BenchmarkSource, ProblemPart, load_problems
from drift.rollout.sample import start_verifiers
from drift.verification.pool import VerifierPool

RESULT = Path(__file__).with_suffix(".json")
FILES: dict[str, tuple[str, ProblemPart, str]] = {
    "math": ("math", "evaluation", "math_test.jsonl"),
    "math500": ("math500", "evaluation", "math500_test.jsonl"),
    "theoremqa": ("theoremqa", "evaluation", "theoremqa_test.json"),
    "gsm8k, train": ("gsm8k", "train", "gsm8k_train.jsonl"),
    "gsm8k, test": ("gsm8k", "evaluation", "gsm8k_test.jsonl"),
    "mmlu": ("mmlu", "evaluation", "mmlu_stem_test.jsonl"),
}
CONTROL = "answer of the next problem"
WAYS = {"boxed": r"The answer is \boxed{{{}}}.", "tagged": "<think> … </think> <answer> {} </answer>"}


def graded(pool: VerifierPool, problems: Sequence[Problem], answers: Sequence[str], words: str) -> dict[str, str]:
    """The verdict on an answer to each problem, by its id."""
    pairs = list(zip(problems, answers, strict=True))
    grades = [pool.submit(problem.verifier, problem.answer, words.format(answer)) for problem, answer in pairs]
    return {problem.problem_id: grade.result().verdict for problem, grade in zip(problems, grades, strict=True)}


def verdicts(pool: VerifierPool, problems: Sequence[Problem]) -> dict[str, Any]:
    """How many gold answers are graded correct, which are not, and how many answers of other problems are."""
    result: dict[str, Any] = {"problems": len(problems)}
    gold = [problem.answer for problem in problems]
    for way, words in WAYS.items():
        found = graded(pool, problems, gold, words)
        wrong = {problem_id: verdict for problem_id, verdict in found.items() if verdict != "correct"}
        result[way] = {"correct": 1 - len(wrong) / len(problems), "not correct": wrong}
    neighbours = [
        (one, other.answer)
        for one, other in itertools.pairwise(problems)
        if one.verifier == other.verifier and one.answer != other.answer
    ]
    others = graded(pool, [one for one, _ in neighbours], [answer for _, answer in neighbours], WAYS["boxed"])
    result[CONTROL] = {
        "pairs": len(neighbours),
        "correct": sum(verdict == "correct" for verdict in others.values()) / len(neighbours),
    }
    return result


def main() -> None:
    """Grades all of them and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    directory, started, results = parser.parse_args().directory, time.perf_counter(), {}
    with start_verifiers() as pool:
        for label, (name, part, file) in FILES.items():
            source = BenchmarkSource(source=name, path=str(directory / file))
            results[label] = verdicts(pool, load_problems(source, part, seed=0))
            shares = ", ".join(f"{way} {results[label][way]['correct']:.2%}" for way in [*WAYS, CONTROL])
            print(f"{label}: {results[label]['problems']:,} problems, {shares}", flush=True)
    seconds = round(time.perf_counter() - started, 1)
    facts = {"command": "python benchmarks/gold_answers.py DIRECTORY", "seconds": seconds, "benchmarks": results}
    RESULT.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
