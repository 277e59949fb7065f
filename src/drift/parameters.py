"""The parameters: one frozen model for each top-level key of `conf/base/parameters.yml`.

Kedro validates them, all together, before any node runs: an unknown name or a value out of range ends the run
with a sentence. Every field says what it is; names that the paper has are the paper's. Those of the training are in
`drift.training_parameters`, those of studies in `drift.study_parameters`, those of the dry run in
`drift.plan_parameters`.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, RootModel, Tag, ValidationError, model_validator

from drift.errors import UserError
from drift.plan_parameters import PlanParameters
from drift.problems.benchmarks import BENCHMARKS
from drift.problems.sources import ArithmeticSource, ProblemSource, source_name
from drift.study_parameters import RefreshParameters, StudyParameters
from drift.training_parameters import (
    CREDENTIALS,
    HeldOutParameters,
    LoraParameters,
    MlflowParameters,
    Parameters,
    TrainingParameters,
)

__all__ = [
    "TOP_LEVEL_KEYS",
    "EngineParameters",
    "EvaluationParameters",
    "FloatType",
    "HeldOutParameters",
    "LoraParameters",
    "MlflowParameters",
    "ModelParameters",
    "Parameters",
    "PlanParameters",
    "ProblemsParameters",
    "ProtocolParameters",
    "RefreshParameters",
    "RolloutParameters",
    "Seed",
    "StudyParameters",
    "TrainingParameters",
    "WeightingParameters",
    "WorkingDirectory",
    "check_parameters",
    "complete_parameters",
]

FloatType = Literal["float32", "bfloat16", "float16"]


class Seed(RootModel[Annotated[int, Field(ge=0)]]):
    """`seed`: of the embedded problems, the sampling engine, the order of training and the resampling.

    Trajectories sampled with the same seed are not the same to the token: what else runs at the time changes rounding.
    """

    model_config = ConfigDict(frozen=True)


class WorkingDirectory(RootModel[Path]):
    """`working_directory`: where unfinished and reusable work is kept, relative to the project."""

    model_config = ConfigDict(frozen=True)


class ModelParameters(Parameters):
    """`model`: the reference policy."""

    path: str = Field(min_length=1)
    """A local Hugging Face directory, a Hub id such as `Qwen/Qwen2.5-3B-Instruct`, or `bundled:…`, a packaged one."""
    adapter: str | None = Field(default=None, min_length=1)
    """Directory of a LoRA adapter that belongs to the policy: sampling serves it beside the model, training starts
    from both merged."""
    dtype: FloatType | Literal["auto"] = "auto"
    """Number format the policy is sampled in and the checkpoint is stored in. `auto` takes what suits the machine: on a
    processor the faster one of float32 and bfloat16, by a short race of matrix products; on a GPU bfloat16 from compute
    capability 8.0 on, else float16. What was chosen is in the log, the data's provenance and the run's record; data
    that was begun in another format is sampled anew."""
    trust_remote_code: bool = False
    """Whether code that comes with the model may run on this machine."""


def _how_many(sources: object) -> str:
    return "several" if isinstance(sources, list | tuple) else "one"


class ProblemsParameters(Parameters):
    """`problems`: what is asked, in training and in evaluation."""

    train: ProblemSource
    """Where the training problems come from."""
    evaluation: Annotated[
        Annotated[ProblemSource, Tag("one")] | Annotated[tuple[ProblemSource, ...], Tag("several")],
        Discriminator(_how_many),
    ]
    """Where the held-out problems come from: one source, or a list of sources, each reported as a benchmark of its own.
    No problem may be in both training and evaluation."""

    @property
    def evaluation_sources(self) -> tuple[ProblemSource, ...]:
        """The sources of the held-out problems, also where there is one."""
        return self.evaluation if isinstance(self.evaluation, tuple) else (self.evaluation,)

    @model_validator(mode="after")
    def _arithmetic_parts_are_of_one_range(self) -> Self:
        sources = [source for source in (self.train, *self.evaluation_sources) if isinstance(source, ArithmeticSource)]
        if len({(source.smallest_addend, source.largest_addend) for source in sources}) > 1:
            raise ValueError(
                "the arithmetic parts have different addends, and would share problems: give both the same "
                "`smallest_addend` and `largest_addend`"
            )
        return self

    @model_validator(mode="after")
    def _benchmarks_have_names_of_their_own(self) -> Self:
        names = [source_name(source) for source in self.evaluation_sources]
        if not names:
            raise ValueError("the list of the evaluation's sources is empty: name one")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(
                f"two sources of the evaluation are called {' and '.join(map(repr, twice))}, by which their results "
                "could not be told apart: leave one out, or give a file another `name`"
            )
        return self


class ProtocolParameters(Parameters):
    """`protocol`: how it is asked."""

    max_turns: int = Field(default=5, ge=1)
    """Budget K: the most responses a conversation may have."""
    feedback: str = Field(default="Incorrect. Please think again.", min_length=1)
    """What the user says after a wrong response; the only signal the model gets."""
    prompt: Literal["boxed", "think_answer"] = "boxed"
    """Named prompt style: the words around the problem and the answer format asked for."""


class EngineParameters(Parameters):
    """`rollout.engine`: how the sampling engine uses the machine; null lets the machine decide."""

    kind: Literal["auto", "vllm", "transformers"] = "auto"
    """`vllm`, `transformers` (slower, runs wherever torch does), or `auto`: vLLM where it works."""
    max_sequences: int | None = Field(default=None, ge=1)
    """Most sequences decoded at the same time; null takes 128 on a CPU and 1,024 on a GPU (transformers:
    fewer where their cache would not fit)."""
    max_batched_tokens: int | None = Field(default=None, ge=1)
    """vLLM: most tokens of one forward pass, prefill included; null takes vLLM's own choice on a GPU and, on a CPU,
    4,096 or one whole conversation."""
    max_context_tokens: int | None = Field(default=None, ge=1)
    """Longest conversation the engine makes room for; null takes the longest that the problems can come to."""
    tensor_parallel_size: int = Field(default=1, ge=1)
    """vLLM: number of GPUs one copy of the model is spread over."""
    data_parallel_size: int | None = Field(default=None, ge=1)
    """vLLM: number of copies of the model; null takes as many as the GPUs of this machine hold, one on a CPU."""
    memory_share: float = Field(default=0.9, gt=0, le=1)
    """vLLM: share of each GPU's memory the engine may take (ignored on a CPU)."""
    cpu_cache_gib: int | None = Field(default=None, ge=1)
    """vLLM: size of the key-value cache on a CPU, whole GiB; null takes a quarter of the free memory, at most 8."""
    cpu_threads: int | None = Field(default=None, ge=1)
    """Threads of the engine on a CPU; null takes every core this process may use (transformers: torch's own choice)."""
    compile: bool | None = None
    """vLLM: whether the model is compiled (CUDA graphs on a GPU); null compiles on a GPU and not on a CPU."""


class RolloutParameters(Parameters):
    """`rollout`: how trajectories are sampled from the reference policy."""

    n: int = Field(ge=1)
    """N: trajectories per problem."""
    temperature: float = Field(default=1.0, gt=0, le=2)
    """Sampling temperature."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus sampling: the probability mass that is kept; 1 keeps all."""
    max_new_tokens: int = Field(ge=1)
    """Most tokens of one response."""
    rows_per_shard: int = Field(default=8192, ge=1)
    """Most trajectories in one file; a problem is never split, so one with more has a file of its own."""
    seed_per_request: bool = False
    """Whether every response has a seed of its own, keyed by problem, trajectory and turn: its noise is then the same
    whatever else runs. Without it draws are just as independent."""
    engine: EngineParameters = EngineParameters()
    """Engine settings, shared with evaluation."""


class WeightingParameters(Parameters):
    """`weighting`: how returns become weights (Eq. 12 and 13)."""

    gamma: float = Field(default=0.9, gt=0, le=1)
    """Discount per turn: success at turn T is worth gamma^(T-1)."""
    beta: float = Field(default=0.1, gt=0)
    """Temperature of the weights; `.inf` gives every trajectory weight 1 (SFT-5turn)."""
    penalty: float = Field(default=0.5, ge=0, allow_inf_nan=False)
    """Price of repeating answers: penalty * (1 - distinct answers / turns)."""
    unsolved: Literal["keep", "drop"] = "keep"
    """What becomes of problems that no trajectory solved: the paper keeps them."""
    prune_below: float = Field(default=0.0, ge=0, lt=1)
    """Examples of a smaller weight cost no computation, but keep their place in the global batch and its divisor."""
    retain: Literal["terminal", "all"] = "terminal"
    """Which turns are trained on: the terminal one (the paper) or all of them (its ablation)."""
    n: int | None = Field(default=None, ge=1)
    """Only the first n trajectories of each problem are used, as if no more had been sampled; null uses all."""
    max_turns: int | None = Field(default=None, ge=1)
    """Every trajectory is cut to this budget, to what protocol.max_turns = this would have given: turns beyond it are
    dropped, and what was solved in one of them counts as not solved; null cuts none."""
    solved_at: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(default=None, min_length=1)
    """Of the weighted examples only those are kept that were solved at one of these turns; null keeps all. With beta
    `.inf`, max_turns 2 and solved_at [2] this is STaR-2turn; with max_turns 1 and solved_at [1] it is SFT."""


class EvaluationParameters(Parameters):
    """`evaluation`: greedy conversations with the reference, the trained and other policies."""

    max_new_tokens: int = Field(ge=1)
    """Most tokens of one response."""
    policies: dict[Annotated[str, Field(min_length=1)], Annotated[str, Field(min_length=1)]] = Field(
        default_factory=dict
    )
    """Further policies to compare with, name → directory: a Hugging Face model, or a version of `checkpoint`. A
    relative path starts where the command runs."""
    attempts: int = Field(default=0, ge=0)
    """Control: this many independent single-turn attempts per problem and policy, without any feedback, drawn at
    rollout.temperature and rollout.top_p; 0 makes none."""
    bootstrap_samples: int = Field(default=2000, ge=100)
    """Resamples of the problems behind each 95 % interval."""


TOP_LEVEL_KEYS: dict[str, type[BaseModel]] = {
    "seed": Seed,
    "model": ModelParameters,
    "problems": ProblemsParameters,
    "protocol": ProtocolParameters,
    "rollout": RolloutParameters,
    "weighting": WeightingParameters,
    "training": TrainingParameters,
    "evaluation": EvaluationParameters,
    "study": StudyParameters,
    "refresh": RefreshParameters,
    "plan": PlanParameters,
    "working_directory": WorkingDirectory,
}
"""Every key of `parameters.yml` and the model that reads it."""

# What pydantic puts between the names of an error's place: which kind of source, and how many.
_TAGS = {"arithmetic", "file", *BENCHMARKS, "one", "several"}


def complete_parameters(raw: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters as plain JSON values, those included that nobody has set."""
    # By way of JSON text, because an infinite beta becomes a string only there.
    return {key: json.loads(model.model_validate(raw[key]).model_dump_json()) for key, model in TOP_LEVEL_KEYS.items()}


def check_parameters(raw: Mapping[str, Any]) -> None:
    """Refuses parameters that are unknown, missing or out of range, all of them in one sentence.

    Args:
        raw: `parameters.yml` with the command line's overrides, as plain values.

    Raises:
        UserError: naming each parameter, what is wrong with it, and what was given.
    """
    faults = [f"{key} is not a parameter" for key in sorted(set(raw) - set(TOP_LEVEL_KEYS))]
    faults += [f"{key} is missing" for key in TOP_LEVEL_KEYS if key not in raw]
    for key, model in TOP_LEVEL_KEYS.items():
        if key in raw:
            faults.extend(_faults(key, model, raw[key]))
    if faults:
        raise UserError(
            f"Parameters cannot be used: {'; '.join(faults)}: correct them in conf/ or in --params "
            "(src/drift/parameters.py and training_parameters.py explain each)."
        )


def _faults(key: str, model: type[BaseModel], value: object) -> Iterator[str]:
    try:
        model.model_validate(value)
    except ValidationError as error:
        for fault in error.errors():
            tags = _TAGS if key == "problems" else set()
            name = ".".join([key, *(str(part) for part in fault["loc"] if part not in tags)])
            if fault["type"] == "extra_forbidden":
                yield f"{name} is not a parameter"
            elif fault["type"] == "missing":
                yield f"{name} is missing"
            elif fault["type"] == CREDENTIALS:
                yield f"{name}: {fault['msg']}"
            elif fault["type"] == "value_error" and isinstance(fault["input"], Mapping):
                yield f"{name}: {fault['msg'].removeprefix('Value error, ')}"  # its parts do not fit together
            elif fault["type"] == "union_tag_invalid":
                asked, known = fault["ctx"]["tag"], fault["ctx"]["expected_tags"].replace("'", "")
                yield f"{name}.source: there is no source {asked!r}; there are {known}"
            else:
                yield f"{name}: {fault['msg'][0].lower()}{fault['msg'][1:]}, not {fault['input']!r}"
