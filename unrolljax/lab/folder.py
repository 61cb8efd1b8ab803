"""The run folder: what was asked for, where it ran, and what came out."""

import hashlib
import importlib.metadata
import json
import platform
import sys
from pathlib import Path
from typing import Any

import jax
from omegaconf import OmegaConf

from unrolljax.lab.config.schema import Config
from unrolljax.lab.ends import AnotherRun

WHERE = {"platform", "devices", "compile_cache", "tensorboard"}
"""Keys that say where a run computes, not what: a run may be resumed with others."""

PACKAGES = ("unrolljax", "jax", "jaxlib", "equinox", "lineax", "optax", "orbax-checkpoint", "numpy")


class RunFolder:
    """A folder that belongs to one configuration; made, or found again."""

    def __init__(self, path: Path, config: Config, module: str, overrides: list[str]):
        self.path, self.sha256 = path, config_sha256(config)
        self.experiment = module.removesuffix(".__main__")
        self.command = " ".join(["python -m", self.experiment, *overrides])
        self._config = config
        self._launch = {
            "module": module, "overrides": overrides, "config_sha256": self.sha256
        }  # fmt: skip
        earlier = read(path / "launch.json")
        if earlier and earlier["config_sha256"] != self.sha256:
            raise AnotherRun(
                f"{path} holds a run of another configuration. Choose another folder "
                f"(hydra.run.dir=...), or continue that run: unrolljax resume {path}"
            )

    @property
    def result(self) -> dict[str, Any] | None:
        """The result of a run that has ended well."""
        return read(self.path / "result.json")

    def begin(self) -> None:
        """Write the resolved configuration, the launch, and the environment."""
        self.path.mkdir(parents=True, exist_ok=True)
        resolved = OmegaConf.create(self._config.model_dump(mode="json"))
        write(self.path / "config.yaml", OmegaConf.to_yaml(resolved))
        write(self.path / "launch.json", _dump(self._launch))
        write(self.path / "environment.json", _dump(environment()))

    def finish(self, result: dict[str, Any], report: str) -> None:
        """Write the report, and then the result: whoever finds a result finds all."""
        write(self.path / "report.md", report)
        write(self.path / "result.json", _dump(result))


def config_sha256(config: Config) -> str:
    """The hash of what a configuration computes."""
    content = config.model_dump(mode="json", exclude=WHERE)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def environment() -> dict[str, Any]:
    """Versions and devices; nothing that names the machine."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    kinds = [device.device_kind for device in jax.devices()]
    return {
        "python": platform.python_version(),
        "system": f"{sys.platform} {platform.machine()}",
        "packages": versions,
        "platform": jax.default_backend(),
        "devices": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        "processes": jax.process_count(),
    }


def write(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    part.replace(path)


def read(path: Path) -> dict[str, Any] | None:
    """The JSON of a file; None where there is none."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _dump(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1) + "\n"
