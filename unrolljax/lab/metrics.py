"""Metrics: every writer is a function of one line, and `close()`."""

import json
import logging
import math
from pathlib import Path
from typing import Any

from unrolljax.lab.experiment import Line

log = logging.getLogger(__name__)


class JsonLines:
    """One JSON object a line, on disk as soon as it is written.

    Lines hold no times: a run that was killed and resumed writes the same lines as one that was
    not.
    """

    def __init__(self, path: Path):
        self.path = path
        self._file = path.open("a")

    def __call__(self, line: Line) -> None:
        """Append a line; what is not finite becomes null, since JSON has no word for it."""
        self._file.write(json.dumps(_plain(line)) + "\n")
        self._file.flush()

    def truncate(self, step: int) -> None:
        """Drop what comes after a step, and what a crash left torn."""
        kept = [text for text, line in _parse(self.path) if line["step"] <= step]
        part = self.path.with_suffix(".part")
        part.write_text("".join(text + "\n" for text in kept))
        self._file.close()
        part.replace(self.path)
        self._file = self.path.open("a")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class TensorBoard:
    """The same lines as scalars for TensorBoard (needs tensorboardX)."""

    def __init__(self, folder: Path, first_step: int):
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise ValueError(
                "tensorboard=true needs tensorboardX: pip install 'unrolljax[tensorboard]'."
            ) from None
        # Lines from before a crash that will be written again are hidden.
        self._writer = SummaryWriter(str(folder), purge_step=first_step + 1)

    def __call__(self, line: Line) -> None:
        """Write every number of a line; counts of statuses one by one."""
        for name, value in flatten(line).items():
            if name != "step" and isinstance(value, int | float):
                self._writer.add_scalar(name, value, line["step"])

    def close(self) -> None:
        """Write what is pending."""
        self._writer.close()


def read(path: Path) -> list[Line]:
    """All whole lines of a metrics file."""
    return [line for _, line in _parse(path)] if path.exists() else []


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested names joined by slashes."""
    flat = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}/")
        else:
            flat[prefix + name] = value
    return flat


def _parse(path: Path) -> list[tuple[str, Line]]:
    lines = []
    for number, text in enumerate(path.read_bytes().decode(errors="replace").splitlines(), 1):
        try:
            line = json.loads(text)
            lines.append((text, line | {"step": int(line["step"])}))
        except (ValueError, KeyError, TypeError):
            log.warning("%s: line %d is torn and was dropped.", path, number)
    return lines


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(v) for name, v in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
