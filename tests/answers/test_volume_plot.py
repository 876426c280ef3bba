"""The curve along the slices of a volume shows what counts, the thresholds and the peak, also in words."""

import json
import re
from xml.etree import ElementTree

import pytest

from brain_tumor.answers.volume_plot import plot_volume, plot_words
from tests.volumes import judge

MIXED = ",,," + "." * 10 + "mmmm" + "." * 10 + "xx,,"


def numbers(slices: str) -> range:
    return range(1, len(slices) + 1)


def drawn(slices: str, numbers_of=numbers, chosen: int | None = None) -> ElementTree.Element:
    """The drawing, which must be well-formed."""
    return ElementTree.fromstring(plot_volume(judge(slices), numbers_of(slices), chosen))


def parts(curve: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    """Of the drawing, not of its legend."""
    svg = next(curve.iter("svg"))
    return [part for part in svg.iter() if kind in part.get("class", "").split()]


def test_the_curve_shows_line_thresholds_peak_stretch_and_what_does_not_count():
    curve = drawn(MIXED)
    assert len(parts(curve, "dot")) == 24, "those that count"
    (line,) = parts(curve, "line")
    assert line.get("d").count("M") == 1 and line.get("d").count("L") == 23
    aside, unjudged = parts(curve, "aside")
    assert aside.get("d").count("M") == 5 and unjudged.get("d").count("M") == 2
    assert [part.get("class") for part in parts(curve, "limit")] == ["limit tumor", "limit clear"]
    assert len(parts(curve, "stretch")) == 1 and len(parts(curve, "peak")) == 1
    legend = [item.find("svg").tail for item in curve.iter("li")]
    assert legend == [
        "highest: 97 %",
        "slices that make it a tumor",
        "a slice says tumor from 94 %",
        "a slice says no tumor up to 10 %",
        "not counted",
        "not judged",
    ]
    assert len(list(drawn("." * 10).iter("li"))) == 3, "nothing is explained that is not drawn"


def test_a_slice_stands_where_its_number_is_and_its_height_is_its_probability():
    dots = [
        (float(dot.get("cx")), float(dot.get("cy"))) for dot in parts(drawn("..m.", lambda _: [1, 3, 5, 11]), "dot")
    ]
    across, heights = zip(*dots, strict=True)
    assert across[1] - across[0] == pytest.approx(across[2] - across[1], abs=0.1)
    assert across[3] - across[2] == pytest.approx(3 * (across[1] - across[0]), abs=0.2)
    assert heights[2] < heights[0] == heights[1] == heights[3]
    grid = [float(re.search(r" ([\d.]+)H", line.get("d"))[1]) for line in parts(drawn("."), "grid")]
    assert grid[0] - heights[2] == pytest.approx(0.97 * (grid[0] - grid[2]), abs=0.2)


@pytest.mark.parametrize("slices", ["", "x", ",", ".", "g" * 400, "xx" * 5])
def test_every_volume_can_be_drawn(slices):
    assert next(drawn(slices).iter("svg")).get("role") == "img"


def test_beside_a_slice_the_curve_is_a_slider_that_stands_at_it_and_knows_what_each_says():
    (slider,) = [part for part in drawn(MIXED, chosen=13).iter("div") if part.get("role") == "slider"]
    assert slider.get("tabindex") == "0" and slider.get("aria-valuenow") == "14"
    assert slider.get("aria-valuetext") == "slice 14: 97 %"
    said, across = json.loads(slider.get("data-said")), json.loads(slider.get("data-across"))
    assert (said[0], said[3], said[-3]) == ("4 %, not counted", "4 %", "not judged")
    (marker,) = parts(slider, "marker")
    assert marker.get("transform") == f"translate({across[13]})"
    assert json.loads(slider.get("data-numbers")) == list(numbers(MIXED))
    assert not parts(drawn(MIXED), "marker")


def test_the_curve_in_words_names_the_peak_by_its_number():
    slices = ",,," + "." * 10 + "mmmm" + "." * 10
    words = plot_words(judge(slices), numbers(slices))
    assert "27 slices, of which 24 count" in words
    assert "highest in slice 14, with 97 %" in words
    assert "slices 14 to 17" in words
    assert "highest in slice 27" in plot_words(judge(slices), range(1, 54, 2)), "every second one was read"
    assert plot_words(judge(",,"), [1, 2]).endswith("count.")
