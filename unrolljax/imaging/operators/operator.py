"""What every linear operator on images can do."""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.tree_util import tree_leaves, tree_map
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Inexact, PyTree

from unrolljax.core import trees
from unrolljax.imaging.operators.checks import check_image, check_measured
from unrolljax.imaging.operators.conjugate_gradient import conjugate_gradient
from unrolljax.imaging.operators.largest_eigenvalue import largest_eigenvalue

Image = Inexact[Array, "height width channels"]
Measured = PyTree[Inexact[Array, "..."]]


class Operator(eqx.Module):
    """A linear map A of one image, a pytree whose arrays may all be differentiated.

    A subclass defines `apply` and may define `apply_adjoint`, `gram`, `norm`, `solve`, `tikhonov`
    and `diagonal` where it knows a faster way. Batches are `jax.vmap`.

    - `shape`: (height, width, channels) of the image it acts on.
    """

    if TYPE_CHECKING:
        # Type checkers would take an abstract field for the first argument of every subclass.
        @property
        def shape(self) -> tuple[int, int, int]:
            """The shape of the image."""
            ...
    else:
        shape: eqx.AbstractVar[tuple[int, int, int]]

    def apply(self, x: Image) -> Measured:
        """`A x`, for an x of the right shape."""
        raise NotImplementedError(f"{type(self).__name__} must define apply(x).")

    def apply_adjoint(self, y: Measured) -> Image:
        """`A* y`, for a y of the right shape; by transposition of `apply`."""
        template = jax.ShapeDtypeStruct(self.shape, self._image_dtype(y))
        (x,) = jax.linear_transpose(self.apply, template)(tree_map(jnp.conj, y))
        return jnp.conj(x)

    def __call__(self, x: Image) -> Measured:
        """`A x`: what is measured of an image. Raises a ValueError for one of another shape."""
        check_image(x, self.shape, type(self).__name__)
        return self.apply(x)

    def adjoint(self, y: Measured) -> Image:
        """`A* y`, where `Re <A x, y> = Re <x, A* y>`, in the precision of y.

        Raises a ValueError for a y of another shape than `A x` has.
        """
        template = self.measured(self._image_dtype(y))
        check_measured(y, template, type(self).__name__)
        return self.apply_adjoint(y)

    def gram(self, x: Image) -> Image:
        """`A* A x`."""
        return self.apply_adjoint(self.apply(x))

    def norm(self, tol: float = 1e-3, max_steps: int = 1000) -> Float[Array, ""]:
        """The largest singular value of A, differentiable in A's arrays where it is simple.

        An accelerated power iteration ends when the residual of the eigenpair of `A* A` is below
        `tol` times the eigenvalue, whose own relative error is then far smaller; NaN where
        `max_steps` did not reach that. Closed forms take no notice of either.
        """
        start = jax.random.normal(jax.random.key(0), self.shape, self.image_dtype)
        fixed = trees.stop_gradient(self)
        vector, converged = largest_eigenvalue(fixed.gram, start, tol, max_steps)
        value = trees.norm(self.apply(vector))
        return jnp.where(converged, value, jnp.nan)

    def solve(self, rhs: Image, shift: ArrayLike) -> Image:
        """`(A* A + shift I)^-1 rhs` for a scalar shift > 0, differentiable in A, rhs and shift.

        By conjugate gradients unless A knows a closed form; NaN where they did not converge
        (`conjugate_gradient` takes another tolerance).
        """
        return conjugate_gradient(self.shifted_gram(shift), rhs)

    def tikhonov(self, y: Measured, shift: ArrayLike) -> Image:
        """`(A* A + shift I)^-1 A* y`, the minimiser of `|A x - y|^2 + shift |x|^2`."""
        return self.solve(self.apply_adjoint(y), shift)

    def shifted_gram(self, shift: ArrayLike):
        """The function `x -> A* A x + shift x`."""
        return lambda x: self.gram(x) + jnp.asarray(shift).astype(x.dtype) * x

    def diagonal(self) -> Image | None:
        """The real a with `A x = a x`, entry by entry and of x's shape; None for any other A."""
        return None

    @property
    def complex_images(self) -> bool:
        """Whether images are complex, so that `adjoint` returns complex ones."""
        return False

    @property
    def image_dtype(self) -> Any:
        """The dtype of images in the precision of A's arrays, or the default one if it has none."""
        return self._image_dtype([leaf for leaf in tree_leaves(self) if eqx.is_array(leaf)])

    def measured(self, dtype: Any = None) -> PyTree[jax.ShapeDtypeStruct]:
        """The shapes and dtypes of `A x`, for images of a dtype (by default A's own)."""
        dtype = self.image_dtype if dtype is None else dtype
        return jax.eval_shape(self.apply, jax.ShapeDtypeStruct(self.shape, dtype))

    def _image_dtype(self, like: PyTree) -> Any:
        """The dtype of images in the precision of the inexact arrays of `like`."""
        kinds = [jnp.result_type(leaf) for leaf in tree_leaves(like)]
        kinds = [kind for kind in kinds if jnp.issubdtype(kind, jnp.inexact)]
        real = jnp.finfo(kinds[0]).dtype if kinds else jnp.result_type(float)
        wide = jnp.finfo(real).bits == 64
        return (jnp.complex128 if wide else jnp.complex64) if self.complex_images else real
