"""What a restoration was made of and how it went: data, and the same in words."""

from typing import Any

import numpy as np

from experiments.restore.measurement import PERCENTILES, Measurement
from experiments.restore.methods import numbers
from experiments.restore.pictures import Picture
from experiments.restore.psf import Psf
from experiments.restore.tiling import Tiling
from experiments.restore.work import Restored
from unrolljax.core.status import Status
from unrolljax.lab import record
from unrolljax.lab.report import show


def result(
    picture: Picture,
    psf: Psf | None,
    method: str,
    measurement: Measurement,
    tiling: Tiling,
    restored: Restored,
) -> dict[str, Any]:
    """Everything that is told, as numbers and names."""
    scale, rows, columns = measurement.scale, tiling.rows, tiling.columns
    finite = np.isfinite(picture.values)
    described = None
    if psf is not None:
        size = list(psf.kernel.shape)
        described = {"size": size, "width": psf.width, "offset": [round(n, 2) for n in psf.offset]}
    return {
        "picture": {"shape": list(picture.values.shape), "dtype": str(picture.stored.dtype)},
        "missing": {
            "not finite": int(np.sum(~finite)),
            "masked": int(np.sum(finite & ~measurement.seen)),
        },
        "scale": scale._asdict(),
        "noise": {
            "found": measurement.found,
            "gain": None if measurement.peak is None else measurement.peak / scale.span,
            "readout": (measurement.readout * scale.span).tolist(),
            "median": (measurement.noise * scale.span).tolist(),
        },
        "psf": described,
        "method": {"name": method, **numbers(method, psf is not None)},
        "tiles": {
            "count": [len(rows.starts), len(columns.starts)],
            "size": [rows.size, columns.size],
        },
        "solves": solves(restored),
        "steps": [int(restored.steps.min()), int(restored.steps.max())],
        "seconds": round(restored.seconds, 2),
        "residual": _residual(restored),
    }


def solves(restored: Restored) -> dict[str, int]:
    """How many solves ended with each status."""
    return record.by_name(np.bincount(restored.status.ravel(), minlength=len(Status)))


def failures(restored: Restored) -> list[str]:
    """A sentence for each status that is a failure."""
    counts = solves(restored)
    total = sum(counts.values())
    return [
        f"{n} of {total} solves ended as {name}. {Status[name].message}"
        for name, n in counts.items()
        if Status[name].failed
    ]


def markdown(result: dict[str, Any], failed: list[str]) -> str:
    """The report."""
    picture, scale, noise, tiles = (result[k] for k in ("picture", "scale", "noise", "tiles"))
    facts = {
        "Picture": f"{result['input']}: {_by(picture['shape'])}, {picture['dtype']}",
        "Missing pixels": _pairs(result["missing"]),
        "Grey values": f"0 is {show(scale['zero'])}, 1 is {show(scale['one'])} of the picture "
        "({} and {} percent of the pixels seen are below; Richardson-Lucy keeps zero)".format(
            *PERCENTILES
        ),
        "Noise": f"{_list(noise['readout'])}, {noise['found']}",
        "Noise with counts": f"{_list(noise['median'])} in the median pixel",
        "Point spread function": _psf(result["psf"]),
        "Method": _pairs(result["method"]),
        "Tiles": f"{_by(tiles['count'])} of {_by(tiles['size'])} pixels",
        "Solves": _pairs(result["solves"]),
        "Steps": " to ".join(map(str, result["steps"])),
        "Wall time": f"{result['seconds']:.1f} s",
        "Residual over noise": _pairs(result["residual"]),
        "Restoration": result["restoration"],
    }
    if noise["gain"] is None:
        del facts["Noise with counts"]
    rows = "\n".join(f"| {name} | {told} |" for name, told in facts.items())
    warning = "".join(f"**{sentence}**\n\n" for sentence in failed)
    return f"# restore\n\n    {result['command']}\n\n{warning}| | |\n|---|---|\n{rows}\n"


def _psf(psf: dict[str, Any] | None) -> str:
    if psf is None:
        return "none: denoised only"
    return (
        f"{_by(psf['size'])} pixels, {psf['width']:.2f} wide at half maximum, centre of mass "
        f"{_list(psf['offset'])} pixels off the middle"
    )


def _residual(restored: Restored) -> dict[str, float | None]:
    """Statistics over the pixels seen; None where a failed solve left no number."""
    normal = restored.residual[~np.isnan(restored.residual)]
    if not (normal.size and np.isfinite(restored.picture).all()):
        return {"chi^2 per pixel": None}
    return {
        "chi^2 per pixel": float(np.mean(normal**2)),
        "mean": float(normal.mean()),
        "largest": float(np.abs(normal).max()),
    }


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {show(value)}" for name, value in values.items())


def _list(values: list[float]) -> str:
    return ", ".join(map(show, values))


def _by(values: list[int]) -> str:
    return " x ".join(map(str, values))
