"""DICOM bytes -> a pydicom dataset of the tags listed here and no others: none of them describes the patient."""

import contextlib
import functools
import hashlib
import io
import logging
import math
import re
import threading
import warnings
import zlib
from collections.abc import Iterator

from brain_tumor.reading import pictures
from brain_tumor.reading.levels import ScanError
from brain_tumor.reading.pictures import MAX_FILE_BYTES

MAX_INFLATED_BYTES = 2 * MAX_FILE_BYTES
"""The most bytes to which a deflated DICOM file may unpack."""

MAX_FRAME_BYTES = 2 * pictures.MAX_PIXELS
"""The most bytes of one frame: as many pixels as a picture may have, gray of 16 bits, or fewer in color."""

MAX_READS = 500_000
"""The most pieces in which a file is read. A thousand frames, each with its place and window, take some 100,000."""

_LONG = (0x7FE00008, 0x7FE00009, 0x7FE00010, 0x7FE00001, 0x7FE00002)
"""Pixel data of the three kinds, and the tables of where compressed frames begin: these may be long."""

_SEQUENCES = (0x52009229, 0x52009230, 0x00283000, 0x00283010, 0x00082218, 0x00180012)
"""The sequences of `HEADER_TAGS`, which in a file of implicit VR are not marked as such."""

_CHARACTER_SETS = b"\x08\0\5\0"

MAX_CHARACTER_SETS = 1024
"""The most bytes of the names of a file's character sets, which pydicom looks up one by one as it reads."""

MAX_VALUE_BYTES = 2**18
"""The longest value that is read, pixels and sequences aside: a look-up table of 65,536 entries takes half."""

PIXEL_DATA = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

HEADER_TAGS = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "SeriesNumber", "InstanceNumber"),
    *("StudyInstanceUID", "FrameOfReferenceUID"),  # `header` keeps a hash of them
    *("ImageType", "AcquisitionNumber", "TemporalPositionIdentifier", "TriggerTime"),
    *("ScanningSequence", "EchoTime", "RepetitionTime", "InversionTime", "FlipAngle", "DiffusionBValue"),
    *("SeriesDescription", "ProtocolName"),  # free text: `words` takes only the words it knows from it
    *("AcquisitionContrast", "ContrastBolusAgent", "ContrastBolusAgentSequence"),
    *("BodyPartExamined", "AnatomicRegionSequence"),
    *("ImagePositionPatient", "ImageOrientationPatient", "SliceLocation", "SliceThickness"),
    *("PixelSpacing", "PixelAspectRatio"),
    *("SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "PlanarConfiguration"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "LossyImageCompression"),
    *(f"{kind}PixelPadding{what}" for kind in ("", "Float", "DoubleFloat") for what in ("Value", "RangeLimit")),
    *("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("ModalityLUTSequence", "VOILUTSequence"),
    *(f"{c}PaletteColorLookupTable{what}" for c in ("Red", "Green", "Blue") for what in ("Descriptor", "Data")),
    *(f"Segmented{color}PaletteColorLookupTableData" for color in ("Red", "Green", "Blue")),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)

PIXEL_TAGS = (*HEADER_TAGS, *PIXEL_DATA, "ExtendedOffsetTable", "ExtendedOffsetTableLengths")

_UNCOMPRESSED, _DEFLATED, _RLE = "uncompressed", "deflated", "RLE"

TRANSFER_SYNTAXES = {
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


def is_dicom(head: bytes) -> bool:
    """True for the first 132 bytes of a DICOM file, with a preamble or without."""
    if head[128:132] == b"DICM":
        return True
    # Without preamble: the first tag is (0002,0000 to 0003) or (0008,0000 to 0018), which no other format begins with.
    for order in ("little", "big"):
        group, element = int.from_bytes(head[:2], order), int.from_bytes(head[2:4], order)
        if len(head) >= 16 and ((group == 2 and element <= 3) or (group == 8 and element <= 0x18)):
            return True
    return False


def parse(data: bytes, tags: tuple[str, ...], pixels: bool):
    """Parse these tags of a file, with its pixels or without.

    Returns:
        `pydicom.FileDataset`, which always has a transfer syntax.

    Raises:
        ScanError: the file is damaged, has too many parts, or unpacks to too much.
    """
    pydicom = load_pydicom()
    inflated = _inflate(data)
    try:
        dataset = pydicom.dcmread(
            inflated or _Parts(data), specific_tags=list(tags), stop_before_pixels=not pixels, force=True
        )
    except ScanError:
        raise
    except Exception:
        raise damaged_file() from None
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
    """A file that is read in at most `MAX_READS` pieces: millions of them would take minutes."""

    left = MAX_READS
    last = b""

    def read(self, size: int | None = -1) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise ScanError("This DICOM file has too many parts to be read. Export the scan again, without the rest.")
        if self.last[:4] == _CHARACTER_SETS and size > MAX_CHARACTER_SETS:
            raise damaged_file()
        self.last = super().read(size)
        return self.last


def is_short(dataset, tag) -> bool:
    """False for a value, not yet converted, of which pydicom would make millions of numbers or words."""
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
    """No warnings: those of pydicom quote what they warn of, also when it converts a value that is asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def load_pydicom():
    """Import pydicom, silenced, and with decoders for what neither Pillow nor pydicom itself reads."""
    with _LOADING:  # several visitors may bring the first DICOM file at once
        return _load_pydicom_once()


_LOADING = threading.Lock()


@functools.cache
def _load_pydicom_once():
    import pydicom
    import pydicom.pixels
    from pydicom.pixels import decoders

    from brain_tumor.reading.dicom import codecs

    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)  # its messages quote tags
    warnings.filterwarnings("ignore", module="pydicom")  # for good: `quiet` is not thread-safe
    for name in codecs.DECODERS:
        getattr(decoders, f"{name}Decoder").add_plugin(codecs.LABEL, (codecs.__name__, "decode_frame"))
    return pydicom


def _inflate(data: bytes) -> "_Parts | None":
    """Unpack a deflated file; None for any other. pydicom would unpack it however large it is."""
    if b"1.2.840.10008.1.2.1.99" not in data[:4096]:
        return None
    length = int.from_bytes(data[140:144], "little") if data[128:138] == b"DICM\x02\0\0\0UL" else None
    if length is None or length > 4096:
        raise damaged_file()
    start, inflate, file = 144 + length, zlib.decompressobj(-zlib.MAX_WBITS), _Parts()
    # The transfer syntax of a file that is not deflated, padded to the same length.
    file.write(data[:start].replace(b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.1\0\0\0"))
    try:
        for place in range(start, len(data), 2**16):
            file.write(inflate.decompress(data[place : place + 2**16]))
            if file.tell() > MAX_INFLATED_BYTES:
                raise ScanError("This DICOM file unpacks to more than is read here. Export it uncompressed.")
    except zlib.error:
        raise damaged_file() from None
    if not inflate.eof:
        raise damaged_file()
    file.seek(0)
    return file


def damaged_file() -> ScanError:
    """The error to raise for a damaged file."""
    return ScanError("This DICOM file is damaged or incomplete. Export or download it again.")


def read_value(dataset, tag: str):
    """The value of a tag; None if it is missing or too long (see `is_short`)."""
    return dataset.get(tag) if tag in dataset and is_short(dataset, tag) else None


def read_words(dataset, tag: str) -> tuple[str, ...]:
    """The codes of a tag, each as far as it can be printed and at most 64 characters of it; none if it is missing.

    Each by itself: an odd one, as private ones of makers are, takes nothing from the others.
    """
    try:
        value = read_value(dataset, tag)
        values = [value] if value is None or isinstance(value, (str, int, float)) else list(value)
        return tuple("".join(filter(str.isprintable, str(word or "")[:64])).strip() for word in values[:100])
    except Exception:
        return ()


def read_identifier(dataset, tag: str) -> str | None:
    """A digest of an identifier, whatever it is made of, equal for equal ones; None if there is none."""
    try:
        text = str(read_value(dataset, tag) or "").strip("\0 ")
    except Exception:
        return None
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest() if text else None


def read_word(dataset, tag: str) -> str:
    """The first code of a tag, as `read_words`; "" if there is none."""
    return (read_words(dataset, tag) or ("",))[0]


def read_numbers(dataset, tag: str, count: int) -> tuple[float, ...] | None:
    """The first `count` numbers of a tag; None if it is missing, has fewer, or any of them is not finite."""
    try:
        value = read_value(dataset, tag)
        if value is None:
            return None
        values = [value] if isinstance(value, (int, float, str)) else list(value)
        numbers = tuple(float(v) for v in values[:count])
    except Exception:
        return None
    return numbers if len(numbers) == count and all(math.isfinite(n) and abs(n) < 1e15 for n in numbers) else None


def read_number(dataset, tag: str) -> float | None:
    """The first number of a tag, as `read_numbers`."""
    numbers = read_numbers(dataset, tag, 1)
    return numbers[0] if numbers else None
