"""Every status has its advice."""

import numpy as np
import pytest

import unrolljax as uj


@pytest.mark.parametrize("status", list(uj.Status))
def test_every_status_says_what_happened(status):
    sentence = uj.describe(np.int32(status))
    assert sentence.startswith(status.name)
    assert len(status.message) > 20
    if status.failed and status is not uj.Status.RUNNING:
        assert "(" in status.message or "step_size" in status.message


def test_only_two_are_results():
    assert [s for s in uj.Status if not s.failed] == [uj.Status.CONVERGED, uj.Status.COMPLETED]
