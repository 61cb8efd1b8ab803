"""Composing a configuration with Hydra: every problem collected, the origin of each key known."""

import contextlib
import copy
import dataclasses
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hydra
import yaml
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobRuntime
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, MissingMandatoryValue, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from unrolljax.lab.targets import did_you_mean

COMMAND_LINE = "command line"
Key = tuple[str, ...]
Origins = dict[Key, str]

_FAILURES = (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError)


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


@dataclasses.dataclass(frozen=True)
class Composed:
    """The configuration of an experiment as plain data, interpolations resolved.

    - `problems`: what went wrong on the way; what could be composed is in `config`.
    - `origins`: the file, or "command line", that set a key last, by the parts of the key.
    - `spoilt`: the groups ("" for none) of files that could not be read, so that keys are missing.
    - `groups`: the names of the config groups.
    """

    name: str
    config: dict[str, Any]
    problems: tuple[Problem, ...]
    origins: Origins
    spoilt: frozenset[str]
    groups: tuple[str, ...]

    def origin(self, key: Key) -> str:
        """Where a key was set; for a missing one, the file that set what it belongs to."""
        return _origin(self.origins, key)


class Base(NamedTuple):
    """What the files and the choice of groups alone give."""

    config: DictConfig
    origins: Origins
    problems: list[Problem]
    spoilt: frozenset[str]


def compose(folder: str | Path, name: str, overrides: list[str]) -> Composed:
    """The configuration `folder/name.yaml` with overrides as on the command line, not validated."""
    return Composer(folder, name).compose(overrides)


class Composer:
    """Composes one experiment many times, reading the files once for each choice of groups."""

    def __init__(self, folder: str | Path, name: str, emptied: tuple[str, ...] = ()):
        self.folder = Path(folder).resolve()
        self.name = name
        self.file = self._label(name)
        self._emptied = emptied
        self._lists: dict[tuple[str, ObjectType | None], list[str]] = {}
        self._bases: dict[tuple[str, ...], Base] = {}

    def compose(self, overrides: list[str]) -> Composed:
        """The configuration with these overrides, none of which may be a sweep."""
        with self._hydra() as loader:
            parsed, problems = _parse(overrides)
            chosen, values = [], []
            for override in parsed:
                if not self._is_group(loader, override):
                    values.append(override)
                elif problem := self._wrong_group(loader, override):
                    problems.append(problem)
                else:
                    chosen.append(override)
            base = self._base(loader, chosen)
            config, origins = copy.deepcopy(base.config), dict(base.origins)
            problems += base.problems
            problems += [p for value in values if (p := _apply(config, origins, value))]
            plain = _resolve(config, (), origins, problems)
            groups = tuple(loader.list_groups(""))
        once = tuple(dict.fromkeys(problems))
        return Composed(self.name, plain, once, origins, base.spoilt, groups)

    def sweep(self, overrides: list[str]) -> list[list[str]]:
        """The runs that show every value of every swept key: their sum, not their product.

        The first run has the first value of each key; each other run changes one of them.
        """
        with self._hydra() as loader:
            choices = [_choices(loader, text) for text in overrides]
        first = [values[0] for values in choices]
        others = (
            [*first[:k], value, *first[k + 1 :]]
            for k, values in enumerate(choices)
            for value in values[1:]
        )
        return [first, *others]

    def forced(self, overrides: list[str]) -> list[str]:
        """The overrides as `hydra.main` accepts them: which keys exist is the schema's affair.

        `train.patience=5` becomes `++train.patience=5`, which may name a key that no file sets.
        """
        with self._hydra() as loader:
            return [self._force(loader, override) for override in _parse(overrides, True)[0]]

    def _force(self, loader: ConfigLoader, override: Override) -> str:
        text = override.input_line or ""
        kept = override.is_delete() or override.is_hydra_override()
        return text if kept or self._is_group(loader, override) else "++" + text.lstrip("+")

    @contextlib.contextmanager
    def _hydra(self) -> Iterator[ConfigLoader]:
        # We may be inside a job of Hydra's, whose state in its singletons must come back.
        runtime, running = JobRuntime.instance(), GlobalHydra.instance().hydra
        job = runtime.get("name")
        GlobalHydra.instance().clear()
        try:
            folder = str(self.folder)
            with hydra.initialize_config_dir(folder, version_base=None, job_name=self.name):
                yield GlobalHydra.instance().config_loader()
        finally:
            runtime.set("name", job)
            GlobalHydra.instance().hydra = running

    def _is_group(self, loader: ConfigLoader, override: Override) -> bool:
        key = override.key_or_group
        if "/" in key or override.package is not None:
            return True
        mapping = not override.is_sweep_override() and isinstance(override.value(), dict)
        return "." not in key and not mapping and bool(self._list(loader, key))

    def _list(self, loader: ConfigLoader, group: str, kind: ObjectType | None = None) -> list[str]:
        """The options of a group (CONFIG), the groups in it (GROUP), or both (None)."""
        if (group, kind) not in self._lists:
            self._lists[group, kind] = loader.get_group_options(group, kind)
        return self._lists[group, kind]

    def _wrong_group(self, loader: ConfigLoader, override: Override) -> Problem | None:
        group, value = override.key_or_group, override.value()
        if not self._list(loader, group):
            groups = loader.list_groups(group.rpartition("/")[0])
            hint = did_you_mean(group.rpartition("/")[2], groups)
            return _at_command_line(override, f"there is no group of this name{hint}")
        if override.is_force_add():
            return _at_command_line(override, "++ is for values; an option needs none")
        if override.is_delete():
            return None
        for choice in value if isinstance(value, list) else [value]:
            if not isinstance(choice, str):
                return _at_command_line(override, "must be the name of an option")
            folder, _, option = f"{group}/{choice}".rpartition("/")
            options = self._list(loader, folder, ObjectType.CONFIG)
            if option.removesuffix(".yaml") not in options and "${" not in choice:
                message = f"must be one of {', '.join(options)}{did_you_mean(option, options)}"
                return _at_command_line(override, message)
        return None

    def _base(self, loader: ConfigLoader, chosen: list[Override]) -> Base:
        key = tuple(str(override.input_line) for override in chosen)
        if key not in self._bases:
            self._bases[key] = self._compose_files(loader, chosen)
        return self._bases[key]

    def _compose_files(self, loader: ConfigLoader, chosen: list[Override]) -> Base:
        """Compose; where an override or a file spoils it, note that and go on without it."""
        problems: list[Problem] = []
        while True:
            try:
                config, origins = self._merged(loader, chosen)
                return Base(config, origins, problems, frozenset())
            except _FAILURES as error:
                file = self._spoilt_file(error)
                spoiler = None if file else self._spoiler(loader, chosen)
                reason = Problem(self.file, "", "", _first_line(error))
            if spoiler:
                problems.append(_at_command_line(*spoiler))
                chosen = [override for override in chosen if override is not spoiler[0]]
            elif file and file[1] not in (self.name, *self._emptied):
                base = self._with_empty(file[1], chosen)
                group = file[1].rpartition("/")[0]
                found = [*problems, file[0], *base.problems]
                return base._replace(problems=found, spoilt=base.spoilt | {group})
            else:
                found = [*problems, file[0] if file else reason]
                return Base(OmegaConf.create(), {(): self.file}, found, frozenset({""}))

    def _with_empty(self, config: str, chosen: list[Override]) -> Base:
        """Compose a copy of the folder in which a spoilt file has nothing but its header."""
        with tempfile.TemporaryDirectory() as scratch:
            copied = Path(scratch) / self.folder.name
            shutil.copytree(self.folder, copied)
            file = copied / f"{config}.yaml"
            file.parent.mkdir(parents=True, exist_ok=True)
            lines = file.read_text(errors="replace").splitlines() if file.exists() else []
            file.write_text("\n".join(line for line in lines if line.startswith("#")))
            composer = Composer(copied, self.name, (*self._emptied, config))
            with composer._hydra() as loader:
                return composer._compose_files(loader, chosen)

    def _merged(self, loader: ConfigLoader, chosen: list[Override]) -> tuple[DictConfig, Origins]:
        texts = [str(override.input_line) for override in chosen]
        config = hydra.compose(self.name, texts, return_hydra_config=True)
        defaults = loader.compute_defaults_list(self.name, texts, RunMode.RUN).defaults
        return config, self._origins(defaults)

    def _spoilt_file(self, error: Exception) -> tuple[Problem, str] | None:
        """The problem with a file that is absent or cannot be read, and the file's name."""
        if isinstance(error, MissingConfigException) and error.missing_cfg_file:
            config = error.missing_cfg_file
            if config == self.name:
                return Problem(self.file, "", "", "there is no such file"), config
            group, _, option = config.rpartition("/")
            options = list(error.options or ())
            among = f"must be one of {', '.join(options)}" if options else "there is no such file"
            parent = _first_line(error).partition("'")[2].partition("'")[0] or self.name
            message = f"{among}{did_you_mean(option, options)}"
            return Problem(self._label(parent), group or "defaults", option, message), config
        for path in sorted(self.folder.rglob("*.yaml")):
            try:
                OmegaConf.load(path)
            except (yaml.YAMLError, OmegaConfBaseException) as own:
                if str(own) in (str(error), str(error.__cause__)):
                    config = path.relative_to(self.folder).with_suffix("").as_posix()
                    mark = getattr(own, "problem_mark", None)
                    where = f"{self._label(config)}{f', line {mark.line + 1}' if mark else ''}"
                    message = f"cannot be read: {getattr(own, 'problem', _first_line(own))}"
                    return Problem(where, "", "", message), config
        return None

    def _spoiler(self, loader: ConfigLoader, chosen: list[Override]) -> tuple[Override, str] | None:
        """The first override with which the files do not compose, and why; None for the files."""
        for count in range(len(chosen) + 1):
            try:
                self._merged(loader, chosen[:count])
            except _FAILURES as error:
                return (chosen[count - 1], _first_line(error)) if count else None
        return None

    def _label(self, config: str) -> str:
        return f"{self.folder.name}/{config}.yaml"

    def _origins(self, defaults: list[Any]) -> Origins:
        """Which file set each key last, by reading again the files that Hydra has merged."""
        origins: Origins = {(): self.file}
        for default in defaults:
            path = self.folder / f"{default.config_path}.yaml"
            if path.is_file():
                content = OmegaConf.to_container(OmegaConf.load(path))
                package = tuple(default.package.split(".")) if default.package else ()
                if isinstance(content, dict):
                    content.pop("defaults", None)
                    _record(origins, package, content, self._label(default.config_path))
        return origins


def _parse(overrides: list[str], sweeps: bool = False) -> tuple[list[Override], list[Problem]]:
    """The overrides that can be read, and the problems with the others."""
    parser, parsed, problems = OverridesParser.create(), [], []
    for text in overrides:
        key, _, value = text.partition("=")
        try:
            (override,) = parser.parse_overrides([text])
        except HydraException as error:
            plain = "=" not in text and not text.startswith("~")
            reason = "" if plain else f": {_first_line(error)}"
            message = f"is no override; the form is key=value{reason}"
            problems.append(Problem(COMMAND_LINE, key, value, message))
            continue
        if override.is_sweep_override() and not sweeps:
            message = "gives several values: -m sweeps over them, key=[a,b] is a list"
            problems.append(Problem(COMMAND_LINE, key, value, message))
        else:
            parsed.append(override)
    return parsed, problems


def _choices(loader: ConfigLoader, text: str) -> list[str]:
    """One override for each value that `text` sweeps over; itself where it is no sweep."""
    try:
        (override,) = OverridesParser.create(config_loader=loader).parse_overrides([text])
    except HydraException:
        return [text]
    if not override.is_discrete_sweep():
        return [text]
    key = override.get_key_element()
    return [f"{key}={value}" for value in override.sweep_string_iterator()] or [text]


def _apply(config: DictConfig, origins: Origins, override: Override) -> Problem | None:
    """Set or delete a value. New keys are let in: the schema knows better which exist."""
    key, value = override.key_or_group, override.value()
    path = tuple(key.replace("[", ".").replace("]", "").split("."))
    strict = override.is_hydra_override() and not (override.is_add() or override.is_force_add())
    try:
        if override.is_delete():
            return _delete(config, origins, path, override)
        OmegaConf.update(config, key, value, merge=True, force_add=not strict)
    except (OmegaConfBaseException, ValueError, TypeError) as error:
        return _at_command_line(override, _first_line(error))
    _record(origins, path, value, COMMAND_LINE)
    return None


def _delete(config: DictConfig, origins: Origins, path: Key, override: Override) -> Problem | None:
    parent = OmegaConf.select(config, ".".join(path[:-1])) if path[:-1] else config
    if not isinstance(parent, DictConfig) or path[-1] not in parent:
        keys = [str(key) for key in parent] if isinstance(parent, DictConfig) else []
        message = f"is not set, so it cannot be deleted{did_you_mean(path[-1], keys)}"
        return _at_command_line(override, message)
    with open_dict(parent):
        del parent[path[-1]]
    origins[path] = COMMAND_LINE
    return None


def _resolve(node: Any, at: Key, origins: Origins, problems: list[Problem]) -> Any:
    """A node as plain data; what cannot be resolved is left out and noted."""
    if not isinstance(node, DictConfig | ListConfig):
        return node
    keys: Any = node.keys() if isinstance(node, DictConfig) else range(len(node))
    items = {}
    for key in keys:
        path = (*at, str(key))
        try:
            if path != ("hydra",):
                items[key] = _resolve(node[key], path, origins, problems)
        except MissingMandatoryValue:
            file = _origin(origins, path)
            problems.append(Problem(file, ".".join(path), "", "a value is required"))
        except OmegaConfBaseException as error:
            raw = str(OmegaConf.to_container(node)[key])  # pyright: ignore
            reason = f"cannot be resolved: {_first_line(error)}"
            problems.append(Problem(_origin(origins, path), ".".join(path), raw, reason))
    return items if isinstance(node, DictConfig) else list(items.values())


def _origin(origins: Origins, key: Key) -> str:
    while key and key not in origins:
        key = key[:-1]
    return origins[key]


def _record(origins: Origins, path: Key, value: Any, file: str) -> None:
    """Note that `file` set the value at `path`, all that is in it, and what is new above it."""
    for length in range(1, len(path)):
        origins.setdefault(path[:length], file)
    if path:  # the whole remains the experiment's
        origins[path] = file
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            _record(origins, (*path, str(key)), inner, file)


def _at_command_line(override: Override, message: str) -> Problem:
    key, _, value = str(override.input_line).partition("=")
    return Problem(COMMAND_LINE, key.lstrip("+~"), value, message)


def _first_line(error: BaseException) -> str:
    """What an error says; Hydra wraps some without a word."""
    return str(error).strip().partition("\n")[0] or str(error.__cause__).strip().partition("\n")[0]
