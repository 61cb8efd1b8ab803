"""Errors of a network on ensembles other than those it was trained for."""

import equinox as eqx
from jaxtyping import Array, Float

from unrolljax.sparse.networks.decode import decode
from unrolljax.sparse.networks.network import Network
from unrolljax.sparse.sensing import SensingOperator
from unrolljax.sparse.training.codes import Ensemble
from unrolljax.sparse.training.nmse import total_nmse


@eqx.filter_jit
def error_on(
    network: Network, sensing: SensingOperator, ensemble: Ensemble, key: Array, problems: int
) -> Float[Array, ""]:
    """The total NMSE in dB on fresh codes; nothing compiles for other numbers that are arrays."""
    codes = ensemble.draw(sensing, key, problems)
    return total_nmse(decode(network, sensing, codes.y).value, codes.x)
