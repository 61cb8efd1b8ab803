import numpy as np
import pytest

from unrolljax.imaging.training.night_skies import _galaxy, _star, night_sky


def test_pictures_follow_their_seed_and_are_mostly_dark_with_bright_sources():
    one, again, other = (night_sky(np.random.default_rng(k), 64) for k in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).mean() > 0.01
    assert one.shape == (64, 64)
    assert one.min() >= 0
    assert one.max() <= 1
    assert one.max() > 3 * np.median(one)


@pytest.mark.parametrize("source", [_galaxy, _star])
def test_sources_are_one_at_the_centre_fall_outwards_and_end_faint(source):
    for seed in range(30):
        profile, reach = source(np.random.default_rng(seed))
        line = np.linspace(0, reach, 200)
        fall = profile(np.zeros(200), line)
        assert fall[0] >= 0.4
        assert np.max(fall) <= 1 + 1e-9
        assert fall[-1] < 0.02


def test_half_of_a_galaxys_light_lies_within_its_radius():
    line = np.arange(-400, 400) + 0.5
    rows, columns = np.meshgrid(line, line, indexing="ij")
    for seed in range(8):
        profile, reach = _galaxy(np.random.default_rng(seed))
        light = profile(rows, columns)
        # Along the longest axis the contour of half of the light is at reach / 8.
        level = np.max(profile(*_circle(reach / 8)))
        share = light[light > level].sum() / light.sum()
        assert 0.3 < share < 0.7


def _circle(radius):
    angle = np.linspace(0, np.pi, 400)
    return radius * np.sin(angle), radius * np.cos(angle)
