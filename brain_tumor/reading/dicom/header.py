"""The header of a DICOM file: what is kept of it are numbers, and words of this package's own lists."""

from dataclasses import dataclass

import numpy as np

from brain_tumor.reading import pictures
from brain_tumor.reading.dicom.parsing import (
    HEADER_TAGS,
    MAX_FRAME_BYTES,
    TRANSFER_SYNTAXES,
    damaged_file,
    parse,
    quiet,
    read_number,
    read_numbers,
    read_word,
)
from brain_tumor.reading.dicom.sequences import name_sequence
from brain_tumor.reading.pictures import ScanError
from brain_tumor.reading.windows import Window

MAX_FRAMES = 20_000
"""The most frames of a file."""

_DIRECTORY = "1.2.840.10008.1.3.10"

_MODALITIES = {
    **{"MR": "MRI", "CT": "CT", "PT": "PET", "NM": "nuclear medicine", "US": "ultrasound", "XA": "angiography"},
    **{"CR": "X-ray", "DX": "X-ray", "RF": "X-ray", "MG": "mammography", "OT": "other", "SC": "secondary capture"},
}

_NO_PICTURE = {
    "SR": "a report",
    "DOC": "a document",
    "RTSTRUCT": "outlines for radiotherapy",
    "RTPLAN": "a plan for radiotherapy",
    "RTRECORD": "a record of radiotherapy",
    "PR": "settings of a viewer",
    "KO": "a list of key pictures",
    "REG": "a registration",
    "ECG": "curves",
    "AU": "sound",
}


@dataclass(frozen=True)
class Frame:
    """One frame of a file, as the header describes it."""

    orientation: tuple[float, ...] | None
    """Direction cosines of rows and columns, towards the patient's left, back and head (DICOM's LPS)."""
    position: tuple[float, ...] | None
    """Of the center of the first pixel, in millimeters, LPS."""
    spacing: tuple[float, float] | None
    """Millimeters from row to row and from column to column."""
    slope: float
    intercept: float
    """Stored number x slope + intercept is what it measures."""
    window: Window | None


@dataclass(frozen=True)
class Header:
    """What is kept of a file: numbers, and words of this package's own lists; no text of the file."""

    series: str | None
    """SeriesInstanceUID; only to tell which files belong together, never shown."""
    instance: str | None
    number: int | None
    rows: int
    columns: int
    color: bool
    inverted: bool
    bits: int
    modality: str
    sequence: str
    syntax: str
    location: float | None
    thickness: float | None
    frames: tuple[Frame, ...]

    @property
    def key(self) -> tuple:
        """Files of the same key are slices of one stack. A file without a series, or whose frames lie differently,
        gets a key of its own, a new one each time."""
        orientations = {f.orientation and tuple(round(c, 2) + 0.0 for c in f.orientation) for f in self.frames}
        alone = self.series is None or len(orientations) > 1
        return (object() if alone else self.series, self.rows, self.columns, self.color, *orientations)


class Directory(ScanError):
    """The index of a disc (DICOMDIR): not a scan, but no mistake of those who upload a whole disc either."""


def read_header(data: bytes) -> Header:
    """Read all that is needed of a file except its pixels.

    Raises:
        ScanError: it is damaged, holds no picture, is too large, or compressed in a way that is not read here.
        Directory: it is the index of a disc.
    """
    with quiet():
        try:
            return _build_header(parse(data, HEADER_TAGS, pixels=False))
        except (ScanError, MemoryError):
            raise
        except Exception:  # pydicom converts a value when it is asked for, and a damaged one can raise nearly anything
            raise damaged_file() from None


def _build_header(dataset) -> Header:
    meta = dataset.file_meta
    modality = read_word(dataset, "Modality")
    if _DIRECTORY in (read_word(meta, "MediaStorageSOPClassUID"), read_word(dataset, "SOPClassUID")):
        raise Directory(
            "This file is the index of a disc (DICOMDIR) and shows nothing. Upload the DICOM files beside it."
        )
    rows, columns = read_number(dataset, "Rows"), read_number(dataset, "Columns")
    if modality in _NO_PICTURE or rows is None or columns is None:
        what = _NO_PICTURE.get(modality)
        raise ScanError(
            f"This DICOM file holds {what} and no picture. Upload the files of the scan itself."
            if what
            else "This DICOM file holds no picture. Upload the files of the scan itself."
        )
    if modality == "SEG" or read_number(dataset, "BitsAllocated") == 1:
        raise ScanError(
            "This DICOM file holds the outline of a region (segmentation), not the scan. Upload the scan itself."
        )
    if modality == "RTDOSE":
        raise ScanError("This DICOM file holds a radiotherapy dose, not a scan. Upload the scan itself.")
    syntax = TRANSFER_SYNTAXES.get(str(meta.get("TransferSyntaxUID", "")))
    if syntax is None:
        raise ScanError(
            "This DICOM file is compressed in a way that is not read here. Export it uncompressed, or as JPEG 2000."
        )
    rows, columns = int(rows), int(columns)
    samples = int(read_number(dataset, "SamplesPerPixel") or 1)
    frames = int(read_number(dataset, "NumberOfFrames") or 1)
    if rows * columns > pictures.MAX_PIXELS or not 0 < frames <= MAX_FRAMES:
        raise ScanError(
            f"This DICOM file is too large ({columns} x {rows} pixels, {frames:,} frames); at most "
            f"{pictures.MAX_PIXELS // 10**6} megapixels and {MAX_FRAMES:,} frames are read. Export it smaller."
        )
    if min(rows, columns) < 1 or samples not in (1, 3):
        raise damaged_file()
    allocated = int(read_number(dataset, "BitsAllocated") or 8)
    if rows * columns * samples * allocated > 8 * MAX_FRAME_BYTES:
        raise ScanError(
            f"This DICOM file is too large ({columns} x {rows} pixels of {samples * allocated} bits); at most "
            f"{MAX_FRAME_BYTES // 10**6} MB a picture are read. Export it smaller."
        )
    photometric = read_word(dataset, "PhotometricInterpretation")
    return Header(
        series=read_word(dataset, "SeriesInstanceUID") or None,
        instance=read_word(dataset, "SOPInstanceUID") or None,
        number=None if (number := read_number(dataset, "InstanceNumber")) is None else int(number),
        rows=rows,
        columns=columns,
        color=samples == 3 or photometric == "PALETTE COLOR",
        inverted=photometric == "MONOCHROME1",
        bits=int(read_number(dataset, "BitsStored") or read_number(dataset, "BitsAllocated") or 8),
        modality=_MODALITIES.get(modality, ""),
        sequence=name_sequence(dataset),
        syntax=syntax,
        location=read_number(dataset, "SliceLocation"),
        thickness=read_number(dataset, "SliceThickness"),
        frames=_describe_frames(dataset, frames),
    )


def _describe_frames(dataset, count: int) -> tuple[Frame, ...]:
    """Each frame's place and window: those of the file, or of an enhanced file's functional groups."""

    def groups(tag: str) -> list:
        try:
            return list(dataset.get(tag) or [])
        except Exception:
            return []

    shared, each = groups("SharedFunctionalGroupsSequence"), groups("PerFrameFunctionalGroupsSequence")
    frames = []
    for index in range(count if each else 1):
        places = [*each[index : index + 1], *shared[:1]]
        position = read_numbers(_find_group(dataset, places, "PlanePositionSequence"), "ImagePositionPatient", 3)
        orientation = read_numbers(
            _find_group(dataset, places, "PlaneOrientationSequence"), "ImageOrientationPatient", 6
        )
        values = _find_group(dataset, places, "PixelValueTransformationSequence")
        slope, intercept = read_number(values, "RescaleSlope"), read_number(values, "RescaleIntercept")
        frames.append(
            Frame(
                orientation=_check_orientation(orientation),
                position=position,
                spacing=_read_spacing(_find_group(dataset, places, "PixelMeasuresSequence")),
                slope=1.0 if slope is None or slope == 0 else slope,
                intercept=intercept or 0.0,
                window=_read_window(_find_group(dataset, places, "FrameVOILUTSequence")),
            )
        )
    return tuple(frames * count if not each else frames)


def _find_group(dataset, places: list, tag: str):
    """The item of a functional group, or the file itself if there is none."""
    for place in places:
        try:
            if place.get(tag):
                return place.get(tag)[0]
        except Exception:
            continue
    return dataset


def _check_orientation(orientation: tuple[float, ...] | None) -> tuple[float, ...] | None:
    """The orientation if rows and columns are unit vectors at right angles, else None."""
    if orientation is None:
        return None
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    right_angle = abs(row @ column) < 0.02 and abs(row @ row - 1) < 0.02 and abs(column @ column - 1) < 0.02
    return orientation if right_angle else None


def _read_spacing(dataset) -> tuple[float, float] | None:
    spacing = read_numbers(dataset, "PixelSpacing", 2) or read_numbers(dataset, "PixelAspectRatio", 2)
    return spacing if spacing and min(spacing) > 0 else None


def _read_window(dataset) -> Window | None:
    """The first window of a file (PS3.3 C.11.2), None if it has none that makes sense."""
    center, width = read_number(dataset, "WindowCenter"), read_number(dataset, "WindowWidth")
    function = read_word(dataset, "VOILUTFunction")
    if center is None or width is None or width < 1 and function != "LINEAR_EXACT" or width <= 0:
        return None
    words = f"center {center:,.4g}, width {width:,.4g} (the file's)"
    if function in ("SIGMOID", "LINEAR_EXACT"):
        return Window(center - width / 2, center + width / 2, words, sigmoid=function == "SIGMOID")
    # LINEAR: black up to c - 0.5 - (w - 1) / 2, white above c - 0.5 + (w - 1) / 2
    half = max(width - 1, 1e-6) / 2
    return Window(center - 0.5 - half, center - 0.5 + half, words)
