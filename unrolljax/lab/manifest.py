"""The manifest of a checkpoint: a sha256 for every leaf and for every file."""

import hashlib
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.tree_util import keystr, tree_leaves_with_path
from jaxtyping import PyTree

NAME = "manifest.json"


class Corrupt(Exception):
    """A checkpoint is not what was saved; the message names the file or the leaf."""


def describe_leaves(tree: PyTree[np.ndarray]) -> list[dict[str, Any]]:
    """Path, shape, dtype and sha256 of every leaf, in the order of the tree."""
    return [
        {
            "path": keystr(path),
            "shape": list(np.shape(leaf)),
            "dtype": str(np.asarray(leaf).dtype),
            "sha256": _sha256(np.ascontiguousarray(leaf).tobytes()),
        }
        for path, leaf in tree_leaves_with_path(tree)
    ]


def digest(tree: PyTree[Any]) -> str:
    """One sha256 for a whole tree: its paths, shapes, dtypes and bits."""
    return _sha256(json.dumps(describe_leaves(jax.device_get(tree))).encode())


def write(folder: Path, leaves: list[dict[str, Any]], extra: dict[str, Any]) -> None:
    """Hash the files of a folder and write its manifest, whole or not at all."""
    content = {"leaves": leaves, "files": _hash_files(folder), "extra": extra}
    part = folder / (NAME + ".part")
    part.write_text(_seal(content))
    part.replace(folder / NAME)


def read(folder: Path) -> dict[str, Any]:
    """The manifest of a checkpoint whose every file is as it was written; raises `Corrupt`."""
    path = folder / NAME
    if not path.is_file():
        raise Corrupt(f"{path} is missing: the checkpoint was not completed")
    text = path.read_bytes().decode(errors="replace")
    try:
        sealed = json.loads(text)
        content = {name: sealed[name] for name in ("leaves", "files", "extra")}
    except (ValueError, KeyError, TypeError):
        raise Corrupt(f"{path} is no manifest any more") from None
    if text != _seal(content):
        raise Corrupt(f"{path} does not match its own sha256")
    present = _hash_files(folder)
    for name, sha256 in content["files"].items():
        if name not in present:
            raise Corrupt(f"{folder / name} is missing")
        if present[name] != sha256:
            raise Corrupt(f"{folder / name} does not match its sha256")
    return content


def _seal(content: dict[str, Any]) -> str:
    """The text of a manifest: its content, and the sha256 of that."""
    return json.dumps(content | {"sha256": _sha256(json.dumps(content).encode())}, indent=1) + "\n"


def _hash_files(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(NAME))
    return {p.relative_to(folder).as_posix(): _sha256(p.read_bytes()) for p in files}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
