"""FreeSurfer's volumes are read as nibabel reads them, packed or not."""

import gzip

import nibabel
import numpy as np
import pytest
from nibabel.freesurfer.mghformat import MGHImage

from brain_tumor.reading.readers import read_uploads
from brain_tumor.reading.uploads import Rejected, Upload
from brain_tumor.reading.volume_files import read_voxels
from brain_tumor.reading.volumes import Block
from tests.reading.scans import bright, gray, marked_volume
from tests.reading.test_nifti import NIBABEL
from tests.scan_files import nifti, picture
from tests.sentences import assert_is_a_sentence

AFFINE = np.diag([2, 2, 2, 1.0])
CORONAL = np.array([[-2.0, 0, 0, 60], [0, 0, 2, -40], [0, -2, 0, 50], [0, 0, 0, 1]])  # as FreeSurfer conforms them


def mgh(values: np.ndarray, affine: np.ndarray = AFFINE, **header) -> bytes:
    data = bytearray(MGHImage(values, affine).to_bytes())
    fields = np.frombuffer(data, nibabel.freesurfer.mghformat.header_dtype, count=1)
    for name, value in header.items():
        fields[name] = value
    return bytes(data)


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "u2"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_volume_of_freesurfer_is_read_like_the_same_in_nifti(packed, dtype, read):
    values = (marked_volume() // 4).astype(dtype)
    data = mgh(values)
    upload, other = read(gzip.compress(data) if packed else data), read(nifti(values))
    assert [s.image.tobytes() for s in upload.slices] == [s.image.tobytes() for s in other.slices]
    assert (upload.kind, upload.plane, upload.planes, upload.sides_known) == ("volume", "axial", other.planes, True)
    assert upload.facts["Format"] == "MGH" + " (.gz)" * packed and upload.facts["Voxels"] == "2 x 2 x 2 mm"
    assert upload.notes == []


def test_axes_in_the_order_of_freesurfer_are_put_right(read):
    flipped = nibabel.as_closest_canonical(nibabel.Nifti1Image(marked_volume(), AFFINE))
    orientation = nibabel.io_orientation(CORONAL)
    back = nibabel.orientations.ornt_transform(nibabel.io_orientation(flipped.affine), orientation)
    stored = nibabel.orientations.apply_orientation(flipped.get_fdata(), back).astype("f4")
    image = MGHImage(stored, CORONAL)
    header, values = read_voxels(gzip.compress(image.to_bytes()))
    expected = nibabel.as_closest_canonical(nibabel.Nifti1Image(stored, CORONAL)).get_fdata()
    assert (Block(values, header.affine).values == expected).all()
    upload = read(image.to_bytes(), plane="axial")
    assert bright(gray(upload.slices[20])) == {"left", "top"}


def test_of_several_frames_the_first_is_read(read):
    volume = marked_volume()
    upload = read(mgh(np.stack([volume, volume[::-1]], -1)))
    assert any("2 volumes" in note for note in upload.notes)
    assert upload.slices[20].image.tobytes() == read(mgh(volume)).slices[20].image.tobytes()


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"goodRASFlag": 0}, "does not say how the head lies"),
        ({"Mdc": np.zeros((3, 3))}, "makes no sense"),
        ({"Mdc": np.full((3, 3), np.nan)}, "makes no sense"),
        ({"delta": [2, 0, 2]}, "makes no sense"),
    ],
)
def test_a_volume_that_does_not_say_how_the_head_lies_marks_no_sides(header, words, read):
    upload = read(mgh(marked_volume(), **header))
    assert isinstance(upload, Upload) and not upload.sides_known
    assert any(words in note and "guessed and unmarked" in note for note in upload.notes)


def test_nibabels_own_file_is_read_as_nibabel_reads_it():
    path = NIBABEL / "test.mgz"
    header, values = read_voxels(path.read_bytes())
    image = nibabel.load(path)
    assert (values == np.asarray(image.dataobj)[..., 0]).all() and header.volumes == image.shape[3]
    np.testing.assert_allclose(header.affine, image.affine)
    (rejected,) = read_uploads([path])
    assert isinstance(rejected, Rejected) and "4 x 3 pixels" in rejected.reason


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (mgh(marked_volume())[:9000], "incomplete"),
        (gzip.compress(mgh(marked_volume()))[:900], "incomplete"),
        (mgh(marked_volume(), type=2), "type 2"),
        (mgh(marked_volume(), dims=[4000, 4000, 4000, 1]), "too large"),
        (mgh(marked_volume(), version=2), "not a picture"),
        (mgh(marked_volume(), dims=[64, -48, 40, 1]), "not a picture"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_volume_of_freesurfer_that_cannot_be_read_is_refused_with_a_sentence(data, word, read):
    rejected = read(data)
    assert isinstance(rejected, Rejected) and word in rejected.reason
    assert_is_a_sentence(rejected.reason)


def test_a_picture_is_not_taken_for_a_volume_of_freesurfer(read):
    for format in ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP"):
        assert read(picture(format)).kind == "picture"
