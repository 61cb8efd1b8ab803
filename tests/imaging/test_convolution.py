import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from unrolljax.imaging.convolution import convolve, convolve_by_products


def arrays(batch=2, size=(7, 6), inputs=3, outputs=4, kernel=(3, 5), dtype=np.float64):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, *size, inputs)).astype(dtype)
    return jnp.asarray(x), jnp.asarray(rng.standard_normal((*kernel, inputs, outputs)), dtype)


def stock(x, kernel, border):
    rows, columns = kernel.shape[0] // 2, kernel.shape[1] // 2
    mode = {"zero": "constant", "periodic": "wrap"}[border]
    padded = jnp.pad(x, ((0, 0), (rows, rows), (columns, columns), (0, 0)), mode=mode)
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(padded, kernel, (1, 1), "VALID", dimension_numbers=layout)


def relative(found, expected):
    difference = jax.tree.map(
        lambda a, b: jnp.max(jnp.abs(a - b)) / jnp.max(jnp.abs(b)), found, expected
    )
    return max(map(float, jax.tree.leaves(difference)))


BORDERS = pytest.mark.parametrize("border", ["zero", "periodic"])
# The kernel's gradient takes one way for few outputs, another for many.
CHANNELS = pytest.mark.parametrize(("inputs", "outputs"), [(3, 4), (4, 2)])


@BORDERS
@CHANNELS
def test_values_and_gradients_are_those_of_the_stock_convolution(border, inputs, outputs):
    x, kernel = arrays(inputs=inputs, outputs=outputs)

    def loss(form):
        return lambda x, kernel: jnp.sum(jnp.sin(form(x, kernel, border)))

    assert relative(convolve(x, kernel, border), stock(x, kernel, border)) < 1e-14
    expected = jax.grad(loss(stock), (0, 1))(x, kernel)
    assert relative(jax.grad(loss(convolve), (0, 1))(x, kernel), expected) < 1e-13
    assert relative(jax.grad(loss(convolve_by_products), (0, 1))(x, kernel), expected) < 1e-13


@BORDERS
@CHANNELS
def test_derivatives_agree_with_finite_differences_to_second_order(border, inputs, outputs):
    x, kernel = arrays(1, (4, 5), inputs, outputs, (3, 3))
    check_grads(
        lambda x, kernel: jnp.sin(convolve(x, kernel, border)), (x, kernel), order=2,
        modes=("fwd", "rev"), atol=1e-5, rtol=1e-5,
    )  # fmt: skip


@BORDERS
def test_hessian_products_agree_with_those_of_shifted_products(border):
    x, kernel = arrays(1, (5, 4), 2, 2, (3, 3))

    def product(form):
        slope = jax.grad(lambda k: jnp.sum(jnp.tanh(form(x, k, border))))
        forward = jax.jvp(slope, (kernel,), (jnp.cos(kernel),))[1]
        return forward, jax.vjp(slope, kernel)[1](jnp.cos(kernel))[0]

    forward, reverse = product(convolve)
    assert relative((forward, reverse), product(convolve_by_products)) < 1e-13
    assert relative(forward, reverse) < 1e-13


@pytest.mark.parametrize("axes", list(itertools.product([None, 0, 2], [None, 0, 3]))[1:])
def test_vmap_is_a_loop(axes):
    x, kernel = arrays()
    shifts = jnp.arange(1.0, 4.0)

    def copies(array, axis):
        one = jax.vmap(lambda shift: array * shift, out_axes=axis)
        return array if axis is None else one(shifts)

    def derivatives(x, kernel):
        return jax.value_and_grad(lambda x, k: jnp.sum(jnp.sin(convolve(x, k))), (0, 1))(x, kernel)

    found = jax.vmap(derivatives, axes)(copies(x, axes[0]), copies(kernel, axes[1]))
    for k, shift in enumerate(shifts):
        alone = derivatives(
            *(a if axis is None else a * shift for a, axis in zip((x, kernel), axes, strict=True))
        )
        assert relative(jax.tree.map(lambda v, k=k: v[k], found), alone) < 1e-12


@BORDERS
@pytest.mark.parametrize("size", [(3, 5), (7, 1), (9, 9)])
@pytest.mark.parametrize("channels", [(1, 4), (5, 2)])
def test_derivatives_in_kernels_are_those_of_jax(border, size, channels):
    x, kernel = arrays(3, (16, 12), *channels, size)
    found, expected = (
        jax.jit(jax.grad(lambda k, form=form: jnp.sum(jnp.sin(form(x, k, border)))))(kernel)
        for form in (convolve, stock)
    )
    assert relative(found, expected) < 1e-12


def test_no_gradient_inside_a_mapped_scan_groups_its_channels():
    x, kernel = arrays(2, (6, 6), 3, 3, (3, 3))

    def steps(kernel, x):
        body = lambda v, _: (jnp.tanh(convolve(v[None], kernel)[0]), None)  # noqa: E731
        return jnp.sum(jax.lax.scan(body, x, None, length=3)[0])

    for function in (
        jax.vmap(jax.grad(steps), (None, 0)),
        jax.grad(lambda k, x: jnp.sum(jax.vmap(steps, (None, 0))(k, x))),
    ):
        text = jax.jit(function).lower(kernel, x).as_text()
        assert "convolution" in text
        assert "group_count = 1" in text
        assert all(f"group_count = {n}" not in text for n in range(2, 10))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept(dtype):
    x, kernel = arrays(dtype=dtype)
    slopes = jax.grad(lambda x, k: jnp.sum(convolve(x, k)), (0, 1))(x, kernel)
    assert {v.dtype for v in (convolve(x, kernel), *slopes)} == {np.dtype(dtype)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, k: (x[0], k, "zero"), "must be"),
        (lambda x, k: (x[..., :2], k, "zero"), "2 channels"),
        (lambda x, k: (x, k[:2], "zero"), "odd size"),
        (lambda x, k: (x, k, "mirror"), "border"),
        (lambda x, k: (x[:, :1, :1], k, "periodic"), "too large"),
        (lambda x, k: (x.astype(np.float32), k, "zero"), "one dtype"),
    ],
)
@pytest.mark.parametrize("form", [convolve, convolve_by_products])
def test_what_does_not_fit_is_refused(form, change, message):
    with pytest.raises(ValueError, match=message):
        form(*change(*arrays()))
