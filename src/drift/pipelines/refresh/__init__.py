"""Training in rounds: rollout, weighting and training again and again."""
