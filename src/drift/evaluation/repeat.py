"""The parameters that repeat a result: those of this run, with what the checkpoint says it was made with.

What was recorded and cannot be said by one file is told in sentences.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from drift.model_directory import origin
from drift.parameters import TOP_LEVEL_KEYS

_NOT_OF_THE_RESULT = ("working_directory", "plan", "study", "refresh")
# What data says nothing of that is older than these parameters.
_OF_WHOLE_ROLLOUTS = dict.fromkeys(("n", "max_turns", "solved_at"))
_SAMPLED_WITH = ("temperature", "top_p", "max_new_tokens", "seed_per_request")


def repeating_parameters(parameters: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters under which the whole job would make this policy and this evaluation.

    The policy may have been trained with other settings than those of the run that evaluates it; the checkpoint knows,
    and its word counts. What belongs to the machine is left out.

    Args:
        parameters: of this run, from `complete_parameters`.
        checkpoint: the provenance of the trained policy.
    """
    complete = {key: dict(value) if isinstance(value, Mapping) else value for key, value in parameters.items()}
    for name in _NOT_OF_THE_RESULT:
        del complete[name]
    data = checkpoint.get("weighted_turns", {})
    sampled = data.get("trajectories", {})
    complete["training"] |= _known(TOP_LEVEL_KEYS["training"], checkpoint.get("training", {}))
    if "weighting" in data:
        complete["weighting"] |= _OF_WHOLE_ROLLOUTS | _known(TOP_LEVEL_KEYS["weighting"], data["weighting"])
    complete["weighting"] |= {"prune_below": checkpoint["prune_below"]} if "prune_below" in checkpoint else {}
    complete["model"] |= {name: sampled[name] for name in ("dtype",) if name in sampled}
    complete["rollout"] |= {name: sampled[name] for name in (*_SAMPLED_WITH, "n") if name in sampled}
    return _with_numbers(complete)


def unrepeated(
    repeating: Mapping[str, Any],
    checkpoint: Mapping[str, Any],
    conversations: Mapping[str, Mapping[str, Any]],
    attempts: Mapping[str, Mapping[str, Any]],
    train_problems: str,
) -> list[str]:
    """What one file of parameters does not say of the result: every recorded fact that it has another value for.

    Args:
        repeating: from `repeating_parameters`.
        checkpoint: the provenance of the trained policy.
        conversations: of `eval_trajectories`, by policy.
        attempts: of `eval_attempts`, by policy.
        train_problems: fingerprint of the training problems there are now.
    """
    data = checkpoint.get("weighted_turns", {})
    made = _solutions_unrepeated if "solutions" in data else _trajectories_unrepeated
    return [
        *made(repeating, data.get("trajectories", {}), train_problems),
        *_training_unrepeated(repeating, checkpoint),
        *_evaluation_unrepeated(repeating, conversations, attempts),
    ]


def _solutions_unrepeated(
    repeating: Mapping[str, Any], written: Mapping[str, Any], train_problems: str
) -> Iterator[str]:
    yield "the policy was trained on the problems' written solutions, where this file samples trajectories"
    yield from _differences("the solutions were put into words with", _recorded(written), _asked_with(repeating))
    if written["problems"] != train_problems:
        yield (
            f"the solutions are of other training problems ({written['problems']}) than `train_problems` holds now "
            f"({train_problems})"
        )


def _trajectories_unrepeated(
    repeating: Mapping[str, Any], sampled: Mapping[str, Any], train_problems: str
) -> Iterator[str]:
    yield from _differences("the trajectories were sampled with", _recorded(sampled), _asked_with(repeating))
    if sampled.get("problems", train_problems) != train_problems:
        yield (
            f"the trajectories were sampled on other training problems ({sampled['problems']}) than `train_problems` "
            f"holds now ({train_problems})"
        )


def _training_unrepeated(repeating: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> Iterator[str]:
    said = {"seed": repeating["seed"]} | {f"model.{name}": repeating["model"][name] for name in ("path", "adapter")}
    reference = checkpoint["reference_model"]
    recorded = {
        "seed": checkpoint["seed"],
        "model.path": origin(checkpoint),
        "model.adapter": reference.get("adapter"),
    }
    yield from _differences("the policy was trained with", recorded, said)


def _evaluation_unrepeated(
    repeating: Mapping[str, Any],
    conversations: Mapping[str, Mapping[str, Any]],
    attempts: Mapping[str, Mapping[str, Any]],
) -> Iterator[str]:
    limit = {"evaluation.max_new_tokens": repeating["evaluation"]["max_new_tokens"]}
    asked = _asked_with(repeating) | limit
    # Greedy conversations need no seed; attempts have one turn, and are drawn as training data is.
    greedy = {name: value for name, value in asked.items() if name != "seed"}
    drawn = {name: value for name, value in asked.items() if name != "protocol.max_turns"}
    drawn |= {f"rollout.{name}": repeating["rollout"][name] for name in ("temperature", "top_p", "seed_per_request")}
    drawn |= {"evaluation.attempts": repeating["evaluation"]["attempts"]}
    for policy, facts in conversations.items():
        yield from _differences(f"the {policy} policy was evaluated with", _recorded(facts, "evaluation"), greedy)
    for policy, facts in attempts.items():
        recorded = _recorded(facts, "evaluation") | ({"evaluation.attempts": facts["n"]} if "n" in facts else {})
        yield from _differences(f"attempts of the {policy} policy were made with", recorded, drawn)


def _asked_with(repeating: Mapping[str, Any]) -> dict[str, Any]:
    """What a file of parameters says of every rollout, by the parameters' full names."""
    protocol = {f"protocol.{name}": value for name, value in repeating["protocol"].items()}
    return {"seed": repeating["seed"], "model.dtype": repeating["model"]["dtype"], **protocol}


def _recorded(facts: Mapping[str, Any], limit_of: str = "rollout") -> dict[str, Any]:
    """What a rollout recorded, by the full names of the parameters it came from.

    Args:
        facts: see `Rollout.facts`.
        limit_of: the key whose `max_new_tokens` it kept to.
    """
    full_names = {
        "seed": "seed",
        "dtype": "model.dtype",
        **{name: f"rollout.{name}" for name in ("temperature", "top_p", "seed_per_request")},
        "max_new_tokens": f"{limit_of}.max_new_tokens",
    }
    recorded = {full_names[name]: value for name, value in facts.items() if name in full_names}
    return recorded | {f"protocol.{name}": value for name, value in facts.get("protocol", {}).items()}


def _differences(what: str, recorded: Mapping[str, Any], said: Mapping[str, Any]) -> Iterator[str]:
    """One sentence for each fact that was recorded and is said otherwise."""
    for name, value in said.items():
        if name in recorded and recorded[name] != value:
            yield f"{what} {name} {recorded[name]!r}, where parameters.yml says {value!r}"


def parameters_yaml(parameters: Mapping[str, Any], differences: list[str]) -> str:
    """The parameters as a file, with how to use it written above."""
    heading = [
        "# Repeats this result: put this file into conf/again/ of the project as parameters.yml, and give",
        "#     kedro run --env again",
        *(f"# Not in one file: {' '.join(sentence.split())}." for sentence in differences),
    ]
    return "\n".join(heading) + "\n" + yaml.safe_dump(dict(parameters), sort_keys=False, allow_unicode=True)


def _known(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """What this version of the project still has a parameter for."""
    return {name: value for name, value in values.items() if name in model.model_fields}


def _with_numbers(value: Any) -> Any:  # noqa: ANN401
    """Infinity as a number again: JSON has no word for it, YAML has."""
    match value:
        case dict():
            return {name: _with_numbers(part) for name, part in value.items()}
        case list():
            return [_with_numbers(part) for part in value]
        case "Infinity":
            return math.inf
    return value
