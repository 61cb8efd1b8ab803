"""Files, groups and overrides make a configuration whose keys know where they come from."""

import pytest
from demo import Demo, only, problems, write
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobRuntime

from unrolljax.lab.config.compose import Composer
from unrolljax.lab.config.validate import ConfigError, load


def test_presets_of_all_and_of_one_experiment(folder):
    composed = Composer(folder, "demo").compose(["preset=quick"])
    assert composed.config["seed"] == 7
    assert composed.config["train"] == {"steps": 2, "keep": 3}
    assert composed.origin(("seed",)) == "configs/preset/quick.yaml"
    assert composed.origin(("train", "steps")) == "configs/preset/demo/quick.yaml"
    assert composed.origin(("train", "keep")) == "configs/lab.yaml"
    assert composed.origin(("size",)) == "configs/demo.yaml"


@pytest.mark.parametrize(
    ("override", "line"),
    [
        (
            "gradient=implict",
            "gradient = implict: must be one of implicit, truncated, unroll; "
            "did you mean 'implicit'?",
        ),
        ("preset=quik", "preset = quik: must be one of full, quick; did you mean 'quick'?"),
        ("gradient=null", "gradient = null: must be one of implicit, truncated, unroll"),
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


def test_an_override_that_cannot_be_parsed(demo):
    assert only(demo, "a=b=[").startswith("command line: a = b=[: is no override")


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
def test_a_file_that_cannot_be_read_is_told_with_the_wrong_overrides(folder, name, text, where):
    write(folder, name, text)
    assert not Composer(folder, "demo").compose([]).complete
    override, broken = problems(folder, "half", "seed=-1")
    assert override.startswith("command line: half: is no override")
    assert broken.startswith(f"{where}: cannot be read: ")


def test_an_experiment_without_a_file(folder):
    with pytest.raises(ConfigError, match=r"configs/other.yaml: there is no such file"):
        load(Demo, folder, "other", [])


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere/demo.yaml: Primary config directory not found"):
        load(Demo, tmp_path / "nowhere", "demo", [])


def test_a_problem_in_a_preset_is_placed_there(folder):
    write(folder, "preset/demo/quick.yaml", "# @package _global_\ntrain: {steps: 0}\n")
    assert only(folder, "preset=quick").startswith("configs/preset/demo/quick.yaml: train.steps")
    assert only(folder, "preset=quick", "train.steps=-1").startswith("command line: train.steps")


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


def test_overrides_are_handed_to_hydra_so_that_it_takes_new_keys(folder):
    same = ["gradient=unroll,implicit", "size=3", "~half", "hydra.run.dir=x"]
    given = [*same, "train.patience=3", "+a=1"]
    forced = [*same, "++train.patience=3", "++a=1"]
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
