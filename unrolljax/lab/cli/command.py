"""The command `unrolljax`: compare runs, resume one, check a gradient or the installation."""

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any


class UsageError(Exception):
    """What was asked for cannot be done; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, 1 where a check failed, or 2 where the request is wrong."""
    asked = parser().parse_args(arguments)
    try:
        return asked.command(asked)
    except UsageError as error:
        print(f"unrolljax: {error}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """The subcommands and their arguments."""
    top = argparse.ArgumentParser("unrolljax", description="Look after the runs of experiments.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    add = commands.add_parser("report", help="compare runs in a table and a figure")
    add.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run folder, or a sweep's")
    add.add_argument("--out", type=Path, metavar="FOLDER", help="where comparison.png goes")
    add.set_defaults(command=report)

    add = commands.add_parser("resume", help="continue a run in its folder")
    add.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    add.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the configuration")
    add.set_defaults(command=resume)

    add = commands.add_parser("check", help="compare an experiment's gradients with differences")
    add.add_argument("name", metavar="NAME", help="of experiments.NAME, or a dotted module")
    add.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the configuration")
    add.add_argument("--tol", type=float, default=1e-2, help="relative error (default 1e-2)")
    add.add_argument("--modes", metavar="A,B", help="of configs/gradient (default all)")
    add.add_argument("--json", type=Path, metavar="FILE", help="where the numbers go")
    add.add_argument("--figure", type=Path, metavar="FILE.png", help="where a figure goes")
    add.set_defaults(command=check)

    add = commands.add_parser("doctor", help="test the installation")
    add.set_defaults(command=doctor)
    return top


def report(asked: argparse.Namespace) -> int:
    """Print the table, draw the figure, and say where it is."""
    from unrolljax.lab.cli import comparison

    try:
        runs = comparison.find(asked.runs)
        default = runs[0].path.parent if len(runs) > 1 else runs[0].path
        figure = (asked.out or default) / "comparison.png"
        figure.parent.mkdir(parents=True, exist_ok=True)
        print(comparison.compare(runs))
        comparison.draw(runs, figure)
    except (comparison.NoRun, OSError) as error:
        raise UsageError(error) from None
    print(f"\n{figure}")
    return 0


def resume(asked: argparse.Namespace) -> int:
    """Do what the launch of the run did, with its folder; later overrides replace earlier ones."""
    from unrolljax.lab import folder
    from unrolljax.lab.main import launch

    launched = folder.read(asked.run / "launch.json")
    if launched is None:
        raise UsageError(f"{asked.run} holds no run: there is no launch.json in it.")
    experiment = _import(launched["module"])
    keys = {override.partition("=")[0] for override in asked.overrides}
    kept = [o for o in launched["overrides"] if o.partition("=")[0] not in keys]
    path = str(asked.run.absolute()).replace("'", r"\'")
    arguments = [*kept, *asked.overrides, f"hydra.run.dir='{path}'"]
    launch(launched["module"], experiment.Config, arguments)
    return 0


def check(asked: argparse.Namespace) -> int:
    """Compare the gradient modes of an experiment; whether the configured one agrees decides."""
    from unrolljax.lab.cli.check import check_gradient

    module = asked.name if "." in asked.name else f"experiments.{asked.name}"
    experiment = _import(module)
    modes = asked.modes.split(",") if asked.modes else None
    try:
        checked = check_gradient(experiment, asked.overrides, modes)
        print(checked.comparison)
        _write_check(asked, checked)
    except (OSError, ValueError) as error:  # a wrong request, or parts that do not go together
        raise UsageError(error) from None
    row = checked.row
    if row.refused:
        raise UsageError(f"gradient={row.name} is {row.status}")
    agrees = row.error <= asked.tol
    verdict = "agrees" if agrees else "NOT COMPARED" if checked.comparison.at_kink else "DIFFERS"
    print(f"{row.name} {verdict}: tolerance {asked.tol:g}")
    return 0 if agrees else 1


def _write_check(asked: argparse.Namespace, checked: Any) -> None:
    """The files that were asked for."""
    for path in filter(None, (asked.json, asked.figure)):
        path.parent.mkdir(parents=True, exist_ok=True)
    if asked.json:
        asked.json.write_text(checked.comparison.as_json() + "\n")
    if asked.figure:
        from unrolljax.lab.cli import check_figure

        check_figure.draw(checked.comparison, checked.configured, asked.figure)


def doctor(_: argparse.Namespace) -> int:
    """Print what works here, a line each."""
    from unrolljax.lab.cli.doctor import examine

    states = []
    for row in examine():
        print(row, flush=True)
        states.append(row.state)
    return int("FAIL" in states)


def _import(name: str) -> ModuleType:
    """The module of an experiment, of which the working directory may hold the package."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        spec = importlib.util.find_spec(name)
        package = spec is not None and spec.submodule_search_locations is not None
        return importlib.import_module(f"{name}.__main__" if package else name)
    except ModuleNotFoundError as error:
        if not f"{name}.__main__".startswith(str(error.name)):
            raise
        raise UsageError(
            f"There is no module {error.name} here. Call unrolljax from the folder that holds "
            f"the package {name.split('.')[0]}."
        ) from None
