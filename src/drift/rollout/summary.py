"""What was sampled, in numbers."""

from typing import Any

import polars as pl

from drift.protocol.trajectory import VERDICTS
from drift.shards import Shards


def rollout_summary(trajectories: Shards) -> dict[str, Any]:
    """Counts over all trajectories.

    Returns:
        `problems`, `trajectories`, `solved_by_turn` (trajectories solved at turn 1 … K), `success_rate`, `verdicts`
        (over turns), `cut_share` (responses that met the token limit) and `response_tokens`.
    """
    columns = ["problem_id", "turns", "success", "num_turns"]
    frame = pl.DataFrame(trajectories.read(columns))
    turns = frame.select(pl.col("turns").explode()).unnest("turns")
    verdicts = dict(turns["verdict"].value_counts().iter_rows())
    max_turns = int(trajectories.provenance["protocol"]["max_turns"])
    solved = frame.filter("success")["num_turns"]
    return {
        "problems": frame["problem_id"].n_unique(),
        "trajectories": frame.height,
        "solved_by_turn": [int((solved == turn).sum()) for turn in range(1, max_turns + 1)],
        "success_rate": frame["success"].mean(),
        "verdicts": {verdict: verdicts.get(verdict, 0) for verdict in VERDICTS},
        "cut_share": 1.0 - turns.select(pl.col("stopped").mean()).item(),
        "response_tokens": int(turns.select((pl.col("end") - pl.col("start")).sum()).item()),
    }
