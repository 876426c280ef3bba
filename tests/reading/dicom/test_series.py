"""The DICOM files of a series become one volume, sorted and the right way round."""

import numpy as np
import pytest
from pydicom.uid import generate_uid

from brain_tumor.reading.readers import read_uploads
from brain_tumor.reading.uploads import Rejected, Upload
from tests.reading.scans import AXES, COLOR8, bright, dicom_series, enhanced, gray, marked_volume, png_bytes, write_all
from tests.scan_files import dicom, nifti


@pytest.mark.parametrize("plane", AXES)
def test_a_series_is_a_volume_sorted_and_the_right_way_round(plane, tmp_path):
    paths = write_all(tmp_path, dicom_series(marked_volume(), plane))
    for shown in ("axial", "coronal", "sagittal"):
        (upload,) = read_uploads(paths, shown)
        (tmp_path / "x.nii").write_bytes(nifti(marked_volume(), np.diag([2, 2, 2, 1])))
        (expected,) = read_uploads([tmp_path / "x.nii"], shown)
        assert (upload.kind, upload.plane, upload.planes) == ("volume", shown, ("axial", "coronal", "sagittal"))
        assert upload.name == f"DICOM series, {len(paths)} slices" and upload.sides_known is (shown != "sagittal")
        assert [s.name for s in upload.slices] == [s.name for s in expected.slices]
        for one, two in zip(upload.slices, expected.slices, strict=True):
            assert np.abs(gray(one) - gray(two)).max() <= 2
        assert [s.counts for s in upload.slices] == [s.counts for s in expected.slices]


def test_a_series_of_the_template_counts_where_the_brain_is(template, tmp_path):
    (upload,) = read_uploads(write_all(tmp_path, dicom_series(template)))
    counts = [s.counts for s in upload.slices]
    assert not counts[0] and not counts[-1] and counts[len(counts) // 2]
    middle = gray(upload.slices[45])
    assert np.mean(middle == 255) < 0.05 and middle.shape == (117, 99)
    assert (upload.facts["Plane"], upload.facts["Modality"], upload.facts["Voxels"]) == ("axial", "MRI", "2 x 2 x 2 mm")


@pytest.mark.parametrize(
    "orientation", [[-1, 0, 0, 0, 1, 0], [1, 0, 0, 0, -1, 0], [0, 1, 0, 1, 0, 0], [-1, 0, 0, 0, -1, 0]], ids=str
)
def test_a_single_slice_is_turned_to_the_radiological_convention(orientation, read):
    picture = marked_volume()[::-1, ::-1, 20].T  # (y, x) in LPS
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    stored = picture if abs(row[0]) == 1 else picture.T
    stored = stored[:: -1 if column.sum() < 0 else 1, :: -1 if row.sum() < 0 else 1]
    upload = read(
        dicom(np.ascontiguousarray(stored), ImageOrientationPatient=orientation, SliceLocation=31.25, InstanceNumber=7)
    )
    assert (upload.kind, upload.plane, upload.sides_known) == ("picture", "axial", True)
    assert bright(gray(upload.slices[0])) == {"left", "top"} and upload.slices[0].image.size == (64, 48)
    assert upload.facts["Slice"] == "number 7, at 31.2 mm" and upload.name == "scan"


def test_uneven_or_few_slices_are_a_series_of_one_plane(tmp_path):
    files = dicom_series(marked_volume())
    for chosen in (files[:9], files[:10] + files[14:]):
        (upload,) = read_uploads(write_all(tmp_path, chosen), plane="coronal")
        assert (upload.kind, upload.plane, upload.planes) == ("series", "axial", ())
        assert len(upload.slices) == len(chosen) and upload.sides_known
        assert [s.name for s in upload.slices] == [f"slice {i + 1}" for i in range(len(chosen))]
        for path in tmp_path.iterdir():
            path.unlink()


def test_without_places_a_series_is_sorted_by_number(tmp_path):
    series = generate_uid()
    shades = list(range(20, 220, 20))
    files = [
        dicom(np.full((40, 40), shade, np.uint8), SeriesInstanceUID=series, InstanceNumber=i)
        for i, shade in enumerate(shades)
    ]
    (upload,) = read_uploads(write_all(tmp_path, files))
    assert [int(gray(s)[0, 0]) for s in upload.slices] == shades
    assert (upload.kind, upload.plane, upload.sides_known) == ("series", None, False)


def test_two_series_are_two_uploads_and_pictures_keep_their_place(tmp_path):
    paths = [*write_all(tmp_path, {"first.png": png_bytes()})]
    one, two = dicom_series(marked_volume()[:, :, :12]), dicom_series(marked_volume()[:, :, :12], "coronal")
    paths += write_all(tmp_path, {f"{i}{j}": f for j, s in enumerate((one, two)) for i, f in enumerate(s)})
    paths += write_all(tmp_path, {"last.png": png_bytes(number=2)})
    names = [found.name for found in read_uploads(paths)]
    assert names == ["first.png", "DICOM series, 12 slices", "DICOM series, 48 slices", "last.png"]


def test_the_same_file_twice_is_read_once(tmp_path):
    files = dicom_series(marked_volume()[:, :, :12])
    (upload,) = read_uploads(write_all(tmp_path, [*files, *files[:3]]))
    assert len(upload.slices) == 12 and any("3 of the files" in note for note in upload.notes)


@pytest.mark.parametrize(("plane", "missing"), [("axial", 6), ("coronal", 43), ("sagittal", 59)])
def test_a_damaged_file_of_a_series_is_refused_and_the_rest_is_shown(plane, missing, tmp_path):
    files = dicom_series(marked_volume(), plane)
    files[5] = files[5][:-500]
    found = list(read_uploads(write_all(tmp_path, files, shuffled=False)))
    (rejected,) = [f for f in found if isinstance(f, Rejected)]
    (upload,) = [f for f in found if isinstance(f, Upload)]
    assert rejected.name == "IM0005" and "incomplete" in rejected.reason
    names = [f"slice {i + 1}" for i in range(len(files)) if i + 1 != missing]  # counted from foot, back and left
    assert [s.name for s in upload.slices] == names and any("missing" in note for note in upload.notes)


def test_color_slices_with_places_stay_color(tmp_path):
    files = [
        dicom(COLOR8, SeriesInstanceUID="1.2.3", InstanceNumber=i, ImagePositionPatient=[0, 0, i]) for i in range(3)
    ]
    (upload,) = read_uploads(write_all(tmp_path, files))
    assert (np.asarray(upload.slices[2].image) == COLOR8).all() and upload.kind == "series"


def test_the_frames_of_an_enhanced_file_are_a_volume(read):
    upload = read(enhanced(marked_volume()))
    other = read(nifti(marked_volume(), np.diag([2, 2, 2, 1])))
    assert (upload.kind, upload.plane, upload.planes, upload.sides_known) == ("volume", "axial", other.planes, True)
    for one, two in zip(upload.slices, other.slices, strict=True):
        assert np.abs(gray(one) - gray(two)).max() <= 2 and one.name == two.name
