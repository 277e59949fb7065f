"""Commands as a user types them: the one that was given, and options that say the same again."""

import json
import math
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click
from omegaconf import OmegaConf

_LISTS = {
    "pipeline_names": "--pipelines",
    "node_names": "--nodes",
    "from_nodes": "--from-nodes",
    "to_nodes": "--to-nodes",
    "from_inputs": "--from-inputs",
    "to_outputs": "--to-outputs",
    "tags": "--tags",
    "namespaces": "--namespaces",
}


def given_command(run_params: Mapping[str, Any]) -> str:
    """The command of this run: as it was typed, or, where a program started the run, the one that does the same.

    It begins with `kedro`, whether that was typed, or `python -m kedro`, or the project's own `drift`.

    Args:
        run_params: what Kedro's hooks are given.
    """
    context = click.get_current_context(silent=True)
    if context is None:
        return equal_command(run_params)
    program = ["kedro"] if context.parent else ["kedro", context.command.name or "run"]
    return shlex.join([*program, *sys.argv[1:]])


def equal_command(run_params: Mapping[str, Any]) -> str:
    """A `kedro run` that asks for the same as a session did."""
    options = [f"{option}={','.join(run_params[name])}" for name, option in _LISTS.items() if run_params.get(name)]
    if versions := run_params.get("load_versions"):
        options.append(f"--load-versions={','.join(f'{name}:{version}' for name, version in versions.items())}")
    if run_params.get("only_missing_outputs"):
        options.append("--only-missing-outputs")
    return " ".join(["kedro run", *map(shlex.quote, options)]) + same_settings(run_params)


def same_settings(run_params: Mapping[str, Any], *more: str) -> str:
    """` --env=… --params=…` as a run was given them, with a space before; empty where it was given none.

    Args:
        run_params: what Kedro's hooks are given.
        more: parameters to set beside them, `name=value`; they win over the run's own.
    """
    names = {setting.partition("=")[0] for setting in more}
    own = [text for name, text in _settings(run_params.get("runtime_params") or {}) if name not in names]
    options = [f"--env={run_params['env']}"] if run_params.get("env") else []
    if settings := [*more, *own]:
        options.append(f"--params={','.join(settings)}")
    return "".join(f" {shlex.quote(option)}" for option in options)


def _settings(parameters: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested parameters as dotted names, and as `--params` wants them."""
    for key, value in parameters.items():
        if isinstance(value, Mapping):
            yield from _settings(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", f"{prefix}{key}={_value(value)}"


def _value(value: object) -> str:
    """A value as `--params` reads it (OmegaConf's YAML, on one line)."""
    if isinstance(value, str):
        plain = OmegaConf.from_dotlist([f"value={value}"])["value"] == value
        return value if plain else "'{}'".format(value.replace("'", "''"))
    if isinstance(value, float) and math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    return json.dumps(value)
