"""The parts of a plan: what is asked of which model on which GPUs, from the parameters of a run."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from drift.errors import UserError
from drift.parameters import (
    EvaluationParameters,
    ModelParameters,
    ProblemsParameters,
    ProtocolParameters,
    RefreshParameters,
    RolloutParameters,
    StudyParameters,
    TrainingParameters,
    WeightingParameters,
)
from drift.plan_parameters import PlanParameters
from drift.planning.conversations import Conversations, ends_at
from drift.planning.disk import Disk, disk, number_bytes
from drift.planning.gpus import ASSUMED, Gpu, gpu_named, gpus_of_this_machine
from drift.planning.model_shape import ModelShape, find_config, model_shape
from drift.planning.problem_sizes import ProblemSize, ProblemSizes, feedback_tokens, problem_sizes
from drift.planning.sampling import SamplingSetup
from drift.planning.training import TrainingSetup
from drift.rollout.vllm_settings import gpu_arguments

_REFERENCE_AND_TRAINED = 2


@dataclass(frozen=True)
class Settings:
    """The parameters a plan is made of, one a key of `parameters.yml`."""

    seed: int
    model: ModelParameters
    problems: ProblemsParameters
    protocol: ProtocolParameters
    rollout: RolloutParameters
    weighting: WeightingParameters
    training: TrainingParameters
    evaluation: EvaluationParameters
    study: StudyParameters
    refresh: RefreshParameters
    plan: PlanParameters
    working_directory: Path


@dataclass(frozen=True)
class Reckoning:
    """What is asked of which model on which GPUs.

    Attributes:
        settings: the parameters.
        shape: of the policy.
        shape_from: where its configuration was found, in words.
        gpu: kind of GPU.
        num_gpus: of one host.
        gpu_from: why these, in words.
        sizes: the problems.
        engine: how sampling uses the GPUs.
        refusals: what a run would refuse, in its own sentences.
    """

    settings: Settings
    shape: ModelShape
    shape_from: str
    gpu: Gpu
    num_gpus: int
    gpu_from: str
    sizes: ProblemSizes
    engine: SamplingSetup
    refusals: tuple[str, ...]

    @cached_property
    def rollout(self) -> Conversations:
        """The training data."""
        return _rollout(self.settings, self.sizes.train)

    @cached_property
    def held_out(self) -> list[Conversations]:
        """The held-out conversations of one policy, and its independent attempts where there are any."""
        return _held_out(self.settings, self.sizes)

    @property
    def policies(self) -> int:
        """That are evaluated."""
        return _REFERENCE_AND_TRAINED + len(self.settings.evaluation.policies)

    @cached_property
    def longest(self) -> float:
        """Tokens of the longest conversation there can be."""
        return _longest(self.settings, self.sizes)

    @cached_property
    def trainer(self) -> TrainingSetup:
        """How training uses the GPUs."""
        training, weighting = self.settings.training, self.settings.weighting
        processes = (training.processes or self.num_gpus) * training.hosts
        all_turns = weighting.retain == "all"
        return TrainingSetup(self.shape, training, self.gpu, processes, self.settings.plan.mfu, all_turns)

    @cached_property
    def training_fits(self) -> bool:
        """Whether a GPU has the memory that training needs."""
        needed = self.trainer.memory_bytes(self.rollout, self.trainer.recomputes(self.rollout))
        return needed <= self.gpu.memory_bytes

    @cached_property
    def disk(self) -> Disk:
        """What a run writes."""
        sampled = self.rollout.count * self.rollout.most_tokens
        evaluated = self.policies * sum(part.count * part.most_tokens for part in self.held_out)
        return disk(self.shape, self.settings.model.dtype, sampled, evaluated)


def reckon(settings: Settings) -> Reckoning:
    """Looks at everything that is here, and downloads, starts or loads nothing.

    Raises:
        UserError: when the model's shape or this machine's GPU is not known.
    """
    config, shape_from = find_config(settings.model)
    shape = model_shape(config, settings.training.lora)
    gpu, num_gpus, gpu_from = _gpus(settings.plan)
    sizes = problem_sizes(settings.problems, settings.protocol, settings.seed)
    engine, refused = _engine(settings, shape, gpu, num_gpus, _longest(settings, sizes))
    refusals = (*sizes.refusals, *refused)
    return Reckoning(settings, shape, shape_from, gpu, num_gpus, gpu_from, sizes, engine, refusals)


def _gpus(asked: PlanParameters) -> tuple[Gpu, int, str]:
    """Kind, number, and why these."""
    if asked.gpu is not None:
        return gpu_named(asked.gpu), asked.gpus or 1, "as plan.gpu says"
    if found := gpus_of_this_machine():
        gpu, count = found
        return gpu, asked.gpus or count, "this machine's"
    return gpu_named(ASSUMED), asked.gpus or 1, "assumed, since this machine has no GPU and plan.gpu names none"


def _engine(
    settings: Settings, shape: ModelShape, gpu: Gpu, num_gpus: int, longest: float
) -> tuple[SamplingSetup, list[str]]:
    """How the engine uses the GPUs; where it would refuse its settings, one copy on all of them."""
    asked, refusals = settings.rollout.engine, []
    try:
        arguments = gpu_arguments(asked, int(longest), num_gpus)
    except UserError as error:
        refusals.append(str(error))
        one_copy = asked.model_copy(update={"tensor_parallel_size": num_gpus, "data_parallel_size": 1})
        arguments = gpu_arguments(one_copy, int(longest), num_gpus)
    engine = SamplingSetup(
        shape=shape,
        number_bytes=number_bytes(settings.model.dtype),
        gpu=gpu,
        copies=arguments["data_parallel_size"],
        spread=arguments["tensor_parallel_size"],
        memory_share=asked.memory_share,
        max_sequences=arguments["max_num_seqs"],
        mfu=settings.plan.mfu,
        tokens_per_second=settings.plan.sampling_tokens_per_second,
    )
    return engine, refusals


def _rollout(settings: Settings, size: ProblemSize) -> Conversations:
    turns, limit = settings.protocol.max_turns, settings.rollout.max_new_tokens
    return _conversations(settings, size, settings.rollout.n, turns, limit)


def _held_out(settings: Settings, sizes: ProblemSizes) -> list[Conversations]:
    """The engine gets the problems of all benchmarks together, and all attempts after them."""
    evaluation, size = settings.evaluation, sizes.held_out
    greedy = _conversations(settings, size, 1, settings.protocol.max_turns, evaluation.max_new_tokens)
    attempts = _conversations(settings, size, evaluation.attempts, 1, evaluation.max_new_tokens)
    return [greedy, attempts] if evaluation.attempts else [greedy]


def _longest(settings: Settings, sizes: ProblemSizes) -> float:
    return max(part.most_tokens for part in (_rollout(settings, sizes.train), *_held_out(settings, sizes)))


def _conversations(
    settings: Settings, size: ProblemSize, of_each: int, max_turns: int, max_new_tokens: int
) -> Conversations:
    return Conversations(
        count=size.count * of_each,
        prompt_tokens=size.prompt_tokens,
        longest_prompt_tokens=size.longest_prompt_tokens,
        feedback_tokens=feedback_tokens(settings.protocol),
        max_turns=max_turns,
        max_new_tokens=max_new_tokens,
        response_tokens=min(settings.plan.response_tokens, max_new_tokens),
        ends_at_K=ends_at(settings.plan, max_turns),
    )
