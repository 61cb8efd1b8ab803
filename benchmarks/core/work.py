"""What a work item is, and the rows that are measured on it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

import unrolljax as uj
from benchmarks.core import hand
from benchmarks.core.hand import Iteration, Solve

TOLERANCE = 2e-6
"""Relative step at which the rows stop that test convergence; the others run all their steps."""

QUICK_MODES = ("implicit", "unroll")


class Work(NamedTuple):
    """One inner problem with an outer loss; every row differentiates the same loss.

    - `loss`: `(solve, theta, data) -> scalar`;
    - `iteration`: the inner problem, for the hand-written rows;
    - `adjoint`: the one linear solver of the hand-written rows, as `Implicit` names it;
    - `ours`: `(gradient, stop) -> solve`;
    - `peers`: name -> (the mode that it is compared in, a function that makes its solve);
    - `reference`: gradient of the loss at the exact solution, in float64 NumPy.
    """

    title: str
    arguments: tuple[Any, Any]
    loss: Callable[[Solve, Any, Any], Any]
    iteration: Iteration
    adjoint: str
    ours: Callable[[uj.GradientMode, uj.Stop], Solve]
    peers: Mapping[str, tuple[str, Callable[[], Solve]]]
    reference: Callable[[], Any]


class Mode(NamedTuple):
    """A gradient mode: the hand-written counterpart, ours, and whether convergence is tested."""

    hand: Callable[[Iteration], Solve]
    gradient: uj.GradientMode
    tested: bool = False


class Row(NamedTuple):
    """A line of the table: who computes what, and how to make the function."""

    mode: str
    who: str
    solve: Callable[[], Solve]


def modes(steps: int, adjoint: str) -> dict[str, Mode]:
    """Every mode; the truncated ones go a tenth of the steps back."""
    depth = steps // 10
    single = uj.Implicit(linear_solver=adjoint, on_failure="ignore")
    return {
        "implicit": Mode(hand.implicit, uj.Implicit(on_failure="ignore")),
        "implicit, no fallback": Mode(hand.implicit, single),
        "implicit, tested": Mode(hand.implicit_tested, uj.Implicit(), tested=True),
        "unroll": Mode(hand.unroll, uj.Unroll()),
        "unroll, tested": Mode(hand.unroll_tested, uj.Unroll(), tested=True),
        "unroll sqrt": Mode(hand.unroll_sqrt, uj.Unroll(checkpoint="sqrt")),
        "unroll all": Mode(hand.unroll_all, uj.Unroll(checkpoint="all")),
        f"truncated {depth}": Mode(lambda it: hand.truncated(it, depth), uj.Truncated(depth=depth)),
        "truncated auto, tested": Mode(
            lambda it: hand.truncated_auto(it, 1e-3), uj.Truncated(), tested=True
        ),
        "one step": Mode(hand.one_step, uj.OneStep()),
        f"neumann {depth}": Mode(
            lambda it: hand.neumann(it, depth), uj.Neumann(depth, on_failure="ignore")
        ),
    }


def rows(work: Work, quick: bool) -> list[Row]:
    """Hand-written, ours and the peers of each mode, next to each other."""
    steps = work.iteration.steps
    found = []
    for name, mode in modes(steps, work.adjoint).items():
        peers = [(who, make) for who, (where, make) in work.peers.items() if where == name]
        if quick and name not in QUICK_MODES:
            continue
        stop = uj.Stop(max_steps=steps, tol=work.iteration.tol if mode.tested else None)
        found += [
            Row(name, "hand", lambda mode=mode: mode.hand(work.iteration)),
            Row(name, "ours", lambda mode=mode, stop=stop: work.ours(mode.gradient, stop)),
            *(Row(name, who, make) for who, make in peers),
        ]
    return found


def value_and_grad(work: Work, solve: Solve) -> Callable:
    """The function that is timed: value and gradient of the loss."""
    return jax.value_and_grad(lambda theta, data: work.loss(solve, theta, data))


def difference(gradient: Any, reference: Any) -> float:
    """Relative Euclidean difference of two gradients."""
    flat = [
        np.concatenate([np.ravel(leaf) for leaf in jax.tree_util.tree_leaves(tree)]).astype(float)
        for tree in (gradient, reference)
    ]
    return float(np.linalg.norm(flat[0] - flat[1]) / np.linalg.norm(flat[1]))
