"""The same training by each gradient mode: PSNR, seconds and memory."""

import time
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

import unrolljax as uj
from experiments.pnp_admm.task import Task, sample
from unrolljax.imaging.training import EndToEnd, Equilibrium, Measured, Restorer


class Course(NamedTuple):
    """How a training went: PSNR in dB on the held-out crops before it and at every record.

    - `times`: seconds of training at each of them; compilation and evaluation apart.
    - `megabytes`: of temporary memory for a step; `failed`: solves that failed, of all.
    """

    psnr: NDArray
    times: NDArray
    megabytes: float
    failed: int

    def described(self, steps: int) -> dict[str, float]:
        """The numbers of a report."""
        return {
            "PSNR dB, before": float(self.psnr[0]),
            "PSNR dB, after": float(self.psnr[-1]),
            "seconds a step": float(self.times[-1]) / steps,
            "temporary MB": self.megabytes,
            "failed solves": self.failed,
        }


class Comparison(eqx.Module):
    """What every mode trains: a restorer, on crops of a task, judged by held-out ones.

    - `optimizer`: of the training; `penalty`: of `Equilibrium`.
    """

    task: Task
    start: Restorer
    stop: uj.Stop
    held_out: Measured
    optimizer: optax.GradientTransformation
    penalty: float = eqx.field(converter=jnp.asarray)  # pyright: ignore
    batch: int = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def course(self, mode: uj.GradientMode, steps: int, records: int) -> Course:
        """Train for so many steps, and record so often."""
        carry = (self.start, self.optimizer.init(eqx.filter(self.start, eqx.is_inexact_array)))  # pyright: ignore
        keys = jax.random.split(jax.random.key(0), steps)
        compiled: Any = _advance.lower(self, mode, carry, keys[0]).compile()  # pyright: ignore
        psnr, times, failed, spent = [float(_psnr(self, self.start))], [0.0], 0, 0.0
        for k, key in enumerate(keys, start=1):
            begun = time.perf_counter()
            carry, failures = jax.block_until_ready(compiled(self, mode, carry, key))
            spent, failed = spent + time.perf_counter() - begun, failed + int(failures)
            if k % (steps // records) == 0:
                psnr.append(float(_psnr(self, carry[0])))
                times.append(spent)
        megabytes = compiled.compiled.memory_analysis().temp_size_in_bytes / 1e6
        return Course(np.asarray(psnr), np.asarray(times), megabytes, failed)


@eqx.filter_jit
def _advance(
    comparison: Comparison,
    mode: uj.GradientMode,
    carry: tuple[Restorer, Any],
    key: Array,
) -> tuple[tuple[Restorer, Any], Int[Array, ""]]:
    """One step of training, and how many solves failed; a gradient that is not finite is left."""
    restorer, memory = carry
    batch = sample(comparison.task, key, comparison.batch, comparison.size)

    def error(restorer: Restorer) -> tuple[Array, Array]:
        loss = Equilibrium(mode, comparison.stop, comparison.penalty)
        found = loss(restorer, None, batch)
        return 10 * jnp.mean(jnp.log10(found.error)), found.status

    slope, status = eqx.filter_grad(error, has_aux=True)(restorer)
    updates, memory = comparison.optimizer.update(slope, memory, restorer)  # pyright: ignore
    after = (eqx.apply_updates(restorer, updates), memory)
    good = jnp.isfinite(optax.tree.norm(slope))
    failures = jnp.sum(status > uj.Status.COMPLETED, dtype=jnp.int32)
    return jax.tree.map(lambda new, old: jnp.where(good, new, old), after, carry), failures


@eqx.filter_jit
def _psnr(comparison: Comparison, restorer: Restorer) -> Float[Array, ""]:
    """The mean over the held-out crops."""
    found = EndToEnd(uj.Detach(), comparison.stop)(restorer, None, comparison.held_out)
    return -10 * jnp.mean(jnp.log10(found.error))
