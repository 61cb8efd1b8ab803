"""Fields of a configuration that name a class or function: `{_target_: unrolljax.Implicit}`."""

import dataclasses
import typing
from collections.abc import Callable, Iterator
from inspect import Parameter
from typing import Any, Generic, TypeVar

from pydantic_core import InitErrorDetails, core_schema

from unrolljax.lab.config import arguments
from unrolljax.lab.config.arguments import Location, problem
from unrolljax.lab.config.locate import TargetError, is_allowed, locate, why_refused

T = TypeVar("T")


class Target(Generic[T]):
    """What to call, and with which arguments; `build()` calls it.

    In a configuration, `gradient: Target[GradientMode]` accepts a mapping whose `_target_` lies in
    one of the `ALLOWED` packages, is a subclass of GradientMode where it is a class, and takes the
    other keys as arguments. Arguments may be targets themselves.

    - `path`: the dotted name.
    - `arguments`: by name; nested targets are `Target`s.
    - `kind`: the class of what is built, None where any will do.
    """

    def __init__(self, path: str, arguments: dict[str, Any], kind: type | None = None):
        self.path = path
        self.arguments = arguments
        self.kind = kind

    def __repr__(self) -> str:
        return f"Target({self.spec})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Target) and self.spec == other.spec

    def build(self, **extra: Any) -> T:
        """Call the target with its arguments and `extra`, those that no file can hold.

        Raises TypeError where an argument is missing or given twice, or the result is no `kind`.
        """
        call = locate(self.path)
        given = _map(self.arguments, Target.build)
        try:
            arguments.signature(call).bind(**{**given, **extra})
        except TypeError as error:
            raise TypeError(f"{self.path}: {error}") from None
        built = call(**given, **extra)
        if self.kind is not None and not isinstance(built, self.kind):
            made = type(built).__name__
            raise TypeError(f"{self.path} made a {made}, which is no {self.kind.__name__}.")
        return built

    @property
    def spec(self) -> dict[str, Any]:
        """The mapping as a configuration file has it."""
        return {"_target_": self.path, **_map(self.arguments, lambda inner: inner.spec)}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        """Read from a mapping, written as the same mapping."""
        del handler
        kinds = [kind for kind in typing.get_args(source) if isinstance(kind, type)]
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else read(value, *kinds),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda own: own.spec),
        )


def read(spec: Any, kind: type | None = None) -> Target:
    """The target that a mapping describes; raises pydantic's ValidationError with all problems.

    Nothing is imported unless every `_target_` in the mapping lies in an allowed package. Missing
    arguments are no problem: `Target.build` may be given them.
    """
    if not _is_target(spec):
        raise ValueError(arguments.NO_TARGET)
    if refused := list(_refused(spec, ())):
        raise arguments.invalid(refused)
    path = spec["_target_"]
    try:
        call = locate(path)
        if kind and isinstance(call, type) and not issubclass(call, kind):
            raise TargetError(f"must be a {kind.__name__}")
    except TargetError as error:
        raise arguments.invalid([problem(str(error), ("_target_",), path)]) from None
    given = {name: value for name, value in spec.items() if name != "_target_"}
    checked, problems = arguments.check_each(
        given, lambda name, value: _argument(value, arguments.find_parameter(path, name))
    )
    target = Target(path, checked, kind)
    problems += _out_of_range(target, given)
    if problems:
        raise arguments.invalid(problems)
    return target


def _refused(tree: Any, at: Location) -> Iterator[InitErrorDetails]:
    """A problem for every forbidden `_target_` and Hydra keyword, at any depth."""
    for key, value in _items(tree):
        if key == "_target_":
            if reason := why_refused(value):
                yield problem(reason, (*at, key), value)
        elif str(key).startswith("_"):
            reason = "of the keys that begin with an underscore, only _target_ is allowed here"
            yield problem(reason, (*at, key), value)
        else:
            yield from _refused(value, (*at, key))


def _argument(value: Any, parameter: Parameter) -> Any:
    """The checked value of an argument, targets in it read; raises ValidationError."""
    if _is_target(value):
        kind = parameter.annotation
        ours = isinstance(kind, type) and is_allowed(kind.__module__)
        return read(value, kind if ours else None)
    if not _holds_target(value):
        return arguments.check(value, parameter)
    inner = dict(_items(value))
    checked, problems = arguments.check_each(
        inner, lambda _, item: _argument(item, arguments.ANYTHING)
    )
    if problems:
        raise arguments.invalid(problems)
    return checked if isinstance(value, dict) else list(checked.values())


def _out_of_range(target: Target, given: dict) -> list[InitErrorDetails]:
    """What the constructor says against the values of arguments, one after the other."""
    if not _can_be_tried(target):
        return []
    try:
        target.build()
        return []
    except (TypeError, ValueError) as error:
        message = str(error)
    for name in target.arguments:
        if f"{name}=" in message:
            rest = {key: value for key, value in target.arguments.items() if key != name}
            others = _out_of_range(Target(target.path, rest, target.kind), given)
            return [problem(message, (name,), given[name]), *others]
    return [problem(message, (), target.path)]


def _can_be_tried(target: Target) -> bool:
    """Whether building now makes no arrays: unrolljax's own dataclasses only keep their fields."""
    call = locate(target.path)
    if not (dataclasses.is_dataclass(call) and call.__module__.startswith("unrolljax.")):
        return False
    if any("converter" in field.metadata for field in dataclasses.fields(call)):
        return False
    parameters = arguments.signature(call).parameters.values()  # pyright: ignore
    given = all(p.name in target.arguments for p in parameters if p.default is p.empty)
    inner: list[Target] = []
    _map(target.arguments, inner.append)
    return given and all(map(_can_be_tried, inner))


def _is_target(value: Any) -> bool:
    return isinstance(value, dict) and "_target_" in value


def _holds_target(value: Any) -> bool:
    return _is_target(value) or any(_holds_target(inner) for _, inner in _items(value))


def _items(tree: Any) -> Any:
    """The keys or indices of a mapping or list, with the values."""
    if isinstance(tree, dict):
        return tree.items()
    return enumerate(tree) if isinstance(tree, list) else ()


def _map(value: Any, change: Callable[[Target], Any]) -> Any:
    """The value with every target in it changed."""
    if isinstance(value, Target):
        return change(value)
    if isinstance(value, dict):
        return {key: _map(inner, change) for key, inner in value.items()}
    if isinstance(value, list):
        return [_map(inner, change) for inner in value]
    return value
