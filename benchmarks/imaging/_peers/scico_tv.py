"""TV deblurring by scico's ADMM, its linear subproblem solved by FFT; run by scico's interpreter.

Argument: an .npz with `y` (height, width), `kernel`, `weights`, `penalty` and `iterations`. Prints
seconds an iteration (of a long solve), seconds of a solve for each weight (the first compiles), and
the objective at the last one.
"""

import json
import sys
import time

import jax
import numpy as np
import scico.numpy as snp
from scico import functional, linop, loss
from scico.optimize.admm import ADMM, CircularConvolveSolver

LONG = 1000


def main(path: str) -> None:
    """Measure and print."""
    given = np.load(path)
    y = snp.array(given["y"])
    middle = snp.array([n // 2 for n in given["kernel"].shape])
    blur = linop.CircularConvolve(snp.array(given["kernel"]), y.shape, h_center=middle)
    differences = linop.FiniteDifference(y.shape, circular=True)

    def solve(weight: float, iterations: int):
        begun = time.perf_counter()
        solver = ADMM(
            f=loss.SquaredL2Loss(y=y, A=blur),
            g_list=[weight * functional.L21Norm()],
            C_list=[differences],
            rho_list=[float(given["penalty"])],
            x0=y,
            maxiter=iterations,
            subproblem_solver=CircularConvolveSolver(),
            itstat_options={"display": False},
        )
        begun_iterating = time.perf_counter()
        jax.block_until_ready(solver.solve())
        now = time.perf_counter()
        return now - begun, (now - begun_iterating) / iterations, solver

    solves = [solve(float(w), int(given["iterations"])) for w in given["weights"]]
    _, iteration, _ = solve(float(given["weights"][0]), LONG)
    print(
        json.dumps(
            {
                "iteration": iteration,
                "instances": [seconds for seconds, _, _ in solves],
                "objective": float(solves[-1][2].objective()),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
