"""Validating a composed configuration: one message that holds every problem."""

import json
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from unrolljax.lab.config.compose import Composed, Composer
from unrolljax.lab.config.locate import did_you_mean
from unrolljax.lab.config.overrides import Problem
from unrolljax.lab.config.schema import Config

C = TypeVar("C", bound=Config)

# pydantic's words, and shorter ones.
WORDING = (
    ("Input should be", "must be"),
    ("Input should have", "must have"),
    ("a valid integer", "an integer"),
    ("a valid number", "a number"),
    ("a valid boolean", "true or false"),
    ("a valid string", "a string"),
    ("Value error, ", ""),
)

LONGEST = 80
"""Characters of a value that a message repeats."""


class ConfigError(ValueError):
    """A configuration with problems; the message lists all of them."""

    def __init__(self, name: str, problems: list[Problem]):
        super().__init__(name, problems)
        self.name = name
        self.problems = problems

    def __str__(self) -> str:
        count = len(self.problems)
        plural = "s" if count != 1 else ""
        head = f"{count} problem{plural} in the configuration of {self.name}:"
        return "\n".join([head, *(f"  {problem}" for problem in self.problems)])


def load(model: type[C], folder: str | Path, name: str, overrides: list[str]) -> C:
    """Compose and validate the experiment `name`; raises ConfigError with every problem."""
    return validate(model, Composer(folder, name).compose(overrides))


def validate(model: type[C], composed: Composed) -> C:
    """The configuration as an instance of `model`; raises ConfigError with every problem."""
    config, problems = _check(model, composed)
    if config is None or problems:
        raise ConfigError(composed.name, problems)
    return config


def resolved(model: type[C], name: str, content: dict[str, Any]) -> C:
    """Validate what a job of `name` receives, composed by Hydra; raises ConfigError.

    In a sweep a combination can be wrong although each value is right.
    """
    return validate(model, Composed(name, content, (), {(): "the configuration"}, ()))


def check_sweep(model: type[Config], folder: str | Path, name: str, overrides: list[str]) -> None:
    """Raise ConfigError with the problems of every value of every swept key, each once."""
    composer = Composer(folder, name)
    runs = (composer.compose(run) for run in composer.sweep(overrides))
    problems = dict.fromkeys(problem for run in runs for problem in _check(model, run)[1])
    if problems:
        raise ConfigError(name, list(problems))


def _check(model: type[C], composed: Composed) -> tuple[C | None, list[Problem]]:
    known = list(composed.problems)
    if not composed.complete:
        return None, known
    try:
        # JSON's rules are YAML's: a list may be a tuple, an integer a float, a string no number.
        return model.model_validate_json(json.dumps(composed.config, default=str)), known
    except ValidationError as error:
        problems: dict[tuple[str, ...], Problem] = {}
        for found in error.errors(include_url=False):
            key = _key(found, composed.config)
            problem = _problem(model, composed, key, found)
            if key in problems:  # the other members of a union
                problem = _either(problems[key], problem)
            problems[key] = problem
        told = {problem.key for problem in known}
        return None, known + [problem for problem in problems.values() if problem.key not in told]


def _key(found: Any, config: Any) -> tuple[str, ...]:
    """Where a problem is; pydantic adds the members of a union, which are no keys."""
    if found["type"] in ("missing", "extra_forbidden"):
        return tuple(map(str, found["loc"]))
    key = []
    for part in found["loc"]:
        inside = isinstance(config, dict) and part in config
        if not inside and not (isinstance(config, list) and isinstance(part, int)):
            break
        key.append(str(part))
        config = config[part]
    return tuple(key)


def _problem(model: type[BaseModel], composed: Composed, key: tuple, found: Any) -> Problem:
    origin, name = composed.origin(key), ".".join(key)
    if found["type"] == "missing":
        return Problem(origin, name, "", "a value is required")
    if _section(model, key) and found["type"] == "value_error":  # of several keys together
        return Problem(origin, name, "", _message(model, composed, key, found))
    value = found["input"] if isinstance(found["input"], str) else json.dumps(found["input"])
    value = value if len(value) <= LONGEST else f"{value[:LONGEST]}..."
    return Problem(origin, name, value, _message(model, composed, key, found))


def _message(model: type[BaseModel], composed: Composed, key: tuple, found: Any) -> str:
    if found["type"] == "extra_forbidden":
        return "unknown key" + _hint(model, composed, key)
    message = found["msg"]
    for theirs, ours in WORDING:
        message = message.replace(theirs, ours)
    if found["type"] in ("literal_error", "enum"):
        options = re.findall(r"'([^']*)'", found["ctx"]["expected"])
        message += did_you_mean(found["input"], options)
    return message


def _hint(model: type[BaseModel], composed: Composed, key: tuple[str, ...]) -> str:
    """The key that may be meant by an unknown one: a neighbour, or the same word elsewhere."""
    parent = _section(model, key[:-1])
    near = [*(parent.model_fields if parent else ()), *(composed.groups if not key[1:] else ())]
    elsewhere = {name.rpartition(".")[2]: name for name in _names(model)}
    same = elsewhere.get(key[-1])
    return f"; did you mean '{same}'?" if same else did_you_mean(key[-1], near)


def _section(model: type[BaseModel], key: tuple[str, ...]) -> type[BaseModel] | None:
    """The model of the keys below a key, the whole below (); None where there is none."""
    if not key:
        return model
    field = model.model_fields.get(key[0])
    kinds = (field.annotation, *typing.get_args(field.annotation)) if field else ()
    inner = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)
    return inner and _section(inner, key[1:])


def _names(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key with dots."""
    for name in model.model_fields:
        yield prefix + name
        if section := _section(model, (name,)):
            yield from _names(section, f"{prefix}{name}.")


def _either(first: Problem, second: Problem) -> Problem:
    more = second.message.removeprefix("must be ")
    known = more in first.message
    return first if known else first._replace(message=f"{first.message} or {more}")
