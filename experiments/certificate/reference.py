"""The exact hypergradient of a system, by dense linear algebra in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray

import unrolljax as uj
from experiments.certificate.system import System

NEWTON_STEPS = 20


def exact_gradient(system: System, solver: uj.Solver) -> NDArray:
    """Newton's method with dense Jacobians to rounding error, then a dense adjoint solve.

    On the support, where the condition holds on one only; that is found by a tight solve.
    """
    theta = jnp.asarray(system.theta)
    start = jax.tree.map(jnp.asarray, system.x0)
    stop = uj.Stop(max_steps=50_000, tol=1e-10)
    problem = system.problem_fn(theta)
    found = uj.solve(solver, problem, start, gradient=uj.Detach(), stop=stop).value
    flat, unravel = ravel_pytree(found)

    @jax.jit
    def condition(theta, flat):
        return ravel_pytree(solver.optimality(system.problem_fn(theta), unravel(flat)))[0]

    outer = jax.jit(jax.grad(lambda t, v: system.outer(t, unravel(v)), argnums=(0, 1)))
    by_x, by_theta = jax.jit(jax.jacfwd(condition, 1)), jax.jit(jax.jacfwd(condition, 0))
    mask = solver.support(problem, found)
    on = np.ones(flat.size, bool) if mask is None else np.asarray(ravel_pytree(mask)[0], bool)
    x = np.asarray(flat)
    for _ in range(NEWTON_STEPS):
        jacobian = np.asarray(by_x(theta, x))[np.ix_(on, on)]
        x = x.copy()
        x[on] -= np.linalg.solve(jacobian, np.asarray(condition(theta, x))[on])
    jacobian = np.asarray(by_x(theta, x))[np.ix_(on, on)]
    direct, w = outer(theta, x)
    adjoint = np.linalg.solve(jacobian.T, np.asarray(w)[on])
    return np.asarray(direct) - np.asarray(by_theta(theta, x))[on].T @ adjoint
