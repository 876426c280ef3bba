"""What pydicom and nibabel make of the DICOM series of `tests.structures`, and whether the readers agree with them."""

import io
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from hypothesis import assume
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from brain_tumor.reading.readers import read_uploads
from brain_tumor.reading.uploads import Upload
from tests.structures import SETTINGS, Series, build, direction, merge

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that these readers are new
    from nibabel.nicom.dicomwrappers import wrapper_from_data


def check(case: Series, folder: Path) -> None:
    """Build a series, read it, and compare. Raises AssertionError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydicom's about such series
        _check(case, folder)


def _check(case: Series, folder: Path) -> None:
    files = build(case)
    order = np.random.default_rng(case.seed).permutation(len(files))
    for path in folder.iterdir():
        path.unlink()
    paths = [folder / f"{i}" for i in range(len(files))]
    for i, path in zip(order, paths, strict=True):
        path.write_bytes(files[i][2])
    if case.frames:
        paths = [folder / "frames"]
        paths[0].write_bytes(merge([files[i][2] for i in order], case.syntax))
    found = list(read_uploads(paths))
    expected = group(case, files)
    assert all(isinstance(upload, Upload) for upload in found), found
    assert sorted(len(u.slices) for u in found) == sorted(map(len, expected)), (found, [len(e) for e in expected])
    shown = [[np.asarray(slice_.image)[..., 0].astype(int) for slice_ in upload.slices] for upload in found]
    for datasets in expected:
        grays = expect_grays(case, datasets)
        pictures = [turn(gray, dataset) for gray, dataset in zip(grays, datasets, strict=True)]
        if shows_its_grays(case):
            off = [distance(pictures, some) for some in shown]
            assert min(off) <= 1, f"{min(off)} gray levels off"
            shown.pop(int(np.argmin(off)))
        else:
            grow = [keeps_order(pictures, some) for some in shown]
            assert any(grow), "brighter numbers are darker, or slices are in another order"
            shown.pop(grow.index(True))
    noted = any("missing" in note for upload in found for note in upload.notes)
    left = case.places - len(case.inner)
    unclear = left < 4 or 4 * len(case.inner) > left - 1 or case.spacing < 1 or case.told_by == "number"
    assert unclear or noted == bool(case.inner), [upload.notes for upload in found]
    assert not noted or case.inner


def group(case: Series, files: list[tuple[int, int, bytes]]) -> list[list[pydicom.Dataset]]:
    """The uploads that should come out, each as its datasets in order."""
    ways = range(case.times) if SETTINGS[case.setting][0] else [None]
    normal = np.cross(*direction(case))
    axis = int(np.argmax(abs(normal)))
    upwards = np.sign(normal[axis]) * (1 if axis == 2 else -1) if case.told_by == "position" else 1
    groups = []
    for way in ways:
        firsts: dict[int, bytes] = {}
        for place, time, data in files:
            if way in (None, time):
                firsts.setdefault(place, data)
        groups.append([firsts[place] for place in sorted(firsts, key=lambda place: upwards * place)])
    return [[pydicom.dcmread(io.BytesIO(data)) for data in group] for group in groups]


def expect_grays(case: Series, datasets: list[pydicom.Dataset]) -> list[np.ndarray]:
    """What pydicom makes of the stored numbers: gray levels of 0 to 255, or numbers if the file has no gray levels."""
    grays = []
    for dataset in datasets:
        stored = dataset.pixel_array.astype(np.int64)
        for tag in ("ModalityLUTSequence", "VOILUTSequence"):
            if tag in dataset and "LUTData" not in dataset[tag][0]:
                del dataset[tag]
        values = apply_modality_lut(stored, dataset)
        if not shows_its_grays(case):
            share = values.astype(float)
        elif case.interest[0] == "table":
            descriptor = dataset.VOILUTSequence[0].LUTDescriptor
            if descriptor[1] >= 2**15 and dataset.get("RescaleIntercept", 0) < 0:  # in implicit VR it has no sign
                descriptor[1] -= 2**16
            # As the standard says of numbers beyond the table, of which pydicom keeps the low bits alone.
            values = np.rint(values).astype(np.int64).clip(descriptor[1], descriptor[1] + descriptor[0] - 1)
            share = apply_voi_lut(values, dataset) / (2 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1)
        else:
            ends = np.array([-(2 ** (dataset.BitsStored - 1)), 2 ** (dataset.BitsStored - 1) - 1])
            ends = apply_modality_lut(ends if dataset.PixelRepresentation else ends - ends[0], dataset)
            if "ModalityLUTSequence" in dataset:
                ends = 0, 2 ** dataset.ModalityLUTSequence[0].LUTDescriptor[2] - 1
            share = (apply_voi_lut(values, dataset).astype(float) - ends[0]) / (ends[1] - ends[0])
        share = -share if case.inverted and not shows_its_grays(case) else 1 - share if case.inverted else share
        if "PixelPaddingValue" in dataset:
            limits = [dataset.PixelPaddingValue, dataset.get("PixelPaddingRangeLimit", dataset.PixelPaddingValue)]
            bits = dataset.BitsAllocated
            limits = [n - 2**bits if dataset.PixelRepresentation and n >= 2 ** (bits - 1) else n for n in limits]
            share[(stored >= min(limits)) & (stored <= max(limits))] = 0 if shows_its_grays(case) else -1e9
        grays.append(np.rint(share * 255).astype(int) if shows_its_grays(case) else share)
    if shows_its_grays(case) and case.interest[0] != "none":
        assume(all(np.mean(gray == 255) <= 0.45 and np.percentile(gray, 99.5) > 40 for gray in grays))
    return grays


def shows_its_grays(case: Series) -> bool:
    """Whether the file says what is black and white."""
    if case.interest[0] not in ("none", "empty table"):
        return True
    return case.numbers[0][1] <= 8 and "own" not in case.modality[0]


def turn(picture: np.ndarray, dataset: pydicom.Dataset) -> np.ndarray:
    """A slice in radiological convention, turned by nibabel."""
    if "ImagePositionPatient" not in dataset:
        dataset.ImagePositionPatient = [0, 0, 0]
    affine = np.diag([-1, -1, 1, 1]) @ wrapper_from_data(dataset).affine  # LPS -> RAS
    block = nibabel.Nifti1Image(picture.T[..., None].astype(float), affine)
    block = nibabel.as_closest_canonical(nibabel.Nifti1Image(picture[..., None].astype(float), affine))
    values = np.asarray(block.dataobj)
    flat = values.squeeze(int(np.flatnonzero(np.array(values.shape) == 1)[0]))
    return flat[::-1, ::-1].T


def distance(expected: list[np.ndarray], shown: list[np.ndarray]) -> float:
    """The largest difference of two stacks in gray levels; infinite if they differ in shape."""
    if [p.shape for p in expected] != [p.shape for p in shown]:
        return np.inf
    return max(abs(one - other).max() for one, other in zip(expected, shown, strict=True))


def keeps_order(expected: list[np.ndarray], shown: list[np.ndarray]) -> bool:
    """Whether larger numbers are shown at least as bright, in all slices alike."""
    if [p.shape for p in expected] != [p.shape for p in shown]:
        return False
    numbers, grays = np.concatenate([p.ravel() for p in expected]), np.concatenate([p.ravel() for p in shown])
    order = np.argsort(numbers, kind="stable")
    steps = np.diff(grays[order])
    return bool((steps[np.diff(numbers[order]) > 0] >= 0).all()) and len(set(grays.tolist())) > 8
