"""A NIfTI file becomes the slices of its first volume, or a sentence."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from brain_tumor.reading.readers import read_uploads
from brain_tumor.reading.uploads import Rejected
from tests.reading.scans import bright, gray, marked_volume, png_bytes
from tests.scan_files import nifti
from tests.sentences import assert_is_a_sentence

NIBABEL = Path(nibabel.__file__).parent / "tests" / "data"


def analyze_header() -> bytes:
    header = nibabel.AnalyzeHeader()
    header.set_data_shape((64, 48, 40))
    return header.binaryblock


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


EMPTY_ROWS = {"sform_code": 1, "srow_x": [0] * 4, "srow_y": [0] * 4, "srow_z": [0] * 4}


def placed_by_qform(**header) -> bytes:
    """A volume whose qform says how it lies: as `marked_volume` does, turned by half around the way up."""
    image = nibabel.Nifti1Image(marked_volume()[::-1, ::-1], np.diag([-2, -2, 2, 1.0]))
    image.set_qform(image.affine, 1)
    fields = {name: image.header[name] for name in ("quatern_b", "quatern_c", "quatern_d")}
    return nifti(marked_volume()[::-1, ::-1], image.affine, qform_code=1, **fields, **header)


@pytest.mark.parametrize(
    "rows",
    [
        EMPTY_ROWS,
        EMPTY_ROWS | {"srow_y": [np.nan] * 4},
        EMPTY_ROWS | {"srow_x": [2, 0, 0, 0], "srow_y": [2, 0, 0, 0], "srow_z": [0, 0, 2, 0]},
    ],
)
def test_an_sform_that_makes_no_sense_is_passed_over_for_the_qform_with_a_note(rows, read):
    good, upload = read(nifti(marked_volume())), read(placed_by_qform(**rows))
    assert [s.image.tobytes() for s in upload.slices] == [s.image.tobytes() for s in good.slices]
    assert upload.sides_known and upload.facts == good.facts
    assert any("its sform makes no sense, its qform is used" in note for note in upload.notes) and good.notes == []


def test_a_file_that_says_nothing_usable_of_how_the_head_lies_is_read_and_marks_no_sides(read):
    nowhere = {"quatern_b": 0.9, "quatern_c": 0.9, "quatern_d": 0.9}
    for header in (EMPTY_ROWS | {"qform_code": 0}, EMPTY_ROWS | {"qform_code": 1} | nowhere):
        upload = read(nifti(marked_volume(), **header))
        assert len(upload.slices) == 40 and not upload.sides_known
        assert any("makes no sense: planes, left and right are guessed" in note for note in upload.notes)
        assert upload.facts["Voxels"] == "2 x 2 x 2 mm"
    upload = read(nifti(marked_volume(), **EMPTY_ROWS, pixdim=[1, np.nan, 0, -2, 1, 1, 1, 1]))
    assert upload.facts["Voxels"] == "1 x 1 x 2 mm"


@pytest.mark.parametrize(("unit", "size"), [("micron", 2000), ("meter", 0.002), ("mm", 2), ("unknown", 2)])
def test_voxels_are_measured_in_millimeters_whatever_unit_the_file_has(unit, size, read):
    image = nibabel.Nifti1Image(marked_volume(), np.diag([size, size, 1.5 * size, 1]))
    image.header.set_xyzt_units(unit, "sec")
    upload = read(image.to_bytes())
    assert upload.facts["Voxels"] == "2 x 2 x 3 mm"
    told = [note for note in upload.notes if "sizes" in note]
    assert len(told) == (unit in ("micron", "meter")) and not any("taken" in note for note in told)


@pytest.mark.parametrize(
    ("unit", "size", "words"),
    [
        ("unknown", 0.002, "without a unit, by which this scan would measure 0.128 millimeters"),
        ("unknown", 2000, "without a unit"),
        ("mm", 2000, "in millimeters, by which this scan would measure 128,000 millimeters"),
        ("meter", 2, "in meters"),
        ("micron", 2, "in micrometers"),
    ],
)
def test_a_unit_in_which_no_head_could_measure_is_taken_for_another_with_a_note(unit, size, words, read):
    image = nibabel.Nifti1Image(marked_volume(), np.diag([size, size, 1.5 * size, 1]))
    image.header.set_xyzt_units(unit, "sec")
    upload = read(image.to_bytes())
    assert upload.facts["Voxels"] == "2 x 2 x 3 mm"
    assert any(words in note and "they are taken for" in note for note in upload.notes)
    # The slices that count are those of the same volume in millimeters.
    usual = read(nifti(marked_volume(), np.diag([2, 2, 3, 1])))
    assert [s.counts for s in upload.slices] == [s.counts for s in usual.slices]


def test_a_scale_that_is_none_is_not_applied(read):
    plain = read(nifti(marked_volume()))
    for slope, inter in ((0, 5), (np.nan, 5), (np.inf, 5), (2, np.nan)):
        upload = read(nifti(marked_volume(), scl_slope=slope, scl_inter=inter))
        assert [s.image.tobytes() for s in upload.slices] == [s.image.tobytes() for s in plain.slices]
    turned, below = read(nifti(marked_volume(), scl_slope=-1)), read(nifti(-marked_volume()))
    assert [s.image.tobytes() for s in turned.slices] == [s.image.tobytes() for s in below.slices]
    assert turned.slices[20].image.tobytes() != plain.slices[20].image.tobytes()


def test_a_size_of_nothing_behind_the_first_is_one(read):
    for dims in ([4, 64, 48, 40, 0, 0, 0, 0], [5, 64, 48, 40, 1, 0, 0, 0]):
        upload = read(nifti(marked_volume(), dim=dims))
        assert len(upload.slices) == 40 and upload.notes == []


@pytest.mark.parametrize(
    ("data", "message"),
    {
        "constant": (nifti(np.full((40, 40, 12), 7, np.int16)), "shows nothing"),
        "nothing but NaN": (nifti(np.full((40, 40, 12), np.nan, np.float32)), "no numbers"),
        "truncated": (nifti(marked_volume())[:9000], "incomplete"),
        "truncated .gz": (nifti(marked_volume(), packed=True)[:900], "damaged or incomplete"),
        "text in .gz": (gzip.compress(b"hello " * 400), "holds text, not a scan"),
        "nothing in .gz": (gzip.compress(bytes(400)), "no NIfTI"),
        "a picture in .gz": (gzip.compress(png_bytes()), "Unpack it and upload what is inside"),
        "an Analyze header": (analyze_header(), "Analyze pair"),
        "numbers of an unknown kind": (nifti(marked_volume(), datatype=4711), "data type 4711"),
        "colors": (nifti(np.zeros((40, 40, 12), [("R", "u1"), ("G", "u1"), ("B", "u1")])), "colors"),
        "half of a pair": (nifti(marked_volume()).replace(b"n+1\0", b"ni1\0", 1), "pair"),
        "no size": (nifti(marked_volume(), dim=[3, 0, 40, 40, 1, 1, 1, 1]), "header makes no sense"),
        "no beginning": (nifti(marked_volume(), vox_offset=np.inf), "header makes no sense"),
        "tiny": (nifti(np.arange(1000, dtype=np.int16).reshape(10, 10, 10)), "10 x 10 pixels"),
    }.values(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_volume_that_shows_nothing_is_refused_with_a_sentence(data, message, read):
    rejected = read(data, "scan.nii")
    assert isinstance(rejected, Rejected) and message in rejected.reason
    assert_is_a_sentence(rejected.reason)
