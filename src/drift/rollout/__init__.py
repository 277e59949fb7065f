"""Stage 1: trajectories sampled once from a fixed policy; evaluation samples through the same scheduler."""
