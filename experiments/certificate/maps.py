"""Fixed points and roots whose Jacobians are not symmetric."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import unrolljax as uj
from experiments.certificate.system import PARAMETERS, Distance, System
from unrolljax import solvers

Parameters = tuple[Array, Array]


class Equilibrium(eqx.Module):
    """`x = tanh(W x + C theta)`; as a root, or, for a map's solvers, as parameters only."""

    W: Float[Array, "n n"]
    C: Float[Array, "n p"]
    as_root: bool = eqx.field(static=True)

    def __call__(self, theta: Float[Array, " p"]) -> Parameters | uj.Residuals:
        """The inner problem."""
        parameters = (self.W, self.C @ theta)
        return uj.Residuals(_gap, parameters) if self.as_root else parameters


def _tanh(parameters: Parameters, x: Array) -> Array:
    W, shift = parameters
    return jnp.tanh(W @ x + shift)


def _affine(parameters: Parameters, x: Array) -> Array:
    W, shift = parameters
    return W @ x + shift


def _gap(parameters: Parameters, x: Array) -> Array:
    return x - _tanh(parameters, x)


def equilibrium(as_root: bool, norm: float = 0.9, size: int = 100, seed: int = 5) -> System:
    """A dense random layer of spectral norm `norm`, a contraction."""
    random = np.random.default_rng(seed)
    W = random.normal(size=(size, size))
    W *= norm / np.linalg.norm(W, 2)
    C = random.normal(size=(size, PARAMETERS)) / 2
    # |tanh''| is at most 4 / (3 sqrt 3).
    bend, reach = 4 / 3 / 3**0.5, float(np.linalg.norm(C, 2))
    constants = uj.Constants(1 - norm, reach, bend * norm**2, bend * norm * reach, 1.0)
    by_map = {"fixed point": uj.FixedPoint(_tanh), "Anderson": solvers.Anderson(_tanh)}
    return System(
        "equilibrium, root" if as_root else "equilibrium",
        Equilibrium(jnp.asarray(W), jnp.asarray(C), as_root),
        Distance(jnp.asarray(random.normal(size=size))),
        random.normal(size=PARAMETERS),
        np.zeros(size),
        root_finders() if as_root else by_map,
        constants,
    )


def root_finders() -> dict[str, uj.Solver]:
    """Newton's methods."""
    import optimistix

    return {
        "Newton": solvers.NewtonRoot(),
        "optimistix": solvers.Optimistix(optimistix.Newton(1e-8, 1e-8)),
    }


def non_normal(rate: float, coupling: float, size: int = 80, seed: int = 6) -> System:
    """`x = W x + C theta`, W triangular: spectral radius `rate`, transient growth by `coupling`."""
    random = np.random.default_rng(seed)
    W = np.diag(rate * random.uniform(-1, 1, size)) + coupling * np.diag(np.ones(size - 1), 1)
    W[0, 0] = rate
    C = random.normal(size=(size, PARAMETERS))
    return System(
        f"non-normal, rate {rate:g}, coupling {coupling:g}",
        Equilibrium(jnp.asarray(W), jnp.asarray(C), False),
        Distance(jnp.asarray(random.normal(size=size))),
        random.normal(size=PARAMETERS),
        np.zeros(size),
        {"fixed point": uj.FixedPoint(_affine), "Anderson": solvers.Anderson(_affine)},
    )
