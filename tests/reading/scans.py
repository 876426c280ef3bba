"""What the tests of reading read: volumes with marks, and the same picture or volume as DICOM files of every kind."""

import io
import random
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from brain_tumor.reading.uploads import Slice
from tests.scan_files import RLE, dicom
from tests.slices import draw_slice

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
            dicom(
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


def png_bytes(side: int = 64, number: int = 1) -> bytes:
    out = io.BytesIO()
    draw_slice(number, side=side).save(out, "PNG")
    return out.getvalue()


def gray(slice_: Slice) -> np.ndarray:
    pixels = np.asarray(slice_.image)
    assert slice_.image.mode == "RGB" and (pixels == pixels[..., :1]).all()
    return pixels[..., 0].astype(int)


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
    return dicom(pixels, **groups)


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
    "RLE": (RLE, rle, True, 16, {}),
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
