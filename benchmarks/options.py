"""The flags that every benchmark has."""

import argparse
import pathlib


def parser(name: str, description: str | None, quick: str) -> argparse.ArgumentParser:
    """`--quick` (what that leaves out), `--check` and `--json` of `python -m benchmarks.NAME`."""
    flags = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    flags.add_argument("--quick", action="store_true", help=quick)
    flags.add_argument("--check", action="store_true", help="exit 1 where a target is missed")
    flags.add_argument("--json", type=pathlib.Path, help="write every measured number here")
    return flags
