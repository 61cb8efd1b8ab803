"""Every kind of problem with a configuration is found, told in words, and placed."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import optax
import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobRuntime
from pydantic import Field, ValidationError, model_validator

import unrolljax as uj
from unrolljax.lab.compose import Composer, compose
from unrolljax.lab.schema import Config, Section
from unrolljax.lab.targets import Target, TargetError, locate, read
from unrolljax.lab.validate import ConfigError, check_sweep, load, validate

FILES = {
    "lab.yaml": "seed: 0\ntrain:\n  steps: 10\n  keep: 3\n",
    "demo.yaml": """
defaults:
  - lab
  - gradient: implicit
  - optimizer: adam
  - preset: full
  - optional preset/demo: ${preset}
  - _self_
size: 8
half: ${size}
scales: [1, 2.5]
stop:
  _target_: unrolljax.Stop
  max_steps: 20
hydra:
  run:
    dir: runs/${now:%Y}
""",
    "gradient/implicit.yaml": "_target_: unrolljax.Implicit\ntol: 1e-6\n",
    "gradient/unroll.yaml": "_target_: unrolljax.Unroll\n",
    "gradient/truncated.yaml": "_target_: unrolljax.Truncated\ndepth: 4\n",
    "optimizer/adam.yaml": "_target_: optax.adam\nlearning_rate: 1.0e-3\n",
    "solver/descent.yaml": "_target_: unrolljax.GradientDescent\nstep_size: 0.1\n",
    "preset/full.yaml": "# @package _global_\n",
    "preset/quick.yaml": "# @package _global_\nseed: 7\n",
    "preset/demo/quick.yaml": "# @package _global_\ntrain:\n  steps: 2\n",
}


class Demo(Config):
    size: int
    half: float
    scales: tuple[float, ...]
    stop: Target[uj.Stop]
    modes: dict[str, Target[uj.GradientMode]] = Field(default_factory=dict)


class Options(Section):
    kind: str = "plain"


class Wide(Demo):
    options: Options = Options()
    depth: int | float = 1

    @model_validator(mode="after")
    def _fits(self):
        if self.depth > self.size:
            raise ValueError("depth must not be above size")
        return self


@pytest.fixture
def folder(tmp_path) -> Path:
    root = tmp_path / "configs"
    for name, text in FILES.items():
        write(root, name, text)
    return root


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Composer:
    """The configuration as it is, read once for each choice of groups."""
    root = tmp_path_factory.mktemp("demo") / "configs"
    for name, text in FILES.items():
        write(root, name, text)
    return Composer(root, "demo")


def problems(source: Path | Composer, *overrides: str, model=Demo) -> list[str]:
    """The lines of the report, without the first."""
    composer = source if isinstance(source, Composer) else Composer(source, "demo")
    try:
        validate(model, composer.compose(list(overrides)))
    except ConfigError as error:
        head, *lines = str(error).splitlines()
        plural = "" if len(lines) == 1 else "s"
        assert head == f"{len(lines)} problem{plural} in the configuration of demo:"
        return [line.removeprefix("  ") for line in lines]
    return []


def only(source: Path | Composer, *overrides: str, model=Demo) -> str:
    (line,) = problems(source, *overrides, model=model)
    return line


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


def test_an_override_that_cannot_be_parsed(demo):
    assert only(demo, "a=b=[").startswith("command line: a = b=[: is no override")


@pytest.mark.parametrize(
    ("override", "line"),
    [
        (
            "gradient=implict",
            "gradient = implict: must be one of implicit, truncated, unroll; "
            "did you mean 'implicit'?",
        ),
        ("preset=quik", "preset = quik: must be one of full, quick; did you mean 'quick'?"),
        ("gradient=null", "gradient = null: must be the name of an option"),
        ("solvr/x=descent", "solvr/x = descent: there is no group of this name"),
        ("hydra/lancher=basic", "there is no group of this name; did you mean 'launcher'?"),
        ("solver=descent", "solver = descent: Could not override 'solver'"),
        ("+gradient=unroll", "gradient = unroll: Multiple values for gradient"),
        ("++gradient=unroll", "gradient = unroll: ++ is for values"),
        ("~gradient=unroll", "gradient = unroll: Could not delete 'gradient=unroll'"),
    ],
)
def test_one_problem_with_a_group(demo, override, line):
    assert line in only(demo, override)


def test_an_unknown_launcher(demo):
    line = only(demo, "hydra/launcher=bsic")
    assert line.startswith("command line: hydra/launcher = bsic: must be one of basic")
    assert line.endswith("did you mean 'basic'?")


def test_an_option_is_chosen_added_and_removed(folder):
    assert load(Demo, folder, "demo", ["gradient=unroll"]).gradient.path == "unrolljax.Unroll"
    assert only(folder, "~gradient").endswith("gradient: a value is required")
    assert only(folder, "+solver=descent").startswith("configs/solver/descent.yaml: solver = ")


def test_each_bad_override_of_a_group_is_told(demo):
    lines = problems(demo, "solver=descent", "~gradient=unroll", "seed=-1")
    assert [line.split(":")[1].split()[0] for line in lines] == ["solver", "gradient", "seed"]


def test_values_are_set_by_every_form_of_override(folder):
    forms = ["train.patience=4", "+train.evaluate_every=5", "++train.keep=2", "~half", "+half=1"]
    config = load(Demo, folder, "demo", forms)
    assert (config.train.patience, config.train.evaluate_every, config.train.keep) == (4, 5, 2)
    assert config.half == 1.0


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


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("demo.yaml", "size: 8\nscales: [1\nhalf: 2\n", "configs/demo.yaml, line 3"),
        ("lab.yaml", "seed: 0\nseed: 1\n", "configs/lab.yaml, line 2"),
        ("gradient/implicit.yaml", "a: {\n", "configs/gradient/implicit.yaml, line 2"),
        (
            "preset/demo/full.yaml",
            "# @package _global_\na: [",
            "configs/preset/demo/full.yaml, line 2",
        ),
        ("gradient/implicit.yaml", "a: ${b\n", "configs/gradient/implicit.yaml"),
    ],
)
def test_a_file_that_cannot_be_read_does_not_hide_other_problems(folder, name, text, where):
    write(folder, name, text)
    broken, other = problems(folder, "seed=-1")
    assert broken.startswith(f"{where}: cannot be read: ")
    assert other == "command line: seed = -1: must be greater than or equal to 0"


def test_two_files_that_cannot_be_read(folder):
    write(folder, "gradient/implicit.yaml", "a: {\n")
    write(folder, "optimizer/adam.yaml", "b: [\n")
    lines = sorted(problems(folder))
    assert [line.split(",")[0] for line in lines] == [
        "configs/gradient/implicit.yaml",
        "configs/optimizer/adam.yaml",
    ]


def test_an_experiment_without_a_file(folder):
    with pytest.raises(ConfigError, match=r"configs/other.yaml: there is no such file"):
        load(Demo, folder, "other", [])


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere/demo.yaml: Primary config directory not found"):
        load(Demo, tmp_path / "nowhere", "demo", [])


def test_a_missing_key(folder):
    write(folder, "lab.yaml", "seed: 0\ntrain: {keep: 2}\n")
    assert only(folder) == "configs/lab.yaml: train.steps: a value is required"


def test_presets_of_all_and_of_one_experiment(folder):
    composed = compose(folder, "demo", ["preset=quick"])
    assert composed.config["seed"] == 7
    assert composed.config["train"] == {"steps": 2, "keep": 3}
    assert composed.origin(("seed",)) == "configs/preset/quick.yaml"
    assert composed.origin(("train", "steps")) == "configs/preset/demo/quick.yaml"
    assert composed.origin(("train", "keep")) == "configs/lab.yaml"
    assert composed.origin(("size",)) == "configs/demo.yaml"


def test_a_problem_in_a_preset_is_placed_there(folder):
    write(folder, "preset/demo/quick.yaml", "# @package _global_\ntrain: {steps: 0}\n")
    assert only(folder, "preset=quick").startswith("configs/preset/demo/quick.yaml: train.steps")
    assert only(folder, "preset=quick", "train.steps=-1").startswith("command line: train.steps")


def test_the_environment_may_be_asked(folder, monkeypatch):
    monkeypatch.setenv("UNROLLJAX_CACHE", "/cache")
    config = load(Demo, folder, "demo", ["compile_cache=${oc.env:UNROLLJAX_CACHE}"])
    assert config.compile_cache == "/cache"


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
    "unrolljax.lab.targets.importlib.import_module",
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


def test_a_sweep_runs_through_every_value_once(folder):
    runs = Composer(folder, "demo").sweep(["gradient=unroll,implicit", "size=1", "seed=range(0,3)"])
    assert runs == [
        ["gradient=unroll", "size=1", "seed=0"],
        ["gradient=implicit", "size=1", "seed=0"],
        ["gradient=unroll", "size=1", "seed=1"],
        ["gradient=unroll", "size=1", "seed=2"],
    ]
    every = Composer(folder, "demo").sweep(["gradient=glob(*)"])
    assert every == [["gradient=implicit"], ["gradient=truncated"], ["gradient=unroll"]]


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


def test_overrides_are_handed_to_hydra_so_that_it_takes_new_keys(folder):
    given = ["gradient=unroll,implicit", "train.patience=3", "+a=1", "~half", "hydra.run.dir=x"]
    forced = ["gradient=unroll,implicit", "++train.patience=3", "++a=1", "~half", "hydra.run.dir=x"]
    assert Composer(folder, "demo").forced(given) == forced


def test_loading_leaves_hydra_as_it_was(folder):
    assert not GlobalHydra.instance().is_initialized()
    load(Demo, folder, "demo", [])
    assert not GlobalHydra.instance().is_initialized()
    with initialize_config_dir(str(folder), version_base=None, job_name="running"):
        hydra = GlobalHydra.instance().hydra
        load(Demo, folder, "demo", [])
        assert GlobalHydra.instance().hydra is hydra
        assert JobRuntime.instance().get("name") == "running"


def test_loading_starts_no_backend(folder):
    program = f"""
from unrolljax.lab.schema import Config
from unrolljax.lab.validate import load, ConfigError
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
