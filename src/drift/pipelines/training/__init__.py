"""The training pipeline."""
