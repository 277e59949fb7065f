"""MLflow itself, with a SQLite file: one run that has the whole log, whatever happens to training or store."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient

from drift.errors import UserError
from drift.parameters import MlflowParameters, ModelParameters, TrainingParameters, WeightingParameters
from drift.training import session, tracking
from drift.training.job import TrainingJob
from drift.training.policy import train_policy
from drift.training.processes import Processes
from drift.training.tracking import refuse_unusable_store, tracked

ALONE = Processes.alone(torch.device("cpu"))


class Stopped(Exception):
    pass


@pytest.fixture(autouse=True)
def settings_of_the_process(monkeypatch):
    for name, value in tracking._ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    MlflowClient(f"sqlite:///{path}").get_experiment_by_name("drift")
    return path


@pytest.fixture
def database(empty_database, tmp_path) -> Path:
    return Path(shutil.copy(empty_database, tmp_path / "mlflow.db"))


@pytest.fixture
def train(tiny_reference, tiny_turns, database, tmp_path):
    """Trains by the same call as ever, tracked."""

    def train(**settings):
        training = {
            "steps": 12,
            "batch_size": 8,
            "learning_rate": 1e-3,
            "checkpoint_every": 4,
            "micro_batch_tokens": 128,
        }
        training |= {"held_out": {"every": 5}, "mlflow": {"tracking_uri": f"sqlite:///{database}"}}
        return train_policy(
            tiny_turns,
            tiny_reference,
            ModelParameters(path="tiny", dtype="float32"),
            TrainingParameters.model_validate(training | settings),
            WeightingParameters(prune_below=0.05),
            0,
            tmp_path / "work",
        )

    return train


@pytest.fixture
def job(tiny_reference, tiny_turns, database) -> TrainingJob:
    mlflow = MlflowParameters(tracking_uri=f"sqlite:///{database}")
    training = TrainingParameters(steps=9, batch_size=2, learning_rate=1e-3, mlflow=mlflow)
    return TrainingJob(
        tiny_turns.path, tiny_reference.path, {"path": "tiny"}, ModelParameters(path="tiny"), training, 0.0, 0
    )


def runs(database: Path) -> list:
    client = MlflowClient(f"sqlite:///{database}")
    experiment = client.get_experiment_by_name("drift")
    return list(client.search_runs([experiment.experiment_id])) if experiment else []


def history(database: Path, run, name: str) -> list[tuple[int, float]]:
    metrics = MlflowClient(f"sqlite:///{database}").get_metric_history(run.info.run_id, name)
    return sorted((metric.step, metric.value) for metric in metrics)


def assert_has_the_log(database: Path, run, log: list[dict]) -> None:
    for name in log[0].keys() - {"step", "mfu"}:
        expected = [(row["step"], pytest.approx(row[name])) for row in log if row[name] is not None]
        assert history(database, run, name) == expected, name


def rows(*steps: int) -> list[dict]:
    return [{"step": step, "loss": 10.0 / step, "mfu": None} for step in steps]


def test_a_run_has_the_parameters_every_row_of_the_log_and_the_place_of_the_result(train, database):
    checkpoint, log = train(lora={"rank": 3})
    (run,) = runs(database)
    assert run.info.status == "FINISHED"
    assert_has_the_log(database, run, log)
    assert run.data.tags["result"] == str(checkpoint.path.parent)
    expected = {"seed": "0", "model.path": "tiny", "training.learning_rate": "0.001", "weighting.prune_below": "0.05"}
    expected |= {"training.lora.rank": "3", "training.held_out.every": "5", "training.compile": "False"}
    assert expected.items() <= run.data.params.items()
    assert not [name for name in run.data.params if "mlflow" in name]


def test_rows_are_there_while_training_goes_on(job, database, tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "_SECONDS_BETWEEN", 0.0)
    with tracked(job, tmp_path, tmp_path / "result", ALONE, ()) as track:
        for last in (1, 2):
            track(rows(*range(1, last + 1)))
            (run,) = runs(database)
            assert run.info.status == "RUNNING"
            assert history(database, run, "loss") == [(step, 10.0 / step) for step in range(1, last + 1)]


def test_rows_that_come_fast_share_a_request(job, database, tmp_path):
    with tracked(job, tmp_path, tmp_path / "result", ALONE, ()) as track:
        for last in range(1, 200):
            track(rows(*range(1, last + 1)))
        (run,) = runs(database)
        assert len(history(database, run, "loss")) < 199
    assert len(history(database, run, "loss")) == 199


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)])
def test_an_interrupted_training_is_killed_and_goes_on_as_the_same_run(train, database, monkeypatch, number, raised):
    with monkeypatch.context() as patch:
        patch.setattr(session, "_show", lambda bar, row: signal.raise_signal(number) if row.step == 6 else None)
        with pytest.raises(raised):
            train()
    (run,) = runs(database)
    assert (run.info.status, len(history(database, run, "loss"))) == ("KILLED", 6)
    _, log = train()
    (continued,) = runs(database)
    assert (continued.info.run_id, continued.info.status) == (run.info.run_id, "FINISHED")
    assert_has_the_log(database, continued, log)


def test_whoever_interrupts_the_last_step_ends_the_run_with_the_training_finished(train, database, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(session, "_show", lambda bar, row: signal.raise_signal(signal.SIGTERM) if row.step == 2 else None)
        with pytest.raises(SystemExit) as ended:
            train(steps=2)
    assert ended.value.code == 128 + signal.SIGTERM
    (run,) = runs(database)
    assert (run.info.status, len(history(database, run, "loss"))) == ("FINISHED", 2)
    _, log = train(steps=2)
    assert len(log) == 2


def test_a_diverged_training_is_failed(train, database):
    with pytest.raises(UserError, match="diverged"):
        train(learning_rate=1e30, clip_norm=1e30)
    (run,) = runs(database)
    assert run.info.status == "FAILED"
    assert "result" not in run.data.tags


def test_steps_that_a_killed_training_makes_again_are_logged_once(job, database, tmp_path):
    for steps, stop in (((1, 2, 3), Stopped), ((1, 2), Stopped), ((1, 2, 3, 4), None)):
        try:
            with tracked(job, tmp_path, tmp_path / "result", ALONE, (Stopped,)) as track:
                track(rows(*steps))
                if stop:
                    raise stop
        except Stopped:
            pass
    (run,) = runs(database)
    assert history(database, run, "loss") == [(step, 10.0 / step) for step in (1, 2, 3, 4)]


def test_a_run_that_was_deleted_is_begun_anew_with_the_whole_log(job, database, tmp_path):
    for steps in ((1, 2), (1, 2, 3)):
        with tracked(job, tmp_path, tmp_path / "result", ALONE, ()) as track:
            track(rows(*steps))
        (run,) = runs(database)
        assert len(history(database, run, "loss")) == len(steps)
        MlflowClient(f"sqlite:///{database}").delete_run(run.info.run_id)


def test_a_store_that_breaks_costs_one_warning_and_is_told_the_rest_when_it_is_back(
    job, database, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(tracking, "_SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(tracking, "_SECONDS_AFTER_FAILURE", 0.0)
    with tracked(job, tmp_path, tmp_path / "result", ALONE, ()) as track:
        track(rows(1))
        good = database.read_bytes()
        database.write_bytes(b"not a database " * 4096)
        for last in (2, 3):
            track(rows(*range(1, last + 1)))
        assert [record.levelno for record in caplog.records if record.name == tracking.logger.name] == [logging.WARNING]
        assert "MLflow does not answer, training goes on without it" in caplog.text
        database.write_bytes(good)
        track(rows(1, 2, 3, 4))
    (run,) = runs(database)
    assert run.info.status == "FINISHED"
    assert [step for step, _ in history(database, run, "loss")] == [1, 2, 3, 4]


def test_a_training_whose_store_stays_broken_ends_as_if_untracked(train, database, monkeypatch, caplog):
    begun = session._train

    def breaking(*arguments):
        database.write_bytes(b"not a database " * 4096)
        begun(*arguments)

    monkeypatch.setattr(session, "_train", breaking)
    checkpoint, log = train()
    assert (checkpoint.path / "config.json").exists() and len(log) == 12
    warnings = [record.getMessage() for record in caplog.records if record.name == tracking.logger.name]
    assert len(warnings) == 2
    assert "12 steps are missing there" in warnings[1]


def closed_port() -> str:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


UNUSABLE = {
    "a directory of files": lambda path: (path / "mlruns").as_uri(),
    "a server that does not run": lambda path: closed_port(),
    "a file that is no database": lambda path: f"sqlite:///{path / 'junk.db'}",
    "a directory as a file": lambda path: f"sqlite:///{path}",
    "an unknown kind": lambda path: "abacus://here",
}


@pytest.mark.timeout(90)  # the client's own patience lasts minutes
@pytest.mark.parametrize("uri", UNUSABLE.values(), ids=UNUSABLE)
def test_a_store_that_cannot_be_used_is_refused_within_seconds(uri, tmp_path):
    (tmp_path / "junk.db").write_bytes(b"not a database " * 4096)
    settings = MlflowParameters(tracking_uri=uri(tmp_path))
    with pytest.raises(
        UserError, match=r"^training.mlflow: runs cannot be kept at .*: set training.mlflow.tracking_uri"
    ):
        refuse_unusable_store(settings)


def test_a_store_that_cannot_be_used_ends_training_before_the_model_is_loaded(train, monkeypatch, tmp_path):
    monkeypatch.setattr(session, "_train", lambda *arguments: pytest.fail("it has begun"))
    with pytest.raises(UserError, match="runs cannot be kept at file:"):
        train(mlflow={"tracking_uri": (tmp_path / "mlruns").as_uri()})


def test_without_mlflow_what_to_install_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UserError, match=r"not installed: `pip install -e '.\[mlflow\]'`"):
        refuse_unusable_store(MlflowParameters())


def test_untracked_training_imports_nothing_and_leaves_nothing(tiny_turns, tiny_reference, tmp_path):
    program = (
        "import runpy, sys\n"
        f"sys.argv = {['', str(tmp_path), str(tiny_turns.path), str(tiny_reference.path)]}\n"
        'sys.argv += [\'{"steps": 1, "batch_size": 2, "learning_rate": 0.001}\']\n'
        f"runpy.run_path({str(Path(__file__).with_name('begun_training.py'))!r}, run_name='__main__')\n"
        "assert not {'mlflow', 'sqlalchemy', 'alembic'} & sys.modules.keys()\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert finished.returncode == 0, finished.stderr
    assert len(json.loads(finished.stdout.splitlines()[-1])["log"]) == 1
    assert not list(tmp_path.rglob("*mlflow*"))


@pytest.mark.parametrize(
    ("uri", "anchored"),
    [
        ("sqlite:///data/mlflow.db", "sqlite:////project/data/mlflow.db"),
        ("sqlite+pysqlite:///mlflow.db", "sqlite+pysqlite:////project/mlflow.db"),
        ("sqlite:////elsewhere/mlflow.db", "sqlite:////elsewhere/mlflow.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("https://mlflow.example/", "https://mlflow.example/"),
        (None, None),
    ],
)
def test_a_relative_file_lies_in_the_project(uri, anchored):
    assert MlflowParameters(tracking_uri=uri).anchored(Path("/project")).tracking_uri == anchored
