"""Every solver and mode lowers for CPU, GPU and TPU in float32, with no host callback."""

import re

import jax
import jax.numpy as jnp
import problems
import pytest
import solver_cases

import unrolljax as uj

MODES = {
    "implicit": uj.Implicit(),
    "implicit both": uj.Implicit(ad="both"),
    "unroll": uj.Unroll(),
    "unroll sqrt": uj.Unroll("sqrt"),
    "truncated auto": uj.Truncated(),
    "truncated": uj.Truncated(depth=3),
    "auto": uj.Auto(),
    "one step": uj.OneStep(),
    "neumann": uj.Neumann(3),
    "detach": uj.Detach(),
}


@pytest.mark.parametrize("solver", solver_cases.every_solver(), ids=lambda s: s.__name__)
def test_lowers_everywhere_without_callbacks(solver):
    build = solver_cases.builds(solver)[0]
    case = build.cases[0]
    names = [n for n in MODES if build.make().differentiable_step or n in ("implicit", "detach")]

    def losses(theta):
        start = jax.tree_util.tree_map(lambda v: jnp.asarray(v, theta.dtype), case.start)
        return [
            problems.loss(
                uj.solve(
                    build.make(),
                    case.make(theta),
                    start,
                    gradient=MODES[name],
                    stop=uj.Stop(9, 1e-4),
                )
            )
            for name in names
        ]

    with jax.enable_x64(False):
        theta = jnp.asarray(problems.THETA, jnp.float32)
        exported = jax.export.export(jax.jit(jax.jacrev(losses)), platforms=["cpu", "cuda", "tpu"])(
            theta
        )
    module = exported.mlir_module()
    assert exported.platforms == ("cpu", "cuda", "tpu")
    assert not re.search(r"tensor<[^>]*f64>", module)
    targets = set(re.findall(r"custom_call @(\w+)", module))
    assert not [name for name in targets if "callback" in name or "python" in name]
