"""Restore a blurred, noisy picture: `python -m experiments.restore image.png --psf psf.npy`.

Reads PNG, TIFF and FITS, and writes the restoration in the same format, a figure, `report.md` and
`result.json`.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.restore import figure, report, work
from experiments.restore.measurement import measure
from experiments.restore.methods import NUMBERS
from experiments.restore.pictures import BadInput, read, write
from experiments.restore.psf import read_mask, read_psf
from experiments.restore.tiling import TILE, tiling
from unrolljax.imaging.denoisers import Equivariant
from unrolljax.imaging.denoisers.pretrained import pretrained
from unrolljax.lab import folder
from unrolljax.lab.main import stamp


def main(arguments: Sequence[str] | None = None, denoiser: Any = None) -> int:
    """Run the command line; returns 0, 1 where a solve failed, or 2 where the input is wrong.

    - `denoiser`: of grey images, for plug-and-play; by default the pretrained one in four views.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    asked = parser().parse_args(arguments)
    command = shlex.join(["python", "-m", "experiments.restore", *arguments])
    try:
        failed = restore(asked, command, denoiser)
    except (BadInput, OSError) as error:
        print(f"restore: {error}", file=sys.stderr)
        return 2
    for sentence in failed:
        print(f"restore: {sentence}", file=sys.stderr)
    return int(bool(failed))


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    flags = argparse.ArgumentParser("python -m experiments.restore", description=__doc__)
    add = flags.add_argument
    add("image", type=Path, help="PNG, TIFF or FITS; pixels that are no numbers are missing")
    add("--psf", type=Path, metavar="FILE", help=".npy, FITS, TIFF, PNG (default: denoise only)")
    add("--noise", type=float, metavar="SIGMA", help="in units of the image (default: estimated)")
    add("--counts", type=float, metavar="GAIN", help="electrons per unit: variance signal / GAIN")
    add("--mask", type=Path, metavar="FILE", help="as large as the image, not zero: ignore")
    add("--method", choices=list(NUMBERS), default="pnp", help="(default pnp: plug-and-play)")
    add("--output", type=Path, metavar="FOLDER", help="(default runs/restore/TIME)")
    add("--tile", type=int, metavar="SIZE", help=f"pixels (default {TILE} or more)")
    return flags


def restore(asked: argparse.Namespace, command: str, denoiser: Any) -> list[str]:
    """Read, restore, write; returns a sentence for each way in which solves failed.

    Nothing is written before everything has been read and checked.
    """
    picture = read(asked.image)
    size = picture.values.shape[:2]
    if asked.method == "richardson-lucy" and asked.psf is None:
        raise BadInput("--method richardson-lucy sharpens only: it needs --psf.")
    psf = None if asked.psf is None else read_psf(asked.psf, size)
    ignored = None if asked.mask is None else read_mask(asked.mask, size)
    from_zero = asked.method == "richardson-lucy"
    measurement = measure(picture.values, ignored, asked.noise, asked.counts, from_zero)
    tiles = tiling(size, None if psf is None else psf.kernel, asked.tile)
    if asked.method == "pnp" and denoiser is None:
        denoiser = Equivariant(pretrained(), views=4)
    output = asked.output or Path("runs/restore") / stamp()
    output.mkdir(parents=True, exist_ok=True)

    restored = work.restored(measurement, tiles, asked.method, denoiser)
    name, scale = "restored" + asked.image.suffix.lower(), measurement.scale
    values = scale.zero + scale.span * restored.picture
    write(output / name, values, picture, f"Restored by {command}")
    figure.draw(output / "figure.png", measurement.y, restored.picture, restored.residual)
    told = report.result(picture, psf, asked.method, measurement, tiles, restored)
    told = {"command": command, "input": asked.image.name, "restoration": name, **told}
    failed = report.failures(restored)
    text = report.markdown(told, failed)
    folder.write(output / "report.md", text)
    folder.write(output / "result.json", json.dumps(told, indent=1) + "\n")
    print(f"{text}\n{output}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
