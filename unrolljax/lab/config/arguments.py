"""Checking values from a file against the signature of what they are the arguments of."""

import inspect
import json
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal

import jax
import numpy as np
from pydantic import ConfigDict, PlainValidator, TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails

from unrolljax.lab.config.locate import did_you_mean, locate

Location = tuple[str | int, ...]

ANYTHING = inspect.Parameter("anything", inspect.Parameter.KEYWORD_ONLY)
NO_TARGET = "must be a mapping with the key _target_"


def _refuse(value: Any) -> Any:
    raise ValueError(NO_TARGET)


# Functions have no form in a file: an argument that is one comes from a target of its own.
_CALLED = Annotated[Any, PlainValidator(_refuse)]


def signature(call: Callable) -> inspect.Signature:
    """The signature with its annotations evaluated, where they can be."""
    try:
        return inspect.signature(call, eval_str=True)
    except Exception:  # an annotation is any expression: evaluating it may raise anything
        return inspect.signature(call)


def find_parameter(path: str, name: str) -> inspect.Parameter:
    """What takes the argument `name` of the target `path`; raises ValueError where nothing does."""
    parameters = signature(locate(path)).parameters
    named = {
        n: p for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    if name in named:
        return named[name]
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return ANYTHING
    raise ValueError(f"is no argument of {path}{did_you_mean(name, named)}")


def check(value: Any, parameter: inspect.Parameter) -> Any:
    """The value as the parameter's annotation wants it; raises ValidationError."""
    kind = _checkable(parameter.annotation)
    if parameter.default is None and kind is not Any:
        kind = kind | None
    # JSON's rules are YAML's: a list may be a tuple, an integer a float, a string no number.
    return TypeAdapter(kind, config=ConfigDict(strict=True)).validate_json(json.dumps(value))


def check_each(items: dict, check: Callable) -> tuple[dict, list[InitErrorDetails]]:
    """What `check(key, value)` makes of the right items, and the problems of the others."""
    checked, problems = {}, []
    for key, value in items.items():
        try:
            checked[key] = check(key, value)
        except ValidationError as error:
            found = error.errors(include_url=False)
            problems += [{**inner, "loc": (key, *inner["loc"])} for inner in found]
        except ValueError as error:
            problems.append(problem(str(error), (key,), value))
    return checked, problems


def problem(message: str, at: Location, value: Any) -> InitErrorDetails:
    """What is wrong with the value at a location."""
    context = {"error": ValueError(message)}
    return InitErrorDetails(type="value_error", loc=at, input=value, ctx=context)


def invalid(problems: list[InitErrorDetails]) -> ValidationError:
    """The error that tells all problems."""
    return ValidationError.from_exception_data("Target", problems)


def _checkable(annotation: Any) -> Any:
    """The part of an annotation that a value in a file can be checked against, else Any."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in (int, float, str, bool, None, type(None)) or origin is Literal:
        return annotation
    if Callable in (annotation, origin):
        return _CALLED
    if origin in (tuple, list) and parts:
        kept = tuple(p if p is ... else _checkable(p) for p in parts)
        return types.GenericAlias(origin, kept)
    if origin in (typing.Union, types.UnionType):
        # `float | Array` means a number; so does optax's union of all that is like an array.
        numeric = [p for p in parts if _is_array(p) or p in (int, bool, complex)]
        kept = [p for p in parts if float not in parts or p not in numeric]
        checkable = [_checkable(p) for p in kept]
        return Any if Any in checkable else typing.Union[tuple(checkable)]  # noqa: UP007
    return Any


def _is_array(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(
        annotation, jax.Array | np.ndarray | np.generic
    )
