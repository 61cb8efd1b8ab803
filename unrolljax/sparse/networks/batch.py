"""What only some of a vmapped batch need: decided for the batch, so that a branch stays one."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


def anyone(asks: Bool[Array, ""], clock: Int[Array, ""]) -> tuple[Bool[Array, ""], Int[Array, ""]]:
    """Whether `asks` holds anywhere in the batch, and the latest clock, neither with a batch axis.

    Under vmap a `cond` on a batched flag computes both branches for all; on this answer it skips
    what nobody asked for, and what depends on the clock alone is computed once. Elements whose
    clock lags behind the latest have ended: a vmapped while loop keeps stepping them, to discard
    the result.
    """
    return _anyone(asks, clock)


@jax.custom_batching.custom_vmap
def _anyone(asks, clock):
    return asks, clock


@_anyone.def_vmap
def _(axis_size, in_batched, asks, clock):
    del axis_size, in_batched
    latest = jnp.max(clock)
    return _anyone(jnp.any(asks & (clock == latest)), latest), (False, False)
