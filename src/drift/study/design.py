"""The cells of a study: one variant, trained and evaluated with one seed, and what exactly that means.

A cell's `facts` are all that decides its result. They are kept with the result, so a study that is run again knows
which of its cells are done.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.main import IncEx

from drift.errors import UserError
from drift.fingerprint import files_fingerprint
from drift.parameters import (
    EvaluationParameters,
    ModelParameters,
    ProblemsParameters,
    ProtocolParameters,
    RolloutParameters,
    StudyParameters,
    TrainingParameters,
    WeightingParameters,
)
from drift.study_parameters import Swept, VariantParameters
from drift.training.job import NOT_DECISIVE

_NO_PART_OF_A_CELL = {"bootstrap_samples", "policies", "attempts"}
"""Of `evaluation`: what the tables are made with, and what a study does not ask."""
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class Cell:
    """One variant with one seed.

    Attributes:
        study: name of the study.
        seed: seed of the problems, the sampling and the training.
        variant: name of the variant.
        swept: the parameter and the value that a sweep has set; None for a variant of its own.
        data: what is trained on.
        weighting: the weighting of its trajectories.
        training: its training, all rounds together.
        rounds: rounds of sampling and training.
        facts: everything that decides its result, as plain JSON values.
    """

    study: str
    seed: int
    variant: str
    swept: Swept | None
    data: Literal["trajectories", "solutions"]
    weighting: WeightingParameters
    training: TrainingParameters
    rounds: int
    facts: Mapping[str, Any]

    @property
    def seed_namespace(self) -> str:
        """Namespace of what all variants of its seed share."""
        return f"{self.study}.seed_{self.seed}"

    @property
    def namespace(self) -> str:
        """Namespace of what is its own."""
        return f"{self.seed_namespace}.{self.variant}"

    @property
    def round_namespaces(self) -> list[str]:
        """Namespace of each of its rounds; the last round is the cell itself."""
        return [*(f"{self.namespace}.round_{number}" for number in range(1, self.rounds)), self.namespace]

    def description(self) -> dict[str, Any]:
        """What a result says of itself, as plain JSON values."""
        return {
            "study": self.study,
            "seed": self.seed,
            "variant": self.variant,
            "swept": self.swept,
            "facts": dict(self.facts),
        }


def cells_of(parameters: Mapping[str, Any]) -> list[Cell]:
    """All cells of a study, seed after seed, variants before sweeps.

    Args:
        parameters: all parameters, plain or as models.

    Raises:
        UserError: when a variant or a swept value has a parameter that does not exist or is out of range.
    """
    study = _read(StudyParameters, parameters["study"])
    variants: dict[str, tuple[VariantParameters, Swept | None]] = {
        name: (study.variants[name], None) for name in study.chosen
    }
    for name, variant in _swept_variants(study):
        if name in variants:
            raise UserError(f"study: two variants would be called `{name}`: change the name, or the swept value.")
        variants[name] = variant
    return [cell for seed in study.seeds for cell in _different(_cells_of_seed(parameters, study.name, seed, variants))]


def _cells_of_seed(
    parameters: Mapping[str, Any],
    study: str,
    seed: int,
    variants: Mapping[str, tuple[VariantParameters, Swept | None]],
) -> list[Cell]:
    return [_cell(parameters, study, seed, name, *variant) for name, variant in variants.items()]


def _different(cells: Iterable[Cell]) -> Iterator[Cell]:
    """Without the swept values that another variant has already: its results are a point of the sweep as well."""
    taken: list[Mapping[str, Any]] = []
    for cell in cells:
        if cell.swept is None or cell.facts not in taken:
            yield cell
        taken.append(cell.facts)


def _swept_variants(study: StudyParameters) -> Iterator[tuple[str, tuple[VariantParameters, Swept]]]:
    base = study.variants[study.swept]
    for parameter, values in study.sweeps:
        for value in values:
            weighting = {**base.weighting, parameter: value}
            swept: Swept = {"parameter": parameter, "value": "inf" if value == math.inf else value}
            yield swept_name(parameter, value), (base.model_copy(update={"weighting": weighting}), swept)


def swept_name(parameter: str, value: float) -> str:
    """The name of the variant in which a sweep sets a parameter: `beta_0_05`, whose dots would part namespaces."""
    return f"{parameter}_{value:g}".replace(".", "_").replace("-", "_")


def _cell(
    parameters: Mapping[str, Any],
    study: str,
    seed: int,
    name: str,
    variant: VariantParameters,
    swept: Swept | None,
) -> Cell:
    weighting = _replaced(WeightingParameters, parameters["weighting"], variant.weighting, name, "weighting")
    training = _replaced(TrainingParameters, parameters["training"], variant.training, name, "training")
    steps_of_rounds(training.steps, variant.rounds)
    if variant.data == "trajectories":
        _refuse_larger_part(parameters, weighting, name)
    shared = {
        "model": ModelParameters,
        "problems": ProblemsParameters,
        "protocol": ProtocolParameters,
        "evaluation": EvaluationParameters,
    }
    read = {key: _read(model, parameters[key]) for key, model in shared.items()}
    facts: dict[str, Any] = {key: _plain(value) for key, value in read.items()}
    facts["evaluation"] = _plain(read["evaluation"], exclude=_NO_PART_OF_A_CELL)
    facts |= {
        "files": _files(_read(ModelParameters, read["model"]), _read(ProblemsParameters, read["problems"])),
        "rollout": _plain(_read(RolloutParameters, parameters["rollout"]), exclude={"engine", "rows_per_shard"}),
        "weighting": _plain(weighting),
        "training": _plain(training, exclude=NOT_DECISIVE),
        "seed": seed,
        "data": variant.data,
        "rounds": variant.rounds,
    }
    return Cell(study, seed, name, swept, variant.data, weighting, training, variant.rounds, facts)


def steps_of_rounds(steps: int, rounds: int) -> list[int]:
    """The steps of each round: equally many, the first ones taking what is left over.

    Raises:
        UserError: when there are fewer steps than rounds.
    """
    if steps < rounds:
        raise UserError(f"{rounds} rounds cannot share {steps} training.steps: lower the rounds, or raise the steps.")
    each, left = divmod(steps, rounds)
    return [each + (index < left) for index in range(rounds)]


def seed_of_round(seed: int, number: int) -> int:
    """The seed of a round: the first has the run's own, later ones have noise and an order of their own."""
    if number == 1:
        return seed
    return int.from_bytes(blake2b(f"round {number} of seed {seed}".encode(), digest_size=4).digest())


def unfinished(cells: Iterable[Cell], results: Path) -> list[Cell]:
    """The cells that have no result, or one of other facts.

    Args:
        cells: of a study.
        results: directory under which each result lies, as the catalog says.
    """
    return [cell for cell in cells if not _is_done(cell, results)]


def of_other_settings(cells: Iterable[Cell], results: Path) -> list[Cell]:
    """The cells that have a result of other facts, which will be replaced."""
    return [cell for cell in cells if result_path(results, cell.namespace).is_file() and not _is_done(cell, results)]


def _is_done(cell: Cell, results: Path) -> bool:
    result = result_path(results, cell.namespace)
    return result.is_file() and json.loads(result.read_text()).get("facts") == cell.facts


def result_path(results: Path, namespace: str) -> Path:
    """Where the result of a cell lies: the catalog's entry for it says the same."""
    return results / namespace / "cell.json"


def _files(model: ModelParameters, problems: ProblemsParameters) -> dict[str, Any]:
    """What tells whether the files a study is made from are still the same: content of problems, sizes of models."""
    sources = (problems.train, *problems.evaluation_sources)
    asked = [getattr(source, "path", None) for source in sources]
    return {
        **{name: files_fingerprint(files) for name, files in _existing(asked)},
        **{name: _stamps(files) for name, files in _existing([model.path, model.adapter])},
    }


def _existing(names: Iterable[str | None]) -> Iterator[tuple[str, list[Path]]]:
    """The files that names stand for, those in directories included; nothing for names that are no files here."""
    for name in filter(None, names):
        place = Path(name).expanduser()
        files = [place] if place.is_file() else sorted(file for file in place.rglob("*") if file.is_file())
        if files:
            yield name, files


def _stamps(files: Iterable[Path]) -> dict[str, list[int]]:
    """Sizes and times: a model is too large to be read at every command."""
    return {str(file): [file.stat().st_size, file.stat().st_mtime_ns] for file in files}


def _refuse_larger_part(parameters: Mapping[str, Any], weighting: WeightingParameters, variant: str) -> None:
    """Refuses, before anything is sampled, a variant that needs more than the rollout will have.

    Raises:
        UserError: naming the variant.
    """
    from drift.weighting.parts import refuse_larger_parts

    rollout, protocol = parameters["rollout"], parameters["protocol"]
    sampled = {
        "n": _read(RolloutParameters, rollout).n,
        "protocol": {"max_turns": _read(ProtocolParameters, protocol).max_turns},
    }
    try:
        refuse_larger_parts(sampled, weighting)
    except UserError as error:
        raise UserError(f"study: the variant `{variant}` cannot be made: {error}") from None


def _read(model: type[_Model], value: Any) -> _Model:  # noqa: ANN401
    return value if isinstance(value, model) else model.model_validate(value)


def _replaced(
    model: type[_Model],
    value: Any,  # noqa: ANN401
    changes: Mapping[str, Any],
    variant: str,
    key: str,
) -> _Model:
    """Parameters with a variant's changes, checked."""
    base = _read(model, value).model_dump()
    try:
        return model.model_validate({**base, **changes})
    except ValidationError as error:
        fault = error.errors()[0]
        name = ".".join([key, *(str(part) for part in fault["loc"])])
        what = "is not a parameter" if fault["type"] == "extra_forbidden" else f"cannot be used ({fault['msg']})"
        raise UserError(f"study: {name} of the variant `{variant}` {what}: correct it in conf/ or --params.") from None


def _plain(model: BaseModel, exclude: IncEx | None = None) -> dict[str, Any]:
    """As JSON values; by way of JSON text, because an infinite beta becomes a string only there."""
    return dict(json.loads(model.model_dump_json(exclude=exclude)))
