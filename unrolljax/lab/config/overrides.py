"""Overrides as on the command line: read, applied to a configuration, and noted as origins."""

from typing import Any, NamedTuple

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from unrolljax.lab.config.locate import did_you_mean

COMMAND_LINE = "command line"
Key = tuple[str, ...]
Origins = dict[Key, str]


class Problem(NamedTuple):
    """What is wrong with a key: where it was set, its value as given ("" for none), and why."""

    file: str
    key: str
    value: str
    message: str

    def __str__(self) -> str:
        given = f" = {self.value}" if self.value else ""
        key = f" {self.key}{given}:" if self.key else ""
        return f"{self.file}:{key} {self.message}"


def parse(
    texts: list[str], loader: ConfigLoader | None = None
) -> tuple[list[Override], list[Problem]]:
    """The overrides that can be read, and the problems with the others.

    Those that give several values are problems too, unless a loader is there to list them.
    """
    parser, parsed, problems = OverridesParser.create(config_loader=loader), [], []
    for text in texts:
        try:
            (override,) = parser.parse_overrides([text])
        except HydraException as error:
            reason = f": {first_line(error)}" if "=" in text else ""
            message = f"is no override; the form is key=value{reason}"
            problems.append(at_command_line(text, message))
            continue
        if override.is_sweep_override() and not loader:
            message = "gives several values: -m sweeps over them, key=[a,b] is a list"
            problems.append(at_command_line(text, message))
        else:
            parsed.append(override)
    return parsed, problems


def choices(loader: ConfigLoader, text: str) -> list[str]:
    """One override for each value that `text` sweeps over; itself where it is no sweep."""
    for override in parse([text], loader)[0]:
        if override.is_discrete_sweep():
            key = override.get_key_element()
            return [f"{key}={value}" for value in override.sweep_string_iterator()]
    return [text]


def apply(config: DictConfig, origins: Origins, override: Override) -> Problem | None:
    """Set or delete a value. New keys are let in: the schema knows better which exist."""
    key, value = override.key_or_group, override.value()
    path = tuple(key.replace("[", ".").replace("]", "").split("."))
    strict = override.is_hydra_override() and not (override.is_add() or override.is_force_add())
    try:
        if override.is_delete():
            _delete(config, path)
        else:
            OmegaConf.update(config, key, value, merge=True, force_add=not strict)
    except (OmegaConfBaseException, ValueError, TypeError) as error:
        return at_command_line(override.input_line, first_line(error))
    record(origins, path, value, COMMAND_LINE)
    return None


def record(origins: Origins, path: Key, value: Any, file: str) -> None:
    """Note that `file` set the value at `path`, all that is in it, and what is new above it."""
    for length in range(1, len(path)):
        origins.setdefault(path[:length], file)
    if path:  # the whole remains the experiment's
        origins[path] = file
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            record(origins, (*path, str(key)), inner, file)


def origin(origins: Origins, key: Key) -> str:
    """Where a key was set; for a missing one, the file that set what it belongs to."""
    while key and key not in origins:
        key = key[:-1]
    return origins[key]


def at_command_line(text: str | None, message: str) -> Problem:
    """A problem with an override, given as it was typed."""
    key, _, value = str(text).partition("=")
    return Problem(COMMAND_LINE, key.lstrip("+~"), value, message)


def first_line(error: BaseException) -> str:
    """What an error says; Hydra wraps some without a word."""
    return str(error).strip().partition("\n")[0] or str(error.__cause__).strip().partition("\n")[0]


def _delete(config: DictConfig, path: Key) -> None:
    parent = OmegaConf.select(config, ".".join(path[:-1])) if path[:-1] else config
    keys = [str(key) for key in parent] if isinstance(parent, DictConfig) else []
    if path[-1] not in keys:
        hint = did_you_mean(path[-1], keys)
        raise ValueError(f"is not set, so it cannot be deleted{hint}")
    with open_dict(parent):
        del parent[path[-1]]
