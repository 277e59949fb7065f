"""The sweeps of a study: variants that differ in one parameter, in the order of its values."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from drift.study.cell import CellResult

GROUPS = ("weighting", "rollout")
"""Settings among which a swept parameter may be; it is null, or missing, where it changes nothing."""


def sweeps_of(cells: Sequence[CellResult], parameters: Collection[str], base: str) -> dict[str, list[dict[str, Any]]]:
    """By parameter, its points (`value`, `policy`) in order.

    Variants of no sweep that differ from one of it in nothing but the parameter are points as well: the variant the
    sweep starts from, and perhaps others, as SFT-5turn is the point of an infinite beta.

    Args:
        cells: of a study.
        parameters: those that are swept, also where all their values are variants.
        base: the variant the sweeps start from; it may be missing.
    """
    swept: dict[str, list[dict[str, Any]]] = {}
    of_cells = (cell["swept"]["parameter"] for cell in cells if cell["swept"] is not None)
    for parameter in dict.fromkeys([*parameters, *of_cells]):
        own = {cell["variant"]: cell["swept"] for cell in cells if cell["swept"] is not None}
        own = {variant: value for variant, value in own.items() if value["parameter"] == parameter}
        alike = {without(cell["settings"], parameter) for cell in cells if cell["variant"] in (base, *own)}
        points = {value["value"]: variant for variant, value in own.items()}
        for cell in cells:
            if cell["swept"] is None and without(cell["settings"], parameter) in alike:
                points.setdefault(own_value(cell, parameter), cell["variant"])
        if points:
            ordered = sorted(points.items(), key=lambda point: float(point[0]))
            swept[parameter] = [{"value": value, "policy": policy} for value, policy in ordered]
    return swept


def without(settings: Mapping[str, Any], parameter: str) -> str:
    """The settings of a cell without one parameter, as text."""
    groups = {
        group: {name: value for name, value in settings.get(group, {}).items() if name != parameter} for group in GROUPS
    }
    return json.dumps({**settings, **groups}, sort_keys=True)


def own_value(cell: CellResult, parameter: str) -> float | str:
    """The value of a parameter in a variant that does not sweep it; the budget K where no turns are left out."""
    values = [cell["settings"].get(group, {}).get(parameter) for group in GROUPS]
    value = next((value for value in values if value is not None), cell["max_turns"])
    return "inf" if float(value) == math.inf else value


def alike_but(parameter: str, policies: Mapping[str, Mapping[str, Any]]) -> list[tuple[Any, str]]:
    """Values of a parameter of the weighting, and the policies that differ in nothing else, in order of the values.

    Of several such groups the largest, also where the study sweeps nothing.
    """
    groups: dict[str, dict[Any, str]] = {}
    for policy, entry in policies.items():
        if entry["settings"] is not None and parameter in entry["settings"].get("weighting", {}):
            points = groups.setdefault(without(entry["settings"], parameter), {})
            points.setdefault(entry["settings"]["weighting"][parameter], policy)
    return sorted(max(groups.values(), key=len, default={}).items())
