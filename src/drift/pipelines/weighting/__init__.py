"""The weighting pipeline."""
