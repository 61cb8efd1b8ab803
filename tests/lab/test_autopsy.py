"""A failed step is repeated, and what made it fail is named."""

import jax
import jax.numpy as jnp
import numpy as np
import toy

import unrolljax as uj
from unrolljax.lab.autopsy import explain
from unrolljax.lab.first_nan import first_nan


def explained(**changes):
    outer = toy.outer(**changes)
    data = outer.experiment.data
    state = jax.device_get(outer.first(outer.learned(), data, np.uint32(0))[0])
    return explain(outer, state, 0)


def with_loss(function):
    def loss(weights, scale, batch, carry):
        outcome = toy.loss(weights, scale, batch, carry)
        return outcome._replace(loss=outcome.loss + function(weights.log_weight))

    return loss


def test_the_primitive_of_the_loss():
    reason = explained(loss=with_loss(lambda w: jnp.sum(jnp.log(w - 1))))
    assert "loss is not a number" in reason
    assert "made by log at" in reason
    assert "test_autopsy.py" in reason


def test_the_primitive_inside_a_solve():
    def broken(weights, scale, batch, carry):
        problem = toy.Ridge(batch.seen[0], jnp.exp(weights.log_weight))
        solver = uj.FixedPoint(lambda problem, x: jnp.sqrt(x - 1) + problem.seen)
        stop = uj.Stop(20, tol=None)
        solution = uj.solve(solver, problem, jnp.zeros(3), gradient=uj.Unroll(), stop=stop)
        return toy.loss(weights, scale, batch, carry)._replace(
            loss=jnp.sum(solution.value), status=solution.status
        )

    assert "made by sqrt at" in explained(loss=broken)


def test_the_primitive_of_the_gradient():
    reason = explained(loss=with_loss(lambda w: jnp.sqrt(jnp.sum(w**2))))
    assert "gradient is not a number" in reason
    assert "made by " in reason


def test_failed_solves_come_with_their_advice():
    def loss(*arguments):
        return toy.loss(*arguments, max_steps=2)

    reason = explained(loss=loss)
    assert reason.startswith("8 of 8 solves failed (problems 0, 1, 2, 3, 4, 5, 6, 7).")
    assert "Raise Stop(max_steps=...)" in reason


def test_an_overflow():
    reason = explained(loss=with_loss(lambda w: jnp.exp(jnp.sum(w) + 800.0)))
    assert "overflowed" in reason


def test_a_healthy_step_makes_no_nan():
    outer = toy.outer()
    data = outer.experiment.data
    state, batch = outer.first(outer.learned(), data, np.uint32(0))
    assert first_nan(lambda p: outer.slope(p, data, batch, None), state.parameters) is None
