"""Problems are counted without a download, and what is assumed of their lengths is near what real ones have."""

import json
from pathlib import Path
from statistics import fmean

import pytest

from drift.parameters import ProblemsParameters, ProtocolParameters
from drift.planning import problem_sizes as sizes
from drift.planning.problem_sizes import problem_sizes
from drift.problems.sources import load_problems
from drift.protocol.chat import chat_format_of

PROTOCOL = ProtocolParameters(prompt="think_answer")
ARITHMETIC = {"source": "arithmetic", "limit": 8}


def counted(train: dict, *evaluation: dict):
    problems = ProblemsParameters.model_validate({"train": train, "evaluation": list(evaluation) or [ARITHMETIC]})
    return problem_sizes(problems, PROTOCOL, seed=0)


def test_a_set_on_the_hub_is_counted_as_published():
    counts = counted({"source": "metamathqa", "limit": 1800}, {"source": "mmlu_pro"}, {"source": "gpqa_diamond"})
    assert [counts.train.count, *(size.count for size in counts.evaluation)] == [1800, 12032, 198]
    assert counts.held_out.count == 12032 + 198
    assert counts.not_read == ("metamathqa", "mmlu_pro", "gpqa_diamond") and not counts.refusals
    assert any("metamathqa, mmlu_pro, gpqa_diamond" in sentence for sentence in sizes.assumptions(counts))


def test_what_is_here_is_read(tmp_path: Path):
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps({"problem": f"{n} + 1?", "answer": str(n + 1)}) + "\n" for n in range(7)))
    counts = counted({"source": "file", "path": str(file), "limit": 5})
    assert (counts.train.count, counts.train.is_read, counts.not_read) == (5, True, ())


@pytest.mark.parametrize(
    ("train", "sentence"),
    [
        ({"source": "file", "path": "/nowhere/x.jsonl"}, "The problem file /nowhere/x.jsonl does not exist"),
        ({"source": "math500"}, "math500 has no problems for train"),
        ({"source": "math", "path": "/nowhere"}, "/nowhere does not exist"),
        ({"source": "arithmetic", "limit": 5000}, "of both parts alike"),
    ],
)
def test_what_a_run_would_refuse_is_said_in_its_own_words(train, sentence):
    (refusal,) = counted(train).refusals
    assert sentence in refusal


def test_lengths_that_are_assumed_are_near_those_of_real_sets(shared_data):
    real = {
        "math": ["math_test.jsonl", "theoremqa_test.json", "gsm8k_test.jsonl"],
        "general": ["mmlu_stem_test.jsonl"],
    }
    for domain, names in real.items():
        for name in names:
            text = (shared_data / name).read_text()
            rows = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
            questions = [row.get("problem") or row.get("question") or row["Question"] for row in rows]
            options = [sum(len(str(option)) + 4 for option in row.get("choices", [])) for row in rows]
            mean = fmean(len(q) + more for q, more in zip(questions, options, strict=True))
            assert sizes.ASSUMED_CHARACTERS[domain] == pytest.approx(mean, rel=0.35), name
            assert max(map(len, questions)) < sizes.ASSUMED_LONGEST_CHARACTERS


def test_tokens_that_are_assumed_are_near_those_of_a_tokenizer(shared_data, reference_model):
    chat = chat_format_of(reference_model.path, PROTOCOL)
    source = {"source": "file", "path": str(shared_data / "math500_test.jsonl")}
    counts = counted(source)
    problems = load_problems(
        ProblemsParameters.model_validate({"train": source, "evaluation": ARITHMETIC}).train, "train", 0
    )
    lengths = [len(chat.prompt_ids(problem)) for problem in problems]
    assert counts.train.prompt_tokens == pytest.approx(fmean(lengths), rel=0.25)
    assert max(lengths) <= counts.train.longest_prompt_tokens
    assert sizes.feedback_tokens(PROTOCOL) == pytest.approx(len(chat.feedback_ids_cut), rel=0.35)
