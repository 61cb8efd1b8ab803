import numpy as np
import pytest

from unrolljax.imaging.training.dead_leaves import Radii, dead_leaves

RAMP = np.tile(np.linspace(0.2, 0.8, 64, dtype=np.float32), (64, 1))


def test_pictures_follow_their_seed_and_have_flat_parts_and_sharp_edges():
    one, again, other = (dead_leaves(np.random.default_rng(k), 64, [RAMP]) for k in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).mean() > 0.01
    assert one.min() >= 0
    assert one.max() <= 1
    steps = np.abs(np.diff(one, axis=1))
    assert np.median(steps) < 0.01
    assert steps.max() > 0.2


def test_radii_follow_a_power_law():
    radii, rng = Radii(2, 20, 1.5), np.random.default_rng(0)
    found = np.asarray([radii.draw(rng) for _ in range(20_000)])
    assert found.min() >= 2
    assert found.max() <= 20
    below_five = (2**-1.5 - 5**-1.5) / (2**-1.5 - 20**-1.5)
    assert np.mean(found < 5) == pytest.approx(below_five, abs=0.01)
