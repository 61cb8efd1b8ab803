"""Composing a configuration with Hydra: every problem collected, the origin of each key known."""

import contextlib
import copy
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobRuntime
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, MissingMandatoryValue, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from unrolljax.lab.config import overrides
from unrolljax.lab.config.locate import did_you_mean
from unrolljax.lab.config.overrides import Key, Origins, Problem

_FAILURES = (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError)


@dataclasses.dataclass(frozen=True)
class Composed:
    """The configuration of an experiment as plain data, interpolations resolved.

    - `problems`: what went wrong on the way.
    - `origins`: the file, or "command line", that set a key last, by the parts of the key.
    - `groups`: the names of the config groups.
    - `complete`: False where the files do not compose; `config` is empty then.
    """

    name: str
    config: dict[str, Any]
    problems: tuple[Problem, ...]
    origins: Origins
    groups: tuple[str, ...]
    complete: bool = True

    def origin(self, key: Key) -> str:
        """Where a key was set; for a missing one, the file that set what it belongs to."""
        return overrides.origin(self.origins, key)


class Composer:
    """Composes `folder/name.yaml` many times, reading files once for each choice of groups.

    Overrides are given as on the command line. Nothing is validated.
    """

    def __init__(self, folder: str | Path, name: str):
        self.folder = Path(folder).resolve()
        self.name = name
        self.file = self._label(name)
        self._bases: dict[tuple[str, ...], tuple[DictConfig, Origins]] = {}

    def compose(self, texts: list[str]) -> Composed:
        """The configuration with these overrides, none of which may be a sweep."""
        parsed, problems = overrides.parse(texts)
        with self._hydra() as loader:
            groups = tuple(loader.list_groups(""))
            chosen, values = [], []
            for override in parsed:
                if not _is_group(loader, override):
                    values.append(override)
                elif message := _wrong_group(loader, override):
                    problems.append(overrides.at_command_line(override.input_line, message))
                else:
                    chosen.append(override)
            base = self._base(loader, chosen, problems)
        if base is None:
            origins = {(): self.file}
            return Composed(self.name, {}, tuple(problems), origins, groups, complete=False)
        config, origins = copy.deepcopy(base)
        problems += filter(None, (overrides.apply(config, origins, value) for value in values))
        plain = _resolve(config, (), origins, problems)
        return Composed(self.name, plain, tuple(problems), origins, groups)

    def sweep(self, texts: list[str]) -> list[list[str]]:
        """The runs that show every value of every swept key: their sum, not their product.

        The first run has the first value of each key; each other run changes one of them.
        """
        with self._hydra() as loader:
            choices = [overrides.choices(loader, text) for text in texts]
        first = [values[0] for values in choices]
        others = (
            [*first[:k], value, *first[k + 1 :]]
            for k, values in enumerate(choices)
            for value in values[1:]
        )
        return [first, *others]

    def forced(self, texts: list[str]) -> list[str]:
        """The overrides as `hydra.main` accepts them: which keys exist is the schema's affair.

        `train.patience=5` becomes `++train.patience=5` where no file sets that key.
        """
        known = self.compose([]).origins
        with self._hydra() as loader:
            parsed = overrides.parse(texts, loader)[0]
            return [_force(loader, override, known) for override in parsed]

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

    def _base(
        self, loader: ConfigLoader, chosen: list[Override], problems: list[Problem]
    ) -> tuple[DictConfig, Origins] | None:
        """What the files give with this choice of groups, without the overrides they refuse."""
        texts = tuple(str(override.input_line) for override in chosen)
        try:
            if texts not in self._bases:
                config = hydra.compose(self.name, list(texts), return_hydra_config=True)
                found = loader.compute_defaults_list(self.name, list(texts), RunMode.RUN)
                self._bases[texts] = config, self._origins(found.defaults)
            return self._bases[texts]
        except _FAILURES as error:
            reason = overrides.first_line(error)
            if problem := self._unreadable(error):
                problems.append(problem)
                return None
        for k, override in enumerate(chosen):
            if override.key_or_group in re.findall(r"[\w/]+", reason):
                problems.append(overrides.at_command_line(override.input_line, reason))
                return self._base(loader, chosen[:k] + chosen[k + 1 :], problems)
        problems.append(Problem(self.file, "", "", reason))
        return None

    def _origins(self, defaults: list[Any]) -> Origins:
        """Which file set each key last, by reading again the files that Hydra has merged."""
        origins: Origins = {(): self.file}
        for default in defaults:
            path = self.folder / f"{default.config_path}.yaml"
            content = OmegaConf.to_container(OmegaConf.load(path)) if path.is_file() else None
            if isinstance(content, dict):
                content.pop("defaults", None)
                package = tuple(default.package.split(".")) if default.package else ()
                overrides.record(origins, package, content, self._label(default.config_path))
        return origins

    def _unreadable(self, error: Exception) -> Problem | None:
        """The file that is absent or cannot be read, if that is what the error says."""
        if isinstance(error, MissingConfigException) and error.missing_cfg_file:
            return self._absent(error, error.missing_cfg_file)
        for path in sorted(self.folder.rglob("*.yaml")):
            try:
                OmegaConf.load(path)
            except _FAILURES as own:
                if str(own) in (str(error), str(error.__cause__)):
                    mark = getattr(own, "problem_mark", None)
                    line = f", line {mark.line + 1}" if mark else ""
                    file = self._label(path.relative_to(self.folder).with_suffix("").as_posix())
                    reason = getattr(own, "problem", overrides.first_line(own))
                    return Problem(f"{file}{line}", "", "", f"cannot be read: {reason}")
        return None

    def _absent(self, error: MissingConfigException, config: str) -> Problem:
        """The problem with an entry of a defaults list that names no file."""
        if config == self.name:
            return Problem(self.file, "", "", "there is no such file")
        group, _, option = config.rpartition("/")
        options = list(error.options or ())
        among = f"must be one of {', '.join(options)}" if options else "there is no such file"
        parent = overrides.first_line(error).partition("'")[2].partition("'")[0] or self.name
        message = f"{among}{did_you_mean(option, options)}"
        return Problem(self._label(parent), group or "defaults", option, message)

    def _label(self, config: str) -> str:
        return f"{self.folder.name}/{config}.yaml"


def _is_group(loader: ConfigLoader, override: Override) -> bool:
    """Whether an override chooses files, as `gradient=unroll` does, instead of setting a value."""
    key = override.key_or_group
    if "/" in key or override.package is not None:
        return True
    mapping = not override.is_sweep_override() and isinstance(override.value(), dict)
    return "." not in key and not mapping and bool(loader.get_group_options(key, None))


def _wrong_group(loader: ConfigLoader, override: Override) -> str | None:
    """What is wrong with the choice of a group, as far as the names of files tell."""
    group, value = override.key_or_group, override.value()
    if not loader.get_group_options(group, None):
        parent, _, name = group.rpartition("/")
        return f"there is no group of this name{did_you_mean(name, loader.list_groups(parent))}"
    if override.is_force_add():
        return "++ is for values; an option needs none"
    if override.is_delete():
        return None
    for choice in value if isinstance(value, list) else [value]:
        folder, _, option = f"{group}/{choice}".rpartition("/")
        options = loader.get_group_options(folder, ObjectType.CONFIG)
        if option.removesuffix(".yaml") not in options and "${" not in option:
            return f"must be one of {', '.join(options)}{did_you_mean(option, options)}"
    return None


def _force(loader: ConfigLoader, override: Override, known: Origins) -> str:
    text, key = str(override.input_line), override.key_or_group
    kept = override.is_delete() or override.is_hydra_override() or _is_group(loader, override)
    if kept:
        return text
    plain = text.lstrip("+")
    return plain if tuple(key.split(".")) in known else "++" + plain


def _resolve(node: Any, at: Key, origins: Origins, problems: list[Problem]) -> Any:
    """A node as plain data; what cannot be resolved is left out and noted."""
    if not isinstance(node, DictConfig | ListConfig):
        return node
    keys: Any = node.keys() if isinstance(node, DictConfig) else range(len(node))
    items = {}
    for key in keys:
        path = (*at, str(key))
        file, name = overrides.origin(origins, path), ".".join(path)
        try:
            if path != ("hydra",):
                items[key] = _resolve(node[key], path, origins, problems)
        except MissingMandatoryValue:
            problems.append(Problem(file, name, "", "a value is required"))
        except OmegaConfBaseException as error:
            raw = str(OmegaConf.to_container(node)[key])  # pyright: ignore
            reason = f"cannot be resolved: {overrides.first_line(error)}"
            problems.append(Problem(file, name, raw, reason))
    return items if isinstance(node, DictConfig) else list(items.values())
