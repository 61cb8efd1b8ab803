"""What hyperparameters are chosen by: hold-out, cross-validation, Stein's risk estimate.

A criterion is a sum over `parts`, each an inner problem and a loss of its solution: the form that
a search evaluates one part at a time, with no copy of the data.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from unrolljax.sparse.model_selection.penalties import Penalties
from unrolljax.sparse.problems.lasso import Lasso


class Criterion(eqx.Module):
    """A function of hyperparameters that a search minimises: `sum_k loss(theta, x_k, k)`."""

    problem: eqx.AbstractVar[Lasso]

    @property
    def parts(self) -> int:
        """How many inner problems it solves."""
        raise NotImplementedError

    def inner(self, theta: Penalties, part: Int[Array, ""]) -> Lasso:
        """The inner problem of a part."""
        raise NotImplementedError

    def loss(
        self, theta: Penalties, x: Float[Array, " n"], part: Int[Array, ""]
    ) -> Float[Array, ""]:
        """What the solution of a part adds."""
        raise NotImplementedError


class HoldOut(Criterion):
    """Mean misfit of other samples: half the mean squared error, or the mean logistic loss.

    - `problem`: the training samples, with weights that hyperparameters multiply.
    - `validation`: a problem of the same kind that holds the other samples.
    """

    problem: Lasso
    validation: Lasso

    def __check_init__(self):
        _check_columns(self.problem, self.validation)

    @property
    def parts(self) -> int:
        """One."""
        return 1

    def inner(self, theta: Penalties, part: Int[Array, ""]) -> Lasso:
        """The training problem."""
        del part
        return theta.of(self.problem)

    def loss(
        self, theta: Penalties, x: Float[Array, " n"], part: Int[Array, ""]
    ) -> Float[Array, ""]:
        """The mean misfit of the validation samples."""
        del theta, part
        return self.validation.misfit(self.validation.A @ x) / _size(self.validation)


class CrossValidation(Criterion):
    """Mean over folds of the mean misfit of the samples left out.

    - `problem`: all the samples.
    - `fold`: (samples,), the fold that each sample validates; -1 for none.
    - `folds`: static; how many there are.

    A fold's training misfit is scaled to the number of all samples, so that weights mean the same
    in each fold and in a final fit to all.
    """

    problem: Lasso
    fold: Int[Array, " samples"]
    folds: int = eqx.field(static=True)

    @classmethod
    def split(cls, problem: Lasso, folds: int) -> "CrossValidation":
        """Contiguous folds of nearly equal sizes."""
        samples = problem.y.size
        if not 2 <= folds <= samples:
            raise ValueError(f"folds={folds} must be from 2 to the number of samples, {samples}.")
        return cls(problem, jnp.asarray(np.arange(samples) * folds // samples), folds)

    @property
    def parts(self) -> int:
        """The folds."""
        return self.folds

    def inner(self, theta: Penalties, part: Int[Array, ""]) -> Lasso:
        """The problem without the samples of the fold."""
        return theta.of(self._weighted(self.fold != part, _size(self.problem)))

    def loss(
        self, theta: Penalties, x: Float[Array, " n"], part: Int[Array, ""]
    ) -> Float[Array, ""]:
        """The fold's share of the mean."""
        del theta
        left_out = self._weighted(self.fold == part, 1 / jnp.asarray(self.folds, x.dtype))
        return left_out.misfit(self.problem.A @ x)

    def _weighted(self, chosen: Bool[Array, " samples"], total: Float[Array, ""]) -> Lasso:
        """The problem on some samples, their weights scaled to a sum of `total`."""
        own = self.problem.sample_weight
        own = jnp.ones_like(self.problem.y) if own is None else own
        weight = jnp.where(chosen, own, 0)
        weight = weight * (total / jnp.sum(weight))
        return eqx.tree_at(
            lambda p: p.sample_weight, self.problem, weight, is_leaf=lambda v: v is None
        )


class SURE(Criterion):
    """Stein's unbiased estimate of the risk `|A x - A x_true|^2 / samples`, for Gaussian noise.

    `(|y - A x(y)|^2 + 2 sigma^2 dof) / samples - sigma^2`. The degrees of freedom are a Monte-Carlo
    finite difference, `probe . A (x(y + step probe) - x(y)) / step`, which has a gradient
    (Deledalle, Vaiter, Fadili & Peyre 2014); their expectation is the size of the lasso's support
    (Zou, Hastie & Tibshirani 2007), which has none.

    - `problem`: a lasso or elastic net; `sigma`: standard deviation of the noise in y.
    - `probe`: (samples,), standard normal or signs; `step`: of the difference. A smaller step has
      less bias and, where supports change within it, more variance.
    """

    problem: Lasso
    sigma: Float[Array, ""]
    probe: Float[Array, " samples"]
    step: Float[Array, ""]

    @classmethod
    def with_noise(cls, problem: Lasso, sigma: float | Array, key: Array) -> "SURE":
        """A random probe, and the step `2 sigma / samples^0.3` of Deledalle et al., section 5."""
        probe = jax.random.normal(key, problem.y.shape, problem.y.dtype)
        sigma = jnp.asarray(sigma, problem.y.dtype)
        return cls(problem, sigma, probe, 2 * sigma / problem.y.size**0.3)

    @property
    def parts(self) -> int:
        """The data, and the data moved along the probe."""
        return 2

    def inner(self, theta: Penalties, part: Int[Array, ""]) -> Lasso:
        """The problem of the data or of the moved data."""
        moved = self.problem.y + jnp.where(part == 1, self.step, 0) * self.probe
        return eqx.tree_at(lambda p: p.y, theta.of(self.problem), moved)

    def loss(
        self, theta: Penalties, x: Float[Array, " n"], part: Int[Array, ""]
    ) -> Float[Array, ""]:
        """The misfit's part and minus the difference's first term, or its second."""
        del theta
        prediction = self.problem.A @ x
        samples = self.problem.y.size
        term = 2 * self.sigma**2 / self.step * jnp.sum(self.probe * prediction)
        misfit = jnp.sum((self.problem.y - prediction) ** 2) - samples * self.sigma**2
        return jnp.where(part == 1, term, misfit - term) / samples


def _size(problem: Lasso) -> Float[Array, ""]:
    """The number of samples, or the sum of their weights."""
    own = problem.sample_weight
    return jnp.asarray(problem.y.size, problem.y.dtype) if own is None else jnp.sum(own)


def degrees_of_freedom(problem: Lasso, x: Float[Array, " n"]) -> Int[Array, ""]:
    """The size of the support, unbiased for the lasso (Zou, Hastie & Tibshirani 2007)."""
    return jnp.sum(problem.support(x))


def _check_columns(problem: Lasso, validation: Lasso) -> None:
    if type(problem) is not type(validation):
        raise ValueError(
            f"HoldOut(validation=...) must be of class {type(problem).__name__}, like "
            f"the problem, not {type(validation).__name__}."
        )
    ours, theirs = problem.A.shape[1], validation.A.shape[1]
    if ours != theirs:
        raise ValueError(
            f"HoldOut(validation=...) has {theirs} columns, but the problem has {ours}."
        )
