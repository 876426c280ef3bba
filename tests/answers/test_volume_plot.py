"""The plot along the slices of a volume shows what counts, the thresholds and the peak, also in words."""

import numpy as np
import pytest

from brain_tumor.answers import volume_plot
from brain_tumor.answers.volume_plot import plot_volume, plot_words
from tests.volumes import judge


def pixels_of(image, color: str, tolerance: int = 12) -> int:
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return int((abs(np.asarray(image, int) - wanted).max(axis=-1) <= tolerance).sum())


def test_the_plot_shows_line_thresholds_peak_and_what_does_not_count():
    image = plot_volume(judge(",,," + "." * 10 + "mmmm" + "." * 10 + "xx,,"))
    assert image.mode == "RGB"
    assert image.width > 800
    assert image.getpixel((2, 2)) == (255, 255, 255)
    for color in (volume_plot._LINE, volume_plot._TUMOR, volume_plot._CLEAR, volume_plot._PEAK, volume_plot._FADED):
        assert pixels_of(image, color) > 30
    plain = plot_volume(judge("." * 10 + "mmmm" + "." * 10))  # its letters have grays too
    assert pixels_of(image, volume_plot._FADED) > pixels_of(plain, volume_plot._FADED) + 50


@pytest.mark.parametrize("slices", ["", "x", ",", ".", "g" * 400, "xx" * 5])
def test_every_volume_can_be_plotted(slices):
    assert plot_volume(judge(slices)).width > 800


def test_the_plot_in_words_names_the_peak():
    words = plot_words(judge(",,," + "." * 10 + "mmmm" + "." * 10))
    assert "27 slices, of which 24 count" in words
    assert "highest in slice 14, with 97 %" in words
    assert "slices 14 to 17" in words
    assert plot_words(judge(",,")).endswith("count.")
