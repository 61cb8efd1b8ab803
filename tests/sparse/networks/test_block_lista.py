"""Block-diagonal group networks: their products, gradients, counts and training."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from unrolljax.sparse import training
from unrolljax.sparse.networks import LISTA, CoupledLISTA, HybridLISTA, decode
from unrolljax.sparse.networks.block_lista import BlockLISTA, parameter_count
from unrolljax.sparse.partition import Blocks, Groups
from unrolljax.sparse.sensing import Sensing

rng = np.random.default_rng(0)
M, N, DEPTH = 25, 40, 6
A = rng.standard_normal((M, N))
A /= np.linalg.norm(A, axis=0)
SIZES = [1, 4, 3, 2, 5, 3, 2, 4, 1, 5, 3, 4, 2, 1]
PARTITIONS = {
    "blocks": Blocks(4),
    "groups of different sizes": Groups(rng.permutation(np.repeat(np.arange(14), SIZES))),
}


@pytest.fixture(params=PARTITIONS)
def setting(request):
    partition = PARTITIONS[request.param]
    sensing = Sensing.of(A, partition)
    codes = training.Ensemble(0.12, partition=partition).draw(sensing, jax.random.key(1), 16)
    scalars = HybridLISTA.start(DEPTH, partition, dtype=jnp.float64)
    return sensing, codes, scalars, BlockLISTA.from_hybrid(scalars, sensing)


def error(network, sensing, codes, gradient=None):
    return training.total_nmse(decode(network, sensing, codes.y, gradient).value, codes.x)


def test_it_starts_as_the_network_of_scalars(setting):
    sensing, codes, scalars, blocks = setting
    ours, theirs = (decode(network, sensing, codes.y) for network in (blocks, scalars))
    np.testing.assert_allclose(ours.value, theirs.value, atol=1e-12)
    assert error(blocks, sensing, codes) < -15
    assert set(ours.status.tolist()) == {uj.Status.COMPLETED}


def test_it_does_what_a_block_diagonal_matrix_does(setting):
    """The same as the network of scalars on the weight `W B^T`."""
    sensing, codes, scalars, blocks = setting
    values = np.random.default_rng(3).standard_normal(blocks.layers.blocks.shape[1:])
    B = np.zeros((N, N))
    for group, members in enumerate(blocks.partition.members(N)):
        B[np.ix_(members, members)] = values[group, : len(members), : len(members)]
    tied = jnp.tile(jnp.asarray(values), (DEPTH, 1, 1, 1))
    learned = eqx.tree_at(lambda n: n.layers.blocks, blocks, tied)
    rescaled = Sensing(sensing.A, jnp.asarray(sensing.W @ B.T))
    ours = decode(learned, sensing, codes.y).value
    np.testing.assert_allclose(ours, decode(scalars, rescaled, codes.y).value, rtol=1e-8)


def test_its_gradient_agrees_with_differences_and_spares_the_padding(setting):
    sensing, codes, _, blocks = setting

    def loss(values):
        return error(eqx.tree_at(lambda n: n.layers.blocks, blocks, values), sensing, codes)

    values = blocks.layers.blocks
    slope = jax.jit(jax.grad(loss))(values)
    padded = np.asarray(blocks.members) == N
    unread = np.broadcast_to(padded[:, :, None] | padded[:, None, :], slope.shape)
    assert np.all(np.asarray(slope)[unread] == 0)
    read = jnp.asarray(np.random.default_rng(4).standard_normal(slope.shape) * ~unread)
    evaluate = jax.jit(loss)
    differences = (evaluate(values + 1e-6 * read) - evaluate(values - 1e-6 * read)) / 2e-6
    np.testing.assert_allclose(jnp.sum(slope * read), differences, rtol=1e-5)


def test_parameters_are_counted_without_the_padding(setting):
    sensing, _, scalars, blocks = setting
    sizes = [len(members) for members in blocks.partition.members(N)]
    assert parameter_count(scalars) == 4 * DEPTH
    assert parameter_count(blocks) == DEPTH * (4 + sum(size**2 for size in sizes))
    assert parameter_count(CoupledLISTA.start(sensing, 3, 0.1, 0.1)) == 3 * (M * N + 1)
    assert parameter_count(LISTA.start(sensing, 3, 0.1, 0.1)) == 3 * (M * N + N * N + 1)


def test_at_the_published_size_it_has_a_twentieth_of_the_dense_numbers():
    wide = Sensing(jnp.zeros((250, 500)), jnp.zeros((250, 500)))
    blocks = BlockLISTA.from_hybrid(HybridLISTA.start(16, Blocks(5)), wide)
    dense = jax.eval_shape(lambda: CoupledLISTA.start(wide, 16, 0.1, 0.1))
    assert parameter_count(blocks) == 16 * (100 * 25 + 4)
    assert 20 * parameter_count(blocks) < parameter_count(dense)


def test_training_blocks_improves_on_the_scalars(standard_promotion):
    del standard_promotion
    partition = PARTITIONS["groups of different sizes"]
    ensemble = training.Ensemble(0.08, partition=partition)
    sensing = Sensing.of(jnp.asarray(A, jnp.float32), partition)
    start = BlockLISTA.from_hybrid(HybridLISTA.start(DEPTH, partition), sensing)
    task = training.Task(sensing, (ensemble,), problems=64)
    found = training.trained(start, task, jax.random.key(0), 60, 0.02, blocks=1e-2)
    codes = ensemble.draw(sensing, jax.random.key(1), 256)
    assert int(found.status) == uj.Status.COMPLETED
    assert error(found.parameters, sensing, codes) < error(start, sensing, codes) - 5
    moved = found.parameters.layers.blocks - start.layers.blocks
    assert jnp.max(jnp.abs(moved)) > 1e-3
