"""One picture of the run: the cameraman restored, and what each gradient mode takes."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.pnp_admm.modes import Course

DETAIL = (slice(30, 94), slice(90, 154))


def draw(
    path: Path,
    pictures: dict[str, NDArray],
    scores: dict[str, dict[str, float]],
    courses: dict[str, Course],
) -> None:
    """Write the figure as PNG."""
    figure = Figure(figsize=(14, 8), layout="constrained")
    halves: Any = figure.subfigures(2, 1)
    places: Any = halves[0].subplots(1, len(pictures))
    for axes, (name, picture) in zip(places, pictures.items(), strict=True):
        _picture(axes, picture)
        score = scores.get(name)
        line = f"{score['PSNR dB']:.2f} dB, SSIM {score['SSIM']:.3f}" if score else " "
        axes.set_title(f"{name}\n{line}")
    panels: Any = halves[1].subplots(1, 2)
    _against_time(panels[0], courses)
    _against_memory(panels[1], courses)
    figure.savefig(path, dpi=110, bbox_inches="tight")


def _picture(axes: Axes, picture: NDArray) -> None:
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1)
    inset = axes.inset_axes((0.55, 0.0, 0.45, 0.45))
    inset.imshow(picture[DETAIL], cmap="gray", vmin=0, vmax=1)
    for each in (axes, inset):
        each.set(xticks=[], yticks=[])
    for spine in inset.spines.values():
        spine.set_edgecolor("orange")


def _against_time(axes: Axes, courses: dict[str, Course]) -> None:
    for name, course in courses.items():
        axes.plot(course.times, course.psnr, marker=".", label=name)
    axes.set(xlabel="seconds of training", ylabel="PSNR on held-out crops, dB")
    axes.grid(alpha=0.3)
    axes.legend()


def _against_memory(axes: Axes, courses: dict[str, Course]) -> None:
    for name, course in courses.items():
        place = (course.megabytes, course.psnr[-1])
        axes.scatter(*place)
        axes.annotate(name, place, (5, 5), textcoords="offset points")
    axes.set(xscale="log", xlabel="temporary memory of a step, MB", ylabel="PSNR after it, dB")
    axes.grid(alpha=0.3, which="both")
    axes.margins(0.15)
