"""What was sampled, in numbers, and what of it could not be read."""

from collections.abc import Mapping
from typing import Any

import polars as pl
import pyarrow as pa

from drift.protocol.trajectory import VERDICTS
from drift.shards import Shards

NUM_EXAMPLES = 5
EXAMPLE_CHARACTERS = 200
_COLUMNS = ["problem_id", "turns", "success", "num_turns"]


def rollout_summary(trajectories: Shards) -> dict[str, Any]:
    """Counts over all trajectories, gathered shard by shard.

    Returns:
        `problems`, `trajectories`; `solved_by_turn` (trajectories solved at turn 1 … K), `success_rate`; `all_right`,
        `mixed`, `all_wrong` (problems by how many of their trajectories were solved); `distinct_answers` and
        `distinct_answers_failed` (mean of a trajectory, and of a failed one); `verdicts` (over turns), `unparsable`
        (some responses without an answer: `problem_id`, `turn`, `response`); `cut_share` (responses that met the token
        limit), `response_tokens`; `costs` (seconds and tokens) and `cache_hit_rate` (of the contexts' tokens).
    """
    max_turns = int(trajectories.provenance["protocol"]["max_turns"])
    counts, examples = [], []
    for table in trajectories.tables(_COLUMNS):
        counts.append(count(table, max_turns))
        if len(examples) < NUM_EXAMPLES:
            examples += unparsable_responses(table)
    total = pl.concat(counts).sum().row(0, named=True)
    num_failed = total["trajectories"] - total["solved"]
    context_tokens = trajectories.costs.get("context_tokens", 0)
    return {
        **{name: total[name] for name in ("problems", "trajectories", "all_right", "mixed", "all_wrong")},
        "solved_by_turn": [total[f"solved_{turn}"] for turn in range(1, max_turns + 1)],
        "success_rate": total["solved"] / total["trajectories"],
        "distinct_answers": total["distinct_answers"] / total["trajectories"],
        "distinct_answers_failed": total["distinct_answers_failed"] / num_failed if num_failed else None,
        "verdicts": {verdict: total[verdict] for verdict in VERDICTS},
        "unparsable": examples[:NUM_EXAMPLES],
        "cut_share": total["cut"] / total["turns"],
        "response_tokens": total["response_tokens"],
        "costs": dict(trajectories.costs),
        "cache_hit_rate": trajectories.costs["cached_tokens"] / context_tokens if context_tokens else None,
    }


def count(trajectories: pa.Table, max_turns: int) -> pl.DataFrame:
    """One row of sums over a shard of whole problems."""
    frame = pl.DataFrame(trajectories)
    turns = frame.select(pl.col("turns").explode()).unnest("turns")
    answers = pl.col("turns").list.agg(pl.element().struct.field("answer").drop_nulls().n_unique())
    of_trajectories = frame.select(
        trajectories=pl.len(),
        solved=pl.col("success").sum(),
        **{f"solved_{k}": (pl.col("success") & (pl.col("num_turns") == k)).sum() for k in range(1, max_turns + 1)},
        distinct_answers=answers.sum(),
        distinct_answers_failed=answers.filter(~pl.col("success")).sum(),
    )
    of_turns = turns.select(
        turns=pl.len(),
        cut=(~pl.col("stopped")).sum(),
        response_tokens=(pl.col("end") - pl.col("start")).sum(),
        **{verdict: (pl.col("verdict") == verdict).sum() for verdict in VERDICTS},
    )
    outcomes = frame.group_by("problem_id").agg(right=pl.col("success").all(), wrong=~pl.col("success").any())
    of_problems = outcomes.select(
        problems=pl.len(),
        all_right=pl.col("right").sum(),
        mixed=(~pl.col("right") & ~pl.col("wrong")).sum(),
        all_wrong=pl.col("wrong").sum(),
    )
    return pl.concat([of_trajectories, of_turns, of_problems], how="horizontal").cast(pl.Int64)


def unparsable_responses(trajectories: pa.Table) -> list[dict[str, Any]]:
    """Responses in which no answer could be read, at most one of a problem."""
    turns = pl.DataFrame(trajectories).select(
        "problem_id", turn=pl.int_ranges(1, pl.col("num_turns") + 1), of_turn="turns"
    )
    unparsable = turns.explode("turn", "of_turn").unnest("of_turn").filter(pl.col("verdict") == "unparsable")
    first = unparsable.unique("problem_id", keep="first", maintain_order=True).head(NUM_EXAMPLES)
    return first.select("problem_id", "turn", pl.col("response").str.tail(EXAMPLE_CHARACTERS)).to_dicts()


def summary_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The summary as a person reads it: a name and a sentence for each of its parts."""
    num_turns = sum(summary["verdicts"].values())
    verdicts = ", ".join(f"{number:,} {verdict}" for verdict, number in summary["verdicts"].items() if number)
    failed = summary["distinct_answers_failed"]
    rows = [
        ("sampled", f"{summary['trajectories']:,} trajectories of {summary['problems']:,} problems"),
        ("solved", f"{summary['success_rate']:.0%} ({', '.join(f'{n:,}' for n in summary['solved_by_turn'])} by turn)"),
        (
            "problems",
            f"{summary['all_right']:,} all right, {summary['mixed']:,} mixed, {summary['all_wrong']:,} all wrong",
        ),
        (
            "distinct answers",
            f"{summary['distinct_answers']:.2f} a trajectory"
            + ("" if failed is None else f", {failed:.2f} a failed one"),
        ),
        ("verdicts", f"{num_turns:,} turns: {verdicts}"),
        ("tokens", f"{summary['response_tokens']:,} sampled, {summary['cut_share']:.0%} of the responses cut"),
    ]
    return [*rows, *_cost_rows(summary), *_example_rows(summary)]


def _cost_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the engine did, and where the time went."""
    costs = summary["costs"]
    if not costs.get("responses"):
        return []
    computed = costs["context_tokens"] - costs["cached_tokens"]
    rate = costs["response_tokens"] / max(costs["sampling_seconds"], 1e-9)
    return [
        (
            "prefix cache",
            f"{summary['cache_hit_rate']:.0%} of {costs['context_tokens']:,} context tokens, {computed:,} computed",
        ),
        (
            "time",
            f"{costs['engine_start_seconds']:.0f} s starting the engine, {costs['sampling_seconds']:.0f} s sampling "
            f"({rate:,.0f} tokens/s), of which {costs['writing_seconds']:.1f} s writing",
        ),
        (
            "a turn",
            f"{costs['generation_seconds'] / costs['responses']:.2f} s for its response, "
            f"{1000 * costs['verdict_seconds'] / costs['responses']:.0f} ms for its verdict "
            f"({costs['cached_grades'] / max(costs['grades'], 1):.0%} of the verdicts were known)",
        ),
    ]


def _example_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What could not be read."""
    return [
        (
            "no answer in" if number == 0 else "",
            f"{example['problem_id']}, turn {example['turn']}: {' '.join(example['response'].split())!r}",
        )
        for number, example in enumerate(summary["unparsable"])
    ]
