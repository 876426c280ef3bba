"""A picture's file becomes one slice, and a TIFF one for each of its pages."""

import io

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from brain_tumor.reading import pages, stream
from brain_tumor.reading.pictures import open_scan
from brain_tumor.reading.readers import read_one
from brain_tumor.reading.uploads import Rejected
from tests.reading.scans import gray
from tests.sentences import assert_is_a_sentence
from tests.slices import draw_slice


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF"])
def test_an_8_bit_picture_is_one_slice_exactly_as_open_scan_gives_it(format, read):
    out = io.BytesIO()
    draw_slice(1, side=80).convert("L" if format == "GIF" else "RGB").save(out, format)
    upload = read(out.getvalue(), "a scan.xyz")
    (slice_,) = upload.slices
    assert slice_.image.tobytes() == open_scan(out.getvalue()).tobytes()
    assert (upload.name, upload.kind, slice_.name, slice_.counts) == ("a scan.xyz", "picture", "", True)
    assert upload.facts["Format"] == {"WEBP": "WebP"}.get(format, format)
    assert upload.facts["Size"] == "80 x 80 pixels" and upload.facts["Bit depth"].startswith("8 bits, ")
    assert (upload.plane, upload.planes, upload.sides_known, upload.notes) == (None, (), False, [])


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("L", "8 bits, gray"),
        ("RGB", "8 bits, color"),
        ("RGBA", "8 bits, color"),
        ("P", "8 bits, color"),
        ("1", "1 bit, gray"),
    ],
)
def test_the_bit_depth_is_told(mode, words, read):
    out = io.BytesIO()
    draw_slice(1).convert(mode).save(out, "PNG")
    assert read(out.getvalue()).facts["Bit depth"] == words


def test_a_16_bit_picture_says_so_and_is_not_white(read):
    values = np.asarray(draw_slice(1, side=80), np.uint16) * 257
    upload = read(imagecodecs.png_encode(values // 4))
    assert upload.facts["Bit depth"] == "16 bits, gray" and "%" in upload.facts["Window"]
    assert np.mean(gray(upload.slices[0]) > 250) < 0.1 and gray(upload.slices[0]).max() == 255
    alpha = read(imagecodecs.png_encode(np.dstack([values, values])))
    assert alpha.facts["Bit depth"] == "16 bits, gray"


def test_each_page_of_a_tiff_is_a_slice_that_says_which(read):
    pages = [draw_slice(i, side=64 + i) for i in range(3)]
    out = io.BytesIO()
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    upload = read(out.getvalue())
    assert upload.kind == "pages" and [s.name for s in upload.slices] == ["page 1", "page 2", "page 3"]
    for slice_, page in zip(upload.slices, pages, strict=True):
        assert slice_.image.tobytes() == page.convert("RGB").tobytes()
    assert upload.notes == ["A file of 3 pages: each page is a scan of its own."]
    assert [s.number for s in read_one(out.getvalue()).slices] == [1, 2, 3]


def test_a_page_that_cannot_be_used_is_named_and_does_not_stop_the_rest(read):
    out = io.BytesIO()
    draw_slice(1).save(out, "TIFF", save_all=True, append_images=[Image.new("L", (20, 20)), draw_slice(2)])
    upload = read(out.getvalue())
    assert [s.name for s in upload.slices] == ["page 1", "page 3"]
    assert any("Page 2 cannot be read" in note and "20 x 20" in note for note in upload.notes)


def test_16_bit_pages_are_windowed_each_by_itself(read):
    page = np.asarray(draw_slice(1), np.uint16)
    pictures = [Image.fromarray(page * factor) for factor in (10, 200)]
    out = io.BytesIO()
    pictures[0].save(out, "TIFF", save_all=True, append_images=pictures[1:])
    dark, bright = (gray(s) for s in read(out.getvalue()).slices)
    assert np.abs(dark - bright).max() <= 1 and dark.max() == 255


def test_pages_are_read_until_there_are_too_many_pixels(read, monkeypatch):
    monkeypatch.setattr(pages, "MAX_VOXELS", 64 * 64 * 2)
    out = io.BytesIO()
    draw_slice(1).save(out, "TIFF", save_all=True, append_images=[draw_slice(2), draw_slice(3), draw_slice(4)])
    upload = read(out.getvalue())
    assert [s.name for s in upload.slices] == ["page 1", "page 2"] and "pages from 3 on" in upload.notes[1]


def test_an_animation_is_its_first_frame_and_says_so(read):
    out = io.BytesIO()
    draw_slice(1).save(out, "GIF", save_all=True, append_images=[draw_slice(2)])
    upload = read(out.getvalue())
    assert upload.kind == "picture" and "first frame" in upload.notes[0]


def test_a_tiff_of_too_many_pages_is_refused_and_the_last_of_many_is_reached_quickly(read, monkeypatch):
    out = io.BytesIO()
    page = Image.new("L", (32, 32), 9)
    page.save(out, "TIFF", save_all=True, append_images=[page] * 49)
    loads = []
    load = ImageFileDirectory_v2.load
    monkeypatch.setattr(ImageFileDirectory_v2, "load", lambda tags, file: loads.append(1) or load(tags, file))
    assert len(read(out.getvalue()).slices) == 50
    assert len(loads) < 200, "the way to a page leads not through all pages before it"
    monkeypatch.setattr(stream, "MAX_PAGES", 40)
    rejected = read(out.getvalue())
    assert isinstance(rejected, Rejected) and "more than 40 pages" in rejected.reason
    assert_is_a_sentence(rejected.reason)
