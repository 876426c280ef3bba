"""The header of a DICOM file: what is kept of it are numbers, and words of this package's own lists."""

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass

from brain_tumor.reading import pictures
from brain_tumor.reading.dicom.frames import Frame, Groups, describe_frames
from brain_tumor.reading.dicom.parsing import (
    HEADER_TAGS,
    MAX_FRAME_BYTES,
    TRANSFER_SYNTAXES,
    damaged_file,
    load_pydicom,
    parse,
    quiet,
    read_identifier,
    read_number,
    read_word,
    read_words,
)
from brain_tumor.reading.dicom.words import LOCALIZER, describe_scan
from brain_tumor.reading.levels import ScanError

MAX_FRAMES = 20_000
"""The most frames of a file."""

DIRECTORY = "1.2.840.10008.1.3.10"
"""The class of the index of a disc (DICOMDIR)."""

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
"""By modality (0008,0060)."""

_CLASSES = {
    "4.2": "spectroscopy",
    "9.": "curves",
    "11.": "settings of a viewer",
    "66": "raw data of a scanner",
    "66.1": "a registration",
    "66.2": "marked points",
    "66.3": "a registration",
    "66.5": "a surface",
    "66.6": "nerve fibers",
    "68.": "a surface",
    "88.": "a report",
    "88.59": "a list of key pictures",
    "104.": "a document",
}
"""By the end of the SOP class, the storage classes of PS3.4 B.5; a dot at the end stands for all that follow it."""

_STORAGE = "1.2.840.10008.5.1.4.1.1."


_WHOSE = ("StudyInstanceUID", "FrameOfReferenceUID", "Modality")


class NoScan(ScanError):
    """What is no scan, and no failed one either, since those who upload a whole disc or study bring it along.

    Args:
        reason: a sentence for the visitor.
        what: the thing in words, as `uploads.Rejected.what`.
    """

    def __init__(self, reason: str, what: str):
        super().__init__(reason)
        self.what = what


class Directory(NoScan):
    """The index of a disc (DICOMDIR)."""


@dataclass(frozen=True)
class Header:
    """What is kept of a file: numbers, and words of this package's own lists; no text of the file."""

    series: str | None
    """Digest of SeriesInstanceUID; only to tell which files belong together, never shown."""
    whose: bytes
    """A hash of what tells studies and kinds of machines apart, as some anonymizers give one series to all."""
    series_number: int | None
    number: int | None
    rows: int
    columns: int
    color: bool
    inverted: bool
    bits: int
    mosaic: bool
    """Many small slices lie in one picture."""
    localizer: bool
    """A few coarse slices by which the scan itself was planned."""
    syntax: str
    location: float | None
    thickness: float | None
    facts: dict[str, str]
    """What the header says of the scan, as `words.describe_scan` tells it."""
    frames: tuple[Frame, ...]

    @property
    def key(self) -> Hashable:
        """Files of the same key are of one series, if they name one; `stacks` tells which of them are neighbors."""
        series = object() if self.series is None else self.series  # an object is equal to no other
        return series, self.whose, self.series_number, self.rows, self.columns, self.color, self.mosaic


def read_header(data: bytes) -> Header:
    """Read all that is needed of a file except its pixels.

    Raises:
        ScanError: it is damaged, is too large, or compressed in a way that is not read here.
        NoScan: it holds no picture, or none of a scan.
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
    _refuse_what_is_no_scan(dataset)
    syntax = TRANSFER_SYNTAXES.get(str(meta.get("TransferSyntaxUID", "")))
    if syntax is None:
        raise ScanError(
            "This DICOM file is compressed in a way that is not read here. Export it uncompressed, or as JPEG 2000."
        )
    rows, columns = int(read_number(dataset, "Rows")), int(read_number(dataset, "Columns"))
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
    groups = Groups(dataset)
    facts = describe_scan(dataset, groups)
    return Header(
        series=read_identifier(dataset, "SeriesInstanceUID"),
        whose=hashlib.blake2b(repr([read_words(dataset, tag) for tag in _WHOSE]).encode()).digest(),
        series_number=_whole(dataset, "SeriesNumber"),
        number=_whole(dataset, "InstanceNumber"),
        rows=rows,
        columns=columns,
        color=samples == 3 or photometric == "PALETTE COLOR",
        inverted=photometric == "MONOCHROME1",
        bits=int(read_number(dataset, "BitsStored") or allocated),
        mosaic="MOSAIC" in (word.upper() for word in read_words(dataset, "ImageType")),
        localizer=LOCALIZER in facts.get("Sequence", ""),
        syntax=syntax,
        location=read_number(dataset, "SliceLocation"),
        thickness=read_number(dataset, "SliceThickness"),
        facts=facts,
        frames=describe_frames(groups, frames),
    )


def _whole(dataset, tag: str) -> int | None:
    number = read_number(dataset, tag)
    return None if number is None else int(number)


def _refuse_what_is_no_scan(dataset) -> None:
    """Raise NoScan for what shows no picture, or a picture that is no scan."""
    modality, class_ = read_word(dataset, "Modality").upper(), read_word(dataset, "SOPClassUID")
    if DIRECTORY in (class_, read_word(dataset.file_meta, "MediaStorageSOPClassUID")):
        reason = "This file is the index of a disc (DICOMDIR) and shows nothing. Upload the DICOM files beside it."
        raise Directory(reason, "the index of a disc")
    if modality in _NO_PICTURE or None in (read_number(dataset, "Rows"), read_number(dataset, "Columns")):
        ends = class_.removeprefix(_STORAGE) if class_.startswith(_STORAGE) else ""
        what = _NO_PICTURE.get(modality) or _CLASSES.get(ends) or _CLASSES.get(ends.partition(".")[0] + ".")
        if what is None and class_ and "Image" not in load_pydicom().uid.UID(class_).name:
            what = "other data" if class_.startswith("1.2.840.10008.") else "a maker's own data"
        if what is None:  # of a class of pictures: it was cut off, or never finished
            raise ScanError("This DICOM file holds no picture. Upload the files of the scan itself.")
        raise NoScan(f"This DICOM file holds {what} and no picture. Upload the files of the scan itself.", what)
    if modality == "SEG" or read_number(dataset, "BitsAllocated") == 1:
        raise NoScan(
            "This DICOM file holds the outline of a region (segmentation), not the scan. Upload the scan itself.",
            "a segmentation",
        )
    if modality == "RTDOSE":
        raise NoScan(
            "This DICOM file holds a radiotherapy dose, not a scan. Upload the scan itself.", "a radiotherapy dose"
        )
