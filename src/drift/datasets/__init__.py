"""Kedro datasets: sharded parquet, model directories, and files that are whole or not there at all."""
