"""Fields of a configuration that name a class or function: `{_target_: unrolljax.Implicit}`."""

import dataclasses
import difflib
import importlib
import inspect
import json
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Generic, Literal, TypeVar

import jax
import numpy as np
from pydantic import ConfigDict, PlainValidator, TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

ALLOWED = ("unrolljax", "optax", "flax", "lineax", "optimistix", "jaxopt", "experiments")
_PACKAGES = ", ".join(ALLOWED)

_STRICT = ConfigDict(strict=True)
T = TypeVar("T")
Location = tuple[str | int, ...]


def _no_value(value: Any) -> Any:
    del value
    raise PydanticCustomError("target", "must be a mapping with the key _target_")


# Functions have no form in a file: an argument that is one comes from a target of its own.
_CALLED = Annotated[Any, PlainValidator(_no_value)]


class TargetError(ValueError):
    """A `_target_` that is refused, or that does not exist."""


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
        arguments = {name: _map(value, Target.build) for name, value in self.arguments.items()}
        try:
            _signature(call).bind(**{**arguments, **extra})
        except TypeError as error:
            raise TypeError(f"{self.path}: {error}") from None
        built = call(**arguments, **extra)
        if self.kind is not None and not isinstance(built, self.kind):
            made = type(built).__name__
            raise TypeError(f"{self.path} made a {made}, which is no {self.kind.__name__}.")
        return built

    @property
    def spec(self) -> dict[str, Any]:
        """The mapping as a configuration file has it."""
        return {"_target_": self.path} | {k: _map(v, _spec) for k, v in self.arguments.items()}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        """Read from a mapping, written as the same mapping."""
        del handler
        kinds = [kind for kind in typing.get_args(source) if isinstance(kind, type)]
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else read(value, *kinds),
            serialization=core_schema.plain_serializer_function_ser_schema(_spec),
        )


def read(spec: Any, kind: type | None = None) -> Target:
    """The target that a mapping describes; raises pydantic's ValidationError with all problems.

    Nothing is imported unless every `_target_` in the mapping lies in an allowed package. Missing
    arguments are no problem: `Target.build` may be given them.
    """
    if not _is_target(spec):
        problems = [_problem("must be a mapping with the key _target_", (), spec)]
    else:
        problems = list(_refused(spec, ()))
    if not problems:
        target = _read(spec, kind, (), problems)
    if problems:
        raise ValidationError.from_exception_data("Target", problems)
    return target  # pyright: ignore


def locate(path: str) -> Callable[..., Any]:
    """The class or function of a dotted name; raises TargetError.

    All that is walked through must be defined in the allowed packages, and so must what is found:
    `unrolljax.core.stop.jnp.zeros` is refused although that module imports jnp.
    """
    if reason := _outside(path):
        raise TargetError(reason)
    first, *names = path.split(".")
    found = _import(first)
    if found is None:
        raise TargetError(f"cannot be imported: {first} is not installed")
    for name in names:
        _refuse_foreign(found, path)
        found = _member(found, name)
    _refuse_foreign(found, path)
    if not callable(found):
        raise TargetError("is not callable")
    return found


def did_you_mean(word: Any, options: Iterable[str], prefix: str = "") -> str:
    """`; did you mean 'tol'?`, or nothing where no option is near the word."""
    near = difflib.get_close_matches(str(word), list(options), n=1)
    return f"; did you mean '{prefix}{near[0]}'?" if near else ""


def _outside(path: Any) -> str | None:
    """Why a path is refused before anything is imported, None where it is not."""
    if not isinstance(path, str) or not all(part.isidentifier() for part in path.split(".")):
        return "must be a dotted name such as unrolljax.Implicit"
    first = _root(path)
    if first not in ALLOWED:
        return f"must lie in one of the packages {_PACKAGES}{did_you_mean(first, ALLOWED)}"
    return None


def _refused(tree: Any, at: Location) -> Iterator[InitErrorDetails]:
    """A problem for every forbidden `_target_` and Hydra keyword, at any depth."""
    if isinstance(tree, list):
        for k, value in enumerate(tree):
            yield from _refused(value, (*at, k))
    elif isinstance(tree, dict):
        for key, value in tree.items():
            if key == "_target_":
                if reason := _outside(value):
                    yield _problem(reason, (*at, key), value)
            elif str(key).startswith("_"):
                reason = "of the keys that begin with an underscore, only _target_ is allowed here"
                yield _problem(reason, (*at, key), value)
            else:
                yield from _refused(value, (*at, key))


def _import(name: str) -> Any:
    """The module of this name, None where there is none."""
    try:
        return importlib.import_module(name)
    except Exception as error:  # the module may be the user's: any line of it may raise
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            return None
        raise TargetError(f"cannot be imported: {error}") from error


def _member(parent: Any, name: str) -> Any:
    """An attribute of a module or class, or a module's submodule."""
    if hasattr(parent, name):
        return getattr(parent, name)
    module = _import(f"{parent.__name__}.{name}") if inspect.ismodule(parent) else None
    if module is not None:
        return module
    public = [n for n in dir(parent) if callable(getattr(parent, n, None)) and n[0] != "_"]
    where = getattr(parent, "__name__", "")
    raise TargetError(f"does not exist{did_you_mean(name, public, f'{where}.')}")


def _refuse_foreign(found: Any, path: str) -> None:
    module = found.__name__ if inspect.ismodule(found) else getattr(found, "__module__", None)
    if not isinstance(module, str) or _root(module) not in ALLOWED:
        owner = f"the module {module}" if module else "no module"
        raise TargetError(f"leads to {owner}, outside the packages {_PACKAGES}")


def _read(spec: dict, kind: type | None, at: Location, problems: list) -> Target | None:
    """The target of a mapping whose names are allowed; adds what is wrong to `problems`."""
    path = spec["_target_"]
    try:
        call = locate(path)
    except TargetError as error:
        problems.append(_problem(str(error), (*at, "_target_"), path))
        return None
    if kind and isinstance(call, type) and not issubclass(call, kind):
        problems.append(_problem(f"must be a {kind.__name__}", (*at, "_target_"), path))
        return None
    arguments = _arguments(call, spec, at, problems)
    target = Target(path, arguments, kind)
    spoilt = {problem["loc"][len(at)] for problem in problems if problem["loc"][: len(at)] == at}  # pyright: ignore
    good = {name: value for name, value in arguments.items() if name not in spoilt}
    problems.extend(_out_of_range(Target(path, good, kind), spec, at))
    return target


def _out_of_range(target: Target, spec: dict, at: Location) -> Iterator[InitErrorDetails]:
    """What the constructor says against the values of arguments, one after the other."""
    while _can_be_tried(target):
        try:
            target.build()
            return
        except (TypeError, ValueError) as error:
            named = [name for name in target.arguments if f"{name}=" in str(error)][:1]
            yield _problem(str(error), (*at, *named), spec[named[0]] if named else target.path)
            if not named:
                return
            rest = {k: v for k, v in target.arguments.items() if k not in named}
            target = Target(target.path, rest, target.kind)


def _arguments(call: Callable, spec: dict, at: Location, problems: list) -> dict[str, Any]:
    """The arguments of a mapping, checked against the signature of what is called."""
    parameters = _signature(call).parameters.values()
    named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
    arguments = {}
    for name, value in spec.items():
        if name == "_target_":
            continue
        if name not in named and not open_ended:
            unknown = f"is no argument of {spec['_target_']}{did_you_mean(name, named)}"
            problems.append(_problem(unknown, (*at, name), value))
            continue
        parameter = named.get(name, inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY))
        arguments[name] = _argument(value, parameter, (*at, name), problems)
    return arguments


def _argument(value: Any, parameter: inspect.Parameter, at: Location, problems: list) -> Any:
    annotation = parameter.annotation
    if _is_target(value):
        ours = isinstance(annotation, type) and _root(annotation.__module__) in ALLOWED
        return _read(value, annotation if ours else None, at, problems)
    if _holds_target(value):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        free = parameter.replace(annotation=parameter.empty, default=parameter.empty)
        read_items = {key: _argument(v, free, (*at, key), problems) for key, v in items}
        return read_items if isinstance(value, dict) else list(read_items.values())
    kind = _checkable(annotation)
    if parameter.default is None:
        kind = kind | None if kind is not Any else Any
    try:
        # JSON's rules are YAML's: a list may be a tuple, an integer a float, a string no number.
        return TypeAdapter(kind, config=_STRICT).validate_json(json.dumps(value))
    except ValidationError as error:
        problems.extend(_moved(found, at) for found in error.errors(include_url=False))
        return value


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


def _root(module: str) -> str:
    return module.split(".")[0]


def _is_target(value: Any) -> bool:
    return isinstance(value, dict) and "_target_" in value


def _holds_target(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return _is_target(value) or any(map(_holds_target, inner))


def _can_be_tried(target: Target) -> bool:
    """Whether building now makes no arrays: unrolljax's own dataclasses only keep their fields."""
    call = locate(target.path)
    if not (isinstance(call, type) and call.__module__.startswith("unrolljax.")):
        return False
    if not dataclasses.is_dataclass(call) or any(
        "converter" in field.metadata for field in dataclasses.fields(call)
    ):
        return False
    parameters = _signature(call).parameters.values()
    given = all(p.name in target.arguments for p in parameters if p.default is p.empty)
    inner: list[Target] = []
    _map(target.arguments, inner.append)
    return given and all(map(_can_be_tried, inner))


def _map(value: Any, change: Callable[[Target], Any]) -> Any:
    """The value with every target in it changed."""
    if isinstance(value, Target):
        return change(value)
    if isinstance(value, dict):
        return {key: _map(inner, change) for key, inner in value.items()}
    if isinstance(value, list):
        return [_map(inner, change) for inner in value]
    return value


def _spec(target: Target) -> dict[str, Any]:
    return target.spec


def _signature(call: Callable) -> inspect.Signature:
    """The signature with its annotations evaluated, where they can be."""
    try:
        return inspect.signature(call, eval_str=True)
    except Exception:  # an annotation is any expression: evaluating it may raise anything
        return inspect.signature(call)


def _problem(message: str, at: Location, value: Any) -> InitErrorDetails:
    return InitErrorDetails(type=PydanticCustomError("target", message), loc=at, input=value)  # pyright: ignore


def _moved(found: Any, at: Location) -> InitErrorDetails:
    """One of pydantic's own problems, below the location `at`."""
    if found["type"] == "target":
        return _problem(found["msg"], (*at, *found["loc"]), found["input"])
    return InitErrorDetails(
        type=found["type"],
        loc=(*at, *found["loc"]),
        input=found["input"],
        ctx=found.get("ctx", {}),
    )
