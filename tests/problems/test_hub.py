"""Published sets from the Hugging Face Hub (here a server on this machine that answers as it does), and from copies."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from drift.errors import UserError
from drift.problems.benchmark_source import BenchmarkSource, benchmark_problems

SHA = "0123456789abcdef0123456789abcdef01234567"
ROW = {"problem": "What is 1 + 1?", "solution": "It is 2.", "answer": "2"}
ROWS = "".join(json.dumps({**ROW, "problem": f"What is {n} + 1?", "answer": str(n + 1)}) + "\n" for n in range(500))
FILES = {
    "HuggingFaceH4/MATH-500": {"test.jsonl": ROWS, "README.md": "not asked for"},
    "Idavidrein/gpqa": {"gpqa_diamond.csv": "", "gpqa_main.csv": ""},
    "openai/gsm8k": {"README.md": "moved"},
}
GATED = "Idavidrein/gpqa"


class Hub(BaseHTTPRequestHandler):
    """The few requests that fetching a data set makes."""

    asked: list[str]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        path = self.path.removeprefix("/api").removeprefix("/datasets/").split("?")[0]
        repository = next((name for name in FILES if path.startswith(name)), None)
        if repository is None:
            self.answer(404, {}, {"X-Error-Code": "RepoNotFound"})
            return
        _, kind, revision, *rest = path.removeprefix(repository).split("/")
        if revision not in ("main", SHA):
            self.answer(404, {}, {"X-Error-Code": "RevisionNotFound"})
        elif kind == "revision":
            self.answer(200, {"id": repository, "sha": SHA, "siblings": []})
        elif kind == "tree":
            files = FILES[repository].items()
            tree = [{"type": "file", "path": file, "oid": file, "size": len(text)} for file, text in files]
            self.answer(200, tree)
        elif repository == GATED:
            self.answer(403, {}, {"X-Error-Code": "GatedRepo"})
        else:
            text = FILES[repository]["/".join(rest)]
            self.answer(200, text, {"ETag": f'"{rest[-1]}"', "X-Repo-Commit": SHA})

    def answer(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
        body = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    """A hub on this machine, and an empty cache."""
    handler = type("OneHub", (Hub,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    files = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", files)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def load(name: str, **options: object):
    return benchmark_problems(BenchmarkSource.model_validate({"source": name, **options}), "evaluation")


def test_a_set_is_downloaded_once_and_only_the_files_that_are_read(hub):
    problems = load("math500")
    assert [problem.answer for problem in problems] == [str(n + 1) for n in range(500)]
    fetched = [path for path in hub.asked if "/resolve/" in path]
    assert fetched and all("test.jsonl" in path for path in fetched)
    assert load("math500", revision=SHA) == problems
    assert [path for path in hub.asked if "/resolve/" in path] == fetched


def test_a_downloaded_set_is_there_without_a_connection(hub, monkeypatch):
    problems = load("math500")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert load("math500") == problems


def test_a_copy_of_the_hub_that_is_not_whole_is_refused_where_it_lies(hub, tmp_path, monkeypatch):
    """Without a connection, whatever the cache holds is what the Hub's library returns."""
    load("math500")
    (snapshot,) = (tmp_path / "cache").glob("datasets--*/snapshots/*")
    (snapshot / "test.jsonl").unlink()
    (snapshot / "test.jsonl").write_text(json.dumps(ROW))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    said = rf"math500: the copy of HuggingFaceH4/MATH-500 in {snapshot} has 1 row, where 500 are published: delete"
    with pytest.raises(UserError, match=said):
        load("math500", limit=1)
    assert [problem.answer for problem in load("math500", path=str(snapshot))] == ["2"]


def test_a_path_with_a_part_of_a_set_says_so(tmp_path, caplog):
    (tmp_path / "test.jsonl").write_text(json.dumps(ROW))
    load("math500", path=str(tmp_path))
    assert f"math500: {tmp_path} has 1 row, where 500 are published" in caplog.text
    caplog.clear()
    (tmp_path / "test.jsonl").write_text(ROWS)
    load("math500", path=str(tmp_path))
    assert not caplog.text


def test_a_gated_set_says_which_permission_is_needed(hub):
    with pytest.raises(
        UserError, match=r"gpqa_diamond: Idavidrein/gpqa is gated: accept its terms at https://.*hf auth"
    ):
        load("gpqa_diamond")


def test_a_revision_that_does_not_exist_is_named(hub):
    with pytest.raises(UserError, match="HuggingFaceH4/MATH-500 has no revision 'v9'"):
        load("math500", revision="v9")


def test_a_set_that_is_not_on_the_hub_is_named(hub):
    with pytest.raises(
        UserError, match="TIGER-Lab/TheoremQA is not a data set on the Hugging Face Hub that you can read"
    ):
        load("theoremqa")


def test_a_set_whose_files_are_others_now_says_which_are_looked_for(hub):
    with pytest.raises(
        UserError, match=r"openai/gsm8k on the Hugging Face Hub has none of the files main/test-\*.parquet"
    ):
        load("gsm8k")


def test_without_a_connection_the_command_that_fetches_the_set_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    command = "hf download --repo-type dataset HuggingFaceH4/MATH-500 --local-dir DIRECTORY"
    with pytest.raises(UserError, match=f"could not be downloaded .*: check the connection, or .*`{command}`"):
        load("math500")


def test_a_path_that_is_not_there_is_named_with_the_command_that_makes_it(tmp_path):
    command = rf"hf download --repo-type dataset HuggingFaceH4/MATH-500 --local-dir {tmp_path}/no"
    with pytest.raises(UserError, match=f"math500: {tmp_path}/no does not exist: correct `path`.*`{command}`"):
        load("math500", path=str(tmp_path / "no"))


def test_a_directory_with_the_hubs_files_is_read_and_one_without_is_refused(tmp_path):
    (tmp_path / "README.md").write_text("")
    with pytest.raises(UserError, match=rf"The directory {tmp_path} has none of the files test.jsonl"):
        load("math500", path=str(tmp_path))
    (tmp_path / "test.jsonl").write_text(json.dumps(ROW))
    assert [problem.answer for problem in load("math500", path=str(tmp_path))] == ["2"]


def test_a_file_of_an_unknown_kind_is_refused_with_the_known_ones(tmp_path):
    (tmp_path / "test.xlsx").write_text("")
    with pytest.raises(UserError, match=r"ends in none of \.jsonl, \.json, \.csv, \.parquet, \.arrow"):
        load("math500", path=str(tmp_path / "test.xlsx"))
