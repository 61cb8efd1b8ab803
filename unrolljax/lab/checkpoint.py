"""Checkpoints that notice when they are broken: orbax, wrapped.

By itself orbax restores a flipped bit without a word, and saves on SIGTERM only where
jax.distributed runs; `tests/lab/test_checkpoint.py` shows both.
"""

import itertools
import logging
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.tree_util import keystr, tree_flatten_with_path
from jaxtyping import PyTree

from unrolljax.lab import manifest
from unrolljax.lab.manifest import Corrupt

log = logging.getLogger(__name__)


class Saved(NamedTuple):
    """A restored checkpoint: the step, the arrays (on the host), and what was saved beside them."""

    step: int
    tree: PyTree[np.ndarray]
    extra: dict[str, Any]


class Checkpoints:
    """The last `keep` checkpoints of a run, one folder a step.

    A checkpoint counts only with its manifest, which is written last. Arrays are saved from and
    restored to the host, so that they do not depend on the devices; only one process may save.
    """

    def __init__(self, folder: Path, keep: int):
        self.folder = folder.absolute()
        self.keep = keep

    def save(self, step: int, tree: PyTree[Any], extra: dict[str, Any]) -> None:
        """Save, and delete what is older than the last `keep`; raises OSError on a full disk."""
        target = self.path(step)
        shutil.rmtree(target, ignore_errors=True)
        tree = jax.tree.map(np.asarray, jax.device_get(tree))
        try:
            leaves = jax.tree.leaves(tree)
            _orbax().save(target / "state", args=ocp.args.StandardSave(_named(leaves)))
            manifest.write(target, manifest.describe_leaves(tree), extra)
        except BaseException as error:
            shutil.rmtree(target, ignore_errors=True)
            if isinstance(error, Exception):
                raise OSError(f"The checkpoint {target} could not be written: {error}") from error
            raise
        for old in self._folders()[self.keep :]:
            (old / manifest.NAME).unlink(missing_ok=True)
            shutil.rmtree(old)

    def restore(self, like: PyTree[Any]) -> Saved | None:
        """The newest checkpoint that is whole, in the structure of `like`; None if there is none.

        Broken checkpoints are named in the log and passed over. A whole one of another structure
        or of other shapes belongs to another experiment and raises ValueError.
        """
        for folder in self._folders():
            try:
                content = manifest.read(folder)
                leaves = _read(folder, content)
            except Corrupt as error:
                log.warning("Checkpoint passed over: %s.", error)
                continue
            _check_structure(folder, content["leaves"], like)
            tree = jax.tree.unflatten(jax.tree.structure(like), leaves)
            return Saved(int(folder.name), tree, content["extra"])
        return None

    def path(self, step: int) -> Path:
        """The folder of a step's checkpoint."""
        return self.folder / f"{step:08d}"

    def _folders(self) -> list[Path]:
        """All checkpoints, whole or not, newest first."""
        return sorted((p for p in self.folder.glob("[0-9]*") if p.is_dir()), reverse=True)


def _read(folder: Path, content: dict[str, Any]) -> list[np.ndarray]:
    """The leaves as orbax reads them, each compared with its sha256."""
    try:
        stored = _orbax().restore(folder / "state")
        leaves = [np.asarray(stored[name]) for name in _named(content["leaves"])]
    except Exception as error:
        raise Corrupt(f"{folder / 'state'} cannot be read: {error}") from error
    for found, expected in zip(manifest.describe_leaves(leaves), content["leaves"], strict=True):
        if found["sha256"] != expected["sha256"]:
            raise Corrupt(f"{folder / 'state'}: leaf {expected['path']} is not what was saved")
    return leaves


def _check_structure(folder: Path, leaves: list[dict[str, Any]], like: PyTree[Any]) -> None:
    saved = [(leaf["path"], tuple(leaf["shape"]), leaf["dtype"]) for leaf in leaves]
    expected = [
        (keystr(path), np.shape(leaf), str(leaf.dtype))
        for path, leaf in tree_flatten_with_path(like)[0]
    ]
    for had, has in itertools.zip_longest(saved, expected):
        if had != has:
            raise ValueError(
                f"{folder} belongs to another experiment: it holds {had} where {has} is expected. "
                "Choose another run folder."
            )


def _named(leaves: list[Any]) -> dict[str, Any]:
    return {f"{k:06d}": leaf for k, leaf in enumerate(leaves)}


def _orbax() -> ocp.Checkpointer:
    """An orbax checkpointer of one process, whatever others there are."""
    alone = ocp.options.MultiprocessingOptions(
        primary_host=jax.process_index(),
        active_processes={jax.process_index()},
        barrier_sync_key_prefix=f"process{jax.process_index()}",
    )
    handler = ocp.StandardCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)
