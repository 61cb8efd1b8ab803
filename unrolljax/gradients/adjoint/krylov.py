"""Krylov methods on a flat vector that stop on the residual and never raise.

lineax provides LU and GMRES; these three are our own, because in float32 lineax 0.1.1 takes a
curvature below `100 n eps` of the squared direction for a breakdown of CG (at n = 80,000 that is
any Hessian with an eigenvalue below one) and a negative inner product for one of BiCGStab, and
because its normal equations stop on the residual of `A^T A u = A^T b`.

Each solves `A u = b` until `|b - A u| <= tol` and returns u and the number of iterations. On a
breakdown it ends with what it has; the caller measures the residual.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Vector = Float[Array, " n"]
Linear = Callable[[Vector], Vector]
Solved = tuple[Vector, Int[Array, ""]]


def conjugate_gradients(
    matvec: Linear,
    b: Vector,
    tol: Float[Array, ""],
    max_steps: int,
    precondition: Linear | None = None,
    guess: Vector | None = None,
) -> Solved:
    """CG (Hestenes & Stiefel 1952); ends at a direction without positive curvature."""
    precondition = precondition or _identity
    u, r = _start(matvec, b, guess)

    def unfinished(carry):
        _, r, _, gamma, steps = carry
        return (jnp.vdot(r, r) > tol**2) & (gamma > 0) & (steps < max_steps)

    def advance(carry):
        u, r, p, gamma, steps = carry
        image = matvec(p)
        curvature = jnp.vdot(p, image)
        alpha = jnp.where(curvature > 0, gamma / curvature, jnp.nan)
        r = r - alpha * image
        z = precondition(r)
        new_gamma = jnp.vdot(r, z)
        return u + alpha * p, r, z + (new_gamma / gamma) * p, new_gamma, steps + 1

    z = precondition(r)
    start = (u, r, z, jnp.vdot(r, z), jnp.zeros((), jnp.int32))
    u, *_, steps = jax.lax.while_loop(unfinished, advance, start)
    return u, steps


def bicgstab(
    matvec: Linear,
    b: Vector,
    tol: Float[Array, ""],
    max_steps: int,
    precondition: Linear | None = None,
    guess: Vector | None = None,
) -> Solved:
    """BiCGStab with right preconditioning (van der Vorst 1992)."""
    precondition = precondition or _identity
    u, shadow = _start(matvec, b, guess)

    def unfinished(carry):
        _, r, _, rho, steps = carry
        return (jnp.vdot(r, r) > tol**2) & (rho != 0) & (steps < max_steps)

    def advance(carry):
        u, r, p, rho, steps = carry
        forward = precondition(p)
        image = matvec(forward)
        alpha = rho / jnp.vdot(shadow, image)
        s = r - alpha * image
        backward = precondition(s)
        turn = matvec(backward)
        square = jnp.vdot(turn, turn)
        omega = jnp.vdot(turn, s) / jnp.where(square > 0, square, 1)
        r = s - omega * turn
        new_rho = jnp.vdot(shadow, r)
        p = r + (new_rho / rho) * (alpha / omega) * (p - omega * image)
        return u + alpha * forward + omega * backward, r, p, new_rho, steps + 1

    start = (u, shadow, shadow, jnp.vdot(shadow, shadow), jnp.zeros((), jnp.int32))
    u, *_, steps = jax.lax.while_loop(unfinished, advance, start)
    return u, steps


def cgls(matvec: Linear, b: Vector, tol: Float[Array, ""], max_steps: int) -> Solved:
    """CG on the normal equations without forming them (CGLS; Bjorck 1996, section 7.4.1).

    It cannot break down, and takes iterations like the condition number, not its root.
    """
    transposed = jax.linear_transpose(matvec, b)

    def unfinished(carry):
        _, r, _, gamma, steps = carry
        return (jnp.vdot(r, r) > tol**2) & (gamma > 0) & (steps < max_steps)

    def advance(carry):
        u, r, p, gamma, steps = carry
        (slope,) = transposed(r)
        new_gamma = jnp.vdot(slope, slope)
        p = slope + (new_gamma / gamma) * p
        image = matvec(p)
        alpha = new_gamma / jnp.vdot(image, image)
        return u + alpha * p, r - alpha * image, p, new_gamma, steps + 1

    nothing = jnp.zeros_like(b)
    start = (nothing, b, nothing, jnp.ones((), b.dtype), jnp.zeros((), jnp.int32))
    u, *_, steps = jax.lax.while_loop(unfinished, advance, start)
    return u, steps


def _start(matvec: Linear, b: Vector, guess: Vector | None) -> tuple[Vector, Vector]:
    """The first iterate and its residual."""
    return (jnp.zeros_like(b), b) if guess is None else (guess, b - matvec(guess))


def _identity(v: Vector) -> Vector:
    return v
