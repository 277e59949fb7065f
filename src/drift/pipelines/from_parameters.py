"""Pipelines whose nodes depend on parameters: planned when the parameters are known, before Kedro chooses what to run.

Kedro registers pipelines without parameters. The project's hook calls `pipelines_from_parameters` as soon as there are
any, puts the pipelines in the registry, and the parameters that only they have in the catalog.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kedro.pipeline import Pipeline, node

from drift.errors import UserError
from drift.parameters import EvaluationParameters, RefreshParameters, Seed, TrainingParameters, WorkingDirectory
from drift.pipelines.refresh.pipeline import NAMESPACE
from drift.pipelines.refresh.pipeline import create_pipeline as refresh
from drift.pipelines.study.pipeline import create_pipeline as study
from drift.study.design import (
    Cell,
    cells_of,
    of_other_settings,
    result_path,
    seed_of_round,
    steps_of_rounds,
    unfinished,
)

NAMES = ("study", "study_so_far", "refresh")
"""The pipelines that are made here."""
_RESULTS = Path("data/08_reporting")


@dataclass(frozen=True)
class Planned:
    """What is planned.

    Attributes:
        pipelines: by name.
        parameters: values of the catalog's entries that only these pipelines have, by entry.
        progress: what there is of the study already, in a sentence.
        replaced: results of other settings that a run makes anew: their files, by the checkpoint they are of.
    """

    pipelines: Mapping[str, Pipeline]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    progress: str = ""
    replaced: Mapping[str, Path] = field(default_factory=dict)

    def withdraw(self, pipeline: Pipeline) -> None:
        """Removes what a run is going to replace, before it does: a result never stands beside another's checkpoint."""
        for checkpoint, file in self.replaced.items():
            if checkpoint in pipeline.all_outputs():
                file.unlink(missing_ok=True)


def pipelines_from_parameters(
    parameters: Mapping[str, Any],
    project: Path,
    skip_finished: bool,
    wanted: Collection[str] = NAMES,
    *,
    refuse_when_run: bool = False,
) -> Planned:
    """The study and the refresh that the parameters ask for.

    Args:
        parameters: all of them, checked.
        project: its directory.
        skip_finished: whether cells of the study that are done are left out.
        wanted: names of the pipelines that will be used; the others are not made, and their parameters not looked at.
        refuse_when_run: for those who may not use what is wanted: a pipeline that cannot be made is one that says so
            when it is run.

    Raises:
        UserError: when a variant cannot be made, or rounds cannot share the steps.
    """
    planned = Planned({})
    for name, plan in _PLANS.items():
        if name not in wanted:
            continue
        try:
            of_name = plan(parameters, project, skip_finished)
        except UserError as error:
            if not refuse_when_run:
                raise
            of_name = Planned({name: _refusal(name, error)})
        planned = Planned(
            {**planned.pipelines, **of_name.pipelines},
            {**planned.parameters, **of_name.parameters},
            " ".join(filter(None, (planned.progress, of_name.progress))),
            {**planned.replaced, **of_name.replaced},
        )
    return planned


def _planned_study(parameters: Mapping[str, Any], project: Path, skip_finished: bool) -> Planned:
    parameters = _with_formats(parameters, project) if skip_finished else parameters
    cells, results = cells_of(parameters), project / _RESULTS
    left = unfinished(cells, results) if skip_finished else cells
    others = of_other_settings(cells, results)
    return Planned(
        {"study": study(cells, left)},
        _parameters_of_study(left, parameters),
        progress_of_study(cells, left, others),
        {f"{cell.namespace}.checkpoint": result_path(results, cell.namespace) for cell in others},
    )


def _planned_study_so_far(parameters: Mapping[str, Any], project: Path, skip_finished: bool) -> Planned:
    cells = cells_of(_with_formats(parameters, project))
    left = {cell.namespace for cell in unfinished(cells, project / _RESULTS)}
    done = [cell for cell in cells if cell.namespace not in left]
    if not done:
        raise UserError(f"Study `{cells[0].study}` has no results of these settings yet: --pipelines=study makes them.")
    progress = f"Study `{cells[0].study}`: the tables of {len(done)} of its {len(cells)} results."
    return Planned({"study_so_far": study(done, [])}, progress=progress)


def _planned_refresh(parameters: Mapping[str, Any], project: Path, skip_finished: bool) -> Planned:
    rounds = RefreshParameters.model_validate(parameters["refresh"]).rounds
    return Planned({"refresh": refresh(rounds)}, _parameters_of_refresh(parameters, rounds))


def _with_formats(parameters: Mapping[str, Any], project: Path) -> Mapping[str, Any]:
    """The formats that this machine computes in decide a result, and are part of what it is known by."""
    from drift.formats import with_formats

    return with_formats(parameters, project / WorkingDirectory.model_validate(parameters["working_directory"]).root)


def _refusal(name: str, error: UserError) -> Pipeline:
    """A pipeline that cannot be made, and says why when it is run."""

    def refuse() -> None:
        raise UserError(str(error))

    return Pipeline([node(refuse, inputs=None, outputs=f"refusal_of_{name}", name=f"refuse_{name}_node")])


def progress_of_study(cells: Sequence[Cell], left: Sequence[Cell], replaced: Sequence[Cell]) -> str:
    """What a study that is begun, continued or done says first."""
    name, done = cells[0].study, len(cells) - len(left)
    if not left:
        return f"Study `{name}` is done: all {done} of its results are there, so nothing is sampled, trained or asked."
    what = ", ".join(f"{cell.variant} (seed {cell.seed})" for cell in left)
    others = f" ({len(replaced)} results of other settings are replaced; another study.name keeps both)"
    return f"Study `{name}`: {done} of {len(cells)} results are there; to do: {what}{others if replaced else ''}"


def _parameters_of_study(cells: Sequence[Cell], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What only the cells read. Further policies and independent attempts are no part of a study's results."""
    evaluation = EvaluationParameters.model_validate(parameters["evaluation"])
    alone = evaluation.model_copy(update={"policies": {}, "attempts": 0})
    entries: dict[str, Any] = {f"params:{cell.study}.evaluation": alone for cell in cells}
    for cell in cells:
        entries[f"params:{cell.seed_namespace}.seed"] = Seed(cell.seed)
        entries[f"params:{cell.namespace}.cell"] = cell.description()
        entries |= _parameters_of_rounds(cell.round_namespaces, cell.training, cell.seed)
        entries |= {f"params:{namespace}.weighting": cell.weighting for namespace in cell.round_namespaces}
    return entries


def _parameters_of_refresh(parameters: Mapping[str, Any], rounds: int) -> dict[str, Any]:
    training = TrainingParameters.model_validate(parameters["training"])
    seed = Seed.model_validate(parameters["seed"]).root
    return _parameters_of_rounds([f"{NAMESPACE}.round_{number}" for number in range(1, rounds + 1)], training, seed)


def _parameters_of_rounds(namespaces: Sequence[str], training: TrainingParameters, seed: int) -> dict[str, Any]:
    """The training of each round, the same but for its share of the steps, and a seed of its own for later rounds."""
    steps = steps_of_rounds(training.steps, len(namespaces))
    trainings = {
        f"params:{namespace}.training": training.model_copy(update={"steps": number})
        for namespace, number in zip(namespaces, steps, strict=True)
    }
    seeds = {
        f"params:{namespace}.seed": Seed(seed_of_round(seed, number))
        for number, namespace in enumerate(namespaces[1:], start=2)
    }
    return trainings | seeds


_PLANS = {"study": _planned_study, "study_so_far": _planned_study_so_far, "refresh": _planned_refresh}
