"""Weights of training samples that find wrong labels: `python -m experiments.datacleaning`."""
