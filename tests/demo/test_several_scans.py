"""What the tab for several scans calls things: series by what their headers say, and what came along by what it is."""

import pytest
from PIL import Image

from brain_tumor.demo.several_scans import name_of_scan, summary_words
from brain_tumor.reading.uploads import Slice, Upload


@pytest.mark.parametrize(
    ("facts", "files", "name"),
    [
        ({"Series": "3, t2 tra"}, (), "a.zip/IM1, series 3, t2 tra"),
        ({"Series": "3, t2 tra"}, ("a.zip/IM1", "a.zip/IM2"), "a.zip/IM1"),
        ({"Series": "not stated"}, (), "a.zip/IM1"),
        ({}, (), "a.zip/IM1"),
    ],
)
def test_a_scan_of_one_file_is_chosen_by_its_name_and_its_series(facts, files, name):
    slice_ = Slice(Image.new("RGB", (32, 32)), "frame 1")
    assert name_of_scan(Upload("a.zip/IM1", "volume", [slice_], facts, files=files)) == name


@pytest.mark.parametrize(
    ("beside", "words"),
    [
        ({"a list of key pictures": 2, "an index": 1}, "2 lists of key pictures, 1 index"),
        ({"a maker's own data": 2, "settings of a viewer": 1}, "2 files of a maker's own data, 1 file of settings of"),
        ({"the index of a disc": 2}, "2 indices of a disc"),
        ({"a radiotherapy dose": 2}, "2 radiotherapy doses"),
    ],
)
def test_what_came_along_is_counted_in_words(beside, words):
    assert words in summary_words(1, 0, beside, 5, 5)
    assert summary_words(0, 0, beside, 0, 0).startswith(f"No scans were read. There is only: {words}")
    assert summary_words(1, 1, beside, 5, 5).startswith("1 of 2 uploads were read, with 5 slices. 1 could not be used;")
