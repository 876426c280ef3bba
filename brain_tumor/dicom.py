"""DICOM files -> uploads: single slices, frames, and series sorted along their normal.

Only the tags listed here are read at all, and of these only numbers and known words leave this module: what
describes the patient is never parsed.
"""

import contextlib
import functools
import io
import logging
import math
import re
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from brain_tumor import scans
from brain_tumor.scans import MAX_FILE_BYTES, MIN_SIDE, ScanError
from brain_tumor.slices import (
    MAX_VOXELS,
    MIN_STACK,
    PLANES,
    Block,
    Rejected,
    Slice,
    Upload,
    Window,
    hide_background,
    percentile_window,
    percentile_words,
    square_size,
    thinned,
    thinning_note,
    to_picture,
)

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
SAME_SPACING = 0.05
"""Slices are evenly spaced if no distance between two is off by more than this share (or 0.1 mm)."""

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
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
_PIXEL_TAGS = (*_HEADER_TAGS, *_PIXELS, "ExtendedOffsetTable", "ExtendedOffsetTableLengths")

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


@dataclass(frozen=True)
class File:
    """A DICOM file that is read again when its pixels are needed."""

    name: str
    header: Header
    read: Callable[[], bytes]


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


# --- the header -------------------------------------------------------------------------------------------------------


def read_header(data: bytes) -> Header:
    """Read what is needed of a file but its pixels.

    Raises:
        ScanError: it is damaged, shows nothing, is too large, or packed in a way that is not read here.
        Directory: it is the index of a disc.
    """
    with _quiet():
        try:
            return _header(_parse(data, _HEADER_TAGS, pixels=False))
        except (ScanError, MemoryError):
            raise
        except Exception:  # pydicom converts a value when it is asked for, and a damaged one can raise nearly anything
            raise _damaged() from None


def _header(dataset) -> Header:
    meta = dataset.file_meta
    modality = _word(dataset, "Modality")
    if _DIRECTORY in (_word(meta, "MediaStorageSOPClassUID"), _word(dataset, "SOPClassUID")):
        raise Directory(
            "This file is the index of a disc (DICOMDIR) and shows nothing. Upload the DICOM files beside it."
        )
    rows, columns = _number(dataset, "Rows"), _number(dataset, "Columns")
    if modality in _NO_PICTURE or rows is None or columns is None:
        what = _NO_PICTURE.get(modality)
        raise ScanError(
            f"This DICOM file holds {what} and no picture. Upload the files of the scan itself."
            if what
            else "This DICOM file holds no picture. Upload the files of the scan itself."
        )
    if modality == "SEG" or _number(dataset, "BitsAllocated") == 1:
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
    samples = int(_number(dataset, "SamplesPerPixel") or 1)
    frames = int(_number(dataset, "NumberOfFrames") or 1)
    if rows * columns > scans.MAX_PIXELS or not 0 < frames <= MAX_FRAMES:
        raise ScanError(
            f"This DICOM file is too large ({columns} x {rows} pixels, {frames:,} frames); at most "
            f"{scans.MAX_PIXELS // 10**6} megapixels and {MAX_FRAMES:,} frames are read. Export it smaller."
        )
    if min(rows, columns) < 1 or samples not in (1, 3):
        raise _damaged()
    allocated = int(_number(dataset, "BitsAllocated") or 8)
    if rows * columns * samples * allocated > 8 * MAX_FRAME_BYTES:
        raise ScanError(
            f"This DICOM file is too large ({columns} x {rows} pixels of {samples * allocated} bits); at most "
            f"{MAX_FRAME_BYTES // 10**6} MB a picture are read. Export it smaller."
        )
    photometric = _word(dataset, "PhotometricInterpretation")
    return Header(
        series=_word(dataset, "SeriesInstanceUID") or None,
        instance=_word(dataset, "SOPInstanceUID") or None,
        number=None if (number := _number(dataset, "InstanceNumber")) is None else int(number),
        rows=rows,
        columns=columns,
        color=samples == 3 or photometric == "PALETTE COLOR",
        inverted=photometric == "MONOCHROME1",
        bits=int(_number(dataset, "BitsStored") or _number(dataset, "BitsAllocated") or 8),
        modality=_MODALITIES.get(modality, ""),
        sequence=_sequence(dataset),
        syntax=syntax,
        location=_number(dataset, "SliceLocation"),
        thickness=_number(dataset, "SliceThickness"),
        frames=_frames(dataset, frames),
    )


def _parse(data: bytes, tags: tuple[str, ...], pixels: bool):
    """`pydicom.FileDataset` of the listed tags, with a transfer syntax."""
    pydicom = _pydicom()
    inflated = _inflated(data)
    try:
        dataset = pydicom.dcmread(
            inflated or _Parts(data), specific_tags=list(tags), stop_before_pixels=not pixels, force=True
        )
    except ScanError:
        raise
    except Exception:
        raise _damaged() from None
    for tag in [tag for tag in dataset.keys() if not _is_short(dataset, tag)]:  # noqa: SIM118  keys do not convert
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


def _is_short(dataset, tag) -> bool:
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
def _quiet() -> Iterator[None]:
    """No warnings: pydicom's quote what they warn of, and that goes for what it converts when it is asked for, too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _pydicom():
    """pydicom, quiet, and with decoders for what Pillow and pydicom itself do not read."""
    with _LOADING:  # several visitors may bring the first DICOM file at once
        return _loaded_pydicom()


_LOADING = threading.Lock()


@functools.cache
def _loaded_pydicom():
    import pydicom
    import pydicom.pixels
    from pydicom.pixels import decoders

    from brain_tumor import dicom_codecs

    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)  # its messages quote tags
    warnings.filterwarnings("ignore", module="pydicom")  # for good: _quiet is not made for threads
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
    """What a tag holds, None if it is missing or too long (see `_is_short`)."""
    return dataset.get(tag) if tag in dataset and _is_short(dataset, tag) else None


def _word(dataset, tag: str) -> str:
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


def _number(dataset, tag: str) -> float | None:
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
        slope, intercept = _number(values, "RescaleSlope"), _number(values, "RescaleIntercept")
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
    center, width = _number(dataset, "WindowCenter"), _number(dataset, "WindowWidth")
    function = _word(dataset, "VOILUTFunction")
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
        if (value := _number(dataset, tag)) is not None and 0 < value < 1e6
    ]
    return ", ".join([*words, *times])


# --- the pixels -------------------------------------------------------------------------------------------------------


def read_frames(data: bytes, header: Header, wanted: list[int]) -> list[np.ndarray]:
    """Decode frames of a file.

    Returns:
        Per frame (rows, columns) float32, rescaled, NaN where the file says that there is nothing; or
        (rows, columns, 3) uint8 for color.

    Raises:
        ScanError: the pixels are missing, incomplete, damaged, or of another size than the header says.
    """
    with _quiet():
        dataset = _parse(data, _PIXEL_TAGS, pixels=True)
        if not any(tag in dataset for tag in _PIXELS):
            raise ScanError("This DICOM file holds no picture. Upload the files of the scan itself.")
        try:
            return list(_decoded(dataset, header, wanted))
        except ScanError:
            raise
        except MemoryError:
            raise ScanError("This DICOM file needs more memory than there is. Export it smaller.") from None
        except Exception:
            raise ScanError(
                "This DICOM file's picture is damaged or incomplete: it cannot be decoded. Export or download it again."
            ) from None


def _decoded(dataset, header: Header, wanted: list[int]) -> Iterator[np.ndarray]:
    from brain_tumor import dicom_codecs

    decoder = _pydicom().pixels.get_decoder(dataset.file_meta.TransferSyntaxUID)
    plugin = ""
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        dicom_codecs.check_frames(dataset, len(header.frames))
        plugin = "pillow" if header.syntax == "JPEG" else dicom_codecs.LABEL
    frames = decoder.iter_array(dataset, indices=wanted if len(header.frames) > 1 else None, decoding_plugin=plugin)
    for index, (frame, _) in zip(wanted, frames, strict=True):
        yield _colors(frame, dataset) if header.color else _grays(frame, dataset, header, index)


def _grays(frame: np.ndarray, dataset, header: Header, index: int) -> np.ndarray:
    """Stored numbers -> what they measure; brighter is always more."""
    from pydicom.pixels.processing import apply_modality_lut, apply_voi

    place = header.frames[index]
    padding = _number(dataset, "PixelPaddingValue")
    if _has_tables(dataset, "ModalityLUTSequence"):
        values = apply_modality_lut(frame, dataset).astype(np.float32)
    else:
        values = frame.astype(np.float32) * np.float32(place.slope) + np.float32(place.intercept)
    if place.window is None and _has_tables(dataset, "VOILUTSequence"):
        values = apply_voi(frame, dataset).astype(np.float32)
    if padding is not None:
        values[frame == padding] = np.nan
    values[~np.isfinite(values)] = np.nan
    return -values if header.inverted else values


def _has_tables(dataset, tag: str) -> bool:
    """True if a file has look-up tables, and none that is too long."""
    return tag in dataset and all(_is_short(item, "LUTData") for item in dataset[tag] if "LUTData" in item)


def _colors(frame: np.ndarray, dataset) -> np.ndarray:
    if _word(dataset, "PhotometricInterpretation") == "PALETTE COLOR":
        from pydicom.pixels.processing import apply_color_lut

        frame = apply_color_lut(frame, dataset)
        if frame.dtype.itemsize > 1:  # tables of 16 bits have their colors in the high byte
            frame = (frame >> 8).astype(np.uint8)
    frame = frame[..., :3]
    return frame if frame.dtype == np.uint8 else np.asarray(scans.window(frame))


# --- uploads ----------------------------------------------------------------------------------------------------------


def read_series(files: list[File], name: str, plane: str | None = None) -> Iterator[Upload | Rejected]:
    """The files of one key (`Header.key`) -> one upload, after the files that cannot be decoded."""
    notes = []
    different = list({file.header.instance or id(file): file for file in reversed(files)}.values())[::-1]
    if len(different) < len(files):
        notes.append(f"{len(files) - len(different)} of the files came twice and are read once.")
    first = different[0].header
    pictures = _sorted([(file, index) for file in different for index in range(len(file.header.frames))])
    taken = thinned(len(pictures), max(1, MAX_VOXELS // (first.rows * first.columns)))
    notes += thinning_note(len(pictures), taken)
    numbered = [(i + 1, *pictures[i]) for i in taken]
    decoded: dict[tuple[int, int], np.ndarray] = {}
    for file in {id(f): f for _, f, _ in numbered}.values():
        wanted = [index for _, f, index in numbered if f is file]
        try:
            for index, values in zip(wanted, read_frames(file.read(), file.header, wanted), strict=True):
                decoded[id(file), index] = values
        except ScanError as error:
            yield Rejected(file.name, str(error))
    numbered = [entry for entry in numbered if (id(entry[1]), entry[2]) in decoded]
    if not numbered:
        return
    if len(different) - len({id(f) for _, f, _ in numbered}) and len(numbered) > 1:
        notes.append("Slices whose files cannot be read are missing.")
    if first.modality and first.modality not in ("MRI", "other", "secondary capture"):
        notes.append(f"The file says that this is {first.modality}, not MRI: the model has learned from MRI alone.")
    try:
        yield _upload(name, [(n, f, i, decoded.pop((id(f), i))) for n, f, i in numbered], plane, notes)
    except ScanError as error:
        yield Rejected(name, str(error))


def _normal(frame: Frame) -> np.ndarray:
    """Unit vector across the slices, towards the patient's right to left, front to back or foot to head (LPS)."""
    row, column = np.array(frame.orientation[:3]), np.array(frame.orientation[3:])
    return np.cross(row, column)


def _sorted(pictures: list[tuple[File, int]]) -> list[tuple[File, int]]:
    """By place along the slices' normal, in the order in which `Block` stacks them; by number if no place is known."""

    def number(picture: tuple[File, int]) -> tuple:
        file, index = picture
        return (file.header.number is None, file.header.number or 0, index)

    frames = [file.header.frames[index] for file, index in pictures]
    pictures = sorted(pictures, key=number)
    orientation = frames[0].orientation
    if orientation is None or any(f.position is None or not _parallel(f.orientation, orientation) for f in frames):
        return pictures
    normal = _normal(frames[0])
    axis = int(np.argmax(abs(normal)))
    upwards = normal * np.sign(normal[axis]) * (1 if axis == 2 else -1)  # LPS -> right, front, head
    return sorted(pictures, key=lambda p: round(float(upwards @ p[0].header.frames[p[1]].position), 3))


def _parallel(orientation: tuple[float, ...] | None, other: tuple[float, ...]) -> bool:
    return orientation is not None and bool(np.abs(np.subtract(orientation, other)).max() < 0.02)


def _upload(
    name: str, pictures: list[tuple[int, File, int, np.ndarray]], plane: str | None, notes: list[str]
) -> Upload:
    header, frame = pictures[0][1].header, pictures[0][1].header.frames[pictures[0][2]]
    frames = [file.header.frames[index] for _, file, index, _ in pictures]
    stacked = frame.orientation is not None and all(_parallel(f.orientation, frame.orientation) for f in frames)
    placed = stacked and (len(pictures) == 1 or all(f.position is not None for f in frames))
    if header.color or not placed:
        return _pages(name, pictures, notes)
    values, affine, regular = _stack(pictures, frames)
    window = _choose_window(values, frames, header)
    block = Block(values, affine, regular, stacked=0)
    planes = block.planes
    native = block.native_plane if planes else PLANES[block.stacked_along]
    shown = plane if plane in planes else native
    slices, more = block.slices(shown, window)
    if 1 < len(pictures) == len(slices) and shown == PLANES[block.stacked_along]:  # numbered within the whole series
        slices = [Slice(s.image, f"slice {p[0]}", s.counts) for s, p in zip(slices, pictures, strict=True)]
    facts = _facts(header, slices, window) | {"Plane": shown}
    if len(pictures) == 1:
        facts |= _place(header)
    if regular:
        facts["Voxels"] = " x ".join(f"{s:.3g}" for s in np.linalg.norm(affine[:3, [2, 1, 0]], axis=0)) + " mm"
    kind = "picture" if len(pictures) == 1 else "volume" if regular else "series"
    return Upload(name, kind, slices, facts, notes + more, shown, planes, sides_known=shown != "sagittal")


def _stack(pictures: list, frames: list[Frame]) -> tuple[np.ndarray, np.ndarray, bool]:
    """(slices, rows, columns) float32, its affine to RAS, and whether it can be cut in other planes.

    The pictures give up their numbers one after the other, so memory holds them once.
    """
    first = frames[0]
    values = np.empty((len(pictures), *pictures[0][3].shape), np.float32)
    for place, (number, file, index, picture) in enumerate(pictures):
        values[place], pictures[place] = picture, (number, file, index, None)
    normal = _normal(first)
    step, regular = normal * (pictures[0][1].header.thickness or 1.0), False
    if len(frames) > 1:
        positions = np.array([f.position for f in frames])
        steps = np.diff(positions, axis=0)
        along = steps @ normal
        typical = float(np.median(along))
        aside = np.abs(steps - np.outer(along, normal)).max()
        even = np.abs(along - typical).max() <= max(SAME_SPACING * abs(typical), 0.1)
        # A tilted gantry shifts every slice: cut in other planes, the head would lean.
        regular = len(frames) >= MIN_STACK and abs(typical) > 0.05 and even and aside <= 0.1 * abs(typical)
        regular = bool(regular and all(_same_spacing(f.spacing, first.spacing) for f in frames))
        step = normal * (typical if abs(typical) > 1e-3 else pictures[0][1].header.thickness or 1.0)
    affine = np.eye(4)
    affine[:3, :3] = _axes(first, step)
    return values, affine, regular


def _axes(frame: Frame, step: np.ndarray) -> np.ndarray:
    """(3, 3): the columns are a step in (slice, row, column), in millimeters to the right, front and head."""
    row, column = np.array(frame.orientation[:3]), np.array(frame.orientation[3:])
    spacing = frame.spacing or (1.0, 1.0)
    return np.stack([step, column * spacing[0], row * spacing[1]], axis=1) * [[-1], [-1], [1]]  # LPS -> RAS


def _same_spacing(spacing: tuple[float, float] | None, other: tuple[float, float] | None) -> bool:
    return spacing == other or (spacing is not None and other is not None and np.allclose(spacing, other, rtol=0.01))


def _choose_window(values: np.ndarray, frames: list[Frame], header: Header) -> Window:
    """One window for all slices: the file's (the middle one, if slices have their own), if it fits; or percentiles.

    A window that paints half of the picture white, or nearly all of it black, is somebody's mistake. Gray
    levels of 8 bits without a window are shown as they are, as those of a PNG would be.
    """
    windows = [f.window for f in frames if f.window is not None]
    window = None
    if len(windows) == len(frames):
        window = sorted(windows, key=lambda w: (w.low + w.high, w.high))[len(windows) // 2]
        if header.inverted:
            window = Window(-window.high, -window.low, window.words, window.sigmoid)
        sample = window(values.reshape(-1)[:: max(1, values.size // 500_000) | 1])
        if np.mean(sample == 255) > 0.5 or np.percentile(sample, 99.5) < 32:
            window = None
    elif header.bits <= 8 and all((f.slope, f.intercept) == (1, 0) for f in frames):
        low = -255 if header.inverted else 0
        window = Window(low, low + 255, "as stored")
    if window is not None and np.isfinite(values).any():
        return window
    hide_background(values)
    window = percentile_window(values)
    if header.inverted:
        return replace(window, words=percentile_words(-window.high, -window.low))
    return window


def _pages(name: str, pictures: list, notes: list[str]) -> Upload:
    """Pictures that are no stack, in color or without a place: each by itself."""
    header = pictures[0][1].header
    one_file = all(file is pictures[0][1] for _, file, *_ in pictures)
    frames = [file.header.frames[index] for _, file, index, _ in pictures]
    window = None if header.color else _choose_window(np.stack([p[3] for p in pictures]), frames, header)
    slices, planes = [], set()
    for (number, *_, values), frame in zip(pictures, frames, strict=True):
        picture, plane = _alone(values, frame, window)
        word = "" if len(pictures) == 1 else f"frame {number}" if one_file else f"slice {number}"
        slices.append(Slice(picture, word))
        planes.add(plane)
    plane = planes.pop() if len(planes) == 1 else None
    unit = "frames" if one_file else "slices"
    facts = _facts(header, slices, window, unit) | ({"Plane": plane} if plane else {})
    facts |= _place(header) if len(slices) == 1 else {}
    kind = "picture" if len(slices) == 1 else "pages" if one_file else "series"
    if kind == "pages":
        notes = [*notes, f"A file of {len(slices)} frames: each frame is a scan of its own."]
    return Upload(name, kind, slices, facts, notes, plane, (), sides_known=plane in ("axial", "coronal"))


def _alone(values: np.ndarray, frame: Frame, window: Window | None):
    """One picture (8-bit RGB, square pixels) and its plane, None if the file does not say how it lies."""
    height, width = values.shape[:2]
    if frame.orientation is not None and values.ndim == 2:
        affine = np.eye(4)
        affine[:3, :3] = _axes(frame, _normal(frame))
        block = Block(values[None], affine, regular=False, stacked=0)
        (slice_,), _ = block.slices(block.native_plane, window)
        return slice_.image, block.native_plane
    size = square_size((width, height), (frame.spacing or (1, 1))[::-1])
    if min(size) < MIN_SIDE:
        raise ScanError(
            f"This picture is {size[0]} x {size[1]} pixels; a slice needs at least {MIN_SIDE} on its shorter side."
        )
    return to_picture(window(values) if window else values, size), None


def _facts(header: Header, slices: list[Slice], window: Window | None, unit: str = "slices") -> dict[str, str]:
    width, height = slices[0].image.size
    facts = {
        "Format": f"DICOM, {header.syntax}",
        "Size": f"{width} x {height} pixels" + (f", {len(slices)} {unit}" if len(slices) > 1 else ""),
        "Bit depth": f"{header.bits} bits, {'color' if header.color else 'gray'}",
    }
    facts |= {name: words for name, words in (("Modality", header.modality), ("Sequence", header.sequence)) if words}
    return facts | ({"Window": window.words} if window else {})


def _place(header: Header) -> dict[str, str]:
    words = [f"number {header.number}"] if header.number is not None else []
    words += [f"at {header.location:.1f} mm"] if header.location is not None else []
    return {"Slice": ", ".join(words)} if words else {}
