"""Two processes (gloo) against one: gradients, whole trainings, states that change hands, hosts that meet."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig

HERE = Path(__file__).parent
SETTINGS = {
    "steps": 60,
    "batch_size": 8,
    "learning_rate": 3e-3,
    "precision": "float32",
    "checkpoint_every": 4,
    "micro_batch_tokens": 64,
    "held_out": {"every": 20},
}
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def gradients(tiny_reference, tmp_path_factory) -> dict:
    out = tmp_path_factory.mktemp("gradients") / "errors.json"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    program = [str(HERE / "two_processes.py"), str(tiny_reference.path), str(out)]
    finished = subprocess.run([*command, *program], capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert finished.returncode == 0, finished.stderr
    return json.loads(out.read_text())


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5), ("bfloat16", 5e-2)])
@pytest.mark.parametrize("recomputed", [False, True])
def test_gradient_and_norm_are_those_of_a_naive_padded_batch(gradients, dtype, tolerance, recomputed):
    for error in gradients["errors"][f"torch.{dtype}, recomputed: {recomputed}"].values():
        assert error <= tolerance


def test_sharded_layers_are_computed_again_where_that_is_asked_for(gradients):
    once, again = gradients["passes"]
    assert again == 2 * once > 0


class Training:
    """A training that is begun as a program, in a directory that all its beginnings share."""

    def __init__(self, root: Path, turns: Path, reference: Path) -> None:
        self.root = root
        self.command = [sys.executable, str(HERE / "begun_training.py"), str(root), str(turns), str(reference)]

    def begin(self, **settings) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*self.command, json.dumps(SETTINGS | settings)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
            start_new_session=True,
        )

    def stop_after_a_state(self, number: int, **settings) -> tuple[str, int]:
        """Begins, waits for a saved state, signals the program alone, and returns what it said and its status."""
        process = self.begin(**settings)
        deadline = time.monotonic() + 120
        while not list(self.root.glob("*/state-*")) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        assert process.poll() is None, process.communicate()
        process.send_signal(number)
        _, said = process.communicate(timeout=120)
        return said, process.returncode

    def finish(self, **settings) -> dict:
        said, errors = (process := self.begin(**settings)).communicate(timeout=300)
        assert process.returncode == 0, errors
        return json.loads(said.splitlines()[-1]) | {"said": errors}


@pytest.fixture
def training(tiny_turns, tiny_reference, tmp_path) -> Training:
    return Training(tmp_path, tiny_turns.path, tiny_reference.path)


@pytest.fixture(scope="module")
def alone(tiny_turns, tiny_reference, tmp_path_factory) -> dict:
    root = tmp_path_factory.mktemp("alone")
    return Training(root, tiny_turns.path, tiny_reference.path).finish(processes=1)


def assert_same_to_rounding(first: dict, second: dict) -> None:
    weights = [load_file(Path(result["checkpoint"]) / "model.safetensors") for result in (first, second)]
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, rtol=1e-3, atol=1e-4)
    for name in ("weighted_loss", "gradient_norm", "num_computed", "pruned_mass"):
        rows = [[row[name] for row in result["log"]] for result in (first, second)]
        assert rows[0] == pytest.approx(rows[1], rel=2e-3)
    held_out = [[row["held_out_loss"] for row in result["log"] if row["held_out_loss"]] for result in (first, second)]
    assert len(held_out[0]) == 3
    assert held_out[0] == pytest.approx(held_out[1], rel=1e-3)


@pytest.mark.long
def test_two_processes_that_are_told_to_stop_are_continued_by_one(training, alone):
    said, status = training.stop_after_a_state(signal.SIGTERM, processes=2)
    assert status == 128 + signal.SIGTERM, said
    assert "of 60 steps are made and kept in" in said and "the same command continues" in said
    assert "Traceback" not in said
    finished = training.finish(processes=1)
    assert "Training goes on after step" in finished["said"]
    assert_same_to_rounding(alone, finished)


@pytest.mark.long
def test_one_process_that_is_stopped_is_continued_by_two_hosts(training, alone):
    said, status = training.stop_after_a_state(signal.SIGINT, processes=1)
    assert status == -signal.SIGINT and "the same command continues" in said
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    first = training.begin(processes=1, hosts=2, rendezvous=address)
    assert first.stderr is not None
    printed = next(line for line in first.stderr if "On each of the other hosts run: " in line)
    words = shlex.split(printed.split("run: ")[1])
    assert words[0] == "torchrun"
    second = subprocess.Popen([sys.executable, "-m", "torch.distributed.run", *words[1:]], env=ENVIRONMENT)
    out, errors = first.communicate(timeout=300)
    assert (first.returncode, second.wait(timeout=60)) == (0, 0), errors
    assert_same_to_rounding(alone, json.loads(out.splitlines()[-1]))


@pytest.mark.long
def test_two_processes_train_adapters_of_an_untied_model_with_summed_tokens(save_model, tiny_turns, tmp_path):
    config = LlamaConfig(
        vocab_size=61,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        tie_word_embeddings=False,
    )
    reference = save_model(config)
    settings = {"steps": 6, "lora": {"rank": 4}, "token_normalisation": "sum", "learning_rate": 1e-2, "held_out": None}
    logs, adapters = [], []
    for processes in (1, 2):
        training = Training(tmp_path / str(processes), tiny_turns.path, reference.path)
        finished = training.finish(processes=processes, **settings)
        logs.append([row["weighted_loss"] for row in finished["log"]])
        adapters.append(load_file(Path(finished["checkpoint"]) / "adapter" / "adapter_model.safetensors"))
    assert logs[0] == pytest.approx(logs[1], rel=1e-3)
    for name, weight in adapters[0].items():
        torch.testing.assert_close(adapters[1][name], weight, rtol=1e-2, atol=1e-3)


@pytest.mark.long
def test_what_a_worker_finds_wrong_is_one_sentence(training):
    process = training.begin(processes=2, learning_rate=1e30, clip_norm=1e30)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    (sentence,) = [line for line in said.splitlines() if line.startswith("Error: ")]
    assert "Training diverged at step" in sentence and "on the problems p" in sentence


@pytest.mark.long
def test_workers_die_with_the_program_that_started_them(training):
    process = training.begin(processes=2)
    deadline = time.monotonic() + 120
    while not list(training.root.glob("*/state-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while living(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert living(process.pid) == []


def living(session: int) -> list[str]:
    """What still runs of a session."""
    listed = subprocess.run(["ps", "-eo", "sid,stat,args"], capture_output=True, text=True, check=True).stdout
    rows = (line.split(maxsplit=2) for line in listed.splitlines()[1:])
    return [args for sid, stat, args in rows if int(sid) == session and not stat.startswith("Z")]
