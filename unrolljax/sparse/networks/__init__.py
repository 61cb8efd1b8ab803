"""Learned-ISTA networks: solvers whose every step has numbers of its own."""

from unrolljax.sparse.networks.alista import ALISTA, ALISTALayer
from unrolljax.sparse.networks.banded import BandLayer, BandLISTA
from unrolljax.sparse.networks.block_lista import BlockLayer, BlockLISTA, parameter_count
from unrolljax.sparse.networks.coupled import CoupledLayer, CoupledLISTA
from unrolljax.sparse.networks.decode import after_each_layer, decode
from unrolljax.sparse.networks.glista import GLISTA, GLISTALayer
from unrolljax.sparse.networks.hybrid import HybridLayer, HybridLISTA
from unrolljax.sparse.networks.hyperlista import HyperConstants, HyperLISTA
from unrolljax.sparse.networks.lista import LISTA, LISTALayer
from unrolljax.sparse.networks.network import LayerState, Network
from unrolljax.sparse.networks.safeguard import Safeguard, SafeguardState
from unrolljax.sparse.networks.selection import Selection
from unrolljax.sparse.networks.slista import SLISTA, SLISTALayer

__all__ = [
    "ALISTA",
    "GLISTA",
    "LISTA",
    "SLISTA",
    "ALISTALayer",
    "BandLISTA",
    "BandLayer",
    "BlockLISTA",
    "BlockLayer",
    "CoupledLISTA",
    "CoupledLayer",
    "GLISTALayer",
    "HybridLISTA",
    "HybridLayer",
    "HyperConstants",
    "HyperLISTA",
    "LISTALayer",
    "LayerState",
    "Network",
    "SLISTALayer",
    "Safeguard",
    "SafeguardState",
    "Selection",
    "after_each_layer",
    "decode",
    "parameter_count",
]
