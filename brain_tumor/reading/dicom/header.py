"""What is read of a DICOM header. Only the tags listed here are parsed: none describes the patient."""

import contextlib
import functools
import io
import logging
import math
import re
import threading
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from brain_tumor.reading import pictures as scans
from brain_tumor.reading.pictures import MAX_FILE_BYTES, ScanError
from brain_tumor.reading.windows import Window

MAX_INFLATED_BYTES = 2 * MAX_FILE_BYTES
"""Most bytes that a deflated DICOM file may unpack to."""

MAX_FRAME_BYTES = 2 * scans.MAX_PIXELS
"""Most bytes of one frame: as many pixels as a picture may have, of 16 bits and gray, or fewer in color."""

MAX_READS = 500_000
"""Most pieces in which a file is read. A thousand frames, each with its place and window, take some 100,000."""

_LONG = (0x7FE00008, 0x7FE00009, 0x7FE00010, 0x7FE00001, 0x7FE00002)
"""Pixels of the three kinds, and where compressed frames begin."""

_SEQUENCES = (0x52009229, 0x52009230, 0x00283000, 0x00283010)
"""The sequences of `_HEADER_TAGS`, which in a file of implicit VR are not marked as such."""

_CHARACTER_SETS = b"\x08\0\5\0"

MAX_CHARACTER_SETS = 1024
"""Most bytes of the names of a file's character sets, which pydicom looks up as it reads, one by one."""

MAX_VALUE_BYTES = 2**18
"""Longest value that is looked at, apart from pixels and sequences: a look-up table of 65,536 entries has half."""

MAX_FRAMES = 20_000

PIXEL_DATA = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

_HEADER_TAGS = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "InstanceNumber", "SliceLocation"),
    *("ScanningSequence", "SequenceVariant", "EchoTime", "RepetitionTime", "InversionTime", "ContrastBolusAgent"),
    *("SeriesDescription", "ProtocolName"),  # free text: only words of _SEQUENCE_WORDS are taken from it
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "PixelAspectRatio", "SliceThickness"),
    *("SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "PlanarConfiguration"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue"),
    *("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("ModalityLUTSequence", "VOILUTSequence"),
    *(f"{c}PaletteColorLookupTable{what}" for c in ("Red", "Green", "Blue") for what in ("Descriptor", "Data")),
    *(f"Segmented{color}PaletteColorLookupTableData" for color in ("Red", "Green", "Blue")),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)

PIXEL_TAGS = (*_HEADER_TAGS, *PIXEL_DATA, "ExtendedOffsetTable", "ExtendedOffsetTableLengths")

_UNCOMPRESSED, _DEFLATED, _RLE = "uncompressed", "deflated", "RLE"

_SYNTAXES = {
    "1.2.840.10008.1.2": _UNCOMPRESSED,
    "1.2.840.10008.1.2.1": _UNCOMPRESSED,
    "1.2.840.10008.1.2.2": _UNCOMPRESSED,
    "1.2.840.10008.1.2.1.99": _DEFLATED,
    "1.2.840.10008.1.2.5": _RLE,
    "1.2.840.10008.1.2.4.50": "JPEG",
    "1.2.840.10008.1.2.4.51": "JPEG extended",
    "1.2.840.10008.1.2.4.57": "JPEG lossless",
    "1.2.840.10008.1.2.4.70": "JPEG lossless",
    "1.2.840.10008.1.2.4.80": "JPEG-LS lossless",
    "1.2.840.10008.1.2.4.81": "JPEG-LS",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
}

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

_SEQUENCE_WORDS = {
    r"flair|dark.?fluid": "FLAIR",
    r"mp.?rage|t1.?tfe|bravo|spgr|fspgr": "gradient echo T1 (3D)",
    r"(?<![a-z0-9])t1": "T1",
    r"(?<![a-z0-9])t2(?!\*|.?star)": "T2",
    r"(?<![a-z0-9])t2(\*|.?star)|gre.?heme": "T2*",
    r"(?<![a-z])(pd|dp)(?![a-z])|proton": "proton density",
    r"dwi|diff|(?<![a-z])dti|trace": "diffusion",
    r"(?<![a-z])adc": "ADC map",
    r"(?<![a-z])swi|suscept": "susceptibility",
    r"(?<![a-z])stir|(?<![a-z])tirm": "STIR",
    r"(?<![a-z])tof|angio": "angiography",
    r"(?<![a-z])perf|(?<![a-z])pwi|(?<![a-z])asl(?![a-z])": "perfusion",
    r"localizer|scout|survey|(?<![a-z])loc(?![a-z])": "localizer",
}

_CONTRAST_WORDS = r"(?<![a-z])(gd|gad[a-z]*|post|c\+|\+c|ce|km|contrast)(?![a-z])"

_SCANNING = {"SE": "spin echo", "IR": "inversion recovery", "GR": "gradient echo", "EP": "echo planar"}


@dataclass(frozen=True)
class Frame:
    """One picture of a file, known by the header alone."""

    orientation: tuple[float, ...] | None
    """Direction cosines of rows and columns, towards the patient's left, back and head (DICOM's LPS)."""
    position: tuple[float, ...] | None
    """Of the first pixel's center in millimeters, LPS."""
    spacing: tuple[float, float] | None
    """Millimeters from row to row and from column to column."""
    slope: float
    intercept: float
    window: Window | None


@dataclass(frozen=True)
class Header:
    """What is kept of a file: numbers, and words of this module's own lists."""

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
        """Files of the same key are slices of one stack; a file without a series, or of frames that lie differently,
        stands alone."""
        orientations = {f.orientation and tuple(round(c, 2) + 0.0 for c in f.orientation) for f in self.frames}
        alone = self.series is None or len(orientations) > 1
        return (object() if alone else self.series, self.rows, self.columns, self.color, *orientations)


class Directory(ScanError):
    """The index of a disc (DICOMDIR): no scan, and no mistake of whoever uploads a whole disc."""


def is_dicom(head: bytes) -> bool:
    """True for the first 132 bytes of a DICOM file, with the preamble or without."""
    if head[128:132] == b"DICM":
        return True
    # Without preamble: the first tag is (0002,0000 to 0003) or (0008,0000 to 0018), which is text of no other format.
    for order in ("little", "big"):
        group, element = int.from_bytes(head[:2], order), int.from_bytes(head[2:4], order)
        if len(head) >= 16 and ((group == 2 and element <= 3) or (group == 8 and element <= 0x18)):
            return True
    return False


def read_header(data: bytes) -> Header:
    """Read what is needed of a file but its pixels.

    Raises:
        ScanError: it is damaged, shows nothing, is too large, or packed in a way that is not read here.
        Directory: it is the index of a disc.
    """
    with quiet():
        try:
            return _header(parse(data, _HEADER_TAGS, pixels=False))
        except (ScanError, MemoryError):
            raise
        except Exception:  # pydicom converts a value when it is asked for, and a damaged one can raise nearly anything
            raise _damaged() from None


def _header(dataset) -> Header:
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
        raise ScanError("This DICOM file holds the dose of a radiotherapy, not a scan. Upload the scan itself.")
    syntax = _SYNTAXES.get(str(meta.get("TransferSyntaxUID", "")))
    if syntax is None:
        raise ScanError(
            "This DICOM file is compressed in a way that is not read here. Export it uncompressed, or as JPEG 2000."
        )
    rows, columns = int(rows), int(columns)
    samples = int(read_number(dataset, "SamplesPerPixel") or 1)
    frames = int(read_number(dataset, "NumberOfFrames") or 1)
    if rows * columns > scans.MAX_PIXELS or not 0 < frames <= MAX_FRAMES:
        raise ScanError(
            f"This DICOM file is too large ({columns} x {rows} pixels, {frames:,} frames); at most "
            f"{scans.MAX_PIXELS // 10**6} megapixels and {MAX_FRAMES:,} frames are read. Export it smaller."
        )
    if min(rows, columns) < 1 or samples not in (1, 3):
        raise _damaged()
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
        sequence=_sequence(dataset),
        syntax=syntax,
        location=read_number(dataset, "SliceLocation"),
        thickness=read_number(dataset, "SliceThickness"),
        frames=_frames(dataset, frames),
    )


def parse(data: bytes, tags: tuple[str, ...], pixels: bool):
    """`pydicom.FileDataset` of the listed tags, with a transfer syntax."""
    pydicom = load_pydicom()
    inflated = _inflated(data)
    try:
        dataset = pydicom.dcmread(
            inflated or _Parts(data), specific_tags=list(tags), stop_before_pixels=not pixels, force=True
        )
    except ScanError:
        raise
    except Exception:
        raise _damaged() from None
    for tag in [tag for tag in dataset.keys() if not is_short(dataset, tag)]:  # noqa: SIM118  keys do not convert
        del dataset[tag]
    if inflated:
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        uids = pydicom.uid
        dataset.file_meta.TransferSyntaxUID = (
            uids.ImplicitVRLittleEndian
            if implicit
            else (uids.ExplicitVRLittleEndian if little else uids.ExplicitVRBigEndian)
        )
    return dataset


class _Parts(io.BytesIO):
    """A file of which no more than `MAX_READS` pieces can be read: one of millions would take minutes."""

    left = MAX_READS
    last = b""

    def read(self, size: int | None = -1) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise ScanError("This DICOM file has too many parts to be read. Export the scan again, without the rest.")
        if self.last[:4] == _CHARACTER_SETS and size > MAX_CHARACTER_SETS:
            raise _damaged()
        self.last = super().read(size)
        return self.last


def is_short(dataset, tag) -> bool:
    """False for a value of which pydicom would make millions of numbers or words; it has not been converted yet."""
    element = dataset.get_item(tag)
    value = getattr(element, "value", None)
    if not isinstance(value, bytes) or tag in _LONG:
        return True
    if element.VR == "SQ" or (element.VR is None and tag in _SEQUENCES):
        found = re.finditer(re.escape(_CHARACTER_SETS) + b"(?!CS)", value)
        return all(int.from_bytes(value[m.end() : m.end() + 4], "little") <= MAX_CHARACTER_SETS for m in found)
    return len(value) <= MAX_VALUE_BYTES


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No warnings: pydicom's quote what they warn of, and that goes for what it converts when it is asked for, too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def load_pydicom():
    """pydicom, quiet, and with decoders for what Pillow and pydicom itself do not read."""
    with _LOADING:  # several visitors may bring the first DICOM file at once
        return _loaded_pydicom()


_LOADING = threading.Lock()


@functools.cache
def _loaded_pydicom():
    import pydicom
    import pydicom.pixels
    from pydicom.pixels import decoders

    from brain_tumor.reading.dicom import codecs as dicom_codecs

    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)  # its messages quote tags
    warnings.filterwarnings("ignore", module="pydicom")  # for good: quiet is not made for threads
    for name in dicom_codecs.DECODERS:
        getattr(decoders, f"{name}Decoder").add_plugin(dicom_codecs.LABEL, (dicom_codecs.__name__, "decode_frame"))
    return pydicom


def _inflated(data: bytes) -> "_Parts | None":
    """A deflated file as if it had never been packed; None for any other. pydicom would unpack it however large."""
    if b"1.2.840.10008.1.2.1.99" not in data[:4096]:
        return None
    length = int.from_bytes(data[140:144], "little") if data[128:138] == b"DICM\x02\0\0\0UL" else None
    if length is None or length > 4096:
        raise _damaged()
    start, inflate, file = 144 + length, zlib.decompressobj(-zlib.MAX_WBITS), _Parts()
    # A syntax that is not packed, as long as the one that is.
    file.write(data[:start].replace(b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.1\0\0\0"))
    try:
        for place in range(start, len(data), 2**16):
            file.write(inflate.decompress(data[place : place + 2**16]))
            if file.tell() > MAX_INFLATED_BYTES:
                raise ScanError("This DICOM file unpacks to more than is read here. Export it uncompressed.")
    except zlib.error:
        raise _damaged() from None
    if not inflate.eof:
        raise _damaged()
    file.seek(0)
    return file


def _damaged() -> ScanError:
    return ScanError("This DICOM file is damaged or incomplete. Export or download it again.")


def _value(dataset, tag: str):
    """What a tag holds, None if it is missing or too long (see `is_short`)."""
    return dataset.get(tag) if tag in dataset and is_short(dataset, tag) else None


def read_word(dataset, tag: str) -> str:
    """A code of letters, digits, dots and spaces; "" if it is missing or anything else."""
    try:
        value = _value(dataset, tag)
        value = str(value[0] if isinstance(value, (list, tuple)) and value else value or "").strip()
    except Exception:
        return ""
    return value if re.fullmatch(r"[\w. ]{1,64}", value) else ""


def _numbers(dataset, tag: str, count: int) -> tuple[float, ...] | None:
    """The first `count` numbers of a tag; None if it is missing, too short, or not of finite numbers."""
    try:
        value = _value(dataset, tag)
        if value is None:
            return None
        values = [value] if isinstance(value, (int, float, str)) else list(value)
        numbers = tuple(float(v) for v in values[:count])
    except Exception:
        return None
    return numbers if len(numbers) == count and all(math.isfinite(n) and abs(n) < 1e15 for n in numbers) else None


def read_number(dataset, tag: str) -> float | None:
    numbers = _numbers(dataset, tag, 1)
    return numbers[0] if numbers else None


def _frames(dataset, count: int) -> tuple[Frame, ...]:
    """Each frame's place and window: of the file, or of an enhanced file's functional groups."""

    def groups(tag: str) -> list:
        try:
            return list(dataset.get(tag) or [])
        except Exception:
            return []

    shared, each = groups("SharedFunctionalGroupsSequence"), groups("PerFrameFunctionalGroupsSequence")
    frames = []
    for index in range(count if each else 1):
        places = [*each[index : index + 1], *shared[:1]]
        position = _numbers(_group(dataset, places, "PlanePositionSequence"), "ImagePositionPatient", 3)
        orientation = _numbers(_group(dataset, places, "PlaneOrientationSequence"), "ImageOrientationPatient", 6)
        values = _group(dataset, places, "PixelValueTransformationSequence")
        slope, intercept = read_number(values, "RescaleSlope"), read_number(values, "RescaleIntercept")
        frames.append(
            Frame(
                orientation=_orthonormal(orientation),
                position=position,
                spacing=_spacing(_group(dataset, places, "PixelMeasuresSequence")),
                slope=1.0 if slope is None or slope == 0 else slope,
                intercept=intercept or 0.0,
                window=_window(_group(dataset, places, "FrameVOILUTSequence")),
            )
        )
    return tuple(frames * count if not each else frames)


def _group(dataset, places: list, tag: str):
    """The item of a functional group, or the file itself."""
    for place in places:
        try:
            if place.get(tag):
                return place.get(tag)[0]
        except Exception:
            continue
    return dataset


def _orthonormal(orientation: tuple[float, ...] | None) -> tuple[float, ...] | None:
    if orientation is None:
        return None
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    right_angle = abs(row @ column) < 0.02 and abs(row @ row - 1) < 0.02 and abs(column @ column - 1) < 0.02
    return orientation if right_angle else None


def _spacing(dataset) -> tuple[float, float] | None:
    spacing = _numbers(dataset, "PixelSpacing", 2) or _numbers(dataset, "PixelAspectRatio", 2)
    return spacing if spacing and min(spacing) > 0 else None


def _window(dataset) -> Window | None:
    """The first window of a file (PS3.3 C.11.2)."""
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


def _sequence(dataset) -> str:
    """The pulse sequence in words of this module and numbers of the file; "" if nothing is known."""
    text = " ".join(str(dataset.get(tag) or "") for tag in ("SeriesDescription", "ProtocolName")).lower()[:500]
    words = [word for pattern, word in _SEQUENCE_WORDS.items() if re.search(pattern, text)]
    if "gradient echo T1 (3D)" in words and "T1" in words:
        words.remove("T1")
    try:
        codes = dataset.get("ScanningSequence") or []
        codes = [codes] if isinstance(codes, str) else list(codes)
    except Exception:
        codes = []
    if not words:
        words = [_SCANNING[code] for code in codes if code in _SCANNING]
    try:
        contrast = bool(str(dataset.get("ContrastBolusAgent") or "").strip())
    except Exception:
        contrast = False
    if contrast or re.search(_CONTRAST_WORDS, text):
        words.append("with contrast agent")
    times = [
        f"{name} {value:,.4g} ms"
        for name, tag in (("TR", "RepetitionTime"), ("TE", "EchoTime"), ("TI", "InversionTime"))
        if (value := read_number(dataset, tag)) is not None and 0 < value < 1e6
    ]
    return ", ".join([*words, *times])
