"""The record of every run: what was run, with what, on what, and what came of it."""
