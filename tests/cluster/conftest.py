"""One Slurm for the cluster tests of a pytest process; it shares nothing with another process's."""

import pathlib
import tempfile
from collections.abc import Iterator

import pytest

from tests.cluster.slurm import Slurm, why_absent


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    reason = why_absent()
    if reason:
        pytest.skip(reason)
    # pytest's own temporary folders have names too long for a Unix socket.
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, Slurm(pathlib.Path(folder)) as up:
        yield up
