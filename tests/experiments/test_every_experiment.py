"""What every shipped experiment must do, found by walking the package."""

import importlib
import pkgutil
from pathlib import Path

import equinox as eqx
import jax
import pytest
from omegaconf import OmegaConf

import experiments
from unrolljax.lab import folder, run
from unrolljax.lab.compilations import counted
from unrolljax.lab.config.validate import load

CONFIGS = Path(__file__).parents[2] / "configs"


def _module(found):
    main = ".__main__" if found.ispkg else ""
    return importlib.import_module(f"experiments.{found.name}{main}")


# A command that takes flags, not a configuration, has nothing to build.
EXPERIMENTS = [
    (found.name, module)
    for found in pkgutil.iter_modules(experiments.__path__)
    if hasattr(module := _module(found), "build")
]


@pytest.fixture(params=EXPERIMENTS, ids=lambda pair: pair[0])
def experiment(request):
    return request.param


def test_its_configuration_begins_with_its_command_and_sets_every_key(experiment):
    name, module = experiment
    path = CONFIGS / f"{name}.yaml"
    assert path.read_text().startswith(f"# python -m experiments.{name}")
    assert "Prints" in path.read_text()
    assert (CONFIGS / "preset" / name / "quick.yaml").exists()
    keys = set(OmegaConf.load(path)) | set(OmegaConf.load(CONFIGS / "lab.yaml"))
    assert set(module.Config.model_fields) - keys <= {"gradient", "solver"}


def test_it_trains_and_compiles_nothing_after_the_warm_up(experiment, tmp_path):
    name, module = experiment
    few = ["preset=quick", "train.steps=3", "train.evaluate_every=1", "train.checkpoint_every=2"]
    config = load(module.Config, CONFIGS, name, few)
    with (
        jax.enable_x64(False),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        training = run.prepare(module.build(config), config, tmp_path)
        lines = []
        with counted() as compiled:
            training.run(lines.append)
    assert compiled.count == 0
    steps = [line for line in lines if "loss" in line]
    assert len(steps) == 3
    assert all(set(line["status"]) <= {"CONVERGED", "COMPLETED"} for line in steps)


def test_its_configuration_has_one_hash(experiment):
    name, module = experiment
    hashes = [
        folder.config_sha256(load(module.Config, CONFIGS, name, overrides))
        for overrides in ([], ["devices=2", "platform=cpu", "tensorboard=true"], ["seed=1"])
    ]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_it_computes_in_the_precision_that_is_asked_for(experiment, precision):
    name, module = experiment
    config = load(module.Config, CONFIGS, name, ["preset=quick", f"precision={precision}"])
    with jax.enable_x64(precision == "float64"), jax.numpy_rank_promotion("allow"):
        built = module.build(config)
        batch = built.sample(built.data, jax.random.key(0))
        arrays = jax.tree.leaves((built.parameters, built.data, built.held_out, batch))
    kinds = {str(array.dtype) for array in arrays if eqx.is_inexact_array(array)}
    assert kinds <= {precision, {"float32": "complex64", "float64": "complex128"}[precision]}
