"""Proximal operators that act on the singular values or eigenvalues of one matrix.

The derivatives are written out, because those of the factorisations divide by differences of
singular values. The divided differences of a soft threshold lie in [0, 1] and are known without
division where values repeat, so the first derivative is exact for repeated values too; for a value
at the threshold, where there is none, it is the one from above. Source: Candes, Sing-Long and
Trzasko, "Unbiased risk estimates for singular value thresholding" (2013). Second derivatives go
through the factorisation and need distinct values. Use `jax.vmap` for batches.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Inexact


def nuclear(v: Inexact[Array, "m n"], threshold: ArrayLike) -> Inexact[Array, "m n"]:
    """Singular value soft thresholding: the proximal operator of threshold * nuclear_norm(x)."""
    return _threshold_singular_values(v, jnp.asarray(threshold, jnp.finfo(v.dtype).dtype))


def nuclear_norm(x: Inexact[Array, "m n"]) -> Float[Array, ""]:
    """Sum of the singular values; its derivative is a subgradient where it is not smooth."""
    return jnp.sum(jnp.linalg.svd(x, compute_uv=False))


def project_positive_semidefinite(v: Inexact[Array, "n n"]) -> Inexact[Array, "n n"]:
    """The positive semidefinite matrix nearest to the Hermitian part of v, in Frobenius norm."""
    return _ramp_eigenvalues((v + jnp.conj(v.T)) / 2)


@jax.custom_jvp
def _threshold_singular_values(
    v: Inexact[Array, "m n"], threshold: Float[Array, ""]
) -> Inexact[Array, "m n"]:
    U, values, Vh = jnp.linalg.svd(v, full_matrices=False)
    return _compose(U, jax.nn.relu(values - threshold), Vh)


@_threshold_singular_values.defjvp
def _threshold_singular_values_jvp(primals, tangents):
    v, threshold = primals
    v_dot, threshold_dot = tangents
    U, values, Vh = jnp.linalg.svd(v, full_matrices=False)
    active = values >= threshold
    slopes = _ramp_slopes(values, threshold)
    mirrored_slopes = _ramp_slopes_to_mirror_image(values, threshold)
    scale = jnp.diagonal(mirrored_slopes).astype(v.dtype)

    rows, columns = jnp.conj(U.T) @ v_dot, v_dot @ jnp.conj(Vh.T)
    core = rows @ jnp.conj(Vh.T)
    hermitian, skew = (core + jnp.conj(core.T)) / 2, (core - jnp.conj(core.T)) / 2
    core_dot = slopes.astype(v.dtype) * hermitian + mirrored_slopes.astype(v.dtype) * skew
    columns_outside = columns - U @ core  # zero where U is square, as rows_outside where Vh is
    rows_outside = rows - core @ Vh
    dot = (U @ core_dot + columns_outside * scale[None, :]) @ Vh
    dot += U @ (scale[:, None] * rows_outside)
    dot -= _compose(U, active.astype(values.dtype) * threshold_dot, Vh)
    return _compose(U, jax.nn.relu(values - threshold), Vh), dot


@jax.custom_jvp
def _ramp_eigenvalues(hermitian: Inexact[Array, "n n"]) -> Inexact[Array, "n n"]:
    values, Q = jnp.linalg.eigh(hermitian, symmetrize_input=False)
    return _compose(Q, jax.nn.relu(values), jnp.conj(Q.T))


@_ramp_eigenvalues.defjvp
def _ramp_eigenvalues_jvp(primals, tangents):
    (hermitian,), (hermitian_dot,) = primals, tangents
    values, Q = jnp.linalg.eigh(hermitian, symmetrize_input=False)
    Qh = jnp.conj(Q.T)
    slopes = _ramp_slopes(values, jnp.zeros_like(values[0])).astype(hermitian.dtype)
    dot = Q @ (slopes * (Qh @ hermitian_dot @ Q)) @ Qh
    return _compose(Q, jax.nn.relu(values), Qh), dot


def _compose(
    left: Inexact[Array, "m k"], values: Float[Array, " k"], right: Inexact[Array, "k n"]
) -> Inexact[Array, "m n"]:
    return (left * values.astype(left.dtype)[None, :]) @ right


def _ramp_slopes(x: Float[Array, " k"], threshold: Float[Array, ""]) -> Float[Array, "k k"]:
    """Divided differences (f(x_i) - f(x_j)) / (x_i - x_j) of f(x) = max(0, x - threshold).

    They are 1 if both are at or above the threshold and 0 if both are below, equal or not.
    """
    active, ramp = x >= threshold, jax.nn.relu(x - threshold)
    crossing = active[:, None] != active[None, :]
    gap = jnp.where(crossing, x[:, None] - x[None, :], 1)
    quotient = (ramp[:, None] - ramp[None, :]) / gap
    return jnp.where(crossing, quotient, active[:, None].astype(x.dtype))


def _ramp_slopes_to_mirror_image(
    x: Float[Array, " k"], threshold: Float[Array, ""]
) -> Float[Array, "k k"]:
    """Divided differences (f(x_i) + f(x_j)) / (x_i + x_j) of the odd continuation of f, x >= 0."""
    active, ramp = x >= threshold, jax.nn.relu(x - threshold)
    total = x[:, None] + x[None, :]
    quotient = (ramp[:, None] + ramp[None, :]) / jnp.where(total > 0, total, 1)
    return jnp.where(total > 0, quotient, active[:, None].astype(x.dtype))
