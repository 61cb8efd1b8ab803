"""Every mode's gradient error on quadratic problems of prescribed condition, and its estimate.

The inner problem is `x' H x / 2 - x' (B theta + b)` with a geometric spectrum, the outer one
`|x - t|^2 / 2`: the gradient is `B' H^-1 (x - t)`.
"""

from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import unrolljax as uj
from unrolljax.gradients.certificate.certify import certify

SIZE, PARAMETERS = 100, 20
CONDITIONS, QUICK_CONDITIONS = (1e1, 1e2, 1e3, 1e4, 1e5), (1e1, 1e3)
ROUNDING, FACTOR = 1e-10, 10.0
"""An estimate counts between these true errors and 1, and must be within this factor."""

MODES = {
    "implicit": uj.Implicit(),
    "implicit, adjoint to 1e-3": uj.Implicit(linear_solver="cg", tol=1e-3),
    "unrolled": uj.Unroll(),
    "truncated, automatic": uj.Truncated(),
    "truncated, 100 steps": uj.Truncated(depth=100),
    "Neumann, 100 terms": uj.Neumann(100),
    "one step": uj.OneStep(),
}
QUICK_MODES = ("implicit", "truncated, 100 steps", "one step")
HEADER = f"{'mode':28}{'condition':>10}{'true error':>12}{'estimate':>11}{'ratio':>8}  status"


class Row(NamedTuple):
    """The relative error of a gradient, what it was estimated to be, and the estimate's status."""

    mode: str
    condition: float
    true: float
    estimated: float
    status: str


def measure(quick: bool) -> list[Row]:
    """Every mode at every condition, solved by heavy-ball steps."""
    conditions = QUICK_CONDITIONS if quick else CONDITIONS
    # The same number of steps for all conditions: each mode compiles once.
    stop = uj.Stop(max_steps=100 + int(20 * np.sqrt(max(conditions))), tol=1e-9)
    modes = QUICK_MODES if quick else tuple(MODES)
    return [_row(name, condition, stop) for name in modes for condition in conditions]


def table(rows: list[Row]) -> str:
    """The rows as text."""
    lines = [
        f"{row.mode:28}{row.condition:10.0e}{row.true:12.1e}{row.estimated:11.1e}"
        f"{_ratio(row):>8}  {row.status}"
        for row in rows
    ]
    return "\n".join([f"quadratic, {SIZE} unknowns", HEADER, "-" * len(HEADER), *lines])


def _ratio(row: Row) -> str:
    return f"{row.estimated / row.true:.2f}" if row.true > ROUNDING else "-"


def missed(rows: list[Row]) -> Iterable[str]:
    """A sentence for each estimate that claims to be good and is not."""
    for row in rows:
        if row.status == "CONVERGED" and ROUNDING < row.true < 1:
            ratio = row.estimated / row.true
            if not 1 / FACTOR <= ratio <= FACTOR:
                where = f"{row.mode}, condition {row.condition:g}"
                yield f"{where}: the estimate is {ratio:.2g} times the error"


def _row(name: str, condition: float, stop: uj.Stop) -> Row:
    rng = np.random.default_rng(0)
    spectrum = np.geomspace(1 / condition, 1, SIZE)
    vectors = np.linalg.qr(rng.standard_normal((SIZE, SIZE)))[0]
    mixing, offset = rng.standard_normal((SIZE, PARAMETERS)), rng.standard_normal(SIZE)
    aim, theta = rng.standard_normal(SIZE), rng.standard_normal(PARAMETERS)
    inverse = (vectors / spectrum) @ vectors.T
    exact = mixing.T @ inverse @ (inverse @ (mixing @ theta + offset) - aim)

    hessian, mixing, offset, aim = map(
        jnp.asarray, ((vectors * spectrum) @ vectors.T, mixing, offset, aim)
    )
    root = np.sqrt(condition)
    step_size, momentum = 4 / (1 + 1 / root) ** 2, ((root - 1) / (root + 1)) ** 2
    solver = uj.GradientDescent(jnp.asarray(step_size), jnp.asarray(momentum))
    found = certify(
        jax.tree_util.Partial(_outer, aim),
        solver,
        jax.tree_util.Partial(_problem, hessian, mixing, offset),
        jnp.asarray(theta),
        jnp.zeros(SIZE),
        gradient=MODES[name],
        stop=stop,
    )
    true = float(np.linalg.norm(found.gradient - exact) / np.linalg.norm(exact))
    return Row(name, condition, true, float(found.error), uj.Status(int(found.status)).name)


def _outer(aim, theta, x):
    del theta
    return jnp.sum((x - aim) ** 2) / 2


def _problem(hessian, mixing, offset, theta):
    return uj.Objective(_quadratic, (hessian, mixing @ theta + offset))


def _quadratic(parameters, x):
    hessian, b = parameters
    return x @ hessian @ x / 2 - b @ x
