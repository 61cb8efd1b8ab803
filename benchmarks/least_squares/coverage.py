"""How often 95 % intervals hold the truth: synthetic data sets, one vmapped program."""

import jax
import jax.numpy as jnp

from unrolljax import bilevel

REPLICATES = 200
TRUTH = (2.0, 0.7, 0.3)


def _model(theta, x):
    return theta[0] * jnp.exp(-theta[1] * x) + theta[2]


def _residuals(theta, x, y):
    return y - _model(theta, x)


@jax.jit
def _reports(start, x, data):
    def report(y):
        fit = bilevel.least_squares(_residuals, start, args=(x, y))
        return fit.status, bilevel.identifiability(fit, points=0).intervals

    return jax.vmap(report)(data)


def coverage(seed: int) -> tuple[list[float], int]:
    """Share of intervals that hold the truth, by parameter, and how many fits failed."""
    x, truth = jnp.linspace(0.0, 6.0, 25), jnp.asarray(TRUTH)
    noise = 0.05 * jax.random.normal(jax.random.key(seed), (REPLICATES, x.size))
    status, intervals = _reports(jnp.ones(3), x, _model(truth, x)[None] + noise)
    inside = (intervals[..., 0] <= truth) & (truth <= intervals[..., 1])
    return [float(share) for share in inside.mean(axis=0)], int(jnp.sum(status != 0))
