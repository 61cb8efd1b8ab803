"""How to build every solver of the package; a solver without an entry here fails its tests."""

import importlib
import inspect
import pkgutil
from typing import Any, NamedTuple

import jaxopt
import optax
import optimistix
import problems

import unrolljax as uj
import unrolljax.solvers
from unrolljax.core.solver import Solver


class Build(NamedTuple):
    """One way to build a solver, the problems it is tried on, and the tolerance it can reach."""

    name: str
    make: Any
    cases: list[problems.Case]
    sweep: str | None = None
    """A number of the solver that a user sweeps."""


def every_solver() -> list[type[Solver]]:
    """Every solver class that a file of unrolljax.solvers defines."""
    found = []
    for module in pkgutil.iter_modules(unrolljax.solvers.__path__):
        loaded = importlib.import_module(f"unrolljax.solvers.{module.name}")
        for _, value in inspect.getmembers(loaded, inspect.isclass):
            own = value.__module__ == loaded.__name__
            if own and issubclass(value, Solver) and not value.__name__.startswith("_"):
                found.append(value)
    return found


MINIMISER = uj.Structure(symmetric=True, positive_definite=True)


def builds(solver: type[Solver]) -> list[Build]:
    """The builds of a solver class; KeyError for a class that nobody has entered."""
    s = uj.solvers
    objectives, squares = problems.objectives(), problems.least_squares()

    def with_map(make):
        return [
            Build(f"{solver.__name__} {name}", lambda f=f: make(f), [case])
            for (name, f), case in zip(problems.MAPS.items(), problems.maps(), strict=True)
        ]

    table = {
        s.ADMM: lambda: [Build("ADMM", lambda p=1.5: s.ADMM(p), problems.saddles(), "penalty")],
        s.Anderson: lambda: with_map(lambda f: s.Anderson(f)),
        s.BarzilaiBorwein: lambda: [Build("BB", lambda: s.BarzilaiBorwein(0.1), objectives)],
        s.FIRE: lambda: [Build("FIRE", lambda: s.FIRE(0.3), objectives)],
        s.FixedPoint: lambda: with_map(lambda f: s.FixedPoint(f)),
        s.GaussNewton: lambda: [Build("Gauss-Newton", lambda: s.GaussNewton(), squares)],
        s.GradientDescent: lambda: [
            Build(
                "gradient descent",
                lambda step=0.2: s.GradientDescent(step),
                objectives,
                "step_size",
            ),
            Build("Polyak", lambda: s.GradientDescent(0.15, 0.5), objectives),
            Build("Nesterov", lambda: s.GradientDescent(0.15, 0.5, "nesterov"), objectives),
        ],
        s.Jaxopt: lambda: [
            Build(
                "jaxopt gradient descent",
                lambda: s.Jaxopt(_jaxopt_gradient_descent, MINIMISER, differentiable=True),
                objectives,
            ),
            Build("jaxopt L-BFGS", lambda: s.Jaxopt(_jaxopt_lbfgs, MINIMISER), objectives),
        ],
        s.LBFGS: lambda: [Build("L-BFGS", lambda: s.LBFGS(), objectives)],
        s.Newton: lambda: [
            Build("Newton", lambda: s.Newton(), objectives),
        ],
        s.NewtonRoot: lambda: [Build("Newton root", lambda: s.NewtonRoot(), problems.roots())],
        s.Optax: lambda: [Build("optax SGD", lambda: s.Optax(_SGD), objectives)],
        s.Optimistix: lambda: [
            Build(
                "optimistix Newton",
                lambda: s.Optimistix(optimistix.Newton(1e-8, 1e-8)),
                problems.roots(),
            ),
            Build(
                "optimistix Gauss-Newton",
                lambda: s.Optimistix(optimistix.GaussNewton(1e-8, 1e-8)),
                squares,
            ),
        ],
        s.PrimalDual: lambda: [
            Build("primal-dual", lambda: s.PrimalDual(0.25, 0.6), problems.saddles())
        ],
        s.ProximalGradient: lambda: [
            Build(
                "ISTA",
                lambda step=0.25: s.ProximalGradient(step),
                problems.composites(),
                "step_size",
            ),
            Build(
                "FISTA", lambda: s.ProximalGradient(0.2, accelerated=True), problems.composites()
            ),
        ],
    }
    return table[solver]()


_SGD = optax.sgd(0.15, momentum=0.5)


def _jaxopt_gradient_descent(problem):
    return jaxopt.GradientDescent(problem.objective, stepsize=0.2, acceleration=False)


def _jaxopt_lbfgs(problem):
    return jaxopt.LBFGS(problem.objective)
