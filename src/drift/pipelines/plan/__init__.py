"""The plan pipeline."""
