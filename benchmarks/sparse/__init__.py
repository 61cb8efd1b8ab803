"""Sparse recovery against published numbers and peers: `python -m benchmarks.sparse`."""
