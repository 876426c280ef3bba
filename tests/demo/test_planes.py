"""The three planes through a volume are the same from whichever plane it was read, and meet where they should."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageColor

from brain_tumor.demo.kept import keep
from brain_tumor.demo.planes import AXES, CROSSHAIR, can_be_cut, crosshair_of, draw_planes
from brain_tumor.inference.judging import JudgedUpload
from brain_tumor.reading.readers import read_one, read_uploads
from tests.scan_files import nifti
from tests.serving import dicom_series
from tests.volumes import prediction

SHAPE, SPACING, POINT = (80, 100, 60), (2, 1.5, 3), (24, 66, 42)
"""Voxels from left to right, back to front, foot to head; millimeters; and the one that is bright."""


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    grid = np.indices(SHAPE)
    middle = np.reshape(np.array(SHAPE) / 2, (3, 1, 1, 1))
    head = (((grid - middle) / (0.45 * np.array(SHAPE).reshape(3, 1, 1, 1))) ** 2).sum(0) < 1
    values = np.where(head, 60 + grid[1], 0)
    values[tuple(slice(at - 2, at + 3) for at in POINT)] = 255
    path = tmp_path_factory.mktemp("volume") / "head.nii"
    path.write_bytes(nifti(values.astype(np.uint8), np.diag([*SPACING, 1])))
    return path


@pytest.fixture(scope="module")
def uploads(volume):
    """The volume as it is read in each plane."""
    return {plane: next(iter(read_uploads([volume], plane))) for plane in AXES}


def cut(upload, at=(70, 34, 30), place: int | None = None) -> list[Image.Image]:
    """The planes, by default through the bright point."""
    along = POINT[list(AXES).index(upload.plane)]
    kept = keep(JudgedUpload(upload, [prediction(".")] * len(upload.slices), None))
    return draw_planes(kept, along if place is None else place, at)


def differ(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of their grays, without the crosshair, which may lie a pixel beside the other's."""
    grays = [np.asarray(image, float) for image in (one, other)]
    clear = np.ones(grays[0].shape[:2], bool)
    for picture in grays:
        colored = picture.max(-1) != picture.min(-1)
        clear &= ~(colored.mean(0) > 0.3)[None] & ~(colored.mean(1) > 0.3)[:, None]
    return float(abs(grays[0] - grays[1])[clear].mean())


def test_the_three_planes_are_the_same_from_whichever_plane_a_volume_was_read(uploads):
    assert [upload.plane for upload in uploads.values()] == list(AXES)
    assert all(can_be_cut(upload) for upload in uploads.values())
    pictures = {plane: cut(replace(upload, sides_known=False)) for plane, upload in uploads.items()}
    for plane in ("coronal", "sagittal"):
        for one, other in zip(pictures["axial"], pictures[plane], strict=True):
            assert one.size == other.size
            assert differ(one, other) < 5, plane


def test_they_are_on_one_scale_of_millimeters(uploads):
    sizes = [picture.size for picture in cut(uploads["axial"])]
    millimeters = [count * step for count, step in zip(SHAPE, SPACING, strict=True)]  # 160, 150, 180
    scale = max(max(size) for size in sizes) / max(millimeters)
    for size, axes in zip(sizes, ((0, 1), (0, 2), (1, 2)), strict=True):
        assert size == tuple(round(scale * millimeters[axis]) for axis in axes)


def test_the_crosshair_goes_through_the_same_point_in_all_three(uploads):
    color = ImageColor.getrgb(CROSSHAIR)
    for plane, upload in uploads.items():
        for picture in cut(replace(upload, sides_known=False)):
            pixels = np.asarray(picture)
            lines = (pixels == color).all(-1)
            (row,), (column,) = (np.flatnonzero(lines.mean(1) > 0.9), np.flatnonzero(lines.mean(0) > 0.9))
            near = slice(row - 3, row + 4), slice(column - 3, column + 4)
            assert pixels[near][~lines[near]].mean() > 200, (plane, "the bright point")


def test_right_and_left_are_marked_where_they_are_known(uploads):
    axial, coronal, sagittal = cut(uploads["axial"])
    plain = cut(replace(uploads["axial"], sides_known=False))
    assert [one != other for one, other in zip((axial, coronal, sagittal), plain, strict=True)] == [True, True, False]


def test_the_slices_have_no_slider_of_their_own_beside_theirs(uploads):
    for plane, upload in uploads.items():
        shown = [slider.visible for slider in crosshair_of(upload)]
        assert shown == [other != plane for other in AXES]


def test_a_series_of_even_slices_can_be_cut_and_pages_or_few_slices_cannot(tmp_path):
    (series,) = read_uploads(dicom_series(tmp_path, slices=11), None)
    assert can_be_cut(series) and series.extent[:2] == pytest.approx((198, 234), rel=0.02)
    assert series.extent[2] == pytest.approx(10)
    assert [picture.mode for picture in cut(series, place=3)] == ["RGB"] * 3
    (few,) = read_uploads(dicom_series(tmp_path / "few", slices=6), None)
    assert not can_be_cut(few)
    pages = [Image.new("L", (64, 64), gray) for gray in range(12)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    assert not can_be_cut(read_one(tmp_path / "pages.tif"))
