"""Numbers of every kind become gray levels that show what is in them, neither white nor black."""

import warnings

import numpy as np
import pytest

from tests.reading.scans import GRAY8, GRAY16, gray, marked_volume
from tests.scan_files import dicom, nifti


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i2", "u2", "i4", "f4", ">f4", "f8", "c8"])
def test_every_kind_of_number_is_windowed_and_not_clipped_to_white(dtype, read):
    values = (marked_volume() // (4 if dtype == "u1" else 1)).astype(dtype)
    upload = read(nifti(values))
    picture = gray(upload.slices[20])
    assert 80 < np.median(picture[picture > 20]) < 180 and picture[0, 0] == 0
    assert np.mean(picture == 255) < 0.05


def test_numbers_that_are_not_finite_are_black_and_do_not_spoil_the_window(read):
    values = marked_volume().astype(np.float32)
    plain = gray(read(nifti(values)).slices[20])
    values[:1], values[30, 20, 20], values[31, 20, 20] = np.nan, np.inf, -np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spoilt = gray(read(nifti(values)).slices[20])
    assert np.abs(spoilt - plain).max() > 100 and np.count_nonzero(spoilt != plain) == 2


def test_a_brain_that_was_cut_out_and_normalized_lies_on_black(read):
    values = marked_volume().astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 60, values.shape)
    values = np.where(values > 0, (values + noise - 420) / 100, 0).astype(np.float32)
    picture = gray(read(nifti(values)).slices[20])
    assert picture[0, 0] == 0 and np.median(picture[20:28, 28:36]) > 40


def test_rescale_and_window_are_applied(read):
    raw = (GRAY16 // 2 + 100).astype(np.int16)
    plain = read(dicom(GRAY16, WindowCenter=1000, WindowWidth=1600))
    scaled = read(dicom(raw, RescaleSlope=2, RescaleIntercept=-200, WindowCenter=1000, WindowWidth=1600))
    assert np.abs(gray(plain.slices[0]) - gray(scaled.slices[0])).max() <= 1
    expected = ((GRAY16 - 999.5) / 1599 + 0.5).clip(0, 1) * 255
    assert np.abs(gray(plain.slices[0]) - expected).max() <= 0.51
    assert plain.facts["Window"] == "center 1,000, width 1,600 (the file's)"


def test_a_sigmoid_window_is_a_sigmoid(read):
    upload = read(dicom(GRAY16, WindowCenter=1000, WindowWidth=1600, VOILUTFunction="SIGMOID"))
    expected = 255 / (1 + np.exp(-4 * (GRAY16 - 1000.0) / 1600))
    assert np.abs(gray(upload.slices[0]) - expected).max() <= 0.51


def test_without_a_window_deep_pictures_are_windowed_by_percentiles(read):
    upload = read(dicom(GRAY16 // 8))
    picture = gray(upload.slices[0])
    assert "percentiles" in upload.facts["Window"] and picture.max() == 255 and np.mean(picture == 255) < 0.05
    assert 90 < np.median(picture[picture > 30]) < 200


@pytest.mark.parametrize(("center", "width"), [(-5000, 100), (90_000, 10), (0, 1), ("", ""), (100, 0)])
def test_a_window_that_would_show_only_white_or_black_is_not_believed(center, width, read):
    tags = {} if center == "" else {"WindowCenter": center, "WindowWidth": width}
    upload = read(dicom(GRAY16, **tags))
    assert "percentiles" in upload.facts["Window"] and 60 < np.median(gray(upload.slices[0])[10:-10, 10:-10]) < 230


def test_an_8_bit_file_without_a_window_is_shown_as_it_is(read):
    assert (gray(read(dicom(GRAY8)).slices[0]) == GRAY8).all()


def test_padding_is_black_and_does_not_count_for_the_window(read):
    pixels = GRAY16.astype(np.int16)
    expected = gray(read(dicom(pixels)).slices[0])
    pixels[:8] = -2000
    picture = gray(read(dicom(pixels, PixelPaddingValue=-2000)).slices[0])
    assert not picture[:8].any() and np.abs(picture[8:] - expected[8:]).mean() < 6
