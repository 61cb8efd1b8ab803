"""A network and its parameters as one denoiser."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree


class Learned(eqx.Module):
    """A denoiser `denoiser(x, sigma)` of one image (height, width, channels): network, parameters.

    - `network`: a flax module called with a batch (batch, height, width, channels) and the noise's
      standard deviation, a scalar; structure, so that two equal ones compile once.
    - `parameters`: what its `init` returns, the leaves of this pytree.

    Grey values in [0, 1]; `sigma` in the same unit, and differentiable.
    """

    network: nn.Module = eqx.field(static=True)
    parameters: PyTree[Array]

    def __call__(
        self, x: Float[Array, "height width channels"], sigma: Float[Array, ""] | float
    ) -> Float[Array, "height width channels"]:
        """The image without its noise. Raises ValueError where the network takes other channels."""
        channels = getattr(self.network, "channels", x.shape[-1] if x.ndim == 3 else None)
        if x.ndim != 3 or x.shape[-1] != channels:
            raise ValueError(
                f"x must be one image (height, width, {channels or 'channels'}) for this "
                f"{type(self.network).__name__}; its shape is {x.shape}."
            )
        return self.network.apply(self.parameters, x[None], jnp.asarray(sigma, x.dtype))[0]


def initialised(
    network: nn.Module, key: Array, channels: int = 1, dtype: jnp.dtype | None = None
) -> Learned:
    """The network with random parameters."""
    x = jnp.zeros((1, 16, 16, channels), dtype)
    return Learned(network, network.init(key, x, jnp.asarray(0.1, x.dtype)))


def with_parameters(network: nn.Module, parameters: PyTree[Array], channels: int = 1) -> Learned:
    """The network with given parameters.

    Raises ValueError, naming the first parameter that is missing, that the network does not have,
    or that has another shape.
    """
    expected = jax.eval_shape(lambda key: initialised(network, key, channels), jax.random.key(0))
    wanted, given = _shapes(expected.parameters), _shapes(parameters)
    for name in [*wanted, *given]:
        if wanted.get(name) != given.get(name):
            raise ValueError(
                f"The parameters are not those of {type(network).__name__}: {name} is "
                f"{_told(given.get(name))}, and should be {_told(wanted.get(name))}."
            )
    return Learned(network, parameters)


def _shapes(parameters: PyTree) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(parameters)
    return {jax.tree_util.keystr(path): tuple(leaf.shape) for path, leaf in leaves}


def _told(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else f"of shape {shape}"
