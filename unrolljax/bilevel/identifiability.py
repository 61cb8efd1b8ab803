"""What the data say about the parameters of a fit, and which ones they do not determine."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from unrolljax.bilevel.laplace import INVOLVED, default_threshold, laplace, quantile
from unrolljax.bilevel.least_squares import Fit
from unrolljax.bilevel.parameters import entry_names
from unrolljax.bilevel.profile import Profiles, profiles
from unrolljax.core.status import Status, describe
from unrolljax.solvers.real_vector import to_vector

STRONG_CORRELATION = 0.99
LOWER_COST = 1e-3
"""A profile that falls this far below the fit, in units of s^2 / 2, has found a better minimum."""


class Identifiability(eqx.Module):
    """An identifiability report; entries are those of theta in the order of `names`.

    - `singular_values`: of the Jacobian (of residuals and priors), columns of unit norm; falling.
    - `deviations`, `correlation`, `intervals`: of the Laplace approximation; 95 %, by Student's t,
      or the normal distribution where the noise is known. NaN unless the fit converged.
    - `undetermined`: entries that take part in a direction that the data leave open;
      `open_directions` is the projector on all of these, in scaled parameters.
    - `on_bound`: entries that a bound holds fixed.
    - `profiles`: profile likelihoods, None if not asked for.
    """

    theta: PyTree[Array]
    status: Int[Array, ""]
    singular_values: Float[Array, " n"]
    deviations: Float[Array, " n"]
    correlation: Float[Array, "n n"]
    intervals: Float[Array, "n 2"]
    undetermined: Bool[Array, " n"]
    on_bound: Bool[Array, " n"]
    open_directions: Float[Array, "n n"]
    freedom: Float[Array, ""]
    profiles: Profiles | None

    @property
    def names(self) -> list[str]:
        """A name for every entry: its path in theta."""
        return entry_names(self.theta)

    def warnings(self) -> list[str]:
        """Plain sentences on what the data do not determine, and on what else to doubt."""
        return [*_failures(self), *_open(self), *_strong_correlations(self), *_of_profiles(self)]

    def __str__(self) -> str:
        columns = ["value", "deviation", "95 % from", "to"]
        numbers = [to_vector(self.theta)[0], self.deviations, *self.intervals.T]
        if self.profiles is not None:
            columns += ["profile from", "to"]
            numbers += [*self.profiles.intervals.T]
        width = max(9, *map(len, self.names))
        rows = np.stack([np.asarray(column) for column in numbers], axis=1)
        lines = [" ".join([" " * width, *(f"{name:>12}" for name in columns)])]
        for name, row in zip(self.names, rows, strict=True):
            lines.append(" ".join([f"{name:{width}}", *(f"{number:12.5g}" for number in row)]))
        values = ", ".join(f"{value:.2g}" for value in np.asarray(self.singular_values))
        return "\n".join([*lines, f"singular values: {values}", *self.warnings()])


def identifiability(
    fit: Fit, *, points: int = 8, threshold: float | Array | None = None
) -> Identifiability:
    """Singular values, Laplace approximation, profile likelihoods of a fit; print it.

    - `fit`: from `least_squares`; `least_squares(..., max_steps=0)` judges parameters from
      elsewhere.
    - `points`: values at which a profile refits the other parameters, on either side; 0 for none.
    - `threshold`: singular values below this fraction of the largest count as zero; by default the
      square root of the rounding unit, 1.5e-8 in float64. Raise it to at least the tolerance of an
      inner solve's adjoint.

    Compiled once per structure; works under jit and vmap (print the elements of a batch).
    """
    dtype = fit.cost.dtype
    small = default_threshold(dtype) if threshold is None else jnp.asarray(threshold, dtype)
    return _report(fit, points, small)


@eqx.filter_jit
def _report(fit: Fit, points: int, threshold: Array) -> Identifiability:
    problem, v = fit.problem, to_vector(fit.theta)[0]
    found = laplace(problem, v, threshold)
    converged = fit.status == Status.CONVERGED
    covariance = jnp.where(converged, found.covariance, jnp.nan)
    deviations = jnp.sqrt(jnp.diagonal(covariance))
    half_width = quantile(found.freedom, problem.noise_is_known)
    margin = half_width * deviations
    curves = None
    if points:
        max_steps, tol = jnp.asarray(50, jnp.int32), default_threshold(v.dtype)
        curves = profiles(
            problem, v, found._replace(covariance=covariance), half_width, points, max_steps, tol
        )
    return Identifiability(
        fit.theta,
        fit.status,
        found.singular_values,
        deviations,
        covariance / jnp.outer(deviations, deviations),
        jnp.stack([v - margin, v + margin], axis=1),
        found.undetermined,
        found.on_bound,
        found.open_directions,
        found.freedom,
        curves,
    )


def _failures(report: Identifiability) -> list[str]:
    status, said = Status(int(report.status)), []
    if status.failed:
        said.append(
            f"The fit failed ({describe(status).split(':')[0]}): there are no standard deviations, "
            "intervals or profiles; the singular values are those where it ended."
        )
    if int(report.freedom) <= 0:
        said.append(
            "There are no more residuals than determined parameters: the noise cannot be "
            "estimated. Add data or pass noise_is_known=True."
        )
    fixed = [name for name, on in zip(report.names, report.on_bound, strict=True) if on]
    if fixed:
        said.append(
            f"A bound holds {_listed(fixed)}: no standard deviation; those of the others hold it "
            "fixed."
        )
    return said


def _open(report: Identifiability) -> list[str]:
    """One sentence for each group of parameters that share open directions."""
    projector, names = np.asarray(report.open_directions), report.names
    remaining, said = list(np.flatnonzero(report.undetermined)), []
    while remaining:
        group, last = {remaining[0]}, set()
        while group != last:
            last = set(group)
            joined = np.abs(projector[sorted(group)]).max(axis=0) >= INVOLVED**2
            group |= {j for j in remaining if joined[j]}
        remaining = [j for j in remaining if j not in group]
        said.append(_undetermined([names[j] for j in sorted(group)]))
    return said


def _undetermined(names: list[str]) -> str:
    if len(names) == 1:
        return (
            f"The data do not determine {names[0]}: the residuals do not depend on it here. Its "
            "value says nothing. Fix it by equal bounds, give a prior, or add data that show it."
        )
    return (
        f"The data do not determine {_listed(names)}: only combinations of them. Their values say "
        "nothing singly. Fix some by equal bounds, give priors, or add data that tell them apart."
    )


def _strong_correlations(report: Identifiability) -> list[str]:
    correlation, names = np.abs(np.asarray(report.correlation)), report.names
    pairs = [
        f"{names[i]} and {names[j]} ({report.correlation[i, j]:.4f})"
        for i, j in np.argwhere(np.triu(correlation, 1) > STRONG_CORRELATION)
    ]
    return [f"Strongly correlated: {_listed(pairs)}."] if pairs else []


def _of_profiles(report: Identifiability) -> list[str]:
    if report.profiles is None:
        return []
    said, rise = [], np.asarray(report.profiles.rise)
    better = [n for n, row in zip(report.names, rise, strict=True) if np.any(row < -LOWER_COST)]
    if better:
        said.append(
            f"The profile of {_listed(better)} found a lower cost than the fit, which is only a "
            "local minimum. Give starts=..."
        )
    ends = np.asarray(report.profiles.intervals)
    endless = [n for n, row in zip(report.names, ends, strict=True) if np.any(np.isinf(row))]
    if endless:
        said.append(
            f"The likelihood of {_listed(endless)} does not fall to its 95 % level within twice "
            "the Laplace interval: the data bound it on one side at most, or hardly."
        )
    return said


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
