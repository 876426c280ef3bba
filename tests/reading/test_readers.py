"""Any uploaded file becomes 8-bit slices that show what is in it, the right way round, or a sentence; no patient."""

import contextlib
import gzip
import importlib.util
import io
import itertools
import logging
import os
import random
import subprocess
import sys
import types
import warnings
import zipfile
import zlib
from pathlib import Path

import imagecodecs
import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, generate_uid
from scipy import ndimage

from brain_tumor.reading import archives, nifti, pages, pictures, readers, volumes
from brain_tumor.reading.dicom import codecs, parsing, series
from brain_tumor.reading.pictures import ScanError, open_scan
from brain_tumor.reading.readers import read_scan, read_uploads
from brain_tumor.reading.uploads import MAX_SECONDS, Rejected, Slice, Upload
from tests.slices import draw_slice

NILEARN = Path(importlib.util.find_spec("nilearn").origin).parent / "datasets" / "data"
TEMPLATE = NILEARN / "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
NIBABEL = Path(nibabel.__file__).parent / "tests" / "data"
MR = "1.2.840.10008.5.1.4.1.1.4"
SECRET = "Zzyzx"  # what patients are called here


# --- files that the tests write -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def template() -> np.ndarray:
    """The MNI152 brain at 2 mm, (99, 117, 95) int16, RAS, 0 to 2,040: as deep as a scanner's numbers."""
    return np.asarray(nibabel.load(TEMPLATE).dataobj, np.int16)[::2, ::2, ::2] * 8


def nifti_bytes(values: np.ndarray, affine: np.ndarray | None = None, packed: bool = False, **header) -> bytes:
    image = nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine)
    data = bytearray(image.to_bytes())
    fields = np.frombuffer(data, nibabel.Nifti1Header.template_dtype, count=1)  # written last: nibabel has its own mind
    for name, value in header.items():
        fields[name] = value
    data = bytes(data)
    return gzip.compress(data) if packed else data


def dicom_bytes(pixels: np.ndarray | None, syntax: str = "1.2.840.10008.1.2.1", preamble: bool = True, **tags) -> bytes:
    """A DICOM MR file of (rows, columns), (rows, columns, 3) or (frames, rows, columns) numbers."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID = UID(tags.get("SOPClassUID", MR))
    meta.MediaStorageSOPInstanceUID = UID(tags.setdefault("SOPInstanceUID", generate_uid()))
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.Modality = MR, "MR"
    if pixels is not None:
        color = pixels.shape[-1] == 3
        dataset.Rows, dataset.Columns = pixels.shape[-3:-1] if color else pixels.shape[-2:]
        dataset.SamplesPerPixel = 3 if color else 1
        dataset.PhotometricInterpretation = "RGB" if color else "MONOCHROME2"
        if color:
            dataset.PlanarConfiguration = 0
        if pixels.ndim - color == 3:
            dataset.NumberOfFrames = len(pixels)
        dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
        dataset.HighBit = dataset.BitsStored - 1
        dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
        dataset.PixelData = pixels.tobytes()
        dataset["PixelData"].VR = "OW" if pixels.dtype.itemsize > 1 else "OB"
    for tag, value in tags.items():
        setattr(dataset, tag, value)
    if UID(syntax).is_encapsulated and pixels is not None:
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    out = io.BytesIO()
    if preamble:
        pydicom.dcmwrite(out, dataset, enforce_file_format=True)
    else:
        del dataset.file_meta
        pydicom.dcmwrite(out, dataset, implicit_vr=True, little_endian=True)
    return out.getvalue()


AXES = {  # plane -> rows' and columns' direction (LPS) as scanners store them, and the way from slice to slice
    "axial": ([1, 0, 0, 0, 1, 0], [0, 0, 1]),
    "coronal": ([1, 0, 0, 0, 0, -1], [0, 1, 0]),
    "sagittal": ([0, 1, 0, 0, 0, -1], [1, 0, 0]),
}


def dicom_series(volume: np.ndarray, plane: str = "axial", spacing: float = 2.0, **tags) -> list[bytes]:
    """Slices of a RAS volume as a scanner would store them, along LPS."""
    lps = volume[::-1, ::-1]
    orientation, step = AXES[plane]
    axis = int(np.flatnonzero(step)[0])
    stack = np.moveaxis(lps, axis, 0)  # (slice, ., .) of the two remaining axes in the order x, y, z
    series = tags.pop("SeriesInstanceUID", generate_uid())
    files = []
    for index, picture in enumerate(stack):
        rows = picture.T if plane == "axial" else picture.T[::-1]
        position = np.array(step) * spacing * index + (0 if plane == "axial" else np.array([0, 0, 200]))
        files.append(
            dicom_bytes(
                np.ascontiguousarray(rows),
                SeriesInstanceUID=series,
                InstanceNumber=index + 1,
                ImageOrientationPatient=orientation,
                ImagePositionPatient=[float(p) for p in position],
                PixelSpacing=[2.0, 2.0],
                **tags,
            )
        )
    return files


def write_all(folder: Path, files: dict[str, bytes] | list[bytes], shuffled: bool = True) -> list[Path]:
    named = files if isinstance(files, dict) else {f"IM{i:04d}": data for i, data in enumerate(files)}
    paths = []
    for name, data in named.items():
        (folder / name).write_bytes(data)
        paths.append(folder / name)
    if shuffled and not isinstance(files, dict):
        random.Random(0).shuffle(paths)
    return paths


def zip_bytes(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def png_bytes(side: int = 64, number: int = 1) -> bytes:
    out = io.BytesIO()
    draw_slice(number, side=side).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def read(tmp_path):
    """Writes bytes to a file and reads it: `read(data)` -> the one Upload or Rejected."""

    def read_one(data: bytes, name: str = "scan", plane: str | None = None) -> Upload | Rejected:
        (tmp_path / name).write_bytes(data)
        (found,) = read_uploads([tmp_path / name], plane)
        return found

    return read_one


def gray(slice_: Slice) -> np.ndarray:
    pixels = np.asarray(slice_.image)
    assert slice_.image.mode == "RGB" and (pixels == pixels[..., :1]).all()
    return pixels[..., 0].astype(int)


def assert_is_a_sentence(text: str) -> None:
    assert text.startswith(("This ", "The ", "At most ")) and text.endswith(".") and "\n" not in text
    assert "Error" not in text and "0x" not in text and len(text) < 260


# --- pictures -----------------------------------------------------------------------------------------------------


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
    slice_, facts, notes = read_scan(out.getvalue())
    assert slice_.name == facts["Slice"] == "page 2" and "page 2" in notes[-1]


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


# --- NIfTI: sides, planes, windows --------------------------------------------------------------------------------


def marked_volume() -> np.ndarray:
    """(64, 48, 40) RAS: a gray head in air, and bright blocks at the patient's right, front and head."""
    x, y, z = np.mgrid[-1:1:64j, -1:1:48j, -1:1:40j]
    volume = np.where(x**2 + y**2 + z**2 < 0.9, 400, 0).astype(np.int16)
    volume[54:58, 22:26, 18:22] = 1000  # right
    volume[30:34, 40:44, 18:22] = 1000  # front
    volume[30:34, 22:26, 33:36] = 1000  # head
    return volume


def bright(picture: np.ndarray) -> set[str]:
    """At which sides of a picture something bright is."""
    height, width = picture.shape
    rows, columns = np.nonzero(picture > 200)
    sides = {
        "left": (columns < width * 0.3),
        "right": columns > width * 0.7,
        "top": rows < height * 0.3,
        "bottom": rows > height * 0.7,
    }
    return {side for side, where in sides.items() if where.any()}


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
    upload = read(nifti_bytes(marked_volume(), affine))
    assert bright(gray(upload.slices[20])) == {"left", "top"} and upload.sides_known


def test_the_plane_with_the_finest_pixels_is_shown_first_and_made_square(read):
    volume = marked_volume()
    for axis, plane in enumerate(("sagittal", "coronal", "axial")):
        sizes = np.ones(3)
        sizes[axis] = 4
        upload = read(
            nifti_bytes(
                volume[:: 4 if axis == 0 else 1, :: 4 if axis == 1 else 1, :: 4 if axis == 2 else 1],
                np.diag([*sizes, 1]),
            )
        )
        assert upload.plane == plane
    upload = read(nifti_bytes(volume[:, :, ::4], np.diag([1, 1, 4, 1])), plane="coronal")
    assert upload.slices[0].image.size == (64, 40) and upload.facts["Voxels"] == "1 x 1 x 4 mm"
    oblong = read(nifti_bytes(volume, np.diag([0.5, 1, 4, 1])))
    assert oblong.plane == "axial" and oblong.slices[0].image.size == (64, 96)


def test_a_2d_nifti_is_one_slice(read):
    for values in (marked_volume()[:, :, 20], marked_volume()[:, :, 20:21]):
        upload = read(nifti_bytes(values, packed=True))
        assert (upload.kind, len(upload.slices), upload.slices[0].name) == ("picture", 1, "")
        assert (upload.plane, upload.planes) == ("axial", ())
        assert bright(gray(upload.slices[0])) == {"left", "top"}
    coronal = read(nifti_bytes(marked_volume()[:, 24:25]))
    assert coronal.plane == "coronal" and bright(gray(coronal.slices[0])) == {"left", "top"}


def test_the_first_volume_of_a_4d_file_is_read_and_a_note_says_so(read):
    volume = marked_volume()
    four = read(nifti_bytes(np.stack([volume, volume[::-1], volume * 0], -1)))
    one = read(nifti_bytes(volume))
    assert [s.image.tobytes() for s in four.slices] == [s.image.tobytes() for s in one.slices]
    assert any("3 volumes" in note for note in four.notes) and not one.notes


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i2", "u2", "i4", "f4", ">f4", "f8", "c8"])
def test_every_kind_of_number_is_windowed_and_not_clipped_to_white(dtype, read):
    values = (marked_volume() // (4 if dtype == "u1" else 1)).astype(dtype)
    upload = read(nifti_bytes(values))
    picture = gray(upload.slices[20])
    assert 80 < np.median(picture[picture > 20]) < 180 and picture[0, 0] == 0
    assert np.mean(picture == 255) < 0.05


def test_the_scale_of_the_header_is_applied(read):
    values = marked_volume()
    plain = read(nifti_bytes(values))
    scaled = read(nifti_bytes(values, scl_slope=0.25, scl_inter=-100))
    assert [s.image.tobytes() for s in plain.slices] == [s.image.tobytes() for s in scaled.slices]
    assert scaled.facts["Window"].startswith("-100 to ")


def test_numbers_that_are_not_finite_are_black_and_do_not_spoil_the_window(read):
    values = marked_volume().astype(np.float32)
    plain = gray(read(nifti_bytes(values)).slices[20])
    values[:1], values[30, 20, 20], values[31, 20, 20] = np.nan, np.inf, -np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spoilt = gray(read(nifti_bytes(values)).slices[20])
    assert np.abs(spoilt - plain).max() > 100 and np.count_nonzero(spoilt != plain) == 2


def test_a_brain_that_was_cut_out_and_normalized_lies_on_black(read):
    values = marked_volume().astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 60, values.shape)
    values = np.where(values > 0, (values + noise - 420) / 100, 0).astype(np.float32)
    picture = gray(read(nifti_bytes(values)).slices[20])
    assert picture[0, 0] == 0 and np.median(picture[20:28, 28:36]) > 40


def test_a_file_that_does_not_say_how_the_head_lies_marks_no_sides(read):
    upload = read(nifti_bytes(marked_volume(), qform_code=0, sform_code=0))
    assert not upload.sides_known and any("guessed" in note for note in upload.notes)
    assert read(nifti_bytes(marked_volume())).sides_known


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
        "constant": (nifti_bytes(np.full((40, 40, 12), 7, np.int16)), "shows nothing"),
        "nothing but NaN": (nifti_bytes(np.full((40, 40, 12), np.nan, np.float32)), "no numbers"),
        "truncated": (nifti_bytes(marked_volume())[:9000], "incomplete"),
        "truncated .gz": (nifti_bytes(marked_volume(), packed=True)[:900], "damaged or incomplete"),
        "not NIfTI in .gz": (gzip.compress(b"hello " * 400), "no NIfTI"),
        "colors": (nifti_bytes(np.zeros((40, 40, 12), [("R", "u1"), ("G", "u1"), ("B", "u1")])), "colors"),
        "half of a pair": (nifti_bytes(marked_volume()).replace(b"n+1\0", b"ni1\0", 1), "pair"),
        "a voxel size of nothing": (nifti_bytes(marked_volume(), srow_x=[0, 0, 0, 0]), "damaged"),
        "tiny": (nifti_bytes(np.arange(1000, dtype=np.int16).reshape(10, 10, 10)), "10 x 10 pixels"),
    }.values(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_volume_that_shows_nothing_is_refused_with_a_sentence(data, message, read):
    rejected = read(data, "scan.nii")
    assert isinstance(rejected, Rejected) and message in rejected.reason
    assert_is_a_sentence(rejected.reason)


def peak_memory_of(code: str) -> tuple[int, str]:
    """Megabytes that Python code takes at most, in a process of its own; and what it prints."""
    code += "\nimport resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    *printed, peak = done.stdout.splitlines()
    return int(peak), "\n".join(printed)


def test_bombs_are_refused_without_being_unpacked(tmp_path):
    def behind(head: bytes, wbits: int) -> bytes:
        """256 MB of zeros behind a head, compressed."""
        packer = zlib.compressobj(1, zlib.DEFLATED, wbits)
        return packer.compress(head) + b"".join(packer.compress(bytes(2**24)) for _ in range(16)) + packer.flush()

    header = bytearray(nifti_bytes(marked_volume())[:352])
    (tmp_path / "long.nii.gz").write_bytes(behind(bytes(header), 31))  # behind a small volume of zeros
    header[42:48] = np.array([4000, 4000, 4000], "<i2").tobytes()
    (tmp_path / "large.nii.gz").write_bytes(behind(bytes(header), 31))
    plain = dicom_bytes(np.zeros((64, 64), np.int16), "1.2.840.10008.1.2.1.99")
    start = 144 + int.from_bytes(plain[140:144], "little")
    (tmp_path / "deflated.dcm").write_bytes(plain[:start] + behind(zlib.decompress(plain[start:], -15), -15))
    base, _ = peak_memory_of("import brain_tumor.reading.readers, numpy, nibabel, pydicom.pixels, imagecodecs")
    for name, reason in {
        "long.nii.gz": "shows nothing",
        "large.nii.gz": "too large (4000 x 4000 x 4000",
        "deflated.dcm": "unpacks to more",
    }.items():
        code = f"from brain_tumor.reading.readers import *\nprint(list(read_uploads([{str(tmp_path / name)!r}])))"
        peak, printed = peak_memory_of(code)
        assert reason in printed
        assert peak < base + 100, name


def test_importing_the_readers_is_cheap():
    heavy = {"pydicom", "nibabel", "imagecodecs", "torch"}
    code = f"import sys, brain_tumor.reading.readers\nprint(sys.modules.keys() & {heavy})"
    _, printed = peak_memory_of(code)
    assert printed == "set()"


# --- which slices count -------------------------------------------------------------------------------------------


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
    data = nifti_bytes(volume.astype(np.int16), np.diag([2, 2, 2, 1]))
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
    assert all(s.counts for s in read(nifti_bytes(volume)).slices)


def test_of_a_volume_the_middle_slice_that_counts_stands_for_the_rest(template):
    slice_, facts, notes = read_scan(nifti_bytes(template, np.diag([2, 2, 2, 1]), packed=True))
    assert slice_.counts and 30 < int(slice_.name.removeprefix("slice ")) < 55
    assert facts["Slice"] == slice_.name and "95 slices" in notes[-1]


# --- DICOM: pixels ------------------------------------------------------------------------------------------------

GRAY16 = (np.asarray(draw_slice(5, side=72), np.uint16) * 16)[4:68]  # 64 rows, 72 columns, 12 bits
GRAY8 = np.asarray(draw_slice(5, side=72))[4:68].copy()
COLOR8 = np.dstack([GRAY8, GRAY8[::-1], GRAY8[:, ::-1]])
RAMP = {"WindowCenter": 2048, "WindowWidth": 4096}


def rle(pixels: np.ndarray) -> bytes:
    planes = []
    for channel in np.atleast_3d(pixels).transpose(2, 0, 1):
        values = np.ascontiguousarray(channel).view(np.uint8).reshape(channel.size, -1)
        planes += [imagecodecs.packbits_encode(values[:, byte].tobytes()) for byte in range(values.shape[1])[::-1]]
    planes = [plane + b"\0" * (len(plane) % 2) for plane in planes]
    offsets = 64 + np.concatenate([[0], np.cumsum([len(p) for p in planes])[:-1]])
    return np.array([len(planes), *offsets, *[0] * (15 - len(planes))], "<u4").tobytes() + b"".join(planes)


def jpeg(picture: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=95)
    return out.getvalue()


SYNTAXES = {  # name: (transfer syntax, encoder, lossless, bits, tags)
    "RLE": ("1.2.840.10008.1.2.5", rle, True, 16, {}),
    "JPEG baseline": ("1.2.840.10008.1.2.4.50", jpeg, False, 8, {}),
    "JPEG extended, 12 bits": (
        "1.2.840.10008.1.2.4.51",
        lambda p: imagecodecs.jpeg8_encode(p, level=98, bitspersample=12),
        False,
        16,
        {"BitsStored": 12, "HighBit": 11},
    ),
    "JPEG lossless": ("1.2.840.10008.1.2.4.57", lambda p: imagecodecs.jpeg8_encode(p, lossless=True), True, 16, {}),
    "JPEG lossless SV1": ("1.2.840.10008.1.2.4.70", lambda p: imagecodecs.jpeg8_encode(p, lossless=True), True, 16, {}),
    "JPEG-LS lossless": ("1.2.840.10008.1.2.4.80", imagecodecs.jpegls_encode, True, 16, {}),
    "JPEG-LS": ("1.2.840.10008.1.2.4.81", lambda p: imagecodecs.jpegls_encode(p, level=8), False, 16, {}),
    "JPEG 2000 lossless": (
        "1.2.840.10008.1.2.4.90",
        lambda p: imagecodecs.jpeg2k_encode(p, codecformat="j2k", reversible=True),
        True,
        16,
        {},
    ),
    "JPEG 2000": (
        "1.2.840.10008.1.2.4.91",
        lambda p: imagecodecs.jpeg2k_encode(p, codecformat="j2k", level=80),
        False,
        16,
        {},
    ),
}


@pytest.mark.parametrize("name", SYNTAXES)
def test_every_compression_shows_the_same_gray_picture(name, read):
    syntax, encode, lossless, bits, tags = SYNTAXES[name]
    pixels = GRAY16 if bits == 16 else GRAY8
    window = RAMP if bits == 16 else {}
    plain = gray(read(dicom_bytes(pixels, **window)).slices[0])
    upload = read(dicom_bytes(pixels, syntax, PixelData=encapsulate([encode(pixels)]), **window, **tags))
    assert plain.shape == (64, 72) and plain.std() > 30
    assert np.abs(gray(upload.slices[0]) - plain).max() <= (0 if lossless else 12)
    assert upload.facts["Format"] == f"DICOM, {name.removesuffix(' SV1').removesuffix(' baseline').partition(',')[0]}"


@pytest.mark.parametrize("name", [n for n in SYNTAXES if "12 bits" not in n])
def test_every_compression_keeps_color(name, read):
    syntax, encode, _, _, tags = SYNTAXES[name]
    photometric = {"JPEG baseline": "YBR_FULL_422", "JPEG 2000": "YBR_ICT", "JPEG 2000 lossless": "YBR_RCT"}
    tags = tags | {"PhotometricInterpretation": photometric.get(name, "RGB")}
    upload = read(dicom_bytes(COLOR8, syntax, PixelData=encapsulate([encode(COLOR8)]), **tags))
    difference = np.abs(np.asarray(upload.slices[0].image).astype(int) - COLOR8)
    assert difference.mean() < (12 if name == "JPEG baseline" else 4) and "color" in upload.facts["Bit depth"]
    if "lossless" in name or name == "RLE":
        assert difference.max() == 0


@pytest.mark.parametrize(
    "syntax",
    ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"],
    ids=["implicit", "explicit", "deflated"],
)
def test_uncompressed_files_are_read(syntax, read):
    plain = gray(read(dicom_bytes(GRAY16, **RAMP)).slices[0])
    assert (gray(read(dicom_bytes(GRAY16, syntax, **RAMP)).slices[0]) == plain).all()
    assert np.abs(plain - GRAY16 / 4095 * 255).max() <= 1


def test_a_file_without_preamble_and_without_suffix_is_known_by_its_content(read):
    data = dicom_bytes(GRAY16, preamble=False, **RAMP)
    assert data[128:132] != b"DICM"
    assert (gray(read(data, "IM_0001").slices[0]) == gray(read(dicom_bytes(GRAY16, **RAMP)).slices[0])).all()
    assert (gray(read(data, "scan.png").slices[0]) == gray(read(data, "x.dcm").slices[0])).all()


PYDICOM_FILES = {  # files in pydicom's wheel that show the same picture
    "MR_small.dcm": [
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_expb.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_padded.dcm",
    ],
    "SC_rgb_rle.dcm": ["SC_rgb_jpeg_gdcm.dcm", "SC_rgb_gdcm_KY.dcm", "SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_jpeg_dcmtk.dcm",
                       "SC_rgb_jls_lossy_line.dcm", "SC_rgb_jls_lossy_sample.dcm", "SC_rgb_rle_16bit.dcm",
                       "SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_jpeg_lossy_gdcm.dcm"],
    "SC_rgb_jpeg_dcmd.dcm": ["SC_rgb_jpeg.dcm", "SC_rgb_jpeg_app14_dcmd.dcm", "SC_jpeg_no_color_transform.dcm"],
}  # fmt: skip


@pytest.mark.parametrize(("one", "other"), [(one, other) for one, others in PYDICOM_FILES.items() for other in others])
def test_pydicoms_own_files_show_the_same_picture_however_they_are_packed(one, other):
    pictures = []
    for name in (one, other):
        (upload,) = read_uploads([get_testdata_file(name, download=False)])
        pictures.append(np.asarray(upload.slices[0].image).astype(int))
    assert pictures[0].std() > (0.5 if one == "SC_rgb_jpeg_dcmd.dcm" else 20)  # that one is nearly white
    assert np.abs(pictures[0] - pictures[1]).mean() < (4 if "rgb" in one else 0.01)


@pytest.mark.parametrize("name", ["693_J2KI.dcm", "JPGExtended.dcm", "JPEG2000.dcm", "CT_small.dcm", "image_dfl.dcm",
                                  "J2K_pixelrep_mismatch.dcm", "examples_palette.dcm", "examples_ybr_color.dcm",
                                  "SC_ybr_full_422_uncompressed.dcm", "examples_jpeg2k.dcm",
                                  "ExplVR_BigEnd.dcm"])  # fmt: skip
def test_pydicoms_other_files_show_something(name):
    (upload,) = read_uploads([get_testdata_file(name, download=False)])
    pixels = np.asarray(upload.slices[0].image)
    assert pixels.std() > 15


def test_monochrome1_is_monochrome2_the_other_way_round(read):
    head = GRAY16[16:48, 16:56].copy()
    for tags in (RAMP, {}):
        two = gray(read(dicom_bytes(head, **tags)).slices[0])
        one = gray(read(dicom_bytes(head, PhotometricInterpretation="MONOCHROME1", **tags)).slices[0])
        if tags:
            assert np.abs(one - (255 - two)).max() <= 1
        assert np.corrcoef(one.ravel(), two.ravel())[0, 1] < -0.95
        negative = dicom_bytes(4095 - head, PhotometricInterpretation="MONOCHROME1", **tags)
        assert np.abs(gray(read(negative).slices[0]) - two).max() <= 1


def test_rescale_and_window_are_applied(read):
    raw = (GRAY16 // 2 + 100).astype(np.int16)
    plain = read(dicom_bytes(GRAY16, WindowCenter=1000, WindowWidth=1600))
    scaled = read(dicom_bytes(raw, RescaleSlope=2, RescaleIntercept=-200, WindowCenter=1000, WindowWidth=1600))
    assert np.abs(gray(plain.slices[0]) - gray(scaled.slices[0])).max() <= 1
    expected = ((GRAY16 - 999.5) / 1599 + 0.5).clip(0, 1) * 255
    assert np.abs(gray(plain.slices[0]) - expected).max() <= 0.51
    assert plain.facts["Window"] == "center 1,000, width 1,600 (the file's)"


def test_a_sigmoid_window_is_a_sigmoid(read):
    upload = read(dicom_bytes(GRAY16, WindowCenter=1000, WindowWidth=1600, VOILUTFunction="SIGMOID"))
    expected = 255 / (1 + np.exp(-4 * (GRAY16 - 1000.0) / 1600))
    assert np.abs(gray(upload.slices[0]) - expected).max() <= 0.51


def test_without_a_window_deep_pictures_are_windowed_by_percentiles(read):
    upload = read(dicom_bytes(GRAY16 // 8))
    picture = gray(upload.slices[0])
    assert "percentiles" in upload.facts["Window"] and picture.max() == 255 and np.mean(picture == 255) < 0.05
    assert 90 < np.median(picture[picture > 30]) < 200


@pytest.mark.parametrize(("center", "width"), [(-5000, 100), (90_000, 10), (0, 1), ("", ""), (100, 0)])
def test_a_window_that_would_show_only_white_or_black_is_not_believed(center, width, read):
    tags = {} if center == "" else {"WindowCenter": center, "WindowWidth": width}
    upload = read(dicom_bytes(GRAY16, **tags))
    assert "percentiles" in upload.facts["Window"] and 60 < np.median(gray(upload.slices[0])[10:-10, 10:-10]) < 230


def test_an_8_bit_file_without_a_window_is_shown_as_it_is(read):
    assert (gray(read(dicom_bytes(GRAY8)).slices[0]) == GRAY8).all()


def test_padding_is_black_and_does_not_count_for_the_window(read):
    pixels = GRAY16.astype(np.int16)
    expected = gray(read(dicom_bytes(pixels)).slices[0])
    pixels[:8] = -2000
    picture = gray(read(dicom_bytes(pixels, PixelPaddingValue=-2000)).slices[0])
    assert not picture[:8].any() and np.abs(picture[8:] - expected[8:]).mean() < 6


def test_oblong_pixels_are_made_square(read):
    upload = read(dicom_bytes(GRAY16, PixelSpacing=[2.0, 1.0], **RAMP))
    assert upload.slices[0].image.size == (72, 128)
    assert read(dicom_bytes(COLOR8, PixelAspectRatio=["1", "2"])).slices[0].image.size == (144, 64)


def test_frames_without_a_place_are_pages(read):
    upload = read(dicom_bytes(np.stack([GRAY16, GRAY16[::-1], GRAY16]), **RAMP))
    assert upload.kind == "pages" and [s.name for s in upload.slices] == ["frame 1", "frame 2", "frame 3"]
    assert (gray(upload.slices[1]) == gray(upload.slices[0])[::-1]).all()
    assert (upload.plane, upload.planes, upload.sides_known) == (None, (), False)
    assert "3 frames" in upload.facts["Size"] and "3 frames" in upload.notes[0]


def enhanced(volume: np.ndarray) -> bytes:
    """The axial slices of a RAS volume in one file, as Enhanced MR stores them, in a mixed order."""
    lps = volume[::-1, ::-1].transpose(2, 1, 0)
    order = np.random.default_rng(1).permutation(len(lps))
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [2.0, 2.0], 2.0
    orientation.ImageOrientationPatient = AXES["axial"][0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([orientation])
    frames = []
    for index in order:
        frame, place, values = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [0.0, 0.0, 2.0 * index]
        values.RescaleSlope, values.RescaleIntercept = 1 + index % 2, 0
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = Sequence([place]), Sequence([values])
        frames.append(frame)
    pixels = np.stack([lps[i] // (1 + i % 2) for i in order])
    groups = {
        "SharedFunctionalGroupsSequence": Sequence([shared]),
        "PerFrameFunctionalGroupsSequence": Sequence(frames),
    }
    return dicom_bytes(pixels, **groups)


def test_the_frames_of_an_enhanced_file_are_a_volume(read):
    upload = read(enhanced(marked_volume()))
    other = read(nifti_bytes(marked_volume(), np.diag([2, 2, 2, 1])))
    assert (upload.kind, upload.plane, upload.planes, upload.sides_known) == ("volume", "axial", other.planes, True)
    for one, two in zip(upload.slices, other.slices, strict=True):
        assert np.abs(gray(one) - gray(two)).max() <= 2 and one.name == two.name


# --- DICOM: series ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plane", AXES)
def test_a_series_is_a_volume_sorted_and_the_right_way_round(plane, tmp_path):
    paths = write_all(tmp_path, dicom_series(marked_volume(), plane))
    for shown in ("axial", "coronal", "sagittal"):
        (upload,) = read_uploads(paths, shown)
        (tmp_path / "x.nii").write_bytes(nifti_bytes(marked_volume(), np.diag([2, 2, 2, 1])))
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
        dicom_bytes(
            np.ascontiguousarray(stored), ImageOrientationPatient=orientation, SliceLocation=31.25, InstanceNumber=7
        )
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
        dicom_bytes(np.full((40, 40), shade, np.uint8), SeriesInstanceUID=series, InstanceNumber=i)
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
    assert names == ["first.png", "DICOM series, 12 slices", "DICOM series 2, 48 slices", "last.png"]


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
        dicom_bytes(COLOR8, SeriesInstanceUID="1.2.3", InstanceNumber=i, ImagePositionPatient=[0, 0, i])
        for i in range(3)
    ]
    (upload,) = read_uploads(write_all(tmp_path, files))
    assert (np.asarray(upload.slices[2].image) == COLOR8).all() and upload.kind == "series"


# --- DICOM: patients ----------------------------------------------------------------------------------------------


def test_no_text_of_a_dicom_file_leaves_the_reader(tmp_path, caplog, recwarn, capfd):
    tags = {}
    for tag, (vr, _, _, _, keyword) in pydicom.datadict.DicomDictionary.items():
        retired = tag >> 16 in (0, 2, 0x28) or not keyword or "Sequence" in keyword
        if vr in ("PN", "LO", "SH", "ST", "LT", "UT", "UC") and not retired and tag >> 16 < 0x60:
            tags[keyword] = f"{SECRET} {SECRET}"
    tags |= {
        "Modality": SECRET.upper(),
        "ScanningSequence": SECRET.upper(),
        "PatientID": SECRET,
        "BodyPartExamined": SECRET.upper(),
    }
    tags |= {"SeriesDescription": f"{SECRET} t1 mprage post {SECRET}", "PatientBirthDate": "19010203"}
    files = dicom_series(marked_volume(), **tags)
    files.append(dicom_bytes(GRAY16, **(tags | {"PixelData": b"\0" * 9})))
    files.append(dicom_bytes(None, **(tags | {"Modality": "SR"})))
    assert files[0].count(SECRET.encode()) > 300
    found = list(read_uploads(write_all(tmp_path, files)))
    assert sorted(type(f).__name__ for f in found) == ["Rejected", "Rejected", "Upload"]
    said = repr(found) + caplog.text + "".join(str(w.message) for w in recwarn) + "".join(capfd.readouterr())
    assert SECRET.lower() not in said.lower() and "1901" not in said
    (upload,) = [f for f in found if isinstance(f, Upload)]
    assert upload.facts["Sequence"] == "gradient echo T1 (3D), with contrast agent"


def test_wrong_tags_make_no_warning_that_would_quote_them(tmp_path, caplog, recwarn, capfd):
    caplog.set_level(logging.DEBUG)
    tags = {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": SECRET, "SeriesDescription": "x" * 16}
    data = dicom_bytes(GRAY16, **tags)
    for wrong in (SECRET.encode() * 3, b"\x1b%G\x1b$)" + SECRET.encode()):
        broken = data.replace(b"x" * 16, wrong[:16].ljust(16))
        (tmp_path / "scan").write_bytes(broken.replace(b"ISO 2022 IR 87", b"ISO 2022 Zzyzx"))
        list(read_uploads([tmp_path / "scan"]))
        (tmp_path / "scan").write_bytes(broken)
        assert isinstance(next(read_uploads([tmp_path / "scan"])), Upload)
    assert not recwarn.list and not caplog.text and capfd.readouterr() == ("", "")


def test_no_tag_that_describes_the_patient_is_ever_parsed():
    for keyword in parsing.PIXEL_TAGS:
        tag = pydicom.datadict.tag_for_keyword(keyword)
        assert tag is not None and tag >> 16 != 0x10 and pydicom.datadict.dictionary_VR(tag) not in ("PN", "DA", "UC")
    data = dicom_bytes(GRAY16, PatientName=SECRET, PatientID=SECRET, StudyDescription=SECRET, StationName=SECRET)
    assert SECRET in str(pydicom.dcmread(io.BytesIO(data)))
    assert SECRET not in str(parsing.parse(data, parsing.PIXEL_TAGS, pixels=True))


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"SeriesDescription": "AX T2 FLAIR"}, "FLAIR, T2"),
        ({"SeriesDescription": "t1_mprage_sag_p2"}, "gradient echo T1 (3D)"),
        ({"ProtocolName": "T1 TSE tra +C"}, "T1, with contrast agent"),
        ({"SeriesDescription": "ep2d_diff_ADC"}, "diffusion, ADC map"),
        ({"SeriesDescription": "t2*_gre"}, "T2*"),
        ({"ScanningSequence": ["SE", "IR"]}, "spin echo, inversion recovery"),
        ({"ContrastBolusAgent": SECRET, "SeriesDescription": "T1"}, "T1, with contrast agent"),
        ({"RepetitionTime": 500, "EchoTime": 15.25, "SeriesDescription": SECRET}, "TR 500 ms, TE 15.25 ms"),
        ({"SeriesDescription": SECRET}, None),
    ],
    ids=str,
)
def test_the_sequence_is_told_in_known_words_and_numbers(tags, words, read):
    assert read(dicom_bytes(GRAY16, **tags)).facts.get("Sequence") == words


def test_what_is_no_mri_says_so(read):
    assert any("CT, not MRI" in note for note in read(dicom_bytes(GRAY16, Modality="CT")).notes)
    assert not read(dicom_bytes(GRAY16)).notes


@pytest.mark.parametrize(
    ("name", "reason"),
    {
        "test-SR.dcm": "a report",
        "rtstruct.dcm": "outlines",
        "rtplan.dcm": "a plan",
        "rtdose.dcm": "dose",
        "liver_1frame.dcm": "segmentation",
        "waveform_ecg.dcm": "curves",
        "MR_truncated.dcm": "damaged or incomplete",
        "UN_sequence.dcm": "no picture",
        "SC_rgb_small_odd.dcm": "3 x 3 pixels",
        "JPEG2000-embedded-sequence-delimiter.dcm": "cannot be decoded",
    }.items(),
)
def test_a_dicom_file_without_a_picture_says_what_it_is(name, reason):
    path = get_testdata_file(name, download=False)
    (rejected,) = read_uploads([path])
    assert isinstance(rejected, Rejected) and reason in rejected.reason
    assert_is_a_sentence(rejected.reason)
    with pytest.raises(ScanError, match=reason):
        read_scan(path)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Rows": 60_000, "Columns": 60_000}, "too large"),
        ({"NumberOfFrames": 2_000_000_000}, "too large"),
        ({"NumberOfFrames": 5000}, "incomplete"),
        ({"Rows": 5000, "Columns": 5000}, "incomplete"),
        ({"Rows": 0}, "damaged"),
        ({"SamplesPerPixel": 4}, "damaged"),
    ],
    ids=str,
)
def test_a_dicom_file_that_lies_about_its_size_is_refused(tags, reason, read):
    rejected = read(dicom_bytes(GRAY16, **tags))
    assert isinstance(rejected, Rejected) and reason in rejected.reason
    assert_is_a_sentence(rejected.reason)


@pytest.mark.parametrize("name", [n for n in SYNTAXES if n != "RLE"])
def test_a_frame_of_another_size_than_the_header_says_is_not_decoded(name, read, monkeypatch):
    syntax, encode, _, bits, tags = SYNTAXES[name]
    pixels = np.arange(128 * 128).reshape(128, 128).astype(np.uint16 if bits == 16 else np.uint8) // 5
    frame = encode(pixels)
    decoded = []
    for codec in ("jpeg8_decode", "jpegls_decode", "jpeg2k_decode"):
        decode = getattr(imagecodecs, codec)
        monkeypatch.setattr(imagecodecs, codec, lambda *a, d=decode, **k: decoded.append(1) or d(*a, **k))
    load = JpegImageFile.load
    monkeypatch.setattr(JpegImageFile, "load", lambda image: decoded.append(1) or load(image))
    for shape in ((64, 64), (128, 64), (300, 300), (128, 128, 3)):
        header = np.zeros(shape, pixels.dtype)
        rejected = read(dicom_bytes(header, syntax, PixelData=encapsulate([frame]), **tags))
        assert isinstance(rejected, Rejected) and "cannot be decoded" in rejected.reason and not decoded
    assert codecs.read_frame_size(frame) == (128, 128, 1)
    assert isinstance(read(dicom_bytes(pixels, syntax, PixelData=encapsulate([frame]), **tags)), Upload) and decoded


def test_an_rle_plane_that_unpacks_to_more_than_the_picture_is_cut_or_refused(read):
    frame = rle(np.zeros((64, 72), np.uint16))
    bomb = frame[:64] + b"\x81\0" * 200_000
    found = read(dicom_bytes(GRAY16, "1.2.840.10008.1.2.5", PixelData=encapsulate([bomb]), **RAMP))
    assert isinstance(found, Rejected)
    short = read(dicom_bytes(GRAY16, "1.2.840.10008.1.2.5", PixelData=encapsulate([rle(GRAY16)[:-900]])))
    assert isinstance(short, Rejected)


@pytest.mark.parametrize("name", ["plain", *SYNTAXES, "NIfTI", "NIfTI.gz", "zip", "enhanced"])
def test_a_file_with_damaged_bytes_is_read_or_refused_and_nothing_else(name, tmp_path):
    match name:
        case "plain":
            data = dicom_bytes(GRAY16, PixelSpacing=[1, 1], **RAMP)
        case "NIfTI" | "NIfTI.gz":
            data = nifti_bytes(marked_volume(), packed=name == "NIfTI.gz")
        case "zip":
            data = zip_bytes({"a.png": png_bytes(), "b": dicom_bytes(GRAY16), "c/d.nii": nifti_bytes(marked_volume())})
        case "enhanced":
            data = enhanced(marked_volume())
        case _:
            syntax, encode, _, bits, tags = SYNTAXES[name]
            pixels = GRAY16 if bits == 16 else GRAY8
            data = dicom_bytes(pixels, syntax, PixelData=encapsulate([encode(pixels)]), **tags)
    random_ = np.random.default_rng(list(name.encode()))
    original = np.frombuffer(data, np.uint8)
    for _ in range(int(os.environ.get("DAMAGE_ROUNDS", 30))):
        damaged = original.copy()
        region = int(random_.choice([len(data), min(1500, len(data))]))
        places = random_.integers(0, region, random_.integers(1, 12))
        damaged[places] = random_.integers(0, 256, len(places))
        if random_.random() < 0.2:
            damaged = damaged[: random_.integers(0, len(damaged))]
        (tmp_path / "scan").write_bytes(damaged.tobytes())
        with contextlib.suppress(ScanError):
            read_scan(tmp_path / "scan")
        for found in read_uploads([tmp_path / "scan"]):
            if isinstance(found, Rejected):
                assert_is_a_sentence(found.reason)
            else:
                assert found.slices and all(s.image.mode == "RGB" for s in found.slices)


# --- zips ---------------------------------------------------------------------------------------------------------


def test_a_zip_is_read_like_the_files_in_it(tmp_path):
    files = {f"series/IM{i}": data for i, data in enumerate(dicom_series(marked_volume()))}
    files |= {"a.png": png_bytes(), "deep/er/volume.nii.gz": nifti_bytes(marked_volume(), packed=True)}
    write_all(tmp_path, {"all.zip": zip_bytes(files)})
    found = {upload.name: upload for upload in read_uploads([tmp_path / "all.zip"])}
    assert set(found) == {"DICOM series, 40 slices", "a.png", "deep/er/volume.nii.gz"}
    assert found["a.png"].slices[0].image.tobytes() == open_scan(png_bytes()).tobytes()
    assert found["DICOM series, 40 slices"].kind == found["deep/er/volume.nii.gz"].kind == "volume"


def test_what_comes_along_in_a_zip_is_ignored_silently(tmp_path):
    rubbish = {"__MACOSX/a.png": b"x", "d/__MACOSX/._a": b"x", ".DS_Store": b"x", "d/._a.png": b"x", "DICOMDIR": b"x",
               "d/Thumbs.db": b"x", "d/.hidden/": b""}  # fmt: skip
    index = Path(get_testdata_file("DICOMDIR", download=False) or "")
    if index.is_file():
        rubbish["renamed"] = index.read_bytes()
    write_all(tmp_path, {"a.zip": zip_bytes(rubbish | {"a.png": png_bytes()})})
    (upload,) = read_uploads([tmp_path / "a.zip"])
    assert upload.name == "a.png"


def test_names_in_a_zip_lead_nowhere(tmp_path):
    names = ["../../outside.png", "/etc/passwd.png", "C:\\x\\..\\y.png", "a\x1b[31m\n.png"]
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "a.zip").write_bytes(zip_bytes({name: png_bytes() for name in names}))
    found = [upload.name for upload in read_uploads([inside / "a.zip"])]
    assert found == ["outside.png", "etc/passwd.png", "C:/x/y.png", "a?[31m?.png"]
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "a.zip"]


def locked_zip() -> bytes:
    data = bytearray(zip_bytes({"a.png": png_bytes()}))
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + place] |= 1
    return bytes(data)


def lying_zip() -> bytes:
    """A zip whose directory says that its 200 kB are 70 bytes."""
    data = bytearray(zip_bytes({"a.png": bytes(200_000)}))
    for signature, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        start = data.index(signature) + place
        data[start : start + 4] = (70).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    {
        "zip in zip": (zip_bytes({"b.zip": zip_bytes({"a.png": png_bytes()})}), "b.zip", "zip inside a zip"),
        "locked": (locked_zip(), "a.png", "password"),
        "lying": (lying_zip(), "a.png", "damaged in its zip"),
        "bzip2": (zip_bytes({"a.png": png_bytes()}, zipfile.ZIP_BZIP2), "a.png", "compressed in a way"),
        "empty": (zip_bytes({}), "scan", "no files"),
        "truncated": (zip_bytes({"a.png": png_bytes()})[:-30], "scan", "damaged"),
        "too much": (zip_bytes({f"{i}": bytes(2**24) for i in range(33)}), "scan", "more than 512 MB"),
        "office": (zip_bytes({"[Content_Types].xml": b"<x/>", "word/a.xml": b"<x/>"}), "scan", "office document"),
        "too many": (zip_bytes({f"{i}": b"x" for i in range(1001)}), "scan", "1,001 files"),
        "text in zip": (zip_bytes({"notes.txt": b"hello"}), "notes.txt", "is text"),
    }.values(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_zip_that_cannot_be_used_is_refused_with_a_sentence(data, name, reason, read):
    rejected = read(data)
    assert isinstance(rejected, Rejected) and rejected.name == name and reason in rejected.reason
    assert_is_a_sentence(rejected.reason)


# --- other files, limits, one picture -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    {
        "empty": (b"", "empty"),
        "text": ("Größe: none\n".encode() * 600, "is text"),
        "PDF": (b"%PDF-1.7\n\xff\xfe", "a PDF"),
        "noise": (np.random.default_rng(0).bytes(5000), "not a picture"),
        "truncated PNG": (png_bytes()[:300], "damaged"),
        "tiny": (png_bytes(16), "16 x 16 pixels"),
    }.values(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_no_scan_is_refused_with_a_sentence(data, reason, read):
    rejected = read(data, "scan.dcm")
    assert isinstance(rejected, Rejected) and rejected.name == "scan.dcm" and reason in rejected.reason
    assert_is_a_sentence(rejected.reason)
    with pytest.raises(ScanError) as caught:
        read_scan(data)
    assert str(caught.value) == rejected.reason


def test_a_bad_file_does_not_stop_the_rest(tmp_path):
    paths = write_all(tmp_path, {"a.png": png_bytes(), "b.png": b"no", "c.png": png_bytes()})
    found = list(read_uploads([*paths[:2], tmp_path / "nowhere.png", tmp_path, "nul\0byte", paths[2]]))
    assert [type(f).__name__ for f in found] == ["Upload", *["Rejected"] * 4, "Upload"]
    for rejected in found[1:5]:
        assert_is_a_sentence(rejected.reason)


def test_an_error_that_nobody_thought_of_is_still_a_sentence(tmp_path, monkeypatch):
    paths = write_all(tmp_path, {"a.png": png_bytes(), "b.nii": nifti_bytes(marked_volume())})
    monkeypatch.setattr(pages, "open_scan", lambda *_: 1 / 0)
    rejected, upload = read_uploads(paths)
    assert isinstance(upload, Upload) and "damaged" in rejected.reason
    monkeypatch.setattr(nifti, "read_nifti", lambda *_: bytearray(10**18))
    assert "memory" in list(read_uploads(paths))[1].reason


def test_too_many_files_or_bytes_are_refused_from_the_first_beyond_the_limit(tmp_path, monkeypatch):
    paths = write_all(tmp_path, {f"{i}.png": png_bytes(number=i) for i in range(5)})
    monkeypatch.setattr(archives, "MAX_FILES", 3)
    found = list(read_uploads(paths))
    assert len(found) == 4 and "2 were left out" in found[3].reason and found[3].name == "3.png"
    monkeypatch.setattr(archives, "MAX_FILES", 5)
    assert all(isinstance(f, Upload) for f in read_uploads(paths))
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", sum(p.stat().st_size for p in paths) - 1)
    found = list(read_uploads(paths))
    assert len(found) == 5 and found[4].name == "4.png" and "left out" in found[4].reason


def test_what_is_not_read_when_the_time_is_over_is_left_out_with_a_sentence(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(readers, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))
    files = {"a.png": png_bytes(), "b.dcm": dicom_bytes(GRAY16), "c.png": png_bytes(number=2)}
    uploads = read_uploads(write_all(tmp_path, files), until=100)
    assert next(uploads).name == "a.png"
    clock[0] = 101
    (rejected,) = uploads
    assert rejected.name == "b.dcm" and "1 uploads were read, 2 were left out" in rejected.reason
    assert f"{MAX_SECONDS} seconds" in rejected.reason
    assert_is_a_sentence(rejected.reason)
    (rejected,) = read_uploads(tmp_path.iterdir(), until=100)
    assert "0 uploads were read, 3 were left out" in rejected.reason
    clock[0] = 99
    assert len(list(read_uploads(tmp_path.iterdir(), until=100))) == 3


def test_a_tiff_of_too_many_pages_is_refused_and_the_last_of_many_is_reached_quickly(read, monkeypatch):
    out = io.BytesIO()
    page = Image.new("L", (32, 32), 9)
    page.save(out, "TIFF", save_all=True, append_images=[page] * 49)
    seeks = []
    seek = TiffImageFile._seek
    monkeypatch.setattr(TiffImageFile, "_seek", lambda image, frame: seeks.append(frame) or seek(image, frame))
    assert len(read(out.getvalue()).slices) == 50
    assert len(seeks) < 200, "each page is found from the one before it"
    monkeypatch.setattr(pages, "MAX_PAGES", 40)
    rejected = read(out.getvalue())
    assert isinstance(rejected, Rejected) and "more than 40 pages" in rejected.reason
    assert_is_a_sentence(rejected.reason)


def test_a_file_of_too_many_pieces_is_refused(read, monkeypatch):
    monkeypatch.setattr(pictures._Parts, "left", 3)
    for data in (png_bytes(), png_bytes(number=2)):
        rejected = read(data)
        assert isinstance(rejected, Rejected) and "too many parts" in rejected.reason
        assert_is_a_sentence(rejected.reason)
    monkeypatch.setattr(parsing._Parts, "left", 3)
    for syntax in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"):
        rejected = read(dicom_bytes(GRAY16, syntax))
        assert isinstance(rejected, Rejected) and "too many parts" in rejected.reason
        assert_is_a_sentence(rejected.reason)


def test_a_value_of_a_million_numbers_is_not_converted(read, monkeypatch):
    monkeypatch.setattr(parsing, "MAX_VALUE_BYTES", 200)
    many = read(
        dicom_bytes(GRAY16, "1.2.840.10008.1.2", RescaleSlope=[0.5] * 1000, WindowCenter=[9] * 1000, WindowWidth=9)
    )
    assert isinstance(many, Upload) and "percentiles" in many.facts["Window"], "as if the tag were not there"


def test_a_file_above_the_limit_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_FILE_BYTES", 3000)
    for data in (nifti_bytes(marked_volume()), dicom_bytes(GRAY16), zip_bytes({"a": os.urandom(4000)})):
        (tmp_path / "scan").write_bytes(data)
        (rejected,) = read_uploads([tmp_path / "scan"])
        assert isinstance(rejected, Rejected) and "at most" in rejected.reason


def test_long_volumes_and_series_are_thinned_evenly_and_say_so(tmp_path, monkeypatch, read):
    monkeypatch.setattr(volumes, "MAX_SLICES", 15)
    upload = read(nifti_bytes(marked_volume()))
    assert [s.name for s in upload.slices] == [f"slice {i}" for i in range(1, 41, 3)]
    assert upload.notes == ["Of 40 slices, every third one is read: 14 slices."]
    (upload,) = read_uploads(write_all(tmp_path, dicom_series(marked_volume())))
    assert len(upload.slices) == 14 and "every third" in upload.notes[0]
    monkeypatch.setattr(volumes, "MAX_SLICES", 400)
    monkeypatch.setattr(series, "MAX_VOXELS", 48 * 64 * 20)
    (upload,) = read_uploads([p for p in tmp_path.iterdir() if p.name.startswith("IM")])
    assert [s.name for s in upload.slices] == [f"slice {i}" for i in range(1, 41, 2)]
    assert upload.kind == "volume" and upload.facts["Voxels"] == "2 x 2 x 4 mm" and "every second" in upload.notes[0]


def test_one_scan_may_be_any_file_but_not_several_scans(tmp_path):
    (tmp_path / "scan").write_bytes(dicom_bytes(GRAY16, **RAMP))
    slice_, facts, notes = read_scan(str(tmp_path / "scan"))
    assert slice_.image.size == (72, 64) and facts["Modality"] == "MRI" and notes == []
    assert read_scan(png_bytes())[0].image.tobytes() == open_scan(png_bytes()).tobytes()
    series = zip_bytes({f"{i}": data for i, data in enumerate(dicom_series(marked_volume()))})
    assert read_scan(series)[0].name == "slice 21"
    with pytest.raises(ScanError, match="2 scans"):
        read_scan(zip_bytes({"a.png": png_bytes(), "b.png": png_bytes()}))
    with pytest.raises(ScanError, match="cannot be opened"):
        read_scan(tmp_path / "nowhere")
    with pytest.raises(ScanError, match="DICOMDIR"):
        read_scan(dicom_bytes(None, SOPClassUID="1.2.840.10008.1.3.10"))


def test_the_first_dicom_files_may_come_at_once(tmp_path):
    (tmp_path / "scan").write_bytes(dicom_bytes(GRAY16, "1.2.840.10008.1.2.5", PixelData=encapsulate([rle(GRAY16)])))
    code = "from concurrent.futures import ThreadPoolExecutor\nfrom brain_tumor.reading.readers import read_scan\n"
    code += f"paths = [{str(tmp_path / 'scan')!r}] * 8\n"
    code += "with ThreadPoolExecutor(8) as pool: print(len(list(pool.map(read_scan, paths))))"
    assert peak_memory_of(code)[1] == "8"


def test_uploads_are_read_one_at_a_time(tmp_path):
    paths = write_all(tmp_path, {"a.png": png_bytes(), "b.png": png_bytes()})
    uploads = read_uploads(paths)
    assert next(uploads).name == "a.png"
    paths[1].unlink()
    assert isinstance(next(uploads), Rejected)
