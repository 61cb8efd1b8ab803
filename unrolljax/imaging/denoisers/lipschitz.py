"""By how much a denoiser stretches differences, measured at an image."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from unrolljax.core import trees
from unrolljax.imaging.operators.largest_eigenvalue import largest_eigenvalue
from unrolljax.imaging.restoration import Image

Part = Literal["denoiser", "residual", "reflection"]
_WEIGHTS: dict[str, tuple[int, int]] = {
    "denoiser": (0, 1),
    "residual": (1, -1),
    "reflection": (-1, 2),
}


class Stretch(NamedTuple):
    """The spectral norm of a Jacobian, and whether the iteration that found it converged."""

    norm: Float[Array, ""]
    converged: Bool[Array, ""]


def lipschitz_constant(
    denoiser: Any,
    x: Image,
    sigma: Float[Array, ""] | float,
    *,
    of: Part = "denoiser",
    tol: float = 1e-3,
    max_steps: int = 200,
) -> Stretch:
    """The spectral norm of a denoiser's Jacobian at an image: its local Lipschitz constant.

    The maximum over images bounds the constant on them from below only. An accelerated power
    iteration on `J* J` from a fixed random image ends when the residual of the eigenpair is below
    `tol` times the eigenvalue, whose relative error is then far smaller. The norm of an iteration
    that did not converge is too small. Differentiable in the denoiser and sigma where the largest
    singular value is simple; batches are `jax.vmap`.

    - `of`: "denoiser" D; "residual" I - D; "reflection" 2 D - I, which is non-expansive if and
      only if D is averaged as a proximal operator is: what plug-and-play ADMM asks.

    Raises ValueError for another `of`.
    """
    if of not in _WEIGHTS:
        raise ValueError(f"of={of!r} is unknown: 'denoiser', 'residual' or 'reflection'.")
    keep, weight = _WEIGHTS[of]
    sigma = jnp.asarray(sigma, x.dtype)

    def push(denoiser, sigma, v):
        through = jax.jvp(lambda x: denoiser(x, sigma), (x,), (v,))[1]
        return keep * v + weight * through

    # Nothing goes back through the iteration: at a simple singular value the vectors do not matter.
    fixed, level = trees.stop_gradient((denoiser, sigma))

    def gram(v):
        image, pull = jax.vjp(lambda v: push(fixed, level, v), v)
        return pull(image)[0]

    start = jax.random.normal(jax.random.key(0), x.shape, x.dtype)
    vector, converged = largest_eigenvalue(gram, start, tol, max_steps)
    return Stretch(_norm(push(denoiser, sigma, vector)), converged)


def _norm(v: Array) -> Float[Array, ""]:
    """The Euclidean norm, whose derivative at zero is zero."""
    square = jnp.sum(v**2)
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
