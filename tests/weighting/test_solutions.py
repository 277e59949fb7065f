"""Written solutions as training examples: what is learned is what sampling would have recorded, and is right."""

import logging
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.datasets.parquet_shards import ParquetShardsDataset
from drift.errors import UserError
from drift.model_directory import ModelDirectory
from drift.parameters import ModelParameters, ProtocolParameters
from drift.pipelines.problem_frames import to_frame
from drift.pipelines.weighting.nodes import examples_of_solutions as node
from drift.pipelines.weighting.nodes import summarize_solutions
from drift.problems.benchmark_source import BenchmarkSource, benchmark_problems
from drift.problems.problem import Problem
from drift.protocol.chat import ChatFormat, chat_format_of
from drift.protocol.episode import Episode
from drift.protocol.prompts import PROMPT_STYLES
from drift.training.examples import read_examples
from drift.training.policy import refuse_other_policy
from drift.verification.answers import extract_answer
from drift.verification.pool import VerifierPool
from drift.verification.verifiers import grade
from drift.weighting.composition import Composition
from drift.weighting.retention import WEIGHTED_TURN_SCHEMA
from drift.weighting.solutions import RESPONSES, examples_of_solutions

SUM = Problem("p", "What is 14 + 15?", "29", "numeric", "mine", solution="First 14 + 10 = 24, then 24 + 5 = 29.")
BOXED = replace(SUM, problem_id="q", solution=r"As 14 + 15 = 29, it is $\boxed{29}$, and not 30.")
WITHOUT = replace(SUM, problem_id="r", solution=None)
REAL = {
    "math": ("evaluation", "math_test.jsonl"),
    "math500": ("evaluation", "math500_test.jsonl"),
    "gsm8k": ("train", "gsm8k_train.jsonl"),
}


@pytest.fixture(scope="module", params=["boxed", "think_answer"])
def chat(request, reference_model) -> ChatFormat:
    return chat_format_of(reference_model.path, ProtocolParameters(prompt=request.param))


def prompt_of(chat: ChatFormat) -> str:
    return next(name for name, style in PROMPT_STYLES.items() if style == chat.style)


def rows_of(chat: ChatFormat, *problems: Problem, context_tokens: int | None = None) -> list[dict]:
    return examples_of_solutions(problems, chat, prompt_of(chat), context_tokens).table.to_pylist()


def test_every_prompt_style_says_how_a_solution_is_said():
    assert set(RESPONSES) == set(PROMPT_STYLES)


def test_a_solution_is_said_in_the_answer_format():
    assert RESPONSES["boxed"](SUM.solution, "29") == f"{SUM.solution}\nThe final answer is \\boxed{{29}}."
    assert RESPONSES["boxed"](BOXED.solution, "29") == BOXED.solution
    assert RESPONSES["think_answer"]("It is so.", "29") == "<think> It is so. </think> <answer> 29 </answer>"


def test_an_example_holds_the_tokens_an_episode_of_this_response_would(chat):
    (row,) = rows_of(chat, SUM)
    response = RESPONSES[prompt_of(chat)](SUM.solution, SUM.answer)
    episode = Episode(SUM, 0, chat.prompt_ids(SUM), 5)
    sampled = [*chat.tokenizer(response, add_special_tokens=False)["input_ids"], chat.tokenizer.eos_token_id]
    episode.add_turn(sampled, True, response, "correct", "29")
    assert row["token_ids"] == episode.token_ids
    assert row["targets"] == [{"start": turn.start, "end": turn.end} for turn in episode.turns]
    assert chat.text(row["token_ids"][row["targets"][0]["start"] :]) == response


def test_the_rows_are_weighted_turns_of_weight_one(chat):
    found = examples_of_solutions([SUM, WITHOUT, BOXED], chat, prompt_of(chat), None)
    assert found.table.schema == WEIGHTED_TURN_SCHEMA
    rows = found.table.to_pylist()
    assert [row["problem_id"] for row in rows] == ["p", "q"]
    for row in rows:
        facts = {name: row[name] for name in ("trajectory_id", "weight", "shaped_return", "num_turns", "success")}
        assert facts == {"trajectory_id": 0, "weight": 1.0, "shaped_return": 1.0, "num_turns": 1, "success": True}
    spans = [row["targets"][0] for row in rows]
    assert found.longest_response_tokens == max(span["end"] - span["start"] for span in spans)


@pytest.mark.parametrize("style", RESPONSES)
@given(
    words=st.lists(
        st.sampled_from(["It is ", "28", "\\boxed{", "}", "{", "\\", "$", "</think>", "<answer>", "</answer>", "\n"])
    ),
    answer=st.integers(-99, 99),
)
def test_what_states_the_answer_is_graded_correct_whatever_the_solution_says(style, words, answer):
    response = RESPONSES[style]("".join(words), str(answer))
    stated = extract_answer(response) == str(answer)
    assert (grade("numeric", str(answer), response).verdict == "correct") or not stated
    assert stated or "</answer>" in words, "only tags of its own can make a solution state something else"


def test_problems_that_give_no_example_are_counted_by_reason(chat):
    end_inside = replace(SUM, problem_id="end", solution=f"It is so.{chat.tokenizer.eos_token} Or not.")
    long = replace(SUM, problem_id="long", solution="And so on. " * 200)
    room = max(len(row["token_ids"]) for row in rows_of(chat, SUM, BOXED))
    asked = [SUM, WITHOUT, end_inside, BOXED, long, replace(WITHOUT, problem_id="s")]
    found = examples_of_solutions(asked, chat, prompt_of(chat), room)
    assert found.table["problem_id"].to_pylist() == ["p", "q"]
    assert found.left_out == {
        "without a written solution": 2,
        "with an end of turn inside": 1,
        "longer than the model's context": 1,
    }
    assert found.left_out_in_words().startswith("without a written solution (2), ")


def test_an_answer_that_no_box_can_hold_is_left_out(reference_model):
    chat = chat_format_of(reference_model.path, ProtocolParameters(prompt="boxed"))
    found = examples_of_solutions(
        [SUM, replace(SUM, problem_id="s", answer="}29", verifier="exact")], chat, "boxed", None
    )
    assert found.table["problem_id"].to_pylist() == ["p"]
    assert found.left_out == {"whose answer cannot be stated in the answer format": 1}


def test_without_any_solution_the_user_is_told_where_they_come_from(chat):
    with pytest.raises(UserError, match=r"None of the 2 training problems .*written solution \(2\).*`solution_column`"):
        rows_of(chat, WITHOUT, replace(WITHOUT, problem_id="s"))
    with pytest.raises(UserError, match=r"None of the 1 .*longer than the model's context \(1\)"):
        rows_of(chat, SUM, context_tokens=5)


@pytest.fixture
def made(reference_model, tmp_path, caplog) -> Callable[..., ParquetShardsDataset]:
    caplog.set_level(logging.INFO)

    def make(reference: ModelDirectory = reference_model) -> ParquetShardsDataset:
        stream = node(to_frame([SUM, WITHOUT, BOXED]), reference, ModelParameters(path="bundled"), ProtocolParameters())
        dataset = ParquetShardsDataset(filepath=str(tmp_path / "weighted_turns"))
        dataset.save(stream)
        return dataset

    return make


def test_training_reads_what_the_node_makes_and_knows_whose_tokens_they_are(made, reference_model, caplog):
    turns = made().load()
    assert "2 of 3 problems give a written solution; left out: without a written solution (1)" in caplog.text
    assert turns.provenance["solutions"]["left_out"] == {"without a written solution": 1}
    refuse_other_policy(turns, reference_model)
    with pytest.raises(UserError, match="was written in the tokens of another model"):
        refuse_other_policy(turns, ModelDirectory(reference_model.path, {"path": "other", "fingerprint": "other"}))
    for example in read_examples(turns):
        assert example.weight == 1.0
        np.testing.assert_array_equal(example.targets, np.arange(example.targets[0], len(example.token_ids)))


def test_the_summary_has_the_names_of_a_composition_and_claims_no_outcome(made):
    summary = summarize_solutions(made().load())
    assert set(summary) == set(Composition(0, 0, 0, 0, 0, 0, 0.0, 0.0).to_dict())
    assert summary["num_problems"] == summary["num_examples"] == summary["effective_sample_size"] == 2
    assert summary["all_right"] is summary["mixed"] is summary["all_wrong"] is None


def real_problems(name: str, directory: Path, limit: int | None = None) -> list[Problem]:
    part, file = REAL[name]
    source = BenchmarkSource.model_validate({"source": name, "path": str(directory / file), "limit": limit})
    return benchmark_problems(source, part)


@pytest.mark.parametrize("name", REAL)
def test_every_published_solution_states_the_gold_answer_in_every_format(shared_data, name):
    for problem in real_problems(name, shared_data):
        for say in RESPONSES.values():
            assert extract_answer(say(problem.solution or "", problem.answer)) == problem.answer, problem.problem_id


def test_published_solutions_are_graded_correct(shared_data):
    """A sample of each set; all of them state the gold answer, which is graded against itself elsewhere."""
    asked = [problem for name in REAL for problem in real_problems(name, shared_data, limit=60)]
    with VerifierPool(2, 10) as pool:
        grades = [
            pool.submit(problem.verifier, problem.answer, say(problem.solution or "", problem.answer))
            for problem, say in product(asked, RESPONSES.values())
        ]
        assert [each.result().verdict for each in grades] == ["correct"] * (2 * 60 * len(REAL))
