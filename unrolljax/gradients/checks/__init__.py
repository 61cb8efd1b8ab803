"""Gradient modes beside finite differences."""
