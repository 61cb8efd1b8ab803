"""All gradient modes and finite differences side by side: what is right, and what it costs."""

import dataclasses
import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import tree_leaves, tree_map
from jaxtyping import Array, Float, PyTree

from unrolljax.core import trees
from unrolljax.core.solver import Solver
from unrolljax.core.stop import Stop
from unrolljax.gradients.checks.comparison import Comparison, Row, ratio
from unrolljax.gradients.checks.differences import (
    Differences,
    Evaluation,
    Loss,
    TightlySolved,
    difference,
    names,
    random_directions,
)
from unrolljax.gradients.implicit import Implicit
from unrolljax.gradients.mode import GradientMode
from unrolljax.gradients.neumann import Neumann
from unrolljax.gradients.one_step import OneStep
from unrolljax.gradients.solve import solve
from unrolljax.gradients.truncated import Truncated
from unrolljax.gradients.unroll import Unroll

RUNS, SECONDS = 5, 2.0
"""A compiled gradient runs, after a first time, this often or this long; the median counts."""


class SolvedLoss(eqx.Module):
    """`theta -> outer(theta, x)` with x the solution of `problem_fn(theta)`."""

    outer: Callable
    problem_fn: Callable
    solver: Solver
    x0: PyTree[Array]
    stop: Stop
    gradient: GradientMode

    def __call__(self, theta: PyTree[Array]) -> Evaluation:
        """The outer objective, the status of the solve, and the support of its solution."""
        problem = self.problem_fn(theta)
        solution = solve(self.solver, problem, self.x0, gradient=self.gradient, stop=self.stop)
        support = self.solver.support(problem, solution.value)
        return Evaluation(self.outer(theta, solution.value), solution.status, support)


def check(
    outer: Callable[[Any, PyTree[Array]], Float[Array, ""]],
    solver: Solver,
    problem_fn: Callable[[Any], Any],
    theta: PyTree[Array],
    x0: PyTree[Array],
    *,
    modes: Mapping[str, GradientMode] | None = None,
    stop: Stop | None = None,
    directions: int = 4,
    seed: int = 0,
) -> Comparison:
    """Compare the gradient of `outer(theta, x)` in every mode with finite differences.

    x solves `problem_fn(theta)`. Each mode runs in the precision of theta and x0 and with `stop`;
    the differences are taken in float64 of the tightly solved problem, along random directions, so
    that an error is that of mode and stop together.

    - `theta`: a pytree of inexact arrays.
    - `modes`: by name; None: unroll, truncated (automatic depth), one_step, neumann, implicit and
      implicit_both (`ad="both"`).
    - `directions`, `seed`: how many, and which.

    A mode that cannot serve is a row "refused: reason"; what goes wrong without any mode (a wrong
    `outer` or `problem_fn`) raises. Runs on the host: not under jit.
    """
    modes = _default_modes() if modes is None else modes
    stop = Stop() if stop is None else stop
    theta, x0 = (tree_map(jnp.asarray, tree) for tree in (theta, x0))
    _check_arguments(theta, modes, directions)
    implicit = next((name for name, mode in modes.items() if isinstance(mode, Implicit)), None)

    def loss(mode: GradientMode) -> SolvedLoss:
        return trees.arrays(SolvedLoss(outer, problem_fn, solver, x0, stop, mode))

    def losses():
        dtype = min((leaf.dtype for leaf in tree_leaves(x0)), key=lambda d: jnp.finfo(d).bits)
        for name, mode in modes.items():
            try:
                # Here, while tolerances are Python numbers and can still be judged.
                mode.check(solver, stop, dtype)
                yield name, loss(mode)
            except (TypeError, ValueError) as error:
                yield name, error

    return compare(losses(), loss(TightlySolved()), theta, implicit, directions, seed)


def compare(
    losses: Iterable[tuple[str, Loss | Exception]],
    reference: Loss,
    theta: PyTree[Array],
    implicit: str | None,
    directions: int = 4,
    seed: int = 0,
) -> Comparison:
    """Measure each loss, one after the other, against finite differences of `reference` at theta.

    - `losses`: by name, callable pytrees `theta -> Evaluation` that compute the same and differ in
      their gradient; an exception instead of one says why there is none.
    - `implicit`: the name of the one to whose gradient the others are compared.

    Raises TypeError where the reference is no real scalar.
    """
    value = eqx.filter_eval_shape(reference, theta).value
    if value.shape != () or not jnp.issubdtype(value.dtype, jnp.floating):
        raise TypeError(f"The loss must be a real scalar, not {value.dtype}{list(value.shape)}.")
    along = random_directions(theta, directions, seed)
    differences = difference(reference, theta, along)
    measured = [_measure(name, loss, theta) for name, loss in losses]
    gradients = {row.name: gradient for row, gradient in measured}
    judged = (_judge(row, gradients, implicit, along, differences) for row, _ in measured)
    return Comparison(tuple(judged), differences)


def _measure(name: str, loss: Loss | Exception, theta: PyTree[Array]) -> tuple[Row, Any]:
    """The costs of one gradient, and the gradient, flat; None where it was refused."""
    try:
        if isinstance(loss, Exception):
            raise loss
        begun = time.perf_counter()
        compiled: Any = _differentiate.lower(loss, theta).compile()  # pyright: ignore
        compile_seconds = time.perf_counter() - begun
        needed = compiled.compiled.memory_analysis().temp_size_in_bytes
        if needed > (free := _free_bytes()):
            raise MemoryError(f"needs {needed / 1e6:.0f} MB, and {free / 1e6:.0f} MB are free")
        outcome, gradient = jax.block_until_ready(compiled(loss, theta))
        seconds = _time(lambda: compiled(loss, theta))
    # JAX reports memory that is not there, when a program runs, as a JaxRuntimeError.
    except (TypeError, ValueError, MemoryError, jax.errors.JaxRuntimeError) as error:
        reason = str(error).strip() or type(error).__name__
        return Row(name, f"refused: {' '.join(reason.split())}"), None
    row = Row(
        name,
        ", ".join(f"{n} {k}" if n > 1 else k for k, n in names(outcome.status).items()) or "-",
        value=float(outcome.value),
        compile_seconds=compile_seconds,
        run_milliseconds=1e3 * float(np.median(seconds)),
        temporary_megabytes=needed / 1e6,
    )
    return row, _flat(tree_map(np.conj, gradient))


def _judge(
    row: Row,
    gradients: Mapping[str, Any],
    implicit: str | None,
    along: list[PyTree],
    differences: Differences,
) -> Row:
    """The row with its errors."""
    gradient, best = gradients[row.name], gradients.get(implicit or "")
    if gradient is None:
        return row
    slopes = np.asarray([gradient @ _flat(direction) for direction in along])
    ours, theirs = slopes[~differences.kinks], differences.slopes[~differences.kinks]
    sizes = np.linalg.norm(ours) * np.linalg.norm(theirs)
    return dataclasses.replace(
        row,
        slopes=tuple(slopes.tolist()),
        error=ratio(np.linalg.norm(ours - theirs), np.linalg.norm(theirs)),
        cosine=float(ours @ theirs / sizes) if sizes else (0.0 if ours.size else np.nan),
        from_implicit=np.nan
        if best is None
        else ratio(np.linalg.norm(gradient - best), np.linalg.norm(best)),
    )


@eqx.filter_jit
def _differentiate(loss: Loss, theta: PyTree[Array]) -> tuple[Evaluation, PyTree[Array]]:
    def value(theta):
        outcome = loss(theta)
        return outcome.value, outcome

    (_, outcome), gradient = jax.value_and_grad(value, has_aux=True)(theta)
    return outcome, gradient


def _time(function: Callable) -> list[float]:
    """Seconds of some runs."""
    seconds = []
    while len(seconds) < RUNS and sum(seconds) < SECONDS:
        begun = time.perf_counter()
        jax.block_until_ready(function())
        seconds.append(time.perf_counter() - begun)
    return seconds


def _flat(tree: PyTree) -> Float[np.ndarray, " numbers"]:
    """All numbers of a pytree in float64, imaginary parts behind the real ones."""
    leaves = [np.ravel(leaf) for leaf in tree_leaves(tree)]
    parts = [
        f(v) for v in leaves for f in ((np.real, np.imag) if np.iscomplexobj(v) else (np.real,))
    ]
    return np.concatenate(parts, dtype=float)


def _free_bytes() -> float:
    """The memory that a program may still take on the device where it will run."""
    counters = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in counters:
        return counters["bytes_limit"] - counters["bytes_in_use"]
    meminfo = Path("/proc/meminfo")  # of Linux; elsewhere the system itself has to refuse
    found = (
        re.search(r"MemAvailable:\s*(\d+) kB", meminfo.read_text()) if meminfo.exists() else None
    )
    return 1024 * int(found[1]) if found else np.inf


def _default_modes() -> dict[str, GradientMode]:
    return {
        "unroll": Unroll(),
        "truncated": Truncated(),
        "one_step": OneStep(),
        "neumann": Neumann(),
        "implicit": Implicit(),
        "implicit_both": Implicit(ad="both"),
    }


def _check_arguments(
    theta: PyTree[Array], modes: Mapping[str, GradientMode], directions: int
) -> None:
    leaves = tree_leaves(theta)
    if not leaves or not all(jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in leaves):
        dtypes = sorted({str(leaf.dtype) for leaf in leaves})
        raise TypeError(f"theta must hold float or complex arrays, not {dtypes or 'nothing'}.")
    for name, mode in modes.items():
        if not isinstance(mode, GradientMode):
            raise TypeError(f"modes[{name!r}] must be a GradientMode, not {type(mode).__name__}.")
    if directions < 1:
        raise ValueError(f"directions={directions} must be at least 1.")
