"""Names given on the command line: what does not exist is refused with what there is, and what was perhaps meant."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drift.errors import UserError

if TYPE_CHECKING:
    from kedro.pipeline import Pipeline

_LEAST_LIKENESS = 0.5
_SUFFIX = "_node"


def refuse_unknown_environment(configuration: Path, environment: str | None) -> None:
    """Refuses an environment that has no directory.

    Args:
        configuration: the directory that holds the environments.
        environment: its name; None for Kedro's default.

    Raises:
        UserError: naming the environments there are.
    """
    if environment and configuration.is_dir() and not (configuration / environment).is_dir():
        known = sorted(path.name for path in configuration.iterdir() if path.is_dir())
        refuse_unknown("--env", "environment", [environment], known)


def refuse_unknown_names(given: Mapping[str, Any], pipelines: Mapping[str, "Pipeline"]) -> None:
    """Refuses names of pipelines, nodes and datasets that a `kedro run` was given and that do not exist.

    Args:
        given: the options of `kedro run`, by Kedro's names for them.
        pipelines: the project's.

    Raises:
        UserError: for the first option that names what does not exist.
    """
    option = "--pipeline" if given.get("pipeline") else "--pipelines"
    asked = [given["pipeline"]] if given.get("pipeline") else list(given.get("pipelines") or [])
    refuse_unknown(option, "pipeline", asked, pipelines)
    run = [pipelines[name] for name in asked or ["__default__"]]
    where = f" in {' and '.join(asked)}" if asked else ""
    nodes = [node.name for pipeline in run for node in pipeline.nodes]
    for name in ("node_names", "from_nodes", "to_nodes"):
        option = "--nodes" if name == "node_names" else f"--{name.replace('_', '-')}"
        refuse_unknown(option, "node", given.get(name) or [], nodes, where)
    datasets = sorted({name for pipeline in run for name in pipeline.datasets()})
    for name in ("from_inputs", "to_outputs", "load_versions"):
        for dataset in given.get(name) or []:
            alike = [known for known in datasets if known.startswith("params:") == dataset.startswith("params:")]
            refuse_unknown(f"--{name.replace('_', '-')}", "dataset", [dataset], alike, where)


def refuse_unknown(option: str, kind: str, names: Collection[str], known: Collection[str], where: str = "") -> None:
    """Refuses the first of the names that is not known.

    Raises:
        UserError: what was given, the nearest match, and all there is.
    """
    for name in names:
        if name not in known:
            # What all names of nodes end with makes none of them like another.
            by_stem = {other.removesuffix(_SUFFIX): other for other in known}
            like = get_close_matches(name.removesuffix(_SUFFIX), by_stem, n=1, cutoff=_LEAST_LIKENESS)
            meant = f"; did you mean {by_stem[like[0]]}?" if like else "."
            raise UserError(
                f"{option}: there is no {kind} {name!r}{where}{meant} There are: {', '.join(dict.fromkeys(known))}."
            )
