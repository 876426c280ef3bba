"""Volumes are shown the right way round, with square pixels, and only slices that show the brain count."""

import itertools

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from brain_tumor.reading import volumes
from brain_tumor.reading.dicom import series
from brain_tumor.reading.readers import read_uploads
from tests.reading.scans import bright, dicom_series, gray, marked_volume, write_all
from tests.scan_files import nifti

ORIENTATIONS = [
    "".join(axes) for order in itertools.permutations(("RL", "AP", "SI")) for axes in itertools.product(*order)
]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_left_and_right_are_radiological_however_a_volume_is_stored(orientation, read):
    stored = nibabel.Nifti1Image(marked_volume(), np.diag([2, 2, 2, 1])).as_reoriented(
        nibabel.orientations.ornt_transform(
            nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(orientation)
        )
    )
    assert "".join(nibabel.aff2axcodes(stored.affine)) == orientation
    where = {"axial": {"left", "top"}, "coronal": {"left", "top"}, "sagittal": {"left", "top"}}
    for plane, sides in where.items():
        upload = read(stored.to_bytes(), plane=plane)
        assert (upload.kind, upload.plane, upload.planes) == ("volume", plane, ("axial", "coronal", "sagittal"))
        assert upload.sides_known is (plane != "sagittal")
        assert len(upload.slices) == {"axial": 40, "coronal": 48, "sagittal": 64}[plane]
        # Axial: right and front. Coronal: right and head. Sagittal: the face on the left, and head.
        middle = upload.slices[len(upload.slices) // 2]
        assert bright(gray(middle)) == sides
    ends = [gray(s).max() for s in read(stored.to_bytes(), plane="axial").slices]
    assert int(np.argmax(ends[30:])) + 30 in (33, 34, 35)  # the head's mark comes late: from foot to head


@pytest.mark.parametrize("orientation", ["RAS", "SAR", "PIL", "ALS"])
def test_voxels_are_made_square_however_a_volume_is_stored(orientation, read):
    stored = nibabel.Nifti1Image(marked_volume(), np.diag([1, 2, 3, 1])).as_reoriented(
        nibabel.orientations.ornt_transform(
            nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(orientation)
        )
    )
    sizes = {
        plane: read(stored.to_bytes(), plane=plane).slices[0].image.size for plane in ("axial", "coronal", "sagittal")
    }
    assert sizes == {"axial": (64, 96), "coronal": (64, 120), "sagittal": (48, 60)}
    assert read(stored.to_bytes()).facts["Voxels"] == "1 x 2 x 3 mm"


def test_an_oblique_volume_is_shown_along_its_nearest_axes(read):
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn * 2
    upload = read(nifti(marked_volume(), affine))
    assert bright(gray(upload.slices[20])) == {"left", "top"} and upload.sides_known


def test_the_plane_with_the_finest_pixels_is_shown_first_and_made_square(read):
    volume = marked_volume()
    for axis, plane in enumerate(("sagittal", "coronal", "axial")):
        sizes = np.ones(3)
        sizes[axis] = 4
        upload = read(
            nifti(
                volume[:: 4 if axis == 0 else 1, :: 4 if axis == 1 else 1, :: 4 if axis == 2 else 1],
                np.diag([*sizes, 1]),
            )
        )
        assert upload.plane == plane
    upload = read(nifti(volume[:, :, ::4], np.diag([1, 1, 4, 1])), plane="coronal")
    assert upload.slices[0].image.size == (64, 40) and upload.facts["Voxels"] == "1 x 1 x 4 mm"
    oblong = read(nifti(volume, np.diag([0.5, 1, 4, 1])))
    assert oblong.plane == "axial" and oblong.slices[0].image.size == (64, 96)


def with_head(brain: np.ndarray) -> np.ndarray:
    """A brain (RAS, 2 mm) with skull, skin and neck drawn around it: 10 mm, and a neck down to the lowest slice."""
    inside = ndimage.binary_closing(brain > 100, iterations=4)
    padded = np.pad(brain, ((8, 8), (8, 8), (30, 8)))
    inside = np.pad(inside, ((8, 8), (8, 8), (30, 8)))
    head = ndimage.binary_dilation(inside, iterations=5)
    x, y = np.mgrid[: padded.shape[0], : padded.shape[1]]
    neck = np.hypot(x - padded.shape[0] / 2, y - padded.shape[1] / 2) < 32  # 64 mm radius
    head[:, :, :50] |= neck[..., None]
    return np.where(inside & (padded > 100), padded, np.where(head, 900, 0)).astype(np.int16)


@pytest.mark.parametrize("noise", [0, 60, 150])
@pytest.mark.parametrize("head", [False, True], ids=["brain", "head"])
def test_slices_above_and_below_the_brain_do_not_count(noise, head, template, read):
    volume = with_head(template) if head else template
    brain = np.pad(template, ((8, 8), (8, 8), (30, 8))) if head else template
    random_ = np.random.default_rng(0)
    if noise:  # Rician, as in a magnitude image
        volume = np.hypot(volume + random_.normal(0, noise, volume.shape), random_.normal(0, noise, volume.shape))
    data = nifti(volume.astype(np.int16), np.diag([2, 2, 2, 1]))
    area = (brain > 100).mean(axis=(0, 1))
    area /= area.max()
    counts = np.array([s.counts for s in read(data, plane="axial").slices])
    assert counts[area > 0.5].all()  # whoever shows half a brain is judged
    assert not counts[area < 0.02].any()  # empty, vertex, neck
    assert 45 <= counts.sum() <= 66  # 90 to 132 mm
    order = np.flatnonzero(counts)
    assert (np.diff(order) == 1).all()
    for plane, axis in (("coronal", 1), ("sagittal", 0)):
        area = (brain > 100).mean(axis=tuple(a for a in range(3) if a != axis))
        counts = np.array([s.counts for s in read(data, plane=plane).slices])
        assert counts[area > 0.5 * area.max()].all() and not counts[area == 0][:10].any()
        assert not counts[0] and not counts[-1]


def test_a_stack_of_slices_that_all_look_alike_counts_whole(read):
    volume = np.repeat(marked_volume()[:, :, 20:21], 12, axis=2)
    assert all(s.counts for s in read(nifti(volume)).slices)


def test_long_volumes_and_series_are_thinned_evenly_and_say_so(tmp_path, monkeypatch, read):
    monkeypatch.setattr(volumes, "MAX_SLICES", 15)
    upload = read(nifti(marked_volume()))
    assert [s.name for s in upload.slices] == [f"slice {i}" for i in range(1, 41, 3)]
    assert upload.notes == ["Of 40 slices, every third one is read: 14 slices."]
    (upload,) = read_uploads(write_all(tmp_path, dicom_series(marked_volume())))
    assert len(upload.slices) == 14 and "every third" in upload.notes[0]
    monkeypatch.setattr(volumes, "MAX_SLICES", 400)
    monkeypatch.setattr(series, "MAX_VOXELS", 48 * 64 * 20)
    (upload,) = read_uploads([p for p in tmp_path.iterdir() if p.name.startswith("IM")])
    assert [s.name for s in upload.slices] == [f"slice {i}" for i in range(1, 41, 2)]
    assert upload.kind == "volume" and upload.facts["Voxels"] == "2 x 2 x 4 mm" and "every second" in upload.notes[0]
