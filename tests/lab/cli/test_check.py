"""The gradient check agrees with a right gradient, and only with a right one."""

from pathlib import Path

import jax.numpy as jnp
import pytest

from unrolljax.lab.cli import check, command

ROOT = Path(__file__).parents[3]
SMALL = ["rows=8", "columns=12", "layers=4", "batch=4", "held_out=4", "compile_cache=null"]


@pytest.fixture
def check_lista(monkeypatch):
    """Check a small experiments.lista."""
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda *arguments: command.main(["check", "lista", *SMALL, *arguments])


def test_a_right_gradient_agrees(check_lista, capsys):
    assert check_lista("gradient=unroll", "--tol", "1e-6") == 0
    output = capsys.readouterr().out
    assert output.startswith("unrolljax.Unroll: loss ")
    assert "solves {'COMPLETED': 4}" in output
    assert "cosine 1.000000" in output
    assert output.endswith("agrees: tolerance 1e-06\n")


def test_an_approximate_gradient_differs(check_lista, capsys):
    assert check_lista("gradient=truncated", "gradient.depth=2") == 1
    assert capsys.readouterr().out.endswith("DIFFERS: tolerance 0.01\n")


@pytest.mark.parametrize(
    ("override", "message"),
    [("gradient=implicit", "Implicit is right only at a solution"), ("rows=0", "rows = 0")],
)
def test_what_cannot_be_checked_is_told(check_lista, capsys, override, message):
    assert check_lista(override) == 2
    assert message in capsys.readouterr().err


def test_an_unknown_experiment_is_told(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert command.main(["check", "list"]) == 2
    assert "There is no module experiments.list here." in capsys.readouterr().err


def test_a_gradient_that_is_not_a_number_differs(monkeypatch):
    nan = jnp.asarray([jnp.nan])
    slopes = check.Slopes("mode", 1.0, {}, 0.1, nan, jnp.ones(1), jnp.zeros(1))
    monkeypatch.setattr(check, "check_gradient", lambda *_: slopes)
    monkeypatch.chdir(ROOT)
    assert command.main(["check", "lista"]) == 1


@pytest.mark.parametrize(
    ("function", "slope"),
    [
        (lambda x: jnp.sum(jnp.exp(x)), 3 * jnp.e),
        # A kink within the larger steps.
        (lambda x: jnp.sum(jnp.abs(x - 1.0001)), -3.0),
        # Noise that spoils the smaller ones.
        (lambda x: jnp.sum(x**2) + 1e-9 * jnp.sin(1e12 * x[0]), 6.0),
    ],
)
def test_differences_find_a_step_that_fits(function, slope):
    found, spread = check.central_difference(function, jnp.ones(3), jnp.ones(3))
    assert abs(found - slope) < 1e-5 * abs(slope)
    assert spread < 1e-3 * abs(slope)
