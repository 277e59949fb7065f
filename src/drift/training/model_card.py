"""The checkpoint's README.md: what it is, what it was trained on, how it is used and what it cost, in the Hub's format.

Everything in it is taken from what the training was given and logged; nothing is claimed that was not counted.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import polars as pl

from drift.model_directory import ancestry, origin
from drift.shards import Shards
from drift.weighting.composition import effective_sample_size_of_sums

PAPER = "arXiv 2605.31455"
TAGS = ["drift", "self-correction", "arxiv:2605.31455"]
TAGS_OF_SOLUTIONS = ["supervised-fine-tuning", "arxiv:2605.31455"]
# Hub id and licence of the packaged models, whose packages carry no card.
_BUNDLED = {"bundled:smollm2-135m-instruct": ("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0")}


@dataclass(frozen=True)
class TrainingData:
    """What the weighted turns hold.

    Attributes:
        problems: problems that have an example.
        trajectories: examples, one a trajectory.
        solved: those of them that ended with a correct answer.
        effective_sample_size: the number of equally weighted examples that would estimate as well.
    """

    problems: int
    trajectories: int
    solved: int
    effective_sample_size: float


def training_data(weighted_turns: Shards) -> TrainingData:
    """Counts the examples, shard by shard; a problem is never in two shards."""
    weight = pl.col("weight")
    sums = pl.concat(
        pl.DataFrame(table).select(
            problems=pl.col("problem_id").n_unique().cast(pl.Int64),
            trajectories=pl.len().cast(pl.Int64),
            solved=pl.col("success").sum().cast(pl.Int64),
            weights=weight.sum(),
            squares=weight.pow(2).sum(),
        )
        for table in weighted_turns.tables(["problem_id", "success", "weight"])
    ).sum()
    row = sums.row(0, named=True)
    size = effective_sample_size_of_sums(row.pop("weights"), row.pop("squares"))
    return TrainingData(**row, effective_sample_size=size)


def model_card(
    provenance: Mapping[str, Any],
    log: Sequence[Mapping[str, float]],
    data: TrainingData,
    hardware: str,
    reference_license: str | None = None,
) -> str:
    """The card of a checkpoint, as Markdown with the Hub's front matter.

    Args:
        provenance: the checkpoint's note (`drift.json`).
        log: rows of `training_log`, with `weighted_mean_loss`, `num_tokens` and `seconds`.
        data: what it was trained on.
        hardware: the machine, in words.
        reference_license: the licence that the reference policy's own card names; None where it names none.
    """
    path = origin(provenance)
    hub_id, licence = _BUNDLED.get(path, (path if is_hub_id(path) else None, reference_license))
    of_solutions = "solutions" in provenance["weighted_turns"]
    return "\n".join(
        [
            front_matter(hub_id, licence, TAGS_OF_SOLUTIONS if of_solutions else TAGS),
            *(_about_solutions if of_solutions else _about_trajectories)(hub_id or path),
            "",
            _usage(provenance["weighted_turns"], "adapter" in provenance),
            "## What it was trained on",
            "",
            _table(_data_rows(provenance, data)),
            "## How",
            "",
            _table(_setting_rows(provenance)),
            "## What training cost",
            "",
            _table(_cost_rows(log, hardware)),
            "## Where it comes from",
            "",
            _table(_origin_rows(provenance)),
            "`drift.json` beside this file has all of it, for programs.",
            "",
        ]
    )


def license_of(model: Path) -> str | None:
    """The licence that a model directory's own card names; None where it has no card, or the card names none."""
    card = model / "README.md"
    if not card.is_file():
        return None
    from huggingface_hub import ModelCard

    named = ModelCard.load(card, ignore_metadata_errors=True).data.to_dict().get("license")
    return named if isinstance(named, str) else None


def is_hub_id(path: str) -> bool:
    """Whether a model's path is an id of the Hugging Face Hub."""
    return path.count("/") == 1 and not path.startswith(("/", ".", "~")) and not Path(path).exists()


def front_matter(hub_id: str | None, licence: str | None, tags: Sequence[str]) -> str:
    """The card's head, by which the Hub files it; what is not known is left out."""
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        base_model=hub_id,
        library_name="transformers",
        license=licence,
        pipeline_tag="text-generation",
        tags=list(tags),
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _about_trajectories(model: str) -> Iterable[str]:
    """Title and first paragraph of a policy that learned from what it had said itself."""
    yield f"# {_name(model)}, trained to correct itself"
    yield ""
    yield f"`{model}` after DRIFT ({PAPER}): it was asked, told when it was wrong, and asked again; its own"
    yield "trajectories, sampled once, became training examples, weighted by their returns. It is meant to be told"
    yield "when it is wrong, and to do better then."


def _about_solutions(model: str) -> Iterable[str]:
    """Title and first paragraph of a policy that learned from what was written."""
    yield f"# {_name(model)}, fine-tuned on written solutions"
    yield ""
    yield f"`{model}` after supervised fine-tuning: each training problem's written solution became one example, all of"
    yield "the same weight. Nothing was sampled from it, and in training it was never told that it was wrong. It is"
    yield f"what DRIFT ({PAPER}) is compared with."


def _name(model: str) -> str:
    return model.rstrip("/").split("/")[-1]


def _usage(data: Mapping[str, Any], has_adapter: bool) -> str:
    """How to ask it as it was asked in training, as a program."""
    sampling = data["trajectories"]
    most_tokens = data["solutions"]["longest_response_tokens"] if "solutions" in data else sampling["max_new_tokens"]
    on_top = '\nmodel = PeftModel.from_pretrained(model, "path/to/this/directory/adapter")' if has_adapter else ""
    imports = "from peft import PeftModel\n" if has_adapter else ""
    style, feedback = sampling["prompt_style"], sampling["protocol"]["feedback"]
    system = f'    {{"role": "system", "content": {json.dumps(style["system"])}}},\n' if style.get("system") else ""
    return f"""## How to use it

Ask as it was asked in training; when the answer is wrong, say so in the same words.

```python
{imports}from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("path/to/this/directory")
model = AutoModelForCausalLM.from_pretrained("path/to/this/directory"){on_top}
task = {json.dumps(style["task"], ensure_ascii=False)}
chat = [
{system}    {{"role": "user", "content": task.replace("{{problem}}", "What is 14 + 15?")}},
]


def answer():
    inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    output = model.generate(**inputs, do_sample=False, max_new_tokens={most_tokens})
    return tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


first = answer()
chat += [
    {{"role": "assistant", "content": first}},
    {{"role": "user", "content": {json.dumps(feedback, ensure_ascii=False)}}},
]
second = answer()
```
"""


def _data_rows(provenance: Mapping[str, Any], data: TrainingData) -> Iterable[tuple[str, object]]:
    turns = provenance["weighted_turns"]
    yield "problems", f"{data.problems:,}"
    if "solutions" in turns:
        yield "examples", f"{data.trajectories:,} written solutions, each in one turn and of weight 1"
        yield "longest of them", f"{turns['solutions']['longest_response_tokens']:,} tokens"
        yield from (
            (f"problems left out, {why}", f"{number:,}") for why, number in turns["solutions"]["left_out"].items()
        )
        return
    sampling, weighting = turns["trajectories"], turns["weighting"]
    yield "trajectories", f"{data.trajectories:,}, of which {data.solved:,} ended with a correct answer"
    yield "weigh as much as", f"{data.effective_sample_size:,.0f} equal ones"
    yield "sampled", f"{sampling['n']} of each problem, up to {sampling['protocol']['max_turns']} turns each"
    if part := _part_in_words(weighting):
        yield "used of them", part
    yield (
        "decoding",
        f"temperature {sampling['temperature']}, top-p {sampling['top_p']}, up to {sampling['max_new_tokens']} tokens "
        "a response",
    )
    if (rounds := len(list(ancestry(provenance))) - 1) > 1:
        yield "rounds", f"{rounds}, each sampled from the policy of the one before; the numbers here are of the last"
    yield "feedback", f"“{sampling['protocol']['feedback']}”"
    yield "problems that no trajectory solved", {"keep": "kept", "drop": "left out"}[weighting["unsolved"]]


def _part_in_words(weighting: Mapping[str, Any]) -> str:
    """Which of the trajectories are examples; empty where all are."""
    n, max_turns, solved_at = (weighting.get(name) for name in ("n", "max_turns", "solved_at"))
    parts = [
        f"the first {n} of each problem" if n else "",
        f"cut to {max_turns} turn{'s' if max_turns > 1 else ''}" if max_turns else "",
        f"solved at turn {' or '.join(map(str, solved_at))}" if solved_at else "",
    ]
    return ", ".join(part for part in parts if part)


def _setting_rows(provenance: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    turns = provenance["weighted_turns"]
    if "solutions" not in turns:
        weighting = turns["weighting"]
        for name in ("gamma", "beta", "penalty", "retain"):
            yield f"`weighting.{name}`", weighting[name]
        yield "`weighting.prune_below`", provenance["prune_below"]
    yield from _named_settings("training", provenance["training"])


def _named_settings(prefix: str, settings: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    """A row for each setting that was set, by its full name; where MLflow keeps its runs is nobody else's concern."""
    for name, value in settings.items():
        full = f"{prefix}.{name}"
        if isinstance(value, Mapping):
            yield from _named_settings(full, value)
        elif isinstance(value, list):
            yield f"`{full}`", ", ".join(map(str, value))
        elif value is not None and full != "training.mlflow.tracking_uri":
            yield f"`{full}`", value


def _cost_rows(log: Sequence[Mapping[str, float]], hardware: str) -> Iterable[tuple[str, object]]:
    tokens = sum(row["num_tokens"] for row in log)
    seconds = sum(row["seconds"] for row in log)
    quarter = max(1, len(log) // 4)
    first, last = (fmean(row["weighted_mean_loss"] or 0.0 for row in rows) for rows in (log[:quarter], log[-quarter:]))
    yield "machine", hardware
    yield "steps", f"{len(log):,}"
    yield "time in steps", f"{seconds:,.0f} s"
    yield "tokens computed", f"{tokens:,.0f}"
    yield "weighted mean loss", f"{first:.3f} → {last:.3f} (means of the first and the last quarter)"


def _origin_rows(provenance: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    yield "this policy", f"`{provenance['fingerprint']}` (fingerprint of its files)"
    yield "reference policy", f"`{provenance['reference_model']['fingerprint']}`"
    yield "training problems", f"`{provenance['weighted_turns']['trajectories']['problems']}`"
    yield "seed", provenance["seed"]
    yield "made with", ", ".join(f"{name} {version}" for name, version in provenance["packages"].items())


def _table(rows: Iterable[tuple[str, object]]) -> str:
    lines = [f"| {name} | {str(value).replace('|', chr(92) + '|')} |" for name, value in rows]
    return "\n".join(["| | |", "|---|---|", *lines, ""])
