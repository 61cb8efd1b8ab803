"""Proximal operators of penalties that are sums over the entries, and those penalties.

Each operator is argmin_x 1/2 ||x - v||^2 + penalty(x), where the thresholds are the penalty's
weights times the step: scalars, or arrays that broadcast to the shape of v. Closed forms: Parikh
and Boyd, "Proximal algorithms" (2014), section 6; Combettes and Pesquet, "Proximal splitting
methods in signal processing" (2011), table 10.2.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Inexact

from unrolljax.prox._shrinkage import shrinkage, smallest_divisor


def l1(v: Inexact[Array, "*shape"], threshold: ArrayLike) -> Inexact[Array, "*shape"]:
    """Soft threshold: the proximal operator of threshold * ||x||_1.

    Complex entries keep their phase and have their modulus shrunk. At a kink, |v| == threshold,
    the derivative is the one of the outer side, so that unpenalised entries are the identity.
    """
    threshold = _per_entry(threshold, v)
    if jnp.iscomplexobj(v):
        return v * shrinkage(jnp.abs(v), threshold).astype(v.dtype)
    return jnp.where(jnp.abs(v) < threshold, 0, v - threshold * jnp.sign(v))


def l1_norm(x: Inexact[Array, "*shape"]) -> Float[Array, ""]:
    """Sum of the moduli of the entries; the derivative at a zero entry is zero."""
    return jnp.sum(jnp.abs(x))


def nonnegative_l1(v: Float[Array, "*shape"], threshold: ArrayLike) -> Float[Array, "*shape"]:
    """One-sided soft threshold: the proximal operator of threshold * ||x||_1 subject to x >= 0."""
    return jax.nn.relu(v - _per_entry(threshold, v))


def squared_l2(v: Inexact[Array, "*shape"], threshold: ArrayLike) -> Inexact[Array, "*shape"]:
    """Ridge shrinkage: the proximal operator of threshold / 2 * ||x||_2^2."""
    return v / (1 + _per_entry(threshold, v)).astype(v.dtype)


def elastic_net(
    v: Inexact[Array, "*shape"], l1_threshold: ArrayLike, l2_threshold: ArrayLike
) -> Inexact[Array, "*shape"]:
    """The proximal operator of l1_threshold * ||x||_1 + l2_threshold / 2 * ||x||_2^2."""
    return squared_l2(l1(v, l1_threshold), l2_threshold)


def l0(v: Inexact[Array, "*shape"], threshold: ArrayLike) -> Inexact[Array, "*shape"]:
    """Hard threshold: a proximal operator of threshold * (number of nonzero entries).

    The penalty is not convex: at |v| == sqrt(2 threshold) both 0 and v are minimisers, and v is
    returned. The derivative in the threshold is zero wherever it exists.
    """
    return jnp.where(jnp.abs(v) >= jnp.sqrt(2 * _per_entry(threshold, v)), v, 0)


def huber(
    v: Float[Array, "*shape"], threshold: ArrayLike, delta: ArrayLike
) -> Float[Array, "*shape"]:
    """The proximal operator of threshold * huber_penalty(x, delta)."""
    threshold, delta = _per_entry(threshold, v), _per_entry(delta, v)
    return v - threshold * jnp.clip(v / (1 + threshold), -delta, delta)


def huber_penalty(x: Float[Array, "*shape"], delta: ArrayLike) -> Float[Array, ""]:
    """Sum over the entries of x^2 / 2 where |x| <= delta, else delta (|x| - delta / 2)."""
    delta = _per_entry(delta, x)
    inner = jnp.clip(x, -delta, delta)
    return jnp.sum(inner * (x - inner / 2))


def kullback_leibler(
    v: Float[Array, "*shape"], threshold: ArrayLike, counts: ArrayLike
) -> Float[Array, "*shape"]:
    """The proximal operator of threshold * poisson_negative_log_likelihood(x, counts).

    That is also the one of the Kullback-Leibler divergence of x from the counts, which differs by
    a constant. Where both v - threshold and the count are zero, the derivative in the count, which
    is infinite there, is a finite number.
    """
    threshold, counts = _per_entry(threshold, v), _per_entry(counts, v)
    return _nonnegative_root(v - threshold, threshold * counts)


def poisson_negative_log_likelihood(
    x: Float[Array, "*shape"], counts: ArrayLike
) -> Float[Array, ""]:
    """Sum over the entries of x - counts * log(x), for rates x >= 0; infinite where undefined.

    The constant log(counts!) is left out, and 0 * log(0) is 0.
    """
    counts = _per_entry(counts, x)
    log_x = jnp.log(jnp.where(x > 0, x, 1))
    at_zero = jnp.where((x == 0) & (counts == 0), x, jnp.inf)
    return jnp.sum(jnp.where(x > 0, x - counts * log_x, at_zero))


def log_barrier(v: Float[Array, "*shape"], threshold: ArrayLike) -> Float[Array, "*shape"]:
    """The proximal operator of -threshold * sum(log(x)): always positive for threshold > 0."""
    return _nonnegative_root(v, _per_entry(threshold, v))


def _nonnegative_root(
    total: Float[Array, "*shape"], product: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """The root x >= 0 of x^2 - total * x - product = 0, for product >= 0, without cancellation."""
    discriminant = total * total + 4 * product
    positive = discriminant > 0
    root = jnp.where(positive, jnp.sqrt(jnp.where(positive, discriminant, 1)), 0)
    larger = (jnp.where(total > 0, total, -total) + root) / 2
    # The roots multiply to -product, so the one of smaller modulus follows from the larger.
    smaller = product / jnp.where(larger > smallest_divisor(larger), larger, 1)
    return jnp.where(total > 0, larger, smaller)


def _per_entry(parameter: ArrayLike, v: Inexact[Array, "*shape"]) -> Array:
    return jnp.broadcast_to(parameter, jnp.shape(v))
