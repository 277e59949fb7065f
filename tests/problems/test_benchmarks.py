"""Published sets: the real files row by row where they are there, small files with the same columns for the others."""

import itertools
import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from drift.errors import UserError
from drift.problems.arithmetic import ProblemPart
from drift.problems.benchmark_source import BenchmarkSource, benchmark_problems
from drift.problems.benchmarks import BENCHMARKS, Benchmark, domains
from drift.problems.leaks import normalised_text
from drift.problems.problem import VERIFIER_NAMES, Problem
from drift.verification.pool import VerifierPool

REAL: dict[str, tuple[ProblemPart, str]] = {
    "math": ("evaluation", "math_test.jsonl"),
    "math500": ("evaluation", "math500_test.jsonl"),
    "theoremqa": ("evaluation", "theoremqa_test.json"),
    "gsm8k": ("evaluation", "gsm8k_test.jsonl"),
    "mmlu": ("evaluation", "mmlu_stem_test.jsonl"),
}


def problems_of(name: str, path: Path, part: ProblemPart = "evaluation", **options: object) -> list[Problem]:
    source = BenchmarkSource.model_validate({"source": name, "path": str(path), **options})
    return benchmark_problems(source, part)


def real_rows(path: Path) -> list[dict]:
    text = path.read_text()
    return json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]


def write_rows(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def faults_of(name: str, path: Path, **options: object) -> list[str]:
    with pytest.raises(UserError) as refusal:
        problems_of(name, path, **options)
    first, *rest = str(refusal.value).split("\n")
    assert first.startswith(f"The problem file {path} has ")
    return [line.strip() for line in rest]


@pytest.mark.parametrize(
    ("name", "part", "file", "column", "num_problems"),
    [
        ("math", "evaluation", "math_test.jsonl", "problem", 5000),
        ("math500", "evaluation", "math500_test.jsonl", "problem", 500),
        ("gsm8k", "train", "gsm8k_train.jsonl", "question", 7473),
        ("gsm8k", "evaluation", "gsm8k_test.jsonl", "question", 1319),
        ("mmlu", "evaluation", "mmlu_stem_test.jsonl", "question", 3018),
    ],
)
def test_every_row_of_a_real_set_is_a_problem_in_order(shared_data, name, part, file, column, num_problems):
    problems = problems_of(name, shared_data / file, part)
    assert len(problems) == num_problems
    assert len({problem.problem_id for problem in problems}) == num_problems
    for problem, row in zip(problems, real_rows(shared_data / file), strict=True):
        assert problem.problem.startswith(row[column].strip())
        assert problem.source == name
        assert problem.verifier == ("choice" if name == "mmlu" else "math")


def test_the_boxed_answers_of_math_are_those_that_math500_gives(shared_data):
    boxed = {problem.problem: problem.answer for problem in problems_of("math", shared_data / "math_test.jsonl")}
    given = problems_of("math500", shared_data / "math500_test.jsonl")
    assert [boxed[problem.problem] for problem in given] == [problem.answer for problem in given]


def test_theoremqa_is_asked_without_pictures_and_judged_by_the_type_of_its_answers(shared_data, caplog):
    caplog.set_level(logging.INFO)
    path = shared_data / "theoremqa_test.json"
    problems = problems_of("theoremqa", path)
    kinds = Counter(problem.verifier for problem in problems)
    assert kinds == {"float": 360, "integer": 200, "bool": 112, "list": 59, "choice": 16}
    assert "747 of 800 rows are problems; left out: needs a picture (53)" in caplog.text
    rows = [row for row in real_rows(path) if row["Picture"] is None]
    for problem, row in zip(problems, rows, strict=True):
        assert problem.problem == row["Question"].strip()
        match problem.verifier:
            case "choice":
                assert f"({problem.answer.lower()})" == row["Answer"]
                assert f"({'abcdefghij'[(problem.num_choices or 0) - 1]})" in problem.problem
            case "list":
                assert json.loads(problem.answer) == row["Answer"]
                whole = row["Answer_type"] == "list of integer"
                assert all(("." not in element) == whole for element in problem.answer.strip("[]").split(", "))
            case "bool":
                assert (problem.answer, problem.num_choices) == (str(row["Answer"]), 2)
            case _:
                assert float(problem.answer) == row["Answer"]


def test_the_same_answers_as_text_make_the_same_problems(shared_data, tmp_path):
    rows = real_rows(shared_data / "theoremqa_test.json")
    as_text = [
        {**row, "Answer": row["Answer"] if isinstance(row["Answer"], str) else repr(row["Answer"])} for row in rows
    ]
    from_text = problems_of("theoremqa", write_rows(tmp_path / "text.jsonl", as_text))
    from_values = problems_of("theoremqa", shared_data / "theoremqa_test.json")
    assert [problem.problem for problem in from_text] == [problem.problem for problem in from_values]
    assert {problem.verifier for problem in from_text} == {problem.verifier for problem in from_values}
    for text, value in zip(from_text, from_values, strict=True):
        assert text.answer == value.answer or float(text.answer) == float(value.answer)


def test_the_right_option_of_mmlu_stands_beside_its_letter(shared_data):
    path = shared_data / "mmlu_stem_test.jsonl"
    for problem, row in zip(problems_of("mmlu", path), real_rows(path), strict=True):
        assert f"\n({problem.answer}) {str(row['choices'][row['answer']]).strip()}" in problem.problem
        assert problem.num_choices == 4


@pytest.mark.parametrize("name", ["math", "math500"])
def test_the_written_solutions_of_a_set_come_with_its_problems(shared_data, name):
    path = shared_data / REAL[name][1]
    written = [problem.solution for problem in problems_of(name, path)]
    assert written == [row["solution"].strip() for row in real_rows(path)]


def test_the_solutions_of_gsm8k_have_no_calculator_notes_and_no_hashes(shared_data):
    path = shared_data / "gsm8k_train.jsonl"
    for problem, row in zip(problems_of("gsm8k", path, "train"), real_rows(path), strict=True):
        pieces = [piece.partition(">>")[2] or piece for piece in row["answer"].rpartition("####")[0].split("<<")]
        assert problem.solution == "".join(pieces).strip()
        assert not any(mark in problem.solution for mark in ("<<", ">>", "####"))


def test_a_set_without_written_solutions_has_none(shared_data, tmp_path):
    assert {problem.solution for problem in problems_of("mmlu", shared_data / "mmlu_stem_test.jsonl")} == {None}
    rows = [{"problem": "p", "answer": "1"}, {"problem": "q", "answer": "2", "solution": " "}]
    assert [problem.solution for problem in problems_of("math500", write_rows(tmp_path / "few.jsonl", rows))] == [
        None,
        None,
    ]


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(2, 10) as opened:
        yield opened


@pytest.mark.parametrize("name", REAL)
def test_a_gold_answer_is_correct_and_that_of_another_problem_is_not(shared_data, pool, name):
    """A sample; `benchmarks/gold_answers.py` grades all of them."""
    part, file = REAL[name]
    problems = problems_of(name, shared_data / file, part, limit=200)
    right = [pool.submit(each.verifier, each.answer, rf"So \boxed{{{each.answer}}}.") for each in problems]
    others = [
        pool.submit(one.verifier, one.answer, rf"So \boxed{{{two.answer}}}.")
        for one, two in itertools.pairwise(problems)
        if one.verifier == two.verifier and one.answer != two.answer
    ]
    assert [grade.result().verdict for grade in right] == ["correct"] * len(problems)
    assert len(others) > 40
    assert sum(grade.result().verdict == "correct" for grade in others) <= 1


def test_a_limit_takes_the_same_problems_whatever_the_order_and_a_larger_one_adds(shared_data, tmp_path):
    rows = real_rows(shared_data / "math500_test.jsonl")
    forwards = write_rows(tmp_path / "forwards.jsonl", rows)
    backwards = write_rows(tmp_path / "backwards.jsonl", rows[::-1])
    few = [problem.problem for problem in problems_of("math500", forwards, limit=20)]
    assert few == [problem.problem for problem in problems_of("math500", backwards, limit=20)][::-1]
    more = [problem.problem for problem in problems_of("math500", forwards, limit=60)]
    assert set(few) < set(more)
    assert len(more) == 60
    assert more == [row["problem"].strip() for row in rows if row["problem"].strip() in more]
    assert problems_of("math500", forwards, limit=600) == problems_of("math500", forwards)


def redux_row(number: int, error_type: str, correction: str | None = None, **others: object) -> dict:
    row = {"question": f"q{number}", "choices": ["w", "x", "y", "z"], "answer": 1, "error_type": error_type}
    return {**row, "correct_answer": correction, **others}


REDUX = [
    redux_row(0, "ok"),
    redux_row(1, "wrong_groundtruth", "2"),
    redux_row(2, "wrong_groundtruth", "D"),
    redux_row(3, "wrong_groundtruth", "x"),
    redux_row(4, "no_correct_answer", "v"),
    redux_row(5, "expert"),
    redux_row(6, "wrong_groundtruth", "x", choices=["w", "x", "x", "z"]),
    redux_row(7, "wrong_groundtruth", "4"),
]


def write_arrow(path: Path, rows: list[dict]) -> Path:
    table = pa.Table.from_pylist(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    return path


def test_mmlu_redux_asks_what_its_annotators_found_right(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    (problem,) = problems_of("mmlu_redux", write_rows(tmp_path / "redux.jsonl", REDUX))
    assert problem == Problem("mmlu_redux-000001", "q0\n\n(A) w\n(B) x\n(C) y\n(D) z", "B", "choice", "mmlu_redux", 4)
    assert "1 of 8 rows are problems; left out: marked wrong_groundtruth (5)" in caplog.text


def test_corrected_labels_of_mmlu_redux_count_where_they_name_one_option(tmp_path):
    problems = problems_of("mmlu_redux", write_rows(tmp_path / "redux.jsonl", REDUX), corrected=True)
    assert {problem.problem[:2]: problem.answer for problem in problems} == {"q0": "B", "q1": "C", "q2": "D", "q3": "B"}


@pytest.mark.parametrize(
    ("correction", "options", "answer"),
    [
        ("2", ["1", "2", "3", "4"], None),
        ("2", ["0", "1", "2", "3"], "C"),
        ("6", ["5", "6", "7", "8"], "B"),
        ("B", ["A", "C", "B", "D"], None),
        ("2", ["w", "x", "y", "z"], "C"),
    ],
)
def test_a_correction_that_can_be_read_in_two_ways_names_no_option(tmp_path, caplog, correction, options, answer):
    caplog.set_level(logging.INFO)
    rows = [REDUX[0], redux_row(1, "wrong_groundtruth", correction, choices=options)]
    _, *corrected = problems_of("mmlu_redux", write_rows(tmp_path / "redux.jsonl", rows), corrected=True)
    assert [problem.answer for problem in corrected] == ([] if answer is None else [answer])
    left_out = "marked wrong_groundtruth, without a correction that names one option (1)"
    assert (left_out in caplog.text) == (answer is None)


def test_the_configurations_of_a_directory_are_read_together_with_ids_of_their_own(tmp_path):
    write_arrow(tmp_path / "anatomy" / "data-00000-of-00001.arrow", REDUX[:1])
    write_arrow(tmp_path / "virology" / "data-00000-of-00001.arrow", [{**REDUX[0], "question": "q9"}])
    (tmp_path / "anatomy" / "state.json").write_text("{}")
    problems = problems_of("mmlu_redux", tmp_path)
    assert [(problem.problem_id, problem.problem[:2]) for problem in problems] == [
        ("mmlu_redux-000001", "q0"),
        ("mmlu_redux-000002", "q9"),
    ]


def test_the_same_rows_in_two_formats_are_asked_once(tmp_path):
    write_arrow(tmp_path / "anatomy" / "data-00000-of-00001.arrow", REDUX[:1])
    (tmp_path / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(REDUX[:1]), tmp_path / "data" / "test-00000-of-00001.parquet")
    assert len(problems_of("mmlu_redux", tmp_path)) == 1
    (tmp_path / "anatomy" / "data-00000-of-00001.arrow").unlink()
    assert len(problems_of("mmlu_redux", tmp_path)) == 1


def test_mmlu_pro_has_up_to_ten_options(tmp_path):
    ten_options = [f"o{number}" for number in range(10)]
    rows = [
        {"question_id": 70, "question": "ten", "options": ten_options, "answer": "J", "answer_index": 9},
        {"question_id": 71, "question": "three", "options": ["o0", "o1", ""], "answer": "A", "answer_index": 0},
    ]
    ten, three = problems_of("mmlu_pro", write_rows(tmp_path / "pro.jsonl", rows))
    assert ten.problem.endswith("(I) o8\n(J) o9")
    assert (ten.answer, ten.num_choices) == ("J", 10)
    assert (three.answer, three.num_choices) == ("A", 3)


GPQA = [
    {"Question": f"Which is it, number {n}?", "Correct Answer": f"right {n}\n", "Incorrect Answer 1": "wrong 1",
     "Incorrect Answer 2": "wrong, 2", "Incorrect Answer 3": 3}
    for n in range(80)
]  # fmt: skip


def test_the_options_of_gpqa_are_shuffled_the_same_way_every_time(tmp_path):
    problems = problems_of("gpqa_diamond", write_rows(tmp_path / "gpqa.jsonl", GPQA))
    letters = Counter(problem.answer for problem in problems)
    assert set(letters) == set("ABCD") and max(letters.values()) < 40
    for number, problem in enumerate(problems):
        assert f"\n({problem.answer}) right {number}" in problem.problem
        assert all(option in problem.problem for option in ("wrong 1", "wrong, 2", ") 3"))
    backwards = problems_of("gpqa_diamond", write_rows(tmp_path / "backwards.jsonl", GPQA[::-1]))
    assert [problem.problem for problem in backwards[::-1]] == [problem.problem for problem in problems]
    assert [problem.answer for problem in problems[:6]] == ["B", "D", "D", "C", "B", "D"]


def metamath_rows(num_originals: int = 60) -> list[dict]:
    kinds = ("MATH_AnsAug", "MATH_Rephrased", "MATH_SV", "MATH_FOBAR", "GSM_AnsAug")
    return [
        {
            "type": kind,
            "query": f"What is {n} and {n}?" if kind == "MATH_AnsAug" else f"{kind}: tell me of {n} twice.",
            "original_question": f"What is {n}  and {n}?",
            "response": f"The answer is: easy.\nSo it is.\nThe answer is: {2 * n}",
        }
        for n in range(num_originals)
        for kind in kinds
    ]


def test_metamathqa_asks_the_math_part_and_reads_the_answer_behind_its_words(tmp_path):
    path = write_rows(tmp_path / "meta.jsonl", metamath_rows())
    problems = problems_of("metamathqa", path, "train") + problems_of("metamathqa", path, "evaluation")
    assert len(problems) == 60 * 4
    for problem in problems:
        assert problem.answer == str(2 * int((problem.original or "").split()[2]))
        assert problem.solution == f"The answer is: easy.\nSo it is.\nThe answer is: {problem.answer}"


def test_no_rephrasing_of_a_held_out_question_is_trained_on(tmp_path):
    path = write_rows(tmp_path / "meta.jsonl", metamath_rows(400))
    train, held_out = (problems_of("metamathqa", path, part) for part in ("train", "evaluation"))
    originals = [{normalised_text(problem.original or "") for problem in part} for part in (train, held_out)]
    assert not originals[0] & originals[1]
    assert len(originals[0]) + len(originals[1]) == 400
    assert 20 <= len(originals[1]) <= 60, "about a tenth is held out"
    assert all(count == 4 for count in Counter(problem.original for problem in held_out).values())


def test_a_question_is_asked_once_in_training_and_contradictions_are_counted(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    rows = [row for row in metamath_rows(3) if row["type"] == "MATH_AnsAug"]
    rows += [rows[0], {**rows[0], "response": "The answer is: 1000"}, {**rows[0], "response": "I do not know."}]
    path = write_rows(tmp_path / "meta.jsonl", rows)
    problems = problems_of("metamathqa", path, "train") + problems_of("metamathqa", path, "evaluation")
    assert sorted(problem.answer for problem in problems) == ["0", "2", "4"]
    assert "an earlier problem again (1)" in caplog.text
    assert "an earlier problem with another answer (1)" in caplog.text
    assert "no answer in the response (1)" in caplog.text


def test_repeats_in_a_set_that_is_reported_on_are_kept(tmp_path):
    rows = [{"question": "q", "choices": ["a", "b"], "answer": 0}] * 2
    assert len(problems_of("mmlu", write_rows(tmp_path / "mmlu.jsonl", rows))) == 2


MMLU = {"question": "q", "choices": ["a", "b"], "answer": 0}


@pytest.mark.parametrize(
    ("name", "rows", "faults"),
    [
        (
            "math",
            [{"problem": "p", "solution": "no box"}, {"problem": " ", "solution": r"\boxed{1}"}, {"problem": "p"}],
            [
                r"line 1: `solution` has no \boxed{} with an answer",
                "line 2: `problem` is empty",
                "line 3: there is no `solution`",
            ],
        ),
        ("gsm8k", [{"question": "q", "answer": "72"}], ["line 1: `answer` has no #### with an answer behind it"]),
        (
            "mmlu",
            [{**MMLU, "answer": 2}, {**MMLU, "choices": ["a"]}, {**MMLU, "choices": "ab"}, {**MMLU, "choices": [None]}],
            [
                "line 1: `answer` is 2, not the position of one of 2 options",
                "line 2: `choices` are 1; there must be 2 to 10",
                "line 3: `choices` is text, not a list of options",
                "line 4: `choices` has an option that is empty",
            ],
        ),
        (
            "mmlu_pro",
            [{"question": "q", "options": ["a", "b"], "answer": "B", "answer_index": 0}],
            ["line 1: `answer` is 'B', but `answer_index` says A"],
        ),
        (
            "theoremqa",
            [{"Question": "q", "Answer": 1, "Answer_type": "essay", "Picture": None}],
            ["line 1: `Answer_type` is 'essay', not integer, float, bool, option or a list of numbers"],
        ),
        (
            "theoremqa",
            [{"Question": "q", "Answer": 1, "Answer_type": "integer"}],
            ["there is no column `Picture`; the file's columns are `Question`, `Answer`, `Answer_type`"],
        ),
        ("math500", [{"problem": "p"}], ["there is no column `answer`; the file's columns are `problem`"]),
    ],
)
def test_faults_of_a_set_are_reported_together_with_their_places(tmp_path, name, rows, faults):
    assert faults_of(name, write_rows(tmp_path / "set.jsonl", rows)) == faults


def test_a_box_without_braces_is_read(tmp_path):
    rows = [{"problem": "p", "solution": r"It is $\boxed 3$."}]
    assert problems_of("math", write_rows(tmp_path / "math.jsonl", rows))[0].answer == "3"


def test_a_set_of_which_nothing_is_left_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no problem of mmlu_redux is left; rows are left out: marked expert \(1\)"):
        problems_of("mmlu_redux", write_rows(tmp_path / "redux.jsonl", [REDUX[5]]))


def test_a_set_without_training_problems_is_not_trained_on(tmp_path):
    with pytest.raises(UserError, match="math500 has no problems for train; these have: math, metamathqa, gsm8k"):
        problems_of("math500", tmp_path, "train")


def test_every_set_has_a_domain_and_belongs_to_one_average():
    assert set(domains()) == set(BENCHMARKS)
    assert set(domains().values()) == {"math", "general"}


def test_the_table_names_who_judges_the_answers_of_every_set():
    judged = {name for benchmark in BENCHMARKS.values() for name in verifiers_in(benchmark)}
    assert judged <= set(VERIFIER_NAMES)
    assert {name for name, benchmark in BENCHMARKS.items() if verifiers_in(benchmark) == {"choice"}} == {
        name for name, domain in domains().items() if domain == "general"
    }


def verifiers_in(benchmark: Benchmark) -> set[str]:
    return {benchmark.verifier} if isinstance(benchmark.verifier, str) else set(benchmark.verifier.values())
