"""Random contractions, many of them far from normal, and cotangents made to mislead."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

KINDS = ("symmetric", "normal", "gaussian", "jordan", "triangular", "hidden")
COTANGENTS = ("random", "hidden", "worst")
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4)
SIZES = (5, 20, 50, 100, 200)
RATES = (0.3, 0.995)

LARGEST_GROWTH = 1e3
"""Transient growth, `max_k |W^k|`, that a non-normal matrix may show."""


class Contraction(NamedTuple):
    """`x <- W (x + curvature (tanh x - x)) + shift`, and how its gradient is asked for.

    `cotangent` is "random", "hidden" (1e-8 to 1e-2 of it in the slow left eigenvectors) or
    "worst" (it maximises what a truncation at the depth of the spectral radius neglects).
    """

    kind: str
    cotangent: str
    tol: float
    matrix: np.ndarray
    shift: np.ndarray
    curvature: float
    seed: int

    def apply(self, x: np.ndarray) -> np.ndarray:
        """The map at x."""
        return self.matrix @ (x + self.curvature * (np.tanh(x) - x)) + self.shift

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """Its Jacobian at x."""
        return self.matrix * (1 - self.curvature * np.tanh(x) ** 2)


def contractions(count: int, sizes: tuple[int, ...] = SIZES, seed: int = 0) -> Iterator:
    """`count` contractions: kinds in turn, affine and curved, all cotangents and tolerances."""
    random = np.random.default_rng(seed)
    rounds = len(KINDS)
    for i in range(count):
        n, slack = int(random.choice(sizes)), np.log(1 - np.asarray(RATES))
        rate = 1 - np.exp(random.uniform(slack[1], slack[0]))
        curvature = float(i // rounds % 2)
        shift = random.normal(size=n)
        yield Contraction(
            kind=KINDS[i % rounds],
            cotangent=COTANGENTS[i // (2 * rounds) % 3],
            tol=TOLERANCES[i % len(TOLERANCES)],
            matrix=matrix(random, KINDS[i % rounds], n, rate),
            shift=shift / np.linalg.norm(shift) * (0.3 if curvature else 1),
            curvature=curvature,
            seed=int(random.integers(2**31)),
        )


def matrix(random: np.random.Generator, kind: str, n: int, rate: float) -> np.ndarray:
    """A random n x n matrix of a kind with spectral radius `rate`.

    Symmetric; normal (rotations in planes); Gaussian (eigenvalues in a disc); a Jordan block of 2
    to 5 beside small eigenvalues; triangular with large entries; hidden (a tenth of the unknowns
    slow and decoupled from the rest, whose radius is 0.3).
    """
    if kind == "gaussian":
        w = random.normal(size=(n, n))
        return w * rate / np.abs(np.linalg.eigvals(w)).max()
    q = np.linalg.qr(random.normal(size=(n, n)))[0]
    if kind == "symmetric":
        core = np.diag(np.r_[rate, random.uniform(-rate, rate, n - 1)])
    elif kind == "normal":
        core = _rotations(random, n, rate)
    elif kind == "jordan":
        core = _limit_growth(_jordan(random, n, rate))
    elif kind == "triangular":
        off = np.triu(random.normal(size=(n, n)), 1) * random.uniform(0.2, 2) / np.sqrt(n)
        core = _limit_growth(off + np.diag(np.r_[rate, random.uniform(-rate, rate, n - 1)]))
    else:
        slow = max(1, n // 10)
        core = np.zeros((n, n))
        core[:slow, :slow] = matrix(random, "symmetric", slow, rate)
        core[slow:, slow:] = matrix(random, "gaussian", n - slow, 0.3)
    return q @ core @ q.T


def cotangent(case: Contraction, jacobian: np.ndarray) -> np.ndarray:
    """The cotangent of x that a case asks for, given the Jacobian at the solution."""
    random = np.random.default_rng(case.seed)
    w = random.normal(size=len(jacobian))
    values, vectors = np.linalg.eig(jacobian.T)
    radius = np.abs(values).max()
    if case.cotangent == "hidden":
        slow = np.abs(values) >= 0.97 * radius
        part = np.real(vectors[:, slow] @ (np.linalg.inv(vectors)[slow] @ w))
        if np.linalg.norm(w - part) > 1e-8 * np.linalg.norm(w):
            share = 10 ** random.uniform(-8, -2)
            w = _unit(w - part) + share * _unit(part)
    elif case.cotangent == "worst":
        depth = max(1, int(np.ceil(np.log(case.tol) / np.log(radius))))
        power = np.linalg.matrix_power(jacobian.T, depth)
        adjoint = np.linalg.svd(power)[2][0]
        w = adjoint - jacobian.T @ adjoint
    return _unit(w)


def _rotations(random: np.random.Generator, n: int, rate: float) -> np.ndarray:
    core = np.diag(random.uniform(-rate, rate, n))
    for i in range(0, n - 1, 2):
        radius = rate if i == 0 else rate * np.sqrt(random.uniform())
        angle = random.uniform(0, np.pi)
        c, s = radius * np.cos(angle), radius * np.sin(angle)
        core[i : i + 2, i : i + 2] = [[c, -s], [s, c]]
    return core


def _jordan(random: np.random.Generator, n: int, rate: float) -> np.ndarray:
    size, coupling = min(int(random.integers(2, 6)), n), random.uniform(0.1, 1)
    core = np.diag(random.uniform(-rate / 2, rate / 2, n))
    core[:size, :size] = rate * np.eye(size) + coupling * np.eye(size, k=1)
    return core


def _limit_growth(core: np.ndarray) -> np.ndarray:
    """Lower the entries off the diagonal until no power grows beyond the limit."""
    diagonal = np.diag(np.diag(core))
    while _growth(core) > LARGEST_GROWTH:
        core = diagonal + 0.8 * (core - diagonal)
    return core


def _growth(core: np.ndarray) -> float:
    """The largest norm of the powers 1, 2, 4, ..., 2048."""
    largest = 0.0
    for _ in range(12):
        largest, core = max(largest, float(np.linalg.norm(core, 2))), core @ core
    return largest


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v)
