"""The gradient of a denoiser inside a loop: our convolution in a scan, the stock one without.

Value and gradient, with respect to all parameters, of 10 plug-and-play steps
`x <- D(x - (x - y) / 2, sigma)` with the 49k-parameter FFDNet on 4 images of 64 x 64, in float32.
The yardstick is what a careful user would write without us: JAX's convolution, the loop unrolled
in Python, which XLA compiles to its fast kernels.
"""

import statistics
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.core.timing import ratio, run_in_turn
from benchmarks.parts import Row
from unrolljax.imaging.denoisers.ffdnet import FFDNet
from unrolljax.imaging.denoisers.layers import to_channels, to_pixels, with_noise_map
from unrolljax.imaging.denoisers.learned import initialised

STEPS, TARGET = 10, 1.5
NETWORK = FFDNet()
SIGMA = jnp.float32(0.1)
YARDSTICK = "stock convolution, unrolled in Python"

Denoise = Callable[[Any, jax.Array], jax.Array]


def run(quick: bool) -> list[Row]:
    """A batch that the network takes as it is, and single images under vmap."""
    return batch(quick) + singles(quick)


def batch(quick: bool) -> list[Row]:
    """All images in one call of the network."""
    programs = {
        YARDSTICK: _value_and_gradient(_in_python(_stock)),
        "ours, in a scan": _value_and_gradient(_in_scan(_ours)),
    }
    if not quick:
        programs["ours, unrolled in Python"] = _value_and_gradient(_in_python(_ours))
        programs["stock convolution, in a scan"] = _value_and_gradient(_in_scan(_stock))
    return _rows("conv, batch", programs, 3 if quick else 9)


def singles(quick: bool) -> list[Row]:
    """The whole loop written for one image, under vmap."""

    def of_batch(loop):
        return jax.vmap(lambda p, y: loop(p, y[None])[0], (None, 0))

    programs = {
        YARDSTICK: _value_and_gradient(_in_python(_stock)),
        "ours, in a vmapped scan": _value_and_gradient(of_batch(_in_scan(_ours))),
    }
    if not quick:
        stock = _value_and_gradient(of_batch(_in_scan(_stock)))
        programs["stock convolution, in a vmapped scan"] = stock
    return _rows("conv, vmapped", programs, 3 if quick else 9)


def _rows(part: str, programs: dict[str, Callable], runs: int) -> list[Row]:
    arguments = _arguments()
    compiled = {name: program.lower(*arguments).compile() for name, program in programs.items()}
    _, expected = compiled[YARDSTICK](*arguments)
    times = run_in_turn(compiled, arguments, runs)
    rows = []
    for name in programs:
        found = ratio(times[name], times[YARDSTICK])
        error = _difference(compiled[name](*arguments)[1], expected)
        value = f"{1e3 * statistics.median(times[name]):.0f} ms, ratio {found:.2f}"
        judged = name.startswith("ours, in a")
        rows.append(
            Row(
                part,
                name,
                f"{value}, differs {error:.0e}",
                f"<= {TARGET}" if judged else "",
                found <= TARGET and error < 1e-3 if judged else None,
            )
        )
    return rows


def _arguments():
    parameters = initialised(NETWORK, jax.random.key(0), dtype=jnp.float32).parameters
    images = np.random.default_rng(0).random((4, 64, 64, 1)).astype(np.float32)
    return parameters, jnp.asarray(images), jnp.asarray(images[::-1].copy())


def _value_and_gradient(loop: Callable) -> Any:
    def loss(parameters, y, truth):
        return jnp.mean((loop(parameters, y) - truth) ** 2)

    return jax.jit(jax.value_and_grad(loss))


def _in_scan(denoise: Denoise) -> Callable:
    def loop(parameters, y):
        def step(x, _):
            return denoise(parameters, x - (x - y) / 2), None

        return jax.lax.scan(step, y, length=STEPS)[0]

    return loop


def _in_python(denoise: Denoise) -> Callable:
    def loop(parameters, y):
        x = y
        for _ in range(STEPS):
            x = denoise(parameters, x - (x - y) / 2)
        return x

    return loop


def _ours(parameters, x: jax.Array) -> jax.Array:
    return NETWORK.apply(parameters, x, SIGMA)  # pyright: ignore


def _stock(parameters, x: jax.Array) -> jax.Array:
    """The same network with JAX's convolution."""
    layers = [parameters["params"][f"Convolution_{k}"]["kernel"] for k in range(NETWORK.depth)]
    hidden = with_noise_map(to_channels(x, 2), SIGMA)
    for k, kernel in enumerate(layers):
        layout = ("NHWC", "HWIO", "NHWC")
        hidden = jax.lax.conv_general_dilated(
            hidden, kernel, (1, 1), "SAME", dimension_numbers=layout
        )
        hidden = hidden if k == NETWORK.depth - 1 else nn.relu(hidden)
    return x - to_pixels(hidden, 2)


def _difference(found: Any, expected: Any) -> float:
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    return max(float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b)) for a, b in pairs)
