"""A study: the stages' pipelines, once for each variant and seed."""
