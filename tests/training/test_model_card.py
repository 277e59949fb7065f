import re

import pyarrow as pa
import pytest
from huggingface_hub import ModelCard

from drift.model_directory import ModelDirectory
from drift.shards import Shards, shard_path, write_manifest, write_shard
from drift.training.model_card import TrainingData, license_of, model_card, training_data

SAMPLING = {
    "model": "aaaa",
    "problems": "bbbb",
    "protocol": {"max_turns": 5, "feedback": 'Wrong: "think" again.', "prompt": "boxed"},
    "prompt_style": {"system": "Be brief.", "task": 'Solve "{problem}" in \\boxed{}.', "choice_task": ""},
    "n": 8,
    "temperature": 0.8,
    "top_p": 1.0,
    "max_new_tokens": 24,
}
WEIGHTING = {"gamma": 0.9, "beta": "Infinity", "penalty": 0.5, "retain": "terminal", "unsolved": "drop"}
LOG = [
    {"weighted_mean_loss": 0.8, "num_tokens": 300, "seconds": 3.0},
    {"weighted_mean_loss": 0.4, "num_tokens": 500, "seconds": 2.0},
]
DATA = TrainingData(problems=92, trajectories=736, solved=237, effective_sample_size=154.2)


def provenance(path: str = "bundled:smollm2-135m-instruct") -> dict:
    return {
        "fingerprint": "cccc",
        "reference_model": {"path": path, "fingerprint": "aaaa"},
        "weighted_turns": {"path": "/data", "trajectories": SAMPLING, "weighting": WEIGHTING},
        "training": {
            "steps": 2,
            "learning_rate": 2e-5,
            "held_out": None,
            "lora": {"rank": 16, "target_modules": ["q_proj", "v_proj"]},
            "mlflow": {"tracking_uri": "http://me:secret@host", "experiment": "drift"},
        },
        "prune_below": 0.001,
        "seed": 7,
        "packages": {"drift": "0.1.0", "torch": "2.13.0"},
    }


@pytest.fixture
def card() -> str:
    return model_card(provenance(), LOG, DATA, "2 cores of a processor, no GPU")


def test_the_hub_can_read_the_front_matter(card):
    head = ModelCard(card).data
    assert head.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (head.license, head.library_name, head.pipeline_tag) == ("apache-2.0", "transformers", "text-generation")
    assert {"drift", "self-correction"} <= set(head.tags)


@pytest.mark.parametrize(
    ("path", "base", "licence"), [("Qwen/Qwen2.5-3B-Instruct", "Qwen/Qwen2.5-3B-Instruct", None), ("/m/x", None, None)]
)
def test_what_is_not_known_is_not_claimed(path, base, licence):
    head = ModelCard(model_card(provenance(path), LOG, DATA, "a GPU")).data.to_dict()
    assert (head.get("base_model"), head.get("license")) == (base, licence)


def test_a_licence_is_taken_from_the_reference_policys_own_card(tmp_path):
    assert license_of(tmp_path) is None
    (tmp_path / "README.md").write_text("---\nlicense: llama3.1\n---\n# A model\n")
    assert license_of(tmp_path) == "llama3.1"
    head = ModelCard(model_card(provenance("/m/x"), LOG, DATA, "a GPU", license_of(tmp_path))).data
    assert head.license == "llama3.1"
    (tmp_path / "README.md").write_text("# A model without front matter\n")
    assert license_of(tmp_path) is None


def test_every_number_of_the_data_and_the_log_is_there(card):
    for text in (
        "| problems | 92 |",
        "| trajectories | 736, of which 237 ended with a correct answer |",
        "| weigh as much as | 154 equal ones |",
        "| problems that no trajectory solved | left out |",
        "| time in steps | 5 s |",
        "| tokens computed | 800 |",
        "| weighted mean loss | 0.800 → 0.400",
        "| `weighting.beta` | Infinity |",
        "| `training.learning_rate` | 2e-05 |",
        "2 cores of a processor, no GPU",
    ):
        assert text in card, text
    assert "training.held_out" not in card, "what was not set is not said"


def test_a_part_of_the_rollout_is_told_as_one(card):
    assert "used of them" not in card
    note = provenance()
    note["weighted_turns"]["weighting"] = WEIGHTING | {"n": 4, "max_turns": 2, "solved_at": [1, 2]}
    told = model_card(note, LOG, DATA, "a GPU")
    assert "| used of them | the first 4 of each problem, cut to 2 turns, solved at turn 1 or 2 |" in told


def test_nested_settings_are_rows_and_addresses_are_not_told(card):
    assert "| `training.lora.rank` | 16 |" in card
    assert "| `training.lora.target_modules` | q_proj, v_proj |" in card
    assert "| `training.mlflow.experiment` | drift |" in card
    assert "secret" not in card and "{'" not in card


def test_the_program_that_shows_how_to_use_it_is_one(card):
    (program,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    compile(program, "card", "exec")
    said: dict = {}
    exec(program[program.index("task = ") : program.index("def answer")], said)
    assert said["chat"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": 'Solve "What is 14 + 15?" in \\boxed{}.'},
    ]
    assert '"content": "Wrong: \\"think\\" again."' in program


def test_the_card_of_a_policy_that_learned_written_solutions_claims_no_conversations():
    written = {name: SAMPLING[name] for name in ("model", "problems", "protocol", "prompt_style")}
    solutions = {"left_out": {"without a written solution": 1200}, "longest_response_tokens": 321}
    turns = {"path": "/data", "trajectories": written, "solutions": solutions}
    data = TrainingData(problems=92, trajectories=92, solved=92, effective_sample_size=92.0)
    card = model_card(provenance() | {"weighted_turns": turns}, LOG, data, "a GPU")
    head = ModelCard(card).data
    assert "supervised-fine-tuning" in head.tags and not {"drift", "self-correction"} & set(head.tags)
    for text in (
        "# SmolLM2-135M-Instruct, fine-tuned on written solutions",
        "| examples | 92 written solutions, each in one turn and of weight 1 |",
        "| longest of them | 321 tokens |",
        "| problems left out, without a written solution | 1,200 |",
        "max_new_tokens=321",
        "| `training.learning_rate` | 2e-05 |",
    ):
        assert text in card, text
    for claim in ("correct itself", "its own", "sampled once", "temperature", "weighting.", "correct answer"):
        assert claim not in card, claim


def test_examples_are_counted_shard_by_shard(tmp_path):
    shards = [
        {"problem_id": ["a", "a", "b"], "success": [True, False, True], "weight": [1.0, 1.0, 2.0]},
        {"problem_id": ["c"], "success": [False], "weight": [0.0]},
    ]
    for index, columns in enumerate(shards):
        write_shard(pa.table(columns), shard_path(tmp_path, index))
    write_manifest(tmp_path, {})
    counted = training_data(Shards.open(tmp_path))
    assert counted == TrainingData(problems=3, trajectories=4, solved=2, effective_sample_size=16 / 6)


def test_the_card_travels_with_the_policy_and_is_no_part_of_its_content(reference_model, tmp_path, card):
    from drift.fingerprint import files_fingerprint

    with_card = ModelDirectory(reference_model.path, reference_model.provenance, card)
    (tmp_path / "one").mkdir()
    with_card.write_to(tmp_path / "one")
    saved = ModelDirectory.open(tmp_path / "one")
    assert saved.card == card
    (tmp_path / "two").mkdir()
    saved.write_to(tmp_path / "two")
    assert (tmp_path / "two" / "README.md").read_text() == card
    assert files_fingerprint(saved.files()) == files_fingerprint(reference_model.files())
