"""One contraction under `Auto`, under `Truncated("auto")`, and under every fixed choice.

The unit of cost is a product with the step's Jacobian, transposed or not: a forward step counts
one; a series of k terms k, the last of them the pull-back to the parameters; an iteration of
BiCGStab two, of CG and GMRES one, LU one for each unknown; an implicit gradient two more, to
measure the residual and to pull back. Every choice runs under the same `Stop`. GMRES, in cycles of
20, counts as what the library offers (whole cycles) and, as "gmres at will", as if it could end at
the very iteration at which the true error is small enough.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import unrolljax as uj
from benchmarks.auto.contractions import Contraction, cotangent
from unrolljax.gradients.auto import Auto
from unrolljax.gradients.mode import run_untaped
from unrolljax.gradients.rate import measured_rate
from unrolljax.gradients.truncated import carry_back

STOP = uj.Stop(max_steps=20_000, tol=1e-5)
MAX_DEPTH = 20_000
ADJOINT_TOLERANCES = np.logspace(-1, -7, 13)
METHODS = {"cg": 1, "bicgstab": 2}
"""Linear solvers of a fixed implicit gradient, and the products that an iteration takes."""
RESTART, LONGEST_GMRES = 20, 400
"""Iterations of a cycle of GMRES, and of all of them."""

AT_WILL = "gmres at will"


class Outcome(NamedTuple):
    """Error over tol, whether it was reported as good, steps, and products of the backward pass."""

    error: float
    trusted: bool
    steps: int
    products: int

    @property
    def whole(self) -> int:
        """Products of the whole gradient."""
        return self.steps + self.products


class Row(NamedTuple):
    """The outcomes of a case.

    `best` is the cheapest choice in hindsight that the library offers, with its name; `ideal`
    includes GMRES ending at will. None where no choice was good enough.
    """

    kind: str
    auto: Outcome
    picked: str
    truncated: Outcome
    best: Outcome | None
    best_name: str
    ideal: Outcome | None


def contract(problem, x):
    """The map of a `Contraction`, whose arrays the problem holds."""
    matrix, shift, curvature = problem
    return matrix @ (x + curvature * (jnp.tanh(x) - x)) + shift


SOLVER = uj.FixedPoint(contract)


def arrays(case: Contraction) -> tuple:
    """The problem of a case."""
    return jnp.asarray(case.matrix), jnp.asarray(case.shift), jnp.asarray(case.curvature)


@jax.jit
def _forward(problem, tol):
    x0, auto = jnp.zeros_like(problem[1]), Auto(tol)
    return run_untaped(SOLVER, problem, x0, STOP), auto.run(SOLVER, problem, x0, STOP)


@jax.jit
def _auto(problem, tol, state, decision, w):
    bar, report = Auto(tol).pull_back(SOLVER, problem, state, decision, w)
    return bar[1][1], report


@jax.jit
def _truncated(problem, tol, x, rate, w):
    pull = jax.vjp(lambda v: contract(problem, v), x)[1]
    return carry_back(lambda v: pull(v)[0], w, rate, tol, MAX_DEPTH)


@jax.jit
def _implicit(problem, x, w):
    def by(method, tol):
        mode = uj.Implicit(linear_solver=method, tol=tol, on_failure="ignore")
        bar, _, report = mode.pull_back(SOLVER, problem, x, w)
        return bar[1][1], report.steps

    tols = jnp.asarray(ADJOINT_TOLERANCES)
    return {m: jax.vmap(lambda tol, m=m: by(m, tol))(tols) for m in METHODS}


def measure(case: Contraction) -> Row:
    """Everything about one case; errors are against the dense adjoint at the true solution."""
    problem, tol = arrays(case), jnp.asarray(case.tol)
    (plain, info), (state, auto_info, decision) = _forward(problem, tol)
    solution = _solution(case, np.asarray(state))
    jacobian = case.jacobian(solution)
    w = cotangent(case, jacobian)
    exact = np.linalg.solve(np.eye(len(w)) - jacobian.T, w)

    def outcome(adjoint, trusted, info, products) -> Outcome:
        error = float(np.linalg.norm(adjoint - exact) / np.linalg.norm(exact)) / case.tol
        good = bool(trusted) and int(info.status) == uj.Status.CONVERGED
        return Outcome(error, good, int(info.steps), int(products))

    bar, report = _auto(problem, tol, state, decision, w)
    carried = _truncated(problem, tol, plain, measured_rate(info), w)
    fixed = {
        name: outcome(adjoint, True, info, products)
        for name, adjoint, products in fixed_choices(case, plain, w, exact)
    }
    kept = {name: o for name, o in fixed.items() if o.error <= 1 and o.trusted}
    ideal = min(kept.values(), key=lambda o: o.products, default=None)
    kept.pop(AT_WILL, None)
    best = min(kept, key=lambda name: kept[name].products, default="")
    return Row(
        kind=case.kind,
        auto=outcome(bar, report.enough, auto_info, report.products),
        picked="truncated" if bool(decision.truncated) else "implicit",
        truncated=outcome(carried.total, carried.enough, info, carried.depth),
        best=kept.get(best),
        best_name=best,
        ideal=ideal,
    )


def fixed_choices(
    case: Contraction, x: jax.Array, w: np.ndarray, exact: np.ndarray
) -> Iterator[tuple[str, np.ndarray, int]]:
    """Name, adjoint and products of every fixed choice at x.

    The series of k terms is what OneStep (k = 1), Neumann(k) and Truncated(depth=k) compute there;
    of all k only the first that is good enough is of interest.
    """
    jacobian, n = case.jacobian(np.asarray(x)), len(w)
    total, term, depth = w, w, 1
    while np.linalg.norm(total - exact) > case.tol * np.linalg.norm(exact) and depth < MAX_DEPTH:
        term = jacobian.T @ term
        total, depth = total + term, depth + 1
        if not np.linalg.norm(term) > 1e-12 * np.linalg.norm(total):
            break
    yield f"series {depth}", total, depth
    yield "lu", np.linalg.solve(np.eye(n) - jacobian.T, w), n + 2
    adjoint, count = _gmres(np.eye(n) - jacobian.T, w, exact, case.tol)
    yield AT_WILL, adjoint, count + 2
    cycle = min(RESTART, n)
    yield "gmres", adjoint, (cycle + 1) * math.ceil(count / cycle) + 2
    for method, (bars, steps) in _implicit(arrays(case), x, w).items():
        for tol, bar, count in zip(ADJOINT_TOLERANCES, bars, steps, strict=True):
            yield f"{method} {tol:.0e}", np.asarray(bar), METHODS[method] * int(count) + 2


def _gmres(a: np.ndarray, b: np.ndarray, exact: np.ndarray, tol: float) -> tuple[np.ndarray, int]:
    """Restarted GMRES (Saad & Schultz 1986) that ends at a relative error of tol."""
    u, products, size = np.zeros_like(b), 0, np.linalg.norm(exact)
    for _ in range(LONGEST_GMRES // RESTART):
        start, r = u, b - a @ u
        basis = [r / np.linalg.norm(r)]
        hessenberg = np.zeros((RESTART + 1, RESTART))
        for j in range(RESTART):
            image, products = a @ basis[j], products + 1
            for i, v in enumerate(basis):
                hessenberg[i, j] = v @ image
                image = image - hessenberg[i, j] * v
            hessenberg[j + 1, j] = np.linalg.norm(image)
            rhs = np.linalg.norm(r) * np.eye(j + 2)[0]
            weights = np.linalg.lstsq(hessenberg[: j + 2, : j + 1], rhs, rcond=None)[0]
            u = start + weights @ np.asarray(basis)
            if np.linalg.norm(u - exact) <= tol * size:
                return u, products
            basis.append(image / hessenberg[j + 1, j])
    return u, products


def _solution(case: Contraction, x: np.ndarray) -> np.ndarray:
    """The fixed point near x, by Newton's method."""
    for _ in range(30):
        step = np.linalg.solve(np.eye(len(x)) - case.jacobian(x), x - case.apply(x))
        x = x - step
    return x if np.all(np.isfinite(x)) else np.full_like(x, math.nan)
