"""Nodes of stage 2: returns, weights, and what the weighted data is made of."""

import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pandas as pd

from drift.model_directory import ModelDirectory
from drift.parameters import ModelParameters, ProtocolParameters, WeightingParameters
from drift.pipelines.problem_frames import from_frame
from drift.shards import Shards, ShardStream

if TYPE_CHECKING:
    from plotly.graph_objects import Figure
else:
    Figure = Any  # plotly is imported when a chart is drawn, not before

logger = logging.getLogger(__name__)


def shape_returns(trajectories: Shards, weighting: WeightingParameters) -> ShardStream:
    """Computes the return of every trajectory that is used, shard by shard."""
    from drift.weighting.parts import limits_of_part, part_of_rollout, refuse_larger_parts
    from drift.weighting.returns import RETURN_INPUTS, shape_returns

    refuse_larger_parts(trajectories.provenance, weighting)
    shards = (part_of_rollout(table, weighting) for table in trajectories.tables(RETURN_INPUTS))
    tables = (shape_returns(shard, weighting) for shard in shards)
    provenance = {
        "trajectories": {"path": str(trajectories.path), **trajectories.provenance},
        "gamma": weighting.gamma,
        "penalty": weighting.penalty,
        **limits_of_part(weighting),
    }
    return ShardStream(tables, provenance)


def weigh_trajectories(trajectories: Shards, shaped_returns: Shards, weighting: WeightingParameters) -> ShardStream:
    """Turns returns into weighted training examples, shard by shard."""
    from drift.weighting import retention
    from drift.weighting.parts import part_of_rollout, refuse_larger_parts

    turns = weighting.solved_at
    kept = "every conversation" if turns is None else f"those solved at turn {', '.join(map(str, turns))}"
    tilt = (weighting.beta, weighting.gamma, weighting.penalty)
    logger.info("Weighting: beta %g, gamma %g, penalty %g; kept: %s", *tilt, kept)
    refuse_larger_parts(trajectories.provenance, weighting)
    retention.refuse_other_trajectories(trajectories, shaped_returns, weighting)
    retention.refuse_parts_of_problems(trajectories)
    shards = (part_of_rollout(table, weighting) for table in trajectories.tables(retention.EXAMPLE_INPUTS))
    pairs = zip(shards, shaped_returns.tables(), strict=True)
    tables = (retention.weigh_trajectories(shard, returns, weighting) for shard, returns in pairs)
    provenance = {
        **shaped_returns.provenance,
        "shaped_returns": {"path": str(shaped_returns.path)},
        # By way of JSON text, because an infinite beta becomes a string only there.
        "weighting": json.loads(weighting.model_dump_json()),
    }
    return ShardStream(tables, provenance)


def summarize_weights(shaped_returns: Shards, weighted_turns: Shards, weighting: WeightingParameters) -> dict[str, Any]:
    """Counts problems by outcome and examples by weight."""
    from drift.weighting.composition import composition

    return composition(shaped_returns, weighted_turns, weighting.prune_below).to_dict()


def examples_of_solutions(
    train_problems: pd.DataFrame, reference_model: ModelDirectory, model: ModelParameters, protocol: ProtocolParameters
) -> ShardStream:
    """Turns written solutions into training examples of weight 1, in place of trajectories (the baseline `sft`)."""
    from drift.protocol.chat import chat_format_of
    from drift.protocol.fit import context_tokens
    from drift.protocol.prompts import PROMPT_STYLES
    from drift.rollout.plan import problems_fingerprint
    from drift.weighting.solutions import examples_of_solutions

    problems = from_frame(train_problems)
    chat = chat_format_of(reference_model.path, protocol, model.trust_remote_code)
    examples = examples_of_solutions(problems, chat, protocol.prompt, context_tokens(reference_model.path))
    left_out = f"; left out: {examples.left_out_in_words()}" if examples.left_out else ""
    logger.info("%d of %d problems give a written solution%s", examples.table.num_rows, len(problems), left_out)
    provenance = {
        # What trajectories would say as well: whose tokens these are, what was asked and how. Nothing was sampled.
        "trajectories": {
            "model": reference_model.fingerprint,
            "problems": problems_fingerprint(problems),
            "protocol": protocol.model_dump(mode="json"),
            "prompt_style": asdict(PROMPT_STYLES[protocol.prompt]),
        },
        "solutions": {
            "left_out": dict(examples.left_out),
            "longest_response_tokens": examples.longest_response_tokens,
        },
    }
    return ShardStream([examples.table], provenance)


def summarize_solutions(weighted_turns: Shards) -> dict[str, Any]:
    """Counts the examples of written solutions, under the names that `summarize_weights` has."""
    from drift.weighting.solutions import summary_of_solutions

    return summary_of_solutions(weighted_turns)


def draw_weights(shaped_returns: Shards, weighted_turns: Shards, weighting_summary: dict[str, Any]) -> Figure:
    """Draws the distribution of returns and weights."""
    from drift.weighting.charts import chart_of_weights

    return chart_of_weights(shaped_returns, weighted_turns, weighting_summary["effective_sample_size"])


def draw_composition(weighting_summary: dict[str, Any]) -> Figure:
    """Draws how many problems were solved by all, some or none of their trajectories."""
    from drift.weighting.composition_chart import composition_chart

    return composition_chart(weighting_summary)


def show_trajectories(
    trajectories: Shards,
    shaped_returns: Shards,
    weighted_turns: Shards,
    train_problems: pd.DataFrame,
    reference_model: ModelDirectory,
    model: ModelParameters,
    weighting: WeightingParameters,
) -> str:
    """Makes the page on which the training conversations are read, with what the training will make of each."""
    from drift.evaluation.viewer.conversations import training_conversations
    from drift.evaluation.viewer.raw_chat import RawChatReader
    from drift.evaluation.viewer.viewer import training_viewer
    from drift.weighting.parts import facts_of_part

    problems = from_frame(train_problems)
    shown = training_conversations(trajectories, shaped_returns, weighted_turns, problems, weighting)
    reader = RawChatReader.of_model(reference_model.path, model.trust_remote_code)
    return training_viewer(shown, facts_of_part(trajectories.provenance, weighting), reader)
