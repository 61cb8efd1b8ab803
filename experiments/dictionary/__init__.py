"""A dictionary of digits, learned for their labels: `python -m experiments.dictionary`."""
