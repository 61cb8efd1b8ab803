"""What the plug-and-play solvers share: one array, numbers that may differ from step to step."""

from typing import Any, NamedTuple, Self

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.tree_util import tree_leaves
from jaxtyping import Array, Int, PyTree

from unrolljax.core import trees
from unrolljax.core.solver import Solver
from unrolljax.imaging.restoration import Image, Restoration
from unrolljax.imaging.solvers.layers import PerLayer, depths, layer_of

LAST = np.iinfo(np.int32).max
"""A step after every layer: those repeat the last one."""


class PlugAndPlayState(NamedTuple):
    """The unknown, and how many steps have been taken."""

    x: PyTree[Array]
    layer: Int[Array, ""]


class PlugAndPlay(Solver):
    """A solver in which a denoiser, the problem's `prior`, stands for the prior's proximal step.

    A subclass writes `update`, one iteration with scalar numbers. Its own numbers are scalars, or
    vectors with one entry for each layer, in any mixture; the prior is one denoiser or `PerLayer`.

    - All scalars (tied): an iteration to its fixed point, in any gradient mode.
    - A vector somewhere (untied): an unrolled network; run its layers with
      `Stop(max_steps=depth, tol=None)` and `Unroll()`. Steps after the last layer repeat it.

    There is no objective: a denoiser is rarely the proximal operator of anything. Where the
    iteration does not settle, the solve ends as MAX_STEPS, DIVERGED or NONFINITE.
    """

    def __check_init__(self):
        for name, value in vars(self).items():
            if isinstance(value, int | float | np.ndarray | Array) and not _positive(value):
                raise ValueError(
                    f"{type(self).__name__}({name}=...) must be positive and finite: one number, "
                    f"or one for each layer. It is {value}."
                )
        if len(depths(self)) > 1:
            raise ValueError(
                f"{type(self).__name__}: numbers that differ from layer to layer need one entry "
                f"for each layer; their lengths are {sorted(depths(self))}."
            )

    @property
    def depth(self) -> int:
        """Number of layers; 1 for a tied solver (whose prior may still be `PerLayer`)."""
        return max(depths(self), default=1)

    def update(self, problem: Restoration, x: PyTree[Array]) -> PyTree[Array]:
        """One iteration; the solver's numbers are scalars here, the prior is one denoiser."""
        raise NotImplementedError(f"{type(self).__name__} must define update(problem, x).")

    def unknown(self, problem: Restoration, image: Image) -> PyTree[Array]:
        """The unknown with which to start at an image: the image itself, by default."""
        del problem
        return image

    def image(self, problem: Restoration, x: PyTree[Array]) -> Image:
        """The restored image that belongs to an unknown: the unknown itself, by default."""
        del problem
        return x

    def init(self, problem: Restoration, x0: PyTree[Array]) -> PlugAndPlayState:
        """Before the first layer; a ValueError where shapes or numbers of layers do not fit."""
        shape, found = tuple(problem.data.operator.shape), tree_leaves(x0)[0].shape
        if found != shape:
            raise ValueError(f"x0 has shape {found}; the operator acts on images of {shape}.")
        of_prior = problem.prior.depth if isinstance(problem.prior, PerLayer) else 1
        if 1 not in (self.depth, of_prior) and self.depth != of_prior:
            raise ValueError(
                f"{type(self).__name__} has {self.depth} layers, its problem's prior {of_prior}."
            )
        return PlugAndPlayState(x0, jnp.zeros((), jnp.int32))

    def step(self, problem: Restoration, state: PlugAndPlayState) -> PlugAndPlayState:
        """One layer; after the last one, the last one again."""
        solver, problem = self.at(problem, state.layer)
        return PlugAndPlayState(solver.update(problem, state.x), state.layer + 1)

    def read(self, state: PlugAndPlayState) -> PyTree[Array]:
        """The unknown."""
        return state.x

    def optimality(self, problem: Restoration, x: PyTree[Array]) -> PyTree[Array]:
        """`x - update(x)` with the last layer, which is what further steps repeat."""
        solver, problem = self.at(problem, LAST)
        return trees.subtract(x, solver.update(problem, x))

    def objective(self, problem: Restoration, x: PyTree[Array]) -> None:
        """None: a denoiser has no value."""
        del problem, x

    def at(self, problem: Restoration, k: Int[Array, ""] | int) -> tuple[Self, Restoration]:
        """The solver and the problem of layer k; the last layer's after it."""
        prior = problem.prior.at(k) if isinstance(problem.prior, PerLayer) else problem.prior
        return layer_of(self, k), Restoration(problem.data, prior, problem.weight)


def denoised(problem: Restoration, x: Image, sigma: Any) -> Image:
    """What the problem's denoiser makes of an image, at a strength in the image's precision."""
    return problem.prior(x, jnp.asarray(sigma).astype(x.dtype))


def number(value: Any, x: Image) -> Array:
    """One of a solver's scalars in the precision of an image."""
    return jnp.asarray(value).astype(x.dtype)


def _positive(value: Any) -> bool:
    if isinstance(value, bool | Tracer):
        return True
    value = np.asarray(value)
    return bool(value.ndim <= 1 and np.all(value > 0) and np.all(np.isfinite(value)))
