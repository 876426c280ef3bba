"""A NIfTI file becomes the slices of its first volume, or a sentence."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from brain_tumor.reading.readers import read_uploads
from brain_tumor.reading.uploads import Rejected
from tests.reading.scans import (
    bright,
    gray,
    marked_volume,
)
from tests.scan_files import nifti
from tests.sentences import assert_is_a_sentence

NIBABEL = Path(nibabel.__file__).parent / "tests" / "data"


def test_a_2d_nifti_is_one_slice(read):
    for values in (marked_volume()[:, :, 20], marked_volume()[:, :, 20:21]):
        upload = read(nifti(values, packed=True))
        assert (upload.kind, len(upload.slices), upload.slices[0].name) == ("picture", 1, "")
        assert (upload.plane, upload.planes) == ("axial", ())
        assert bright(gray(upload.slices[0])) == {"left", "top"}
    coronal = read(nifti(marked_volume()[:, 24:25]))
    assert coronal.plane == "coronal" and bright(gray(coronal.slices[0])) == {"left", "top"}


def test_the_first_volume_of_a_4d_file_is_read_and_a_note_says_so(read):
    volume = marked_volume()
    four = read(nifti(np.stack([volume, volume[::-1], volume * 0], -1)))
    one = read(nifti(volume))
    assert [s.image.tobytes() for s in four.slices] == [s.image.tobytes() for s in one.slices]
    assert any("3 volumes" in note for note in four.notes) and not one.notes


def test_the_scale_of_the_header_is_applied(read):
    values = marked_volume()
    plain = read(nifti(values))
    scaled = read(nifti(values, scl_slope=0.25, scl_inter=-100))
    assert [s.image.tobytes() for s in plain.slices] == [s.image.tobytes() for s in scaled.slices]
    assert scaled.facts["Window"].startswith("-100 to ")


def test_a_file_that_does_not_say_how_the_head_lies_marks_no_sides(read):
    upload = read(nifti(marked_volume(), qform_code=0, sform_code=0))
    assert not upload.sides_known and any("guessed" in note for note in upload.notes)
    assert read(nifti(marked_volume())).sides_known


def test_nibabels_own_files_are_read():
    (first,) = read_uploads([NIBABEL / "example4d.nii.gz"])
    assert (first.kind, len(first.slices), first.slices[0].image.size) == ("volume", 24, (128, 96))
    assert first.facts["Format"] == "NIfTI-1 (.gz)" and any("2 volumes" in note for note in first.notes)
    (second,) = read_uploads([NIBABEL / "anatomical.nii"])
    assert second.slices[0].image.size == (33, 41)
    (small,) = read_uploads([NIBABEL / "functional.nii"])
    assert isinstance(small, Rejected) and "17 x 21" in small.reason


def test_nifti_2_is_read(read):
    image = nibabel.Nifti2Image(marked_volume(), np.eye(4))
    upload = read(gzip.compress(image.to_bytes()))
    assert upload.facts["Format"] == "NIfTI-2 (.gz)" and bright(gray(upload.slices[20])) == {"left", "top"}


@pytest.mark.parametrize(
    ("data", "message"),
    {
        "constant": (nifti(np.full((40, 40, 12), 7, np.int16)), "shows nothing"),
        "nothing but NaN": (nifti(np.full((40, 40, 12), np.nan, np.float32)), "no numbers"),
        "truncated": (nifti(marked_volume())[:9000], "incomplete"),
        "truncated .gz": (nifti(marked_volume(), packed=True)[:900], "damaged or incomplete"),
        "not NIfTI in .gz": (gzip.compress(b"hello " * 400), "no NIfTI"),
        "colors": (nifti(np.zeros((40, 40, 12), [("R", "u1"), ("G", "u1"), ("B", "u1")])), "colors"),
        "half of a pair": (nifti(marked_volume()).replace(b"n+1\0", b"ni1\0", 1), "pair"),
        "a voxel size of nothing": (nifti(marked_volume(), srow_x=[0, 0, 0, 0]), "damaged"),
        "tiny": (nifti(np.arange(1000, dtype=np.int16).reshape(10, 10, 10)), "10 x 10 pixels"),
    }.values(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_volume_that_shows_nothing_is_refused_with_a_sentence(data, message, read):
    rejected = read(data, "scan.nii")
    assert isinstance(rejected, Rejected) and message in rejected.reason
    assert_is_a_sentence(rejected.reason)
