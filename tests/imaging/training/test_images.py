import numpy as np
import pytest

from unrolljax.imaging.training.dead_leaves import dead_leaves
from unrolljax.imaging.training.images import COLOUR, GREY, HELD_OUT, grey, tiles


@pytest.fixture(scope="module")
def some():
    return tiles(20, size=96, drawn=0.25)


def test_tiles_are_bytes_of_the_size_and_number_asked_for(some):
    assert some.shape == (20, 96, 96)
    assert some.dtype == np.uint8


def test_tiles_of_photographs_are_never_faint(some):
    assert np.all(some[:15].std((1, 2)) > 6)


def test_the_same_seed_gives_the_same_tiles(some):
    np.testing.assert_array_equal(tiles(20, size=96, drawn=0.25), some)
    assert np.any(tiles(20, size=96, drawn=0.25, seed=1) != some)


def test_held_out_pictures_are_no_training_pictures():
    assert not {*COLOUR, *GREY} & {*HELD_OUT}


@pytest.mark.parametrize("shares", [(1.5, 0.0), (-0.1, 0.0), (0.6, 0.6)])
def test_shares_beyond_one_or_below_zero_are_refused(shares):
    with pytest.raises(ValueError, match="are shares"):
        tiles(2, drawn=shares[0], skies=shares[1])


def test_grey_is_the_luminance():
    picture = grey("astronaut")
    assert picture.shape == (512, 512)
    assert 0 <= picture.min() < picture.max() <= 1


def test_dead_leaves_have_edges_and_few_greys_between_them():
    photographs = [np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)]
    picture = dead_leaves(np.random.default_rng(0), 64, photographs)
    assert picture.shape == (64, 64)
    assert 0 <= picture.min() < picture.max() <= 1
    change = np.abs(np.diff(picture, axis=0))
    assert change.max() > 0.3
    assert np.median(change) < 0.03
