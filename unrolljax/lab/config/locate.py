"""Finding the class or function that a dotted name means, in the allowed packages only."""

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

ALLOWED = ("unrolljax", "optax", "flax", "lineax", "optimistix", "jaxopt", "experiments")
_PACKAGES = ", ".join(ALLOWED)


class TargetError(ValueError):
    """A `_target_` that is refused, or that does not exist."""


def locate(path: str) -> Callable[..., Any]:
    """The class or function of a dotted name; raises TargetError.

    All that is walked through must be defined in the allowed packages, and so must what is found:
    `unrolljax.core.stop.jnp.zeros` is refused although that module imports jnp.
    """
    if reason := why_refused(path):
        raise TargetError(reason)
    first, *names = path.split(".")
    found = _import(first)
    if found is None:
        raise TargetError(f"cannot be imported: {first} is not installed")
    for name in names:
        _refuse_foreign(found)
        found = _member(found, name)
    _refuse_foreign(found)
    if not callable(found):
        raise TargetError("is not callable")
    return found


def why_refused(path: Any) -> str | None:
    """Why a path is refused before anything is imported, None where it is not."""
    if not isinstance(path, str) or not all(part.isidentifier() for part in path.split(".")):
        return "must be a dotted name such as unrolljax.Implicit"
    if not is_allowed(path):
        hint = did_you_mean(path.split(".")[0], ALLOWED)
        return f"must lie in one of the packages {_PACKAGES}{hint}"
    return None


def is_allowed(module: str) -> bool:
    """Whether a module lies in one of the allowed packages."""
    return module.split(".")[0] in ALLOWED


def did_you_mean(word: Any, options: Iterable[str], prefix: str = "") -> str:
    """`; did you mean 'tol'?`, or nothing where no option is near the word."""
    near = difflib.get_close_matches(str(word), list(options), n=1)
    return f"; did you mean '{prefix}{near[0]}'?" if near else ""


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


def _refuse_foreign(found: Any) -> None:
    module = found.__name__ if inspect.ismodule(found) else getattr(found, "__module__", None)
    if not isinstance(module, str) or not is_allowed(module):
        owner = f"the module {module}" if module else "no module"
        raise TargetError(f"leads to {owner}, outside the packages {_PACKAGES}")
