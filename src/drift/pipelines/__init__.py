"""Kedro's view of the stages: thin nodes that read typed parameters, call their stage and return."""
