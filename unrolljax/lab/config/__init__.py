"""Configurations: Hydra composes, pydantic validates, every problem in one message."""
