"""The files that `python -m experiments.restore` reads and writes, and those it refuses."""

import struct
import sys
import zlib

import numpy as np
import pytest
import skimage.io
from astropy.io import fits

from experiments.restore.__main__ import main
from experiments.restore.pictures import Picture, read, write
from experiments.restore.psf import read_mask, read_psf
from unrolljax.imaging.psf import gaussian

LUCY = "--method", "richardson-lucy", "--psf", "psf.npy"
RNG = np.random.default_rng(0)
SIZE = (40, 36)


@pytest.mark.parametrize(
    ("name", "dtype", "channels"),
    [
        ("x.png", "uint8", 1), ("x.png", "uint16", 1), ("x.png", "uint8", 3),
        ("x.tif", "uint8", 1), ("x.tif", "uint16", 3), ("x.tiff", "float32", 1),
        ("x.tif", "float64", 3), ("x.tif", "int16", 1),
        ("x.fits", "float32", 1), ("x.fits", "float64", 3), ("x.fit", "uint16", 1),
        ("x.fits", "int16", 1), ("x.fits", "uint8", 1),
    ],
)  # fmt: skip
def test_every_format_is_written_as_it_was_read(tmp_path, name, dtype, channels):
    values = RNG.uniform(0, 200, (*SIZE, channels)).astype(dtype)
    stored = values[..., 0] if channels == 1 else values
    path = tmp_path / name
    if ".fit" in name:
        fits.PrimaryHDU(np.moveaxis(stored, -1, 0) if channels == 3 else stored).writeto(path)
    else:
        skimage.io.imsave(path, stored, check_contrast=False)
    picture = read(path)
    np.testing.assert_array_equal(picture.values, values)
    copy = path.with_stem("copy")
    write(copy, picture.values, picture, "copied")
    again = read(copy)
    np.testing.assert_array_equal(again.values, values)
    assert again.stored.dtype == picture.stored.dtype == np.dtype(dtype)
    assert again.stored.shape == picture.stored.shape


def test_integers_are_rounded_and_clipped(tmp_path):
    like = Picture(tmp_path / "x.png", np.zeros((8, 8, 1)), np.zeros((8, 8), np.uint8))
    values = np.full((8, 8, 1), 7.6)
    values[0, :3, 0] = -3, 300, np.nan
    write(tmp_path / "y.png", values, like, "")
    found = skimage.io.imread(tmp_path / "y.png")
    assert found[0, :4].tolist() == [0, 255, 0, 8]


def test_fits_keeps_extensions_and_reads_scaled_integers(tmp_path):
    scaled = fits.ImageHDU(np.arange(80, dtype=np.int16).reshape(8, 10), name="SCI")
    scaled.header["BLANK"] = 5
    scaled.header["BSCALE"], scaled.header["BZERO"] = 0.5, 3.0
    units = fits.HDUList([fits.PrimaryHDU(), scaled, fits.ImageHDU(np.ones((8, 10)), name="ERR")])
    units.writeto(tmp_path / "x.fits", checksum=True)
    picture = read(tmp_path / "x.fits")
    expected = 0.5 * np.arange(80.0).reshape(8, 10, 1) + 3
    expected[0, 5] = np.nan
    np.testing.assert_array_equal(picture.values, expected)
    write(tmp_path / "y.fits", np.nan_to_num(picture.values), picture, "Restored, café")
    with fits.open(tmp_path / "y.fits", checksum=True) as units:
        assert [unit.name for unit in units] == ["PRIMARY", "SCI", "ERR"]
        np.testing.assert_array_equal(units["SCI"].data, np.nan_to_num(expected)[..., 0])
        assert "caf?" in str(units["SCI"].header["HISTORY"])


def test_an_even_psf_is_padded_so_that_its_middle_stays(tmp_path):
    kernel = np.zeros((4, 6))
    kernel[2, 3] = 5
    np.save(tmp_path / "psf.npy", kernel)
    psf = read_psf(tmp_path / "psf.npy", SIZE)
    assert psf.kernel.shape == (5, 7)
    assert psf.kernel[2, 3] == 1
    assert psf.offset == (0, 0)


def test_the_width_of_a_psf_is_its_full_width_at_half_maximum(tmp_path):
    skimage.io.imsave(tmp_path / "psf.tif", np.asarray(gaussian(21, 2.0)), check_contrast=False)
    psf = read_psf(tmp_path / "psf.tif", SIZE)
    assert psf.width == pytest.approx(2 * 2.3548, rel=0.01)
    assert psf.kernel.sum() == pytest.approx(1)


def write_16_bit_colours(path):
    """What Pillow cannot write: a PNG of 8 x 8 pixels, 16 bits a colour."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(8 * (1 + 8 * 6)))
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


@pytest.fixture
def files(tmp_path):
    """A picture and its point spread function, and files that cannot be used, by name."""
    files, image, kernel = tmp_path, RNG.uniform(0.1, 0.9, SIZE), np.asarray(gaussian(5, 1.0))
    skimage.io.imsave(files / "image.tif", image)
    skimage.io.imsave(files / "rgba.png", np.zeros((9, 9, 4), np.uint8), check_contrast=False)
    skimage.io.imsave(files / "flat.tif", np.ones(SIZE, np.float32), check_contrast=False)
    steps = np.kron(np.eye(2), np.ones((20, 20)))
    skimage.io.imsave(files / "steps.tif", steps, check_contrast=False)
    skimage.io.imsave(files / "tiny.tif", np.ones((5, 9), np.float32), check_contrast=False)
    skimage.io.imsave(files / "stack.tif", np.zeros((5, 9, 9), np.uint8), check_contrast=False)
    skimage.io.imsave(files / "below.tif", image - 0.5, check_contrast=False)
    skimage.io.imsave(files / "minus.tif", -image, check_contrast=False)
    skimage.io.imsave(files / "empty.tif", np.full(SIZE, np.nan), check_contrast=False)
    write_16_bit_colours(files / "deep.png")
    (files / "broken.png").write_bytes(b"no picture")
    (files / "broken.tif").write_bytes(b"no picture")
    (files / "broken.fits").write_bytes(b"no picture")
    (files / "image.jpg").write_bytes(b"")
    fits.PrimaryHDU().writeto(files / "none.fits")
    arrays = {
        "large": np.ones((41, 5)),
        "nan": np.full((3, 3), np.nan),
        "psf": kernel,
        "negative": kernel - 0.01,
        "zero": np.zeros((3, 3)),
        "cube": np.ones((3, 3, 3)),
        "text": np.asarray([["a"]]),
        "mask": np.zeros((3, 3), bool),
        "all": np.ones(SIZE),
    }
    for name, array in arrays.items():
        np.save(files / f"{name}.npy", array)
    return files


def run(folder, *arguments):
    """The exit code of the command, whose arguments with a dot are files of a folder."""
    places = [str(folder / a) if "." in a else a for a in arguments]
    return main([*places, "--output", str(folder / "out")])


@pytest.mark.parametrize(
    ("told", "arguments"),
    [
        ("absent.tif is no file", ["absent.tif"]),
        ("image.jpg: its suffix must be one of", ["image.jpg"]),
        ("broken.png is no PNG", ["broken.png"]),
        ("broken.tif cannot be read", ["broken.tif"]),
        ("broken.fits cannot be read", ["broken.fits"]),
        ("none.fits holds no image", ["none.fits"]),
        ("has an alpha channel", ["rgba.png"]),
        ("16-bit colour PNG", ["deep.png"]),
        ("5 x 9 x 9 values is neither", ["stack.tif"]),
        ("5 x 9 pixels is too small", ["tiny.tif"]),
        ("is constant", ["flat.tif", "--noise", "1"]),
        ("No pixel of the picture is left", ["empty.tif"]),
        ("No pixel of the picture is left", ["image.tif", "--mask", "all.npy"]),
        ("absent.npy is no file", ["image.tif", "--psf", "absent.npy"]),
        ("psf.txt: its suffix", ["image.tif", "--psf", "psf.txt"]),
        ("41 x 5 pixels is larger than the picture", ["image.tif", "--psf", "large.npy"]),
        ("9 values that are no numbers", ["image.tif", "--psf", "nan.npy"]),
        ("subtract its background", ["image.tif", "--psf", "negative.npy"]),
        ("zero everywhere", ["image.tif", "--psf", "zero.npy"]),
        ("3 x 3 x 3 float64 values must be one plane", ["image.tif", "--psf", "cube.npy"]),
        ("values must be one plane", ["image.tif", "--psf", "text.npy"]),
        ("3 x 3 pixels must be as large as the picture", ["image.tif", "--mask", "mask.npy"]),
        ("--noise 0 must be a number above", ["image.tif", "--noise", "0"]),
        ("--noise nan must be a number above", ["image.tif", "--noise", "nan"]),
        ("noise is estimated to be zero", ["steps.tif"]),
        ("--counts -2 must be a positive number", ["image.tif", "--counts=-2"]),
        ("picture is negative beyond its noise", ["below.tif", "--counts", "1", "--noise", "1e-2"]),
        ("--tile 39 is too small", ["image.tif", "--psf", "psf.npy", "--tile", "39"]),
        ("sharpens only", ["image.tif", *LUCY[:2]]),
        ("has no values above zero", ["minus.tif", *LUCY]),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(files, told, arguments, capsys):
    assert run(files, *arguments) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.startswith("restore: ")
    assert error.count("\n") == 1
    assert not (files / "out").exists()


def test_fits_without_astropy_is_one_sentence(tmp_path, monkeypatch, capsys):
    (tmp_path / "image.fits").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "astropy.io", None)
    assert run(tmp_path, "image.fits") == 2
    assert "pip install 'unrolljax[fits]'" in capsys.readouterr().err


def test_a_mask_is_true_where_it_is_not_zero(tmp_path):
    np.save(tmp_path / "mask.npy", np.asarray([[0, 1], [255, 0]]))
    assert read_mask(tmp_path / "mask.npy", (2, 2)).tolist() == [[False, True], [True, False]]
