"""The parameters of studies: variants of one training, sweeps, seeds, and rollouts that are refreshed."""

from typing import Annotated, Any, Literal, Self, TypedDict

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from drift.training_parameters import Parameters

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
"""A name that may be part of a dataset's: small letters, digits and underlines."""


_REFERENCE = "reference"


def _different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError("a value is named twice")
    return values


class Swept(TypedDict):
    """The parameter that tells the variants of a sweep apart, such as `beta`, and its value; infinity is `inf`."""

    parameter: str
    value: float | str


class VariantParameters(Parameters):
    """`study.variants.<name>`: what one variant does otherwise than `weighting` and `training` say."""

    weighting: dict[str, Any] = Field(default_factory=dict)
    """Values of `weighting` that replace the run's own."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Values of `training` that replace the run's own."""
    data: Literal["trajectories", "solutions"] = "trajectories"
    """What it is trained on: the sampled trajectories, or the solutions that come with the problems (SFT)."""
    rounds: int = Field(default=1, ge=1)
    """Rounds of sampling and training (`refresh.rounds`), which share the steps."""

    @model_validator(mode="after")
    def _solutions_have_one_round(self) -> Self:
        if self.data == "solutions" and self.rounds > 1:
            raise ValueError(
                "`rounds` above 1 sample again, and `data: solutions` samples nothing: leave one of them out"
            )
        return self


class SweepParameters(Parameters):
    """`study.sweeps`: values of `weighting` that are tried one at a time, all from the same trajectories."""

    gamma: Annotated[tuple[float, ...], AfterValidator(_different)] = ()
    """Discounts (Figure 7)."""
    beta: Annotated[tuple[float, ...], AfterValidator(_different)] = ()
    """Temperatures of the weights (Figure 8); `.inf` is among the values."""
    penalty: Annotated[tuple[float, ...], AfterValidator(_different)] = ()
    """Prices of repeating answers (Tables 6 and 7)."""
    n: Annotated[tuple[int, ...], AfterValidator(_different)] = ()
    """Trajectories per problem (Table 8, Figure 9), at most `rollout.n`."""
    max_turns: Annotated[tuple[int, ...], AfterValidator(_different)] = ()
    """Budgets of turns (Figure 6), at most `protocol.max_turns`; evaluation keeps the whole budget."""


class StudyParameters(Parameters):
    """`study`: which variants are trained and evaluated, with which seeds."""

    name: Name = "main"
    """Name of the study; studies of different names keep their results beside each other."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1), AfterValidator(_different)] = (0,)
    """Seeds; each samples once and trains every variant."""
    variants: dict[Name, VariantParameters]
    """All variants there are, by name."""
    chosen: Annotated[tuple[Name, ...], Field(min_length=1), AfterValidator(_different)]
    """The variants that are trained and evaluated."""
    baseline: Name = "sft_5turn"
    """The variant that the others are compared with, where it is chosen."""
    swept: Name = "drift"
    """The variant whose values the sweeps replace."""
    sweeps: SweepParameters = SweepParameters()
    """Values tried one at a time; none in the default."""

    @model_validator(mode="after")
    def _names_are_variants(self) -> Self:
        if _REFERENCE in self.variants:
            raise ValueError(f"`variants` has one called {_REFERENCE!r}, the policy that all start from: rename it")
        for field, names in (("chosen", self.chosen), ("baseline", (self.baseline,)), ("swept", (self.swept,))):
            if unknown := [name for name in names if name not in self.variants]:
                known = ", ".join(self.variants)
                raise ValueError(f"`{field}` names {unknown[0]!r}, and there is no such variant: there are {known}")
        return self


class RefreshParameters(Parameters):
    """`refresh`: training in rounds, each on trajectories of the policy that the round before has left."""

    rounds: int = Field(default=2, ge=1)
    """Rounds; `training.steps` are shared out among them."""
