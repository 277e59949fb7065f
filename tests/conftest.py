"""What the tests share: the real model, converted once, a real browser, and made-up held-out conversations."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from filelock import FileLock
from hypothesis import settings

from drift.model_directory import ModelDirectory
from drift.parameters import ModelParameters
from drift.problems.problem import PROBLEM_SCHEMA
from drift.protocol.trajectory import EVAL_TRAJECTORY_SCHEMA

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A busy machine makes a test slow, not wrong.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

PROJECT = Path(__file__).resolve().parents[1]
BUNDLED = ModelParameters(path="bundled:smollm2-135m-instruct")
MAX_TURNS = 5  # of the conversations that are made up
# Files that take minutes begin first, so that no process is left alone with one at the end.
LONGEST_FIRST = (
    "test_run.py",
    "test_interruptions.py",
    "test_study.py",
    "test_engines.py",
    "test_processes.py",
    "test_killed_training.py",
    "test_conversations.py",
)


def pytest_configure(config: pytest.Config) -> None:
    """Each of several test processes keeps to a core: threads that spin for one another are slower than one."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})
        os.environ["OMP_NUM_THREADS"] = "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files in front."""
    order = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(scope="session")
def reference_model(tmp_path_factory: pytest.TempPathFactory) -> ModelDirectory:
    """The bundled model as a Hugging Face directory; several test processes convert it once."""
    from drift.rollout.reference import prepare_reference_model

    own = tmp_path_factory.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "reference"
    with FileLock(f"{shared}.lock"):
        return prepare_reference_model(BUNDLED, shared)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real problems that are not part of the project; tests that use them skip where they are absent."""
    directory = Path(os.environ.get("DRIFT_SHARED_DATA", PROJECT.parent / "shared" / "data"))
    if not directory.is_dir():
        pytest.skip(f"no shared data at {directory}")
    return directory


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """Headless Chromium. A machine without it skips the tests that need it; CI must have it.

    It is closed with the module, because Playwright's event loop stands in the way of `asyncio.run`.
    """
    executable = shutil.which("chromium")
    if executable is None:
        absent = "no Chromium: apt-get install chromium"
        pytest.fail(absent) if os.environ.get("CI") else pytest.skip(absent)
    from playwright.sync_api import sync_playwright

    switches = "--no-sandbox --disable-background-networking --disable-component-update --disable-sync --no-first-run"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*switches.split(), "--disable-gpu"])
        yield browser
        browser.close()
    asyncio.run(asyncio.sleep(0))  # fails where a loop is still running


def trajectory_row(policy: str, benchmark: str, problem_id: str, solved_turn: int) -> dict[str, object]:
    num_turns = solved_turn or MAX_TURNS
    turns = [
        {
            "response": f"I say {turn}.",
            "start": 2 * turn,
            "end": 2 * turn + 1,
            "answer": None if turn == 3 else str(min(turn, 2)),
            "verdict": "correct" if turn == solved_turn else "unparsable" if turn == 3 else "wrong",
            "stopped": True,
        }
        for turn in range(1, num_turns + 1)
    ]
    return {
        "policy": policy,
        "benchmark": benchmark,
        "problem_id": problem_id,
        "trajectory_id": 0,
        "token_ids": list(range(2 * num_turns + 2)),
        "turns": turns,
        "success": solved_turn > 0,
        "num_turns": num_turns,
    }


@pytest.fixture(scope="session")
def make_trajectories() -> Callable[[Mapping[str, Mapping[str, Sequence[int]]]], pa.Table]:
    """From {benchmark: {policy: solved turns}} to a table of evaluation trajectories."""

    def make(solved_turns: Mapping[str, Mapping[str, Sequence[int]]]) -> pa.Table:
        rows = [
            trajectory_row(policy, benchmark, f"{benchmark}-{index}", int(solved_turn))
            for benchmark, of_policy in solved_turns.items()
            for policy, turns in of_policy.items()
            for index, solved_turn in enumerate(turns)
        ]
        return pa.Table.from_pylist(rows, schema=EVAL_TRAJECTORY_SCHEMA)

    return make


@pytest.fixture(scope="session")
def make_problems() -> Callable[[Mapping[str, int], Mapping[str, int]], pa.Table]:
    """From {benchmark: number of problems} and {benchmark: options} to a table of problems."""

    def make(num_problems: Mapping[str, int], num_choices: Mapping[str, int]) -> pa.Table:
        rows = [
            {
                "problem_id": f"{benchmark}-{index}",
                "problem": f"{benchmark}, question {index}?",
                "answer": "A",
                "verifier": "choice" if benchmark in num_choices else "math",
                "source": benchmark,
                "num_choices": num_choices.get(benchmark),
            }
            for benchmark, num in num_problems.items()
            for index in range(num)
        ]
        return pa.Table.from_pylist(rows, schema=PROBLEM_SCHEMA)

    return make


@pytest.fixture(scope="session")
def hostile_name() -> str:
    """A benchmark's name that would be markup, script, or a request, wherever it is not escaped."""
    return "</script><img src=x onerror=alert(1)><b>{{ 7 * 7 }} & \"q\" 'a' $x$"


@pytest.fixture(scope="session")
def make_report(make_trajectories, make_problems, hostile_name):
    """A report about two benchmarks, one of them with a hostile name, and independent attempts at both."""
    from drift.evaluation.answers_chart import answers_chart
    from drift.evaluation.charts import correction_rate_chart, multi_at_k_chart
    from drift.evaluation.made_from import Cost
    from drift.evaluation.report import Report
    from drift.evaluation.score import score

    turns = {"reference": [1, 0, 0, 2, 0, 0], "trained": [1, 2, 3, 1, 1, 0]}
    names = ["arithmetic", hostile_name]
    trajectories = make_trajectories(dict.fromkeys(names, turns))
    problems = make_problems(dict.fromkeys(names, 6), {hostile_name: 4})
    first_turns = make_trajectories({key: {"reference": [1] * 6, "trained": [1] * 6} for key in names})
    scores = score(trajectories, problems, 5, 200, 0, attempts=first_turns)
    return Report(
        scores,
        {
            "multi_at_k": multi_at_k_chart(scores),
            "correction_rate": correction_rate_chart(scores),
            "answers": answers_chart(scores),
        },
        {"seed": 0, "problems": {"evaluation": {"source": "file", "path": hostile_name}}},
        [f"the policy was trained with {hostile_name!r}, and evaluated with 0"],
        {"policies": {"reference": hostile_name}, "seeds": {"sampling": 0}},
        [Cost("sampling", 12.0, 1234, "sampled"), Cost("training", None, None, "trained on")],
    )
