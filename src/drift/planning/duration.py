"""How long a run will take on a CPU, from the speed of its matrix products: the first line of a run.

Sampling and training are computation on a CPU: two operations a weight and token to read or sample, six to train. The
shares of the race's speed that the stages reach were measured with `benchmarks/default_run.py`; the estimate is meant
to be right within a factor of 1.5.
"""

from dataclasses import dataclass

from drift.parameters import EvaluationParameters, ProtocolParameters, RolloutParameters, TrainingParameters
from drift.rollout.engine_choice import EXPECTED_SHARE_OF_TURNS, FEEDBACK_TOKENS

SAMPLING_SHARE = {"float32": 0.5, "bfloat16": 0.33}
"""Of the GFLOP/s of plain products, by number format; verdicts and writing included."""
TRAINING_SHARE = 0.6
"""The same for training: large products, with the optimiser and the way back."""
PROMPT_TOKENS = 45
FIXED_SECONDS = 45.0
"""Loading, starting an engine, charts, pages and the report."""
EVALUATED_POLICIES = 2


@dataclass(frozen=True)
class Duration:
    """Expected seconds of the stages; 0 for one that is not run.

    Attributes:
        sampling: of the training data.
        training: of all steps.
        evaluation: of both policies.
    """

    sampling: float
    training: float
    evaluation: float

    @property
    def total(self) -> float:
        """With what every run needs besides."""
        return self.sampling + self.training + self.evaluation + FIXED_SECONDS


def tokens_of_conversations(count: int, protocol: ProtocolParameters, max_new_tokens: int) -> float:
    """Tokens that an engine computes for so many conversations of a weak model."""
    turns = max(1.0, EXPECTED_SHARE_OF_TURNS * protocol.max_turns)
    return count * turns * (FEEDBACK_TOKENS + EXPECTED_SHARE_OF_TURNS * max_new_tokens)


def tokens_of_training(training: TrainingParameters, protocol: ProtocolParameters, max_new_tokens: int) -> float:
    """Tokens of all steps; an example is a conversation of about half the budget."""
    turns = (1 + protocol.max_turns) / 2
    return training.steps * training.batch_size * (PROMPT_TOKENS + turns * (FEEDBACK_TOKENS + max_new_tokens) / 1.5)


def expected_duration(
    num_weights: float,
    sampling_format: str,
    sampling_gflops: float,
    training_gflops: float,
    num_train: int,
    num_held_out: int,
    protocol: ProtocolParameters,
    rollout: RolloutParameters,
    training: TrainingParameters,
    evaluation: EvaluationParameters,
) -> Duration:
    """Seconds of each stage.

    Args:
        num_weights: of the model.
        sampling_format: what is sampled in.
        sampling_gflops: GFLOP/s of matrix products in the format that is sampled in.
        training_gflops: the same for training.
        num_train: training problems.
        num_held_out: held-out problems.
        protocol: how it is asked.
        rollout: N and the token limit.
        training: steps and batch.
        evaluation: the token limit.
    """
    sampling_rate = sampling_gflops * 1e9 * SAMPLING_SHARE.get(sampling_format, 0.25) / (2 * num_weights)
    training_rate = training_gflops * 1e9 * TRAINING_SHARE / (6 * num_weights)
    sampled = tokens_of_conversations(num_train * rollout.n, protocol, rollout.max_new_tokens)
    evaluated = tokens_of_conversations(EVALUATED_POLICIES * num_held_out, protocol, evaluation.max_new_tokens)
    trained = tokens_of_training(training, protocol, rollout.max_new_tokens)
    return Duration(sampled / sampling_rate, trained / training_rate, evaluated / sampling_rate)


def duration_in_words(duration: Duration, num_train: int) -> str:
    """The first line of a run: how long, where it goes, and what makes it shorter."""
    minutes = {
        "sampling": duration.sampling,
        "training": duration.training,
        "evaluation": duration.evaluation,
    }
    parts = ", ".join(f"{name} {_time(seconds)}" for name, seconds in minutes.items() if seconds)
    shorter = ""
    if duration.sampling and num_train > 1:
        shorter = (
            f" Half the problems (problems.train.limit={num_train // 2}) would save about "
            f"{_time(duration.sampling / 2)}; what was made before is not made again."
        )
    return f"This will take about {_time(duration.total)} on this machine ({parts}).{shorter}"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{max(5, round(seconds, -1)):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
