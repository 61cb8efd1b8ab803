"""Weights of denoisers in files, and those that come with the package."""

import importlib.resources
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr, tree_leaves_with_path, tree_structure

from unrolljax.imaging.denoisers.drunet import DRUNet
from unrolljax.imaging.denoisers.learned import Learned, initialised, with_parameters

SHIPPED = "drunet"


def save(path: Path | str, denoiser: Learned, about: dict[str, Any]) -> None:
    """Write a small DRUNet as `path`.npz, in half precision, and what is told of it as `path`.json.

    Raises ValueError for any other network.
    """
    path, network = Path(path), denoiser.network
    if not isinstance(network, DRUNet):
        raise ValueError(f"save writes DRUNet, not {type(network).__name__}.")
    leaves = tree_leaves_with_path(denoiser.parameters)
    arrays: dict[str, Any] = {keystr(name): np.asarray(leaf, np.float16) for name, leaf in leaves}
    np.savez_compressed(path.with_suffix(".npz"), **arrays)
    structure = {name: getattr(network, name) for name in ("widths", "blocks", "channels")}
    text = json.dumps({"network": structure, **about}, indent=1)
    path.with_suffix(".json").write_text(text + "\n")


def load(path: Path | str, dtype: Any = None) -> Learned:
    """The denoiser that `save` wrote, in a precision (by default JAX's own).

    Raises ValueError, naming the file and the first parameter that is missing, unknown or of
    another shape, where the weights are not those of the network that the JSON describes.
    """
    path = Path(path)
    structure = json.loads(path.with_suffix(".json").read_text())["network"]
    network = DRUNet(tuple(structure["widths"]), structure["blocks"], structure["channels"])
    template = jax.eval_shape(
        lambda key: initialised(network, key, network.channels), jax.random.key(0)
    ).parameters
    names = [keystr(name) for name, _ in tree_leaves_with_path(template)]
    dtype = jnp.zeros(()).dtype if dtype is None else dtype
    with np.load(path.with_suffix(".npz")) as stored:
        if sorted(stored.files) != sorted(names):
            strange = sorted({*stored.files} ^ {*names})[0]
            raise ValueError(f"{path}.npz does not match {path}.json: {strange} is in one only.")
        leaves = [jnp.asarray(stored[name], dtype) for name in names]
    parameters = jax.tree_util.tree_unflatten(tree_structure(template), leaves)
    try:
        return with_parameters(network, parameters, network.channels)
    except ValueError as error:
        raise ValueError(f"{path}.npz does not match {path}.json: {error}") from None


def pretrained(dtype: Any = None) -> Learned:
    """A denoiser of grey images for noise of standard deviation up to 50/255, ready to use.

    A `DRUNet` of two resolutions, trained by `python -m experiments.denoiser` on the photographs of
    scikit-image, on dead leaves and on drawn skies; recipe and scores are in `weights/drunet.json`
    beside this file. `Equivariant` makes plug-and-play iterations with it steadier.
    """
    with importlib.resources.as_file(
        importlib.resources.files("unrolljax.imaging.denoisers")
    ) as folder:
        return load(folder / "weights" / SHIPPED, dtype)
