"""What a `_target_` may name, and which arguments it takes."""

import optax
import pytest
from demo import Demo, only, problems, write
from pydantic import ValidationError

import unrolljax as uj
from unrolljax.lab.config.locate import TargetError, locate
from unrolljax.lab.config.targets import Target, read
from unrolljax.lab.config.validate import load


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("gradient.tol=abc", "gradient.tol = abc: must be a number"),
        ("gradient.tl=1", "gradient.tl = 1: is no argument of unrolljax.Implicit; "),
        ("gradient.max_steps=1.5", "gradient.max_steps = 1.5: must be an integer"),
        ("gradient.ad=bth", "must be 'reverse' or 'both'; did you mean 'both'?"),
        ("gradient.capacity=0", "gradient.capacity = 0: Implicit(capacity=0) must be at least 1"),
        ("gradient.linear_solver=x", "gradient.linear_solver = x: linear_solver='x' is unknown"),
        ("gradient.preconditioner=x", "must be a mapping with the key _target_"),
        ("modes={a: {tol: 1}}", 'modes.a = {"tol": 1}: must be a mapping'),
        ("gradient._target_=unrolljax.Implict", "exist; did you mean 'unrolljax.Implicit'?"),
        ("gradient._target_=unroljax.Implicit", "; did you mean 'unrolljax'?"),
        ("gradient._target_=unrolljax.Stop", "gradient._target_ = unrolljax.Stop: must be a Grad"),
        ("gradient._target_=unrolljax.prox", "is not callable"),
        ("gradient._target_=3", "must be a dotted name such as unrolljax.Implicit"),
        ("gradient._partial_=true", "only _target_ is allowed here"),
        ("optimizer._args_=[1]", "only _target_ is allowed here"),
        ("optimizer.learning_rate=abc", "must be a number or a mapping with the key _target_"),
        ("optimizer.nesterov=1", "optimizer.nesterov = 1: must be true or false"),
        ("optimizer.b1=high", "optimizer.b1 = high: must be a number"),
        ("stop.max_steps=0", "stop.max_steps = 0: Stop(max_steps=0) must be at least 1."),
        ("modes.a=1", "modes.a = 1: must be a mapping with the key _target_"),
    ],
)
def test_one_problem_with_a_target(demo, override, line):
    # An argument that another target does not have is no part of the test.
    found = only(demo, "~gradient.tol", override)
    assert line in found
    assert found.startswith("command line: ")


def test_several_values_out_of_range_in_one_target(demo):
    lines = problems(demo, "gradient.capacity=0", "gradient.linear_solver=x", "gradient.ad=x")
    assert len(lines) == 3


REFUSED = [
    "os.system",
    "builtins.eval",
    "subprocess.Popen",
    "experiments_evil.x",
    "unrolljaxx.Stop",
    "unrolljax.core.trees.jax.x",
    "unrolljax.core.stop.jnp.zeros",
    "optax.jax.numpy.zeros",
    "unrolljax.core.stop.eqx.Module",
    "unrolljax.lab.config.targets.importlib.import_module",
    "unrolljax.solve.__globals__.clear",
    "unrolljax.__dict__.clear",
    "unrolljax..Stop",
    "",
]


@pytest.mark.parametrize("path", REFUSED)
def test_a_target_outside_the_packages_is_refused(demo, path):
    with pytest.raises(TargetError):
        locate(path)
    assert only(demo, f"stop._target_='{path}'").startswith("command line: stop._target_")


def test_a_nested_target_is_refused_before_anything_is_imported(monkeypatch):
    imported = []
    monkeypatch.setattr("importlib.import_module", imported.append)
    nested = {"tol": {"a": [{"_target_": "subprocess.Popen", "args": "ls"}]}}
    with pytest.raises(ValidationError) as caught:
        read({"_target_": "unrolljax.Stop"} | nested)
    assert caught.value.errors()[0]["loc"] == ("tol", "a", 0, "_target_")
    assert imported == []


def test_arguments_may_be_targets(folder):
    schedule = "{_target_: optax.cosine_decay_schedule, init_value: 0.1, decay_steps: %s}"
    config = load(Demo, folder, "demo", [f"optimizer.learning_rate={schedule % 5}"])
    assert isinstance(config.optimizer.arguments["learning_rate"], Target)
    assert isinstance(config.optimizer.build(), optax.GradientTransformation)
    line = only(folder, f"optimizer.learning_rate={schedule % 0.5}")
    assert line.endswith("optimizer.learning_rate.decay_steps = 0.5: must be an integer")
    nested = "optimizer.learning_rate={_target_: optax.cosine, init_value: 0.1}"
    assert "optimizer.learning_rate._target_ = optax.cosine: does not exist" in only(folder, nested)


def test_targets_in_a_mapping_are_read_and_built():
    def spec(rate):
        descent = {"_target_": "optax.sgd", "learning_rate": rate}
        labels = {"weights": "a"}
        return {"_target_": "optax.partition", "transforms": {"a": descent}, "param_labels": labels}

    target = read(spec(0.1))
    assert isinstance(target.arguments["transforms"]["a"], Target)
    assert target.spec == spec(0.1)
    assert isinstance(target.build(), optax.GradientTransformation)
    with pytest.raises(ValidationError) as caught:
        read(spec("fast"))
    places = {error["loc"][:3] for error in caught.value.errors()}
    assert places == {("transforms", "a", "learning_rate")}


def test_what_the_files_lack_is_given_to_build():
    descent = Target("unrolljax.GradientDescent", {"momentum": 0.5})
    assert descent.build(step_size=0.1) == uj.GradientDescent(0.1, 0.5)
    with pytest.raises(TypeError, match="missing a required argument: 'step_size'"):
        descent.build()
    with pytest.raises(TypeError, match="multiple values"):
        descent.build(step_size=0.1, momentum=0.9)
    with pytest.raises(TypeError, match="which is no GradientMode"):
        Target("unrolljax.Stop", {}, uj.GradientMode).build()


def test_a_missing_argument_is_no_problem_of_the_configuration(folder):
    write(folder, "optimizer/adam.yaml", "_target_: optax.adam\n")
    assert problems(folder) == []
