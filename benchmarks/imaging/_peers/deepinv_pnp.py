"""Plug-and-play ADMM by deepinv, with the same network; run by deepinv's interpreter.

Argument: an .npz with the network's kernels `kernel_0`, `kernel_1`, ... (rows, columns, inputs,
outputs), the point spread function `psf`, one large measurement `y` (height, width), measurements
`batch` and pictures `truth` (images, height, width), `sigma`, `step`, `iterations` and `depths`.
Prints seconds an iteration of the large restoration, the restoration's first row, and seconds of a
training step for each depth.
"""

import json
import sys
import time

import deepinv
import numpy as np
import torch
from torch import nn
from torch.nn import functional

REPEATS = 5


class FFDNet(deepinv.models.Denoiser):
    """The network of the shipped denoiser's family, from its kernels."""

    def __init__(self, kernels: list[np.ndarray]):
        super().__init__()
        turned = [torch.tensor(kernel.transpose(3, 2, 0, 1).copy()) for kernel in kernels]
        self.kernels = nn.ParameterList([nn.Parameter(kernel) for kernel in turned])

    def forward(self, x, sigma, **_):
        """The images without noise of that strength."""
        half = functional.pixel_unshuffle(x, 2)
        level = torch.ones_like(half[:, :1]) * sigma
        hidden = torch.cat([half, level], 1)
        for kernel in self.kernels[:-1]:
            hidden = functional.relu(functional.conv2d(hidden, kernel, padding=1))
        noise = functional.conv2d(hidden, self.kernels[-1], padding=1)
        return x - functional.pixel_shuffle(noise, 2)


def model(given, network: FFDNet, depth: int, unfold: bool):
    """The ADMM of deepinv with so many iterations."""
    return deepinv.optim.ADMM(
        prior=deepinv.optim.PnP(denoiser=network),
        data_fidelity=deepinv.optim.L2(),
        max_iter=depth,
        stepsize=float(given["step"]),
        sigma_denoiser=float(given["sigma"]),
        early_stop=False,
        unfold=unfold,
        trainable_params=[] if unfold else None,
    )


def physics(given, size: int):
    """The circular blur on images of that size."""
    psf = torch.tensor(given["psf"])[None, None]
    return deepinv.physics.BlurFFT(img_size=(1, size, size), filter=psf)


def seconds(call) -> float:
    """The shortest of several calls."""
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        call()
        times.append(time.perf_counter() - begun)
    return min(times)


def inference(given, network: FFDNet) -> tuple[float, list[float]]:
    """Seconds an iteration, and the first row of the restoration."""
    y, iterations = torch.tensor(given["y"])[None, None], int(given["iterations"])
    restore, blur = model(given, network, iterations, False), physics(given, y.shape[-1])
    with torch.no_grad():
        found = restore(y, blur)
        return seconds(lambda: restore(y, blur)) / iterations, found[0, 0, 0].tolist()


def training(given, network: FFDNet, depth: int) -> float:
    """Seconds of a step of Adam on the batch, the network unrolled over that many iterations."""
    y, truth = (torch.tensor(given[name])[:, None] for name in ("batch", "truth"))
    restore, blur = model(given, network, depth, True), physics(given, y.shape[-1])
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)

    def step():
        optimizer.zero_grad()
        torch.mean((restore(y, blur) - truth) ** 2).backward()
        optimizer.step()

    step()
    return seconds(step)


def main(path: str) -> None:
    """Measure and print."""
    given = np.load(path)
    kernels = [given[f"kernel_{k}"] for k in range(sum(k.startswith("kernel_") for k in given))]
    iteration, row = inference(given, FFDNet(kernels))
    steps = [training(given, FFDNet(kernels), int(depth)) for depth in given["depths"]]
    print(json.dumps({"iteration": iteration, "row": row, "training": steps}))


if __name__ == "__main__":
    main(sys.argv[1])
