"""Stage 4, what was learned: multi@k and its intervals, the scores, the charts and the summary.

Needs only the tables; the trajectories it scores come from `drift.rollout` with greedy decoding.
"""
