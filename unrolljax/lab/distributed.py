"""One run on several processes: how a rank finds the others, and how it ends without them.

Every rank sends heartbeats to rank 0. When one dies or stands still, the others abort (SIGABRT)
within 30 seconds, also inside a collective; relaunching the run resumes it.
"""

import os
import sys
from collections.abc import Mapping
from typing import NamedTuple

import jax

ADDRESS, COUNT, INDEX = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
STEP_COUNT, STEP_INDEX = "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"
HEARTBEAT_TIMEOUT = 15  # seconds without a heartbeat after which a rank counts as dead
MEETING_TIMEOUT = 300  # seconds that the first rank waits for the last one at the start
FAREWELL_TIMEOUT = 300  # and at the end, where rank 0 may still be drawing figures


class Rank(NamedTuple):
    """The place of this process in its run."""

    index: int
    count: int
    address: str | None
    """host:port of rank 0; None leaves the choice to JAX, which asks Slurm for the first node."""


def connect() -> None:
    """Join the other processes of this run, if the environment names any, before the first array.

    - Ranks started by hand have `JAX_COORDINATOR_ADDRESS` (host:port of rank 0),
      `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID`.
    - A Slurm step of several tasks (`srun`; not a bare `sbatch` script) needs no variable. Set
      `JAX_COORDINATOR_ADDRESS` where the name of the first node does not resolve.

    A second call does nothing. `ValueError` names the variable that is missing or wrong.
    """
    rank = find_rank(os.environ)
    if rank is None or jax.distributed.is_initialized():
        return
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # This service takes SIGTERM away from Python's handlers, which save a checkpoint.
    jax.config.update("jax_enable_preemption_service", False)
    jax.distributed.initialize(
        rank.address,
        rank.count,
        rank.index,
        coordinator_bind_address=_bind_address(rank.address),
        initialization_timeout=MEETING_TIMEOUT,
        heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT,
        shutdown_timeout_seconds=FAREWELL_TIMEOUT,
    )


def leave(code: int) -> None:
    """End this process at once with exit status `code`, if the run has several; else do nothing.

    For a rank that fails alone: a normal exit would first wait for the others, which wait for this
    one in a collective. Exit handlers do not run: finish writing files before. When all ranks end
    together, exit normally: the others abort as soon as rank 0 has left.
    """
    if jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def find_rank(environment: Mapping[str, str]) -> Rank | None:
    """Read the rank of this process; None if it is the only one. Errors as in `connect`."""
    in_step = STEP_COUNT in environment and STEP_INDEX in environment
    address = environment.get(ADDRESS)
    if COUNT in environment or INDEX in environment or (address and not in_step):
        rank = _rank_by_hand(environment)
    elif in_step:
        rank = Rank(_integer(environment, STEP_INDEX), _integer(environment, STEP_COUNT), address)
    else:
        return None
    return rank if rank.count > 1 else None


def _rank_by_hand(environment: Mapping[str, str]) -> Rank:
    missing = [name for name in (ADDRESS, COUNT, INDEX) if not environment.get(name)]
    if missing:
        raise ValueError(
            f"several processes need {ADDRESS}, {COUNT} and {INDEX}; not set: {', '.join(missing)}"
            " (under srun, Slurm gives count and index; in a bare sbatch script it does not)"
        )
    address = environment[ADDRESS]
    if not address.rpartition(":")[2].isdigit():
        raise ValueError(f"{ADDRESS}={address}: expected host:port")
    rank = Rank(_integer(environment, INDEX), _integer(environment, COUNT), address)
    if not 0 <= rank.index < rank.count:
        raise ValueError(f"{INDEX}={rank.index}: expected 0 <= {INDEX} < {COUNT}={rank.count}")
    return rank


def _integer(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except ValueError:
        raise ValueError(f"{name}={environment[name]}: expected an integer") from None


def _bind_address(address: str | None) -> str | None:
    """Listen on a loopback address alone; elsewhere JAX listens on every network interface."""
    return address if address and address.startswith(("127.", "localhost:")) else None
