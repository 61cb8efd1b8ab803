"""TV deblurring by scico's ADMM, its linear subproblem solved by FFT; run by scico's interpreter.

Argument: an .npz with `y` (height, width), `kernel`, `weights`, `penalty` and `iterations`. Prints
seconds an iteration (of a long solve), of each instance from its operators on, of each weight with
the same operators, and the objective at the last weight.
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
    middle = snp.array([n // 2 for n in given["kernel"].shape])

    def operators():
        y = snp.array(given["y"])
        blur = linop.CircularConvolve(snp.array(given["kernel"]), y.shape, h_center=middle)
        return loss.SquaredL2Loss(y=y, A=blur), linop.FiniteDifference(y.shape, circular=True)

    def solve(terms, weight: float, iterations: int) -> ADMM:
        misfit, differences = terms
        solver = ADMM(
            f=misfit,
            g_list=[weight * functional.L21Norm()],
            C_list=[differences],
            rho_list=[float(given["penalty"])],
            x0=misfit.y,
            maxiter=iterations,
            subproblem_solver=CircularConvolveSolver(),
            itstat_options={"display": False},
        )
        jax.block_until_ready(solver.solve())
        return solver

    def seconds(call) -> float:
        begun = time.perf_counter()
        call()
        return time.perf_counter() - begun

    iterations, weights = int(given["iterations"]), [float(w) for w in given["weights"]]
    terms = operators()
    last = [solve(terms, weight, iterations) for weight in weights][-1]
    print(
        json.dumps(
            {
                "iteration": seconds(lambda: solve(terms, weights[0], LONG)) / LONG,
                "instances": [
                    seconds(lambda w=w: solve(operators(), w, iterations)) for w in weights
                ],
                "weights": [seconds(lambda w=w: solve(terms, w, iterations)) for w in weights],
                "objective": float(last.objective()),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
