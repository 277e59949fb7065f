"""The rollout pipeline."""
