"""A learned ISTA with analytic weights: `python -m experiments.lista gradient=unroll`."""
