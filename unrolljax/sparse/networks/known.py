"""A recovery problem whose products at one point are known already."""

from jaxtyping import Array, Float

from unrolljax.sparse.sensing import Recovery, Sensing


class KnownSensing(Sensing):
    """`transpose(residual)` is known for one residual, told by identity; others are computed."""

    residual: Float[Array, " m"]
    transposed: Float[Array, " n"]

    def transpose(self, residual: Float[Array, " m"]) -> Float[Array, " n"]:
        """`A^T r`."""
        return self.transposed if residual is self.residual else super().transpose(residual)


class KnownRecovery(Recovery):
    """`residual(at)` is known for one point, told by identity; others are computed."""

    at: Float[Array, " n"]
    known: Float[Array, " m"]

    def residual(self, x: Float[Array, " n"]) -> Float[Array, " m"]:
        """`A x - y`."""
        return self.known if x is self.at else super().residual(x)
