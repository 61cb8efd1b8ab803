"""Training layer by layer: by search for a layer of a few numbers, by gradients for any layer."""

from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.tree_util import tree_leaves, tree_map
from jaxtyping import Array

from unrolljax.core import trees
from unrolljax.sparse.networks.decode import after_each_layer
from unrolljax.sparse.networks.network import Network
from unrolljax.sparse.sensing import Recovery, SensingOperator
from unrolljax.sparse.training.codes import Codes, Ensemble, draw_mixture
from unrolljax.sparse.training.nmse import total_nmse

Learned = TypeVar("Learned", bound=Network)


@eqx.filter_jit
def search_layers(
    network: Learned, candidates: Any, sensing: SensingOperator, codes: Codes
) -> tuple[Learned, Array]:
    """To each layer in turn the candidate that leaves the least error after it.

    `candidates` has the structure of `network.layers`, with a leading axis of candidates. Returns
    the network and the total NMSE in dB after each layer.
    """
    problems = jax.vmap(lambda y: Recovery(sensing, y), out_axes=Recovery(None, 0))(codes.y)  # pyright: ignore
    starts = jnp.zeros_like(codes.x)
    axes = Recovery(None, 0)  # pyright: ignore
    state = jax.vmap(network.init, (axes, 0))(problems, starts)

    def choose(state, _):
        def outcome(layer):
            x = jax.vmap(network.apply, (None, axes, 0))(layer, problems, state)
            return total_nmse(x, codes.x), x

        errors = jax.lax.map(lambda layer: outcome(layer)[0], candidates)
        best = jnp.nanargmin(errors)
        layer = tree_map(lambda v: v[best], candidates)
        after = state._replace(x=outcome(layer)[1], previous=state.x, layer=state.layer + 1)
        return after, (layer, errors[best])

    _, (layers, errors) = jax.lax.scan(choose, state, length=network.depth)
    return eqx.tree_at(lambda n: n.layers, network, layers), errors


def train_stages(
    network: Learned,
    sensing: SensingOperator,
    ensembles: tuple[Ensemble, ...],
    optimizer: optax.GradientTransformation,
    steps: int,
    key: Array,
    problems: int = 64,
    former: float = 0.2,
) -> tuple[Learned, Array]:
    """Gradient steps on the error after the first layer, the first two, and so on.

    Each stage takes `steps` steps of `optimizer`, whose rate is multiplied by `former` for the
    layers of former stages and by zero for later ones (Chen et al. 2018, appendix). A new layer
    starts from the numbers of the one before. Returns the network and the last loss of each stage.
    """
    losses = []
    for stage, stage_key in enumerate(jax.random.split(key, network.depth)):
        args = (jnp.asarray(stage), optimizer, steps, stage_key, problems, former)
        network, loss = _stage(network, sensing, ensembles, *args)
        losses.append(loss)
    return network, jnp.stack(losses)


@eqx.filter_jit
def _stage(network, sensing, ensembles, stage, optimizer, steps, key, problems, former):
    layers = jnp.arange(network.depth)
    before = jnp.maximum(stage - 1, 0)
    layers_now = tree_map(
        lambda v: v.at[stage].set(jnp.where(stage > 0, v[before], v[stage])), network.layers
    )
    rest = eqx.tree_at(lambda n: n.layers, network, None)
    dtype = tree_leaves(layers_now)[0].dtype
    rate = jnp.where(layers == stage, 1, jnp.where(layers < stage, former, 0)).astype(dtype)

    def loss(layers, codes):
        whole = eqx.tree_at(lambda n: n.layers, rest, layers, is_leaf=lambda v: v is None)
        return total_nmse(after_each_layer(whole, sensing, codes.y)[stage], codes.x)

    def move(carry, key):
        layers, memory = carry
        codes = draw_mixture(ensembles, sensing, key, problems)
        value, slope = jax.value_and_grad(loss)(layers, codes)
        updates, following = optimizer.update(slope, memory, layers)
        updates = tree_map(lambda u: u * rate.reshape(-1, *[1] * (u.ndim - 1)), updates)
        moved = (optax.apply_updates(layers, updates), following)
        return trees.where(trees.all_finite(slope), moved, carry), value

    start = (layers_now, optimizer.init(layers_now))
    (layers_now, _), values = jax.lax.scan(move, start, jax.random.split(key, steps))
    whole = eqx.tree_at(lambda n: n.layers, rest, layers_now, is_leaf=lambda v: v is None)
    return whole, values[-1]
