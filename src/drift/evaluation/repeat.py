"""The parameters that repeat a result: those of this run, with what the checkpoint says it was made with."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from drift.parameters import TOP_LEVEL_KEYS

_OF_THE_MACHINE = "working_directory"
_SAMPLED_WITH = ("temperature", "top_p", "max_new_tokens", "seed_per_request")


def plain_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter with its default filled in, as `parameters.yml` could hold it; those of the machine left out.

    Args:
        parameters: top-level keys, as plain values or validated.
    """
    return {
        key: _with_numbers(model.model_validate(parameters[key]).model_dump(mode="json"))
        for key, model in TOP_LEVEL_KEYS.items()
        if key != _OF_THE_MACHINE
    }


def repeating_parameters(parameters: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters under which the whole job would make this policy and this evaluation.

    The policy may have been trained with other settings than those of the run that evaluates it; the checkpoint knows,
    and its word counts.

    Args:
        parameters: of this run, from `plain_parameters`.
        checkpoint: the provenance of the trained policy.
    """
    complete = {key: dict(value) if isinstance(value, Mapping) else value for key, value in parameters.items()}
    data = checkpoint.get("weighted_turns", {})
    sampled = data.get("trajectories", {})
    complete["training"] |= _known(TOP_LEVEL_KEYS["training"], checkpoint.get("training", {}))
    complete["weighting"] |= _known(TOP_LEVEL_KEYS["weighting"], data.get("weighting", {}))
    complete["rollout"] |= {name: sampled[name] for name in _SAMPLED_WITH if name in sampled}
    complete["rollout"] |= {"n": sampled["n"]} if "n" in sampled else {}
    return _with_numbers(complete)


def unrepeated(parameters: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> list[str]:
    """What one file of parameters cannot say: sampling or training was set up otherwise."""
    sampled = checkpoint.get("weighted_turns", {}).get("trajectories", {})
    pairs = [
        ("the trajectories were sampled with seed", sampled.get("seed"), parameters["seed"]),
        ("the policy was trained with seed", checkpoint.get("seed"), parameters["seed"]),
        *(
            (f"the trajectories were sampled with protocol.{name}", sampled.get("protocol", {}).get(name), value)
            for name, value in parameters["protocol"].items()
        ),
    ]
    return [
        f"{what} {before!r}, and evaluated with {now!r}" for what, before, now in pairs if before not in (None, now)
    ]


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


def flat(parameters: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every parameter by its full name, as `--params` takes it."""
    for name, value in parameters.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
