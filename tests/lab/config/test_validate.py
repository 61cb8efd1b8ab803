"""Every kind of problem with a configuration is found, told in words, and placed."""

import os
import pickle
import subprocess
import sys

import optax
import pytest
from demo import FILES, Demo, Wide, only, problems, write

import unrolljax as uj
from unrolljax.lab.config.validate import ConfigError, check_sweep, load, resolved


def test_a_right_configuration_is_read(folder):
    config = load(Demo, folder, "demo", ["seed=3", "train.max_failed=1"])
    assert (config.seed, config.size, config.half, config.scales) == (3, 8, 8.0, (1.0, 2.5))
    assert config.train.steps == 10
    assert config.train.max_failed == 1.0
    assert config.gradient.build() == uj.Implicit(tol=1e-6)
    assert isinstance(config.optimizer.build(), optax.GradientTransformation)


def test_the_configuration_is_written_as_it_was_read_and_can_be_sent_to_a_job(folder):
    config = load(Demo, folder, "demo", ["gradient.linear_solver=[cg,dense]"])
    tree = config.model_dump(mode="json")
    assert tree["gradient"] == {
        "_target_": "unrolljax.Implicit",
        "tol": 1e-6,
        "linear_solver": ["cg", "dense"],
    }
    assert Demo.model_validate_json(config.model_dump_json()) == config
    assert pickle.loads(pickle.dumps(config)) == config


@pytest.mark.parametrize("number", ["1e-6", "1.0e-6", "1E-6", "0.000001"])
def test_small_numbers_are_numbers(folder, number):
    write(folder, "gradient/implicit.yaml", f"_target_: unrolljax.Implicit\ntol: {number}\n")
    for overrides in ([], [f"gradient.tol={number}"]):
        config = load(Demo, folder, "demo", overrides)
        assert config.gradient.arguments["tol"] == 1e-6


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("seed=abc", "seed = abc: must be an integer"),
        ("seed=1.5", "seed = 1.5: must be an integer"),
        ("seed=true", "seed = true: must be an integer"),
        ("seed='1'", "seed = 1: must be an integer"),
        ("seed=-1", "seed = -1: must be greater than or equal to 0"),
        ("train.steps=0", "train.steps = 0: must be greater than or equal to 1"),
        ("train.max_failed=2", "train.max_failed = 2: must be less than or equal to 1"),
        ("train.max_failed=abc", "train.max_failed = abc: must be a number"),
        ("tensorboard=yes", "tensorboard = yes: must be true or false"),
        ("tensorboard=1", "tensorboard = 1: must be true or false"),
        ("scales.1=abc", "scales.1 = abc: must be a number"),
        ("depth=abc", "depth = abc: must be an integer or a number"),
        (
            "precision=float63",
            "precision = float63: must be 'float32' or 'float64'; did you mean 'float64'?",
        ),
        ("sed=1", "sed = 1: unknown key; did you mean 'seed'?"),
        ("gradent=unroll", "gradent = unroll: unknown key; did you mean 'gradient'?"),
        ("train.stepz=1", "train.stepz = 1: unknown key; did you mean 'steps'?"),
        ("+train.stepz=1", "train.stepz = 1: unknown key; did you mean 'steps'?"),
        ("options.knd=1", "options.knd = 1: unknown key; did you mean 'kind'?"),
        ("steps=5", "steps = 5: unknown key; did you mean 'train.steps'?"),
        ("xyzzy=5", "xyzzy = 5: unknown key"),
        ("seed=${nope}", "seed = ${nope}: cannot be resolved: Interpolation key 'nope' not found"),
        (
            "seed=${oc.env:UNROLLJAX_UNSET}",
            "seed = ${oc.env:UNROLLJAX_UNSET}: cannot be resolved: "
            "KeyError raised while resolving interpolation: "
            "\"Environment variable 'UNROLLJAX_UNSET' not found\"",
        ),
        ("seed=???", "seed: a value is required"),
        ("half", "half: is no override; the form is key=value"),
        ("seed=1,2", "seed = 1,2: gives several values: -m sweeps over them, key=[a,b] is a list"),
        ("~half", "half: a value is required"),
        ("~halff=2", "halff = 2: is not set, so it cannot be deleted; did you mean 'half'?"),
        ("hydra.run.dr=x", "hydra.run.dr = x: Key 'dr' not in 'RunDir'"),
    ],
)
def test_one_problem_of_the_command_line(demo, override, line):
    assert only(demo, override, model=Wide) == f"command line: {line}"


def test_a_problem_of_several_keys_is_the_experiments(demo):
    message = "configs/demo.yaml: depth must not be above size"
    assert only(demo, "depth=9", model=Wide) == message


def test_new_keys_above_an_override_are_the_command_lines(demo):
    assert only(demo, "new.key=1") == 'command line: new = {"key": 1}: unknown key'


def test_a_long_value_is_cut(demo):
    assert only(demo, f"seed={'x' * 200}").endswith(f"{'x' * 80}...: must be an integer")


def test_six_problems_of_six_kinds_are_one_message(folder):
    write(folder, "lab.yaml", "seed: 0\ntrain: {stps: 3}\n")
    lines = problems(
        folder, "gradient=implict", "a=b=[", "gradient.tl=1", "size=1.5", "stop._target_=os.system"
    )
    assert [line.rpartition(": ")[0] for line in lines if "a = b" not in line] == [
        "command line: gradient = implict",
        "command line: gradient.tl = 1",
        "configs/lab.yaml: train.steps",
        "configs/lab.yaml: train.stps = 3",
        "command line: size = 1.5",
        "command line: stop._target_ = os.system",
    ]
    assert len(lines) == 7


@pytest.mark.parametrize(
    ("name", "text", "start"),
    [
        ("lab.yaml", "seed: -1\ntrain: {steps: 1}\n", "configs/lab.yaml: seed = -1: "),
        ("demo.yaml", FILES["demo.yaml"] + "sede: 1\n", "configs/demo.yaml: sede = 1: unknown"),
        (
            "gradient/implicit.yaml",
            "_target_: unrolljax.Implicit\nmax_stps: 3\n",
            "configs/gradient/implicit.yaml: gradient.max_stps = 3: is no argument",
        ),
        (
            "demo.yaml",
            FILES["demo.yaml"].replace("gradient: implicit", "gradient: implict"),
            "configs/demo.yaml: gradient = implict: must be one of implicit,",
        ),
        (
            "demo.yaml",
            FILES["demo.yaml"].replace("- lab", "- labb"),
            "configs/demo.yaml: defaults = labb: there is no such file",
        ),
    ],
)
def test_the_file_of_a_problem_is_named(folder, name, text, start):
    write(folder, name, text)
    assert only(folder).startswith(start)


def test_a_missing_key(folder):
    write(folder, "lab.yaml", "seed: 0\ntrain: {keep: 2}\n")
    assert only(folder) == "configs/lab.yaml: train.steps: a value is required"


def test_the_environment_may_be_asked(folder, monkeypatch):
    monkeypatch.setenv("UNROLLJAX_CACHE", "/cache")
    config = load(Demo, folder, "demo", ["compile_cache=${oc.env:UNROLLJAX_CACHE}"])
    assert config.compile_cache == "/cache"


def test_the_problems_of_a_sweep_are_told_once(folder):
    check_sweep(Demo, folder, "demo", ["gradient=unroll,implicit", "seed=0,1"])
    with pytest.raises(ConfigError) as caught:
        check_sweep(Demo, folder, "demo", ["gradient=unroll,implict", "seed=0,-1", "siz=1"])
    assert [(p.key, p.value) for p in caught.value.problems] == [
        ("siz", "1"),
        ("gradient", "implict"),
        ("seed", "-1"),
    ]


def test_a_sweep_that_has_no_list_of_values(folder):
    with pytest.raises(ConfigError, match="gives several values"):
        check_sweep(Demo, folder, "demo", ["train.max_failed=interval(0,1)"])


def test_loading_starts_no_backend(folder):
    program = f"""
from unrolljax.lab.config.schema import Config
from unrolljax.lab.config.validate import load, ConfigError
folder = {str(folder)!r}
for overrides in ([], ["gradient.capacity=0"], ["optimizer.b1=x"]):
    try:
        load(Config, folder, "demo", ["~size", "~half", "~scales", "~stop", *overrides])
    except ConfigError as error:
        print(len(error.problems))
"""
    environment = os.environ | {"JAX_PLATFORMS": "nowhere"}
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert (run.returncode, run.stdout) == (0, "1\n1\n"), run.stderr


def test_keys_that_do_not_fit_together_are_placed_where_they_lie(folder):
    line = "configs/lab.yaml: train: patience counts evaluations, so it needs evaluate_every >= 1"
    assert only(folder, "train.patience=3") == line
    assert problems(folder, "train.patience=3", "train.evaluate_every=1") == []


def test_a_job_validates_what_it_receives(folder):
    config = load(Wide, folder, "demo", ["depth=8"])
    content = config.model_dump(mode="json")
    assert resolved(Wide, "demo", content) == config
    with pytest.raises(ConfigError) as caught:
        resolved(Wide, "demo", content | {"size": 1})
    assert str(caught.value) == (
        "1 problem in the configuration of demo:\n  the configuration: depth must not be above size"
    )
    with pytest.raises(ConfigError, match="the configuration: sede = 1: unknown key; did you mean"):
        resolved(Wide, "demo", content | {"sede": 1})
