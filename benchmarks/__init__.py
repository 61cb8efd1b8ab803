"""Benchmarks: `python -m benchmarks.NAME [--quick] [--check]`; see benchmarks/README.md."""
