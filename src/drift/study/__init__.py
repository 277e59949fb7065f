"""Studies: variants of one training side by side, their cells, results, tables and charts."""
