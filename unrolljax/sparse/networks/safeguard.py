"""Learned steps that cannot do harm: a network inside FISTA, with a certificate at run time."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from unrolljax.core import trees
from unrolljax.core.solver import Solver
from unrolljax.sparse.networks.batch import anyone
from unrolljax.sparse.networks.known import KnownRecovery, KnownSensing
from unrolljax.sparse.networks.network import LayerState, Network
from unrolljax.sparse.problems.lasso import Lasso

BACK_OFF = 4
"""By how much the wait for the next trial grows with each refusal."""


class Point(NamedTuple):
    """A point at which the classical operator was evaluated, by one product with A and A^T each.

    - `residual`: `A at - y`; `slope`: the gradient of the smooth part.
    - `landing`: `T(at)`, the forward-backward step from there; `length`: `|at - T(at)|`.
    - `bound`: at least the objective of the landing; `dual`: at most the least objective.
    """

    at: Float[Array, " n"]
    residual: Float[Array, " m"]
    slope: Float[Array, " n"]
    landing: Float[Array, " n"]
    length: Float[Array, ""]
    bound: Float[Array, ""]
    dual: Float[Array, ""]


class SafeguardState(NamedTuple):
    """Where the iteration is, and what it remembers.

    - `before`, `previous`: the point before, and its landing; `inertia`: FISTA's.
    - `criterion`: the length that learned steps and restarts have to undercut.
    - `dual`: the best of all points' bounds on the least objective.
    - `memory`: the network's; `tried`, `accepted`: learned steps so far.
    - `wait`: classical steps until the next trial; `delay`: how many after the next rejection.
    - `clock`: steps so far, which is the layer whose turn it is.
    """

    point: Point
    before: Float[Array, " n"]
    previous: Float[Array, " n"]
    inertia: Float[Array, ""]
    criterion: Float[Array, ""]
    dual: Float[Array, ""]
    memory: Any
    tried: Int[Array, ""]
    accepted: Int[Array, ""]
    wait: Int[Array, ""]
    delay: Int[Array, ""]
    clock: Int[Array, ""]


class Safeguard(Solver):
    """Solve a lasso by the layers of a network where they help, by FISTA where they do not.

    A step proposes a point: the network's, if it is its turn, else FISTA's. The point costs one
    product with A and one with A^T (a layer's own product with a learned matrix comes on top). A
    learned point z is accepted if, with T the forward-backward operator of step size t,

    - `|z - T(z)| <= decrease * criterion` (Heaton, Chen, Wang & Yin 2023, "Safeguarded learned
      convex optimization", AAAI; the criterion is the length most recently accepted), and
    - T lands from z no higher than from the present point, by the bound
      `objective(z) - |z - T(z)|^2 / (2 t)` that the descent lemma gives.

    A refused point changes nothing: the classical iteration goes on from its own products as though
    nothing had been tried, and the next trial is four times as far away as this one was. Layer k
    has its turn at step k and at no other, so that a useless network of K layers costs two or three
    products, about log4 K times; after step K FISTA goes on alone.

    Convergence, for any network, endless ones too: an event is an accepted point or a restart of
    FISTA. Each demands that the length `|p - T(p)|` at its point be at most `decrease < 1` times
    that at the event before, the criterion. (a) If events never end, the lengths at them tend to
    zero. T is piecewise affine, so that `|p - T(p)|`, where it is small, bounds the distance to the
    solutions up to a factor (Robinson 1981, on polyhedral multifunctions); between events FISTA
    keeps `objective - least` below twice the squared distance at the last event over t (Beck &
    Teboulle 2009, theorem 4.4), which vanishes. (b) Else FISTA runs alone from the last event on,
    and `objective - least` falls as 1 / k^2. For problems that are not piecewise affine
    (`GroupLasso`), (a) also needs the points of events to stay bounded.

    - `network`: fed with the products at the present point.
    - `step_size`: t, at most 1/L, L the square of A's largest singular value (plus ridge). Bounds
      and the gap rely on it.
    - `W`: the analytic weight, for networks that use one; A if absent.
    - `decrease`: of the criterion, below 1.
    - `certified`: static; stop by the duality gap over `|y|^2 / 2`, the objective at zero, in place
      of the length: `Stop(tol)` then bounds that ratio. Weights of zero leave the gap open.

    A problem is a `Lasso`, `ElasticNet` or `GroupLasso`; others raise a ValueError.
    """

    network: Network
    step_size: float | Array
    W: Float[Array, "m n"] | None = None
    decrease: float | Array = 0.99
    certified: bool = eqx.field(default=False, static=True)

    def init(self, problem: Lasso, x0: Float[Array, " n"]) -> SafeguardState:
        """Evaluate the start; the network has the first turn."""
        if type(problem).misfit is not Lasso.misfit:
            raise ValueError(
                f"Safeguard solves least squares with a penalty, not {type(problem).__name__}: its "
                "networks and its duality gap are made for A x = y."
            )
        point = self._evaluate(problem, x0)
        zero = jnp.zeros((), jnp.int32)
        return SafeguardState(
            point=point,
            before=x0,
            previous=x0,
            inertia=jnp.ones((), x0.dtype),
            criterion=point.length,
            dual=point.dual,
            memory=self.network.remember(self._recovery(problem, point), x0),
            tried=zero,
            accepted=zero,
            wait=zero,
            delay=zero + 1,
            clock=zero,
        )

    def step(self, problem: Lasso, state: SafeguardState) -> SafeguardState:
        """Evaluate the point whose turn it is, and go there unless it is refused."""
        asked = (state.wait == 0) & (state.clock < self.network.depth)
        target, classical = self._classical(state)
        candidate = jnp.where(asked, self._learned(problem, state, asked), target)
        point = self._evaluate(problem, candidate)
        accepted = asked & self._acceptable(state, point)
        refused = asked & ~accepted
        learned = state._replace(inertia=jnp.ones_like(state.inertia), criterion=point.length)
        moved = trees.where(asked, learned, classical)._replace(
            point=point, before=state.point.at, previous=state.point.landing
        )
        after = trees.where(refused, state, moved)
        # No maximum: a refused point may be NaN.
        dual = jnp.where(point.dual > state.dual, point.dual, state.dual)
        return after._replace(
            dual=dual,
            tried=state.tried + asked.astype(jnp.int32),
            accepted=state.accepted + accepted.astype(jnp.int32),
            wait=jnp.where(refused, state.delay, jnp.maximum(state.wait - 1, 0)),
            delay=jnp.where(refused, BACK_OFF * state.delay, jnp.where(accepted, 1, state.delay)),
            clock=state.clock + 1,
        )

    def read(self, state: SafeguardState) -> Float[Array, " n"]:
        """Where T lands from the present point: exact zeros, whatever the network returns."""
        return state.point.landing

    def gap(self, state: SafeguardState) -> Float[Array, ""]:
        """Upper bound on `objective(read(state)) - least objective`, at no further product."""
        return state.point.bound - state.dual

    def optimality(self, problem: Lasso, x: Float[Array, " n"]) -> Float[Array, " n"]:
        """The gradient of the objective, which is zero on the support."""
        return trees.gradient(problem.objective, x)

    def support(self, problem: Lasso, x: Float[Array, " n"]) -> Bool[Array, " n"]:
        """The problem's own."""
        return problem.support(x)

    def residual(self, problem: Lasso, before: SafeguardState, after: SafeguardState) -> Array:
        """The step of the classical operator; if certified, the relative gap times `1 + |x|`."""
        del before
        if not self.certified:
            return trees.subtract(after.point.at, after.point.landing)
        relative = self.gap(after) / problem.misfit(jnp.zeros_like(problem.y))
        return relative * (1 + trees.norm(after.point.landing))

    def _recovery(self, problem: Lasso, point: Point) -> KnownRecovery:
        W = problem.A if self.W is None else self.W
        slope = point.slope - problem.ridge_weight() * point.at
        sensing = KnownSensing(problem.A, W, point.residual, slope)
        return KnownRecovery(sensing, problem.y, point.at, point.residual)

    def _learned(
        self, problem: Lasso, state: SafeguardState, asked: Bool[Array, ""]
    ) -> Float[Array, " n"]:
        """The next layer's point; nothing is computed while nobody in a batch is asked."""
        at = state.point.at
        wanted, clock = anyone(asked, state.clock)

        def propose():
            inputs = LayerState(at, state.before, state.memory, clock)
            return self.network.step(self._recovery(problem, state.point), inputs).x

        return jax.lax.cond(wanted, propose, lambda: at)

    def _classical(self, state: SafeguardState) -> tuple[Float[Array, " n"], SafeguardState]:
        """FISTA's next point, and its inertia and criterion."""
        at, x = state.point.at, state.point.landing
        uphill = trees.real_dot(at - x, x - state.previous) > 0
        restart = uphill & (state.point.length <= self.decrease * state.criterion)
        inertia = jnp.where(restart, 1, state.inertia)
        following = (1 + jnp.sqrt(1 + 4 * inertia**2)) / 2
        weight = jnp.where(restart, 0, (inertia - 1) / following)
        criterion = jnp.where(restart, state.point.length, state.criterion)
        target = x + weight * (x - state.previous)
        return target, state._replace(inertia=following, criterion=criterion)

    def _acceptable(self, state: SafeguardState, point: Point) -> Bool[Array, ""]:
        closer = point.length <= self.decrease * state.criterion
        return closer & (point.bound <= state.point.bound)

    def _evaluate(self, problem: Lasso, at: Float[Array, " n"]) -> Point:
        """One product with A, one with its transpose, and all that follows from them."""
        prediction = problem.A @ at
        slope_of_prediction = problem.slope(prediction)
        ridge = problem.ridge_weight()
        slope = slope_of_prediction @ problem.A + ridge * at
        step = jnp.asarray(self.step_size).astype(at.dtype)
        landing = problem.prox(at - step * slope, step)
        squared = trees.real_dot(at - landing, at - landing)
        smooth = problem.misfit(prediction) + ridge * trees.real_dot(at, at) / 2
        bound = smooth + problem.penalty(at) - squared / (2 * step)
        # The dual point of `Lasso.duality_gap`.
        scale = 1 / jnp.maximum(problem.dual_norm(slope), 1)
        dual = -scale * trees.real_dot(slope_of_prediction, problem.y) - scale**2 * smooth
        # Lengths are only compared; the root's derivative at zero would be infinite.
        length = jnp.sqrt(jax.lax.stop_gradient(squared))
        return Point(at, prediction - problem.y, slope, landing, length, bound, dual)
