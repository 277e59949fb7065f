"""The user's own files: what is well-formed is read as it stands, and every fault is reported with its place."""

import csv
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drift.errors import UserError
from drift.problems.files import FileSource, file_problems
from drift.problems.problem import Problem

REUSES_TMP_PATH = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
Cells = dict[str, str]


def source_of(path: Path, **options: object) -> FileSource:
    return FileSource.model_validate({"source": "file", "path": str(path), **options})


def faults_of(path: Path, **options: object) -> list[str]:
    """The lines under the first one of the refusal."""
    with pytest.raises(UserError) as refusal:
        file_problems(source_of(path, **options))
    first, *rest = str(refusal.value).split("\n")
    assert first.startswith(f"The problem file {path} has ")
    return [line.strip() for line in rest]


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


WriteFile = Callable[[str, str | bytes], Path]


def write_jsonl(path: Path, rows: list[Cells]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_json(path: Path, rows: list[Cells]) -> None:
    path.write_text(json.dumps(rows, indent=2, ensure_ascii=False), encoding="utf-8")


def write_csv(path: Path, rows: list[Cells]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["id", "problem", "answer"], quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)


def write_parquet(path: Path, rows: list[Cells]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


WRITERS = {"jsonl": write_jsonl, "json": write_json, "csv": write_csv, "parquet": write_parquet}
FILLED = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).map(str.strip).filter(bool)
ROWS = st.lists(
    st.fixed_dictionaries({"id": FILLED, "problem": FILLED, "answer": FILLED}),
    min_size=1,
    max_size=6,
    unique_by=(lambda row: row["id"], lambda row: row["problem"]),
)


@pytest.mark.parametrize("suffix", WRITERS)
@REUSES_TMP_PATH
@given(rows=ROWS)
def test_every_format_gives_back_what_was_written(tmp_path: Path, suffix: str, rows: list[Cells]) -> None:
    path = tmp_path / f"mine.{suffix}"
    WRITERS[suffix](path, rows)
    problems = file_problems(source_of(path, id_column="id", verifier="exact"))
    assert problems == [Problem(row["id"], row["problem"], row["answer"], "exact", "mine") for row in rows]


@REUSES_TMP_PATH
@given(kinds=st.lists(st.sampled_from(["good", "blank", "not json", "list", "no answer", "null", "empty"]), min_size=1))
def test_exactly_the_faulty_lines_are_reported(tmp_path: Path, kinds: list[str]) -> None:
    lines = {
        "good": '{"problem": "What is NUMBER?", "answer": 1}',
        "blank": " ",
        "not json": "{",
        "list": "[1]",
        "no answer": '{"problem": "NUMBER"}',
        "null": '{"problem": "NUMBER", "answer": null}',
        "empty": '{"problem": " ", "answer": "1"}',
    }
    path = tmp_path / "mine.jsonl"
    header = '{"problem": "first", "answer": 1}\n'
    path.write_text(header + "".join(lines[kind].replace("NUMBER", str(at)) + "\n" for at, kind in enumerate(kinds)))
    faulty = [number for number, kind in enumerate(kinds, start=2) if kind not in ("good", "blank")]
    if not faulty:
        assert len(file_problems(source_of(path))) == 1 + kinds.count("good")
        return
    reported = faults_of(path)
    expected = [f"line {number}:" for number in faulty[:20]]
    expected += [f"… and {len(faulty) - 20} more"] if len(faulty) > 20 else []
    assert len(reported) == len(expected)
    assert all(fault.startswith(start) for fault, start in zip(reported, expected, strict=True))


def test_all_faults_of_a_jsonl_file_are_reported_together_with_their_lines(file: WriteFile) -> None:
    path = file(
        "mine.jsonl",
        b'{"id": 1, "problem": "a", "answer": 1}\n'
        b"\n"
        b'{"id": 2, "problem": "b" "answer": 1}\n'
        b"[1, 2]\n"
        b"\r\n"
        b'{"id": 1, "problem": "c", "answer": null}\n'
        b'{"id": 3, "problem": "  ", "answer": true}\n'
        b'{"id": 4, "problem": 5, "answer": [1]}\n'
        b'{"id": 5, "answer": "1"}\n'
        b'{"id": 6, "problem": "caf\xe9", "answer": 1}\n'
        b'{"id": 7, "problem": "a", "answer": 2}\n'
        b'{"id": "", "problem": "d", "answer": NaN}\n'
        b'{"id": 9, "problem": "e \\ud800", "answer": 1e999}\n',
    )
    assert faults_of(path, id_column="id") == [
        "line 3: this is not JSON (expecting ',' delimiter at column 26)",
        "line 4: this is a list, not a JSON object",
        "line 6: `answer` is empty",
        "line 6: `id` '1' is taken by line 1",
        "line 7: `problem` is empty",
        "line 7: `answer` is a boolean, not text or a number",
        "line 8: `problem` is a number, not text",
        "line 8: `answer` is a list, not text or a number",
        "line 9: there is no `problem`",
        "line 10: this is not UTF-8 (byte 0xe9 at position 26); save it as UTF-8",
        "line 11: the problem of line 1 again, with the answer '2' instead of '1'",
        "line 12: this is not JSON (NaN is not a JSON number)",
        "line 13: `problem` holds half of a surrogate pair (\\ud800…\\udfff), which is no character",
        "line 13: `answer` is inf, not a finite number",
    ]


def test_only_the_first_twenty_faults_are_listed_and_the_rest_counted(file: WriteFile) -> None:
    path = file("mine.jsonl", "{\n" * 57)
    listed = faults_of(path)
    assert [line.split(":")[0] for line in listed[:-1]] == [f"line {number}" for number in range(1, 21)]
    assert listed[-1] == "… and 37 more"
    with pytest.raises(UserError, match="has 57 faults to mend"):
        file_problems(source_of(path))


def test_deeply_nested_json_is_a_fault_and_not_a_crash(file: WriteFile) -> None:
    path = file("mine.jsonl", '{"problem": ' + "[" * 200_000)
    assert faults_of(path)[0].startswith("line 1: this is not JSON (")


def test_a_missing_file_is_named_by_the_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"{tmp_path}/no/mine\.csv does not exist: correct `path`"):
        file_problems(source_of(Path("no/mine.csv")))
    Path("folder.csv").mkdir()
    with pytest.raises(UserError, match=r"folder\.csv is a directory, not a file"):
        file_problems(source_of(Path("folder.csv")))


def test_an_unknown_suffix_is_refused_with_the_known_ones(file: WriteFile) -> None:
    with pytest.raises(UserError, match=r"ends in none of \.jsonl, \.json, \.csv, \.parquet"):
        file_problems(source_of(file("mine.xlsx", "")))


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_missing_column_is_reported_once_with_the_columns_there_are(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mine.{suffix}"
    WRITERS[suffix](path, [{"id": str(number), "problem": str(number), "answer": "1"} for number in range(3)])
    columns = "the file's columns are `id`, `problem`, `answer`"
    assert faults_of(path, problem_column="question", id_column="key") == [
        f"there is no column `question`; {columns}",
        f"there is no column `key`; {columns}",
    ]


def test_a_missing_column_does_not_hide_the_other_faults(file: WriteFile) -> None:
    faults = faults_of(file("mine.jsonl", '{"problem": ""}\n{\n'))
    assert [fault.split(";")[0] for fault in faults] == [
        "there is no column `answer`",
        "line 1: `problem` is empty",
        "line 2: this is not JSON (expecting property name enclosed in double quotes at column 2)",
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.jsonl", ""), ("a.jsonl", "\n \n"), ("a.json", "[]"), ("a.csv", ""), ("a.csv", "problem,answer\n")],
)
def test_a_file_without_problems_is_refused(file: WriteFile, name: str, content: str) -> None:
    assert faults_of(file(name, content)) == ["there are no problems in it"]


def test_items_of_a_json_array_are_counted(file: WriteFile) -> None:
    path = file("mine.json", '[{"problem": "a", "answer": 1},\n\n 3, {"problem": "b", "answer": {}}]')
    assert faults_of(path) == [
        "item 2: this is a number, not a JSON object",
        "item 3: `answer` is an object, not text or a number",
    ]
    broken = file("broken.json", '[{"problem": "a",\n "answer": }]')
    assert faults_of(broken) == ["this is not JSON (expecting value at line 2, column 12)"]


def test_a_json_file_may_hold_json_lines_and_begin_with_a_byte_order_mark(file: WriteFile) -> None:
    line = '\ufeff{"problem": "a", "answer": 1}\n'
    for name, content in (("a.json", line), ("b.jsonl", line), ("c.json", f"\ufeff[{line[1:]}]")):
        assert [problem.problem for problem in file_problems(source_of(file(name, content)))] == ["a"]
    table = file("d.csv", "\ufeffproblem,answer\na,1\n")
    assert [problem.problem for problem in file_problems(source_of(table))] == ["a"]


def test_rows_of_a_csv_file_are_counted_whatever_lines_they_span(file: WriteFile) -> None:
    path = file(
        "mine.csv", 'problem,answer\n"two\nlines",1\n\n"What is 1,000 + 2?",1002\nWhat is 1,000 + 2?,1002\nb,\nshort\n'
    )
    assert faults_of(path) == [
        "row 4: there are 3 values for 2 columns; quote values that hold a comma",
        "row 5: `answer` is empty",
        "row 6: there are 1 values for 2 columns; quote values that hold a comma",
    ]


def test_faults_of_a_csv_file_itself_are_reported_by_line(file: WriteFile) -> None:
    assert faults_of(file("a.csv", 'problem,answer\na,1\n"b,2\n')) == [
        "line 3: this is not CSV (unexpected end of data), so reading stopped here"
    ]
    assert faults_of(file("b.csv", b"problem,answer\na,\xff\nb,1\nc,\xfe\n")) == [
        "line 2: this is not UTF-8 (byte 0xff at position 3); save it as UTF-8",
        "line 4: this is not UTF-8 (byte 0xfe at position 3); save it as UTF-8",
    ]
    assert faults_of(file("c.csv", "problem,answer,answer\na,1,2\n")) == ["there are two columns `answer`"]


def test_rows_of_a_parquet_file_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    pq.write_table(pa.table({"problem": ["a", None, "c", "c"], "answer": [1.0, 2.0, None, 4.5]}), path)
    assert faults_of(path) == ["row 2: `problem` is empty", "row 3: `answer` is empty"]


def test_what_is_no_parquet_file_is_a_fault(file: WriteFile) -> None:
    (fault,) = faults_of(file("mine.parquet", "problem,answer\n"))
    assert fault.startswith("this is not a readable Parquet file (")


def test_numbers_become_text_without_needless_decimals(file: WriteFile) -> None:
    numbers = ["29.0", "29", "-0.0", "0.10", "1e22", "1e-5", "12345678901234567890123"]
    path = file("mine.jsonl", "".join(f'{{"problem": "p{n}", "answer": {n}}}\n' for n in numbers))
    assert [problem.answer for problem in file_problems(source_of(path))] == [
        "29", "29", "0", "0.1", "10000000000000000000000", "0.00001", "12345678901234567890123",
    ]  # fmt: skip


def test_the_answer_pattern_takes_the_first_group_of_its_last_match(file: WriteFile) -> None:
    gsm8k = r"####\s*(.+)"
    path = file("mine.jsonl", json.dumps({"problem": "a", "answer": "#### 1\n2 = 2\n#### 1,234 "}))
    assert [problem.answer for problem in file_problems(source_of(path, answer_pattern=gsm8k))] == ["1,234"]
    without = file("without.jsonl", '{"problem": "a", "answer": "12"}\n{"problem": "b", "answer": "####"}\n')
    assert faults_of(without, answer_pattern=r"####(.*)") == [
        "line 1: `answer` has no match of `answer_pattern` '####(.*)'",
        "line 2: `answer` is empty where `answer_pattern` '####(.*)' matches",
    ]


def test_a_repeated_problem_is_asked_once_and_counted(file: WriteFile, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = file("mine.csv", "problem,answer\na,1\n a ,1\nb,2\na,1\n")
    assert [problem.problem_id for problem in file_problems(source_of(path))] == ["mine-000001", "mine-000003"]
    assert "dropped 2 rows that repeat an earlier problem" in caplog.text


def test_ids_name_the_place_in_the_file(file: WriteFile) -> None:
    path = file("mine.jsonl", '\n{"problem": "a", "answer": 1}\n\n{"problem": "b", "answer": 1}')
    ids = [problem.problem_id for problem in file_problems(source_of(path, name="set"))]
    assert ids == ["set-000002", "set-000004"]


def test_a_limit_takes_the_first_problems_but_all_rows_are_checked(file: WriteFile) -> None:
    rows = "problem,answer\n" + "".join(f"p{number},1\n" for number in range(5))
    path = file("mine.csv", rows)
    assert [problem.problem for problem in file_problems(source_of(path, limit=2))] == ["p0", "p1"]
    assert len(file_problems(source_of(path, limit=100))) == 5
    assert faults_of(file("worse.csv", rows + ",1\n"), limit=2) == ["row 6: `problem` is empty"]


def test_problems_are_named_and_judged_as_the_source_says(file: WriteFile) -> None:
    path = file("My Set.JSONL", '{"q": " a ", "a": " 1 ", "key": 7}')
    options = {"problem_column": "q", "answer_column": "a", "id_column": "key"}
    assert file_problems(source_of(path, **options)) == [Problem("7", "a", "1", "math", "My Set")]
    assert file_problems(source_of(path, name="mine", verifier="numeric", **options)) == [
        Problem("7", "a", "1", "numeric", "mine")
    ]


def test_a_written_solution_is_read_where_a_row_has_one(file: WriteFile) -> None:
    rows = [{"solution": " So it is. "}, {"solution": None}, {"solution": " "}, {}]
    lines = [json.dumps({"problem": f"p{number}", "answer": 1, **row}) for number, row in enumerate(rows)]
    path = file("mine.jsonl", "\n".join(lines))
    read = file_problems(source_of(path, solution_column="solution"))
    assert [problem.solution for problem in read] == ["So it is.", None, None, None]
    assert {problem.solution for problem in file_problems(source_of(path))} == {None}
    table = file("mine.csv", "problem,answer,how\na,1,So.\nb,2,\n")
    assert [problem.solution for problem in file_problems(source_of(table, solution_column="how"))] == ["So.", None]


def test_an_answer_may_be_taken_out_of_the_solution(file: WriteFile) -> None:
    path = file("mine.jsonl", json.dumps({"problem": "a", "answer": "So. #### 1"}))
    options = {"answer_pattern": r"####\s*(.+)", "id_column": "problem", "solution_column": "answer"}
    assert file_problems(source_of(path, **options)) == [Problem("a", "a", "1", "math", "mine", solution="So. #### 1")]


def test_a_solution_column_that_is_not_there_or_holds_no_text_is_a_fault(file: WriteFile) -> None:
    path = file("mine.jsonl", '{"problem": "a", "answer": 1, "how": 5}\n')
    assert faults_of(path, solution_column="how") == ["line 1: `how` is a number, not text"]
    assert faults_of(path, solution_column="why") == [
        "there is no column `why`; the file's columns are `problem`, `answer`, `how`"
    ]
