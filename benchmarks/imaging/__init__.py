"""Image restoration against its targets and its peers: `python -m benchmarks.imaging`."""
