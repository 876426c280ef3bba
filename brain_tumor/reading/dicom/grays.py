"""The gray mapping of a DICOM file: stored numbers -> what they measure, and which of that becomes black and white.

The rule: the file's own mapping counts, whatever the depth of its numbers, and of each slice its own. In PS3.3's order:

1. padding (C.7.5.1.1.2) is nothing: a number or a range, in any of the forms in which files write it; see
   `find_padding`;
2. the modality transformation (C.11.1): a table, or slope and intercept;
3. the values of interest (C.11.2): a table, else the first window; as pydicom, a table is preferred to a window. If
   there is neither, numbers of 8 bits or fewer are shown as they are stored, from their least to their greatest, which
   are not 0 and 255 if they are signed or mapped. Deeper ones have no gray levels of their own: `windows` finds some;
4. MONOCHROME1 shows small numbers bright.

A table that cannot be used (it is missing, empty, or all the same) is as if it were not there, as in other viewers.
"""

from dataclasses import dataclass

import numpy as np

from brain_tumor.reading.dicom.frames import Groups
from brain_tumor.reading.dicom.header import Header
from brain_tumor.reading.dicom.parsing import is_short, read_number, read_word
from brain_tumor.reading.windows import Window

LOSSY = ("JPEG", "JPEG extended", "JPEG-LS", "JPEG 2000")
"""Compressions, in words of `parsing.TRANSFER_SYNTAXES`, after which padding may no longer be exactly the number."""

FEW = 0.001
"""Share of the pixels below which a gray level is none of the head's."""


@dataclass(frozen=True)
class Grays:
    """A gray picture with its own mapping."""

    values: np.ndarray
    """(rows, columns) float32: what is measured, or what a table of values of interest makes of it; more is always
    brighter; NaN where the file says that there is nothing."""
    window: Window | None = None
    """The file's own, in the same numbers; None if it has none that makes sense."""
    range: Window | None = None
    """From the least to the greatest number that 8 bits or fewer can store; None for deeper ones."""


@dataclass(frozen=True)
class Table:
    """A look-up table (LUT) of a file."""

    first: int
    """The number that the first entry stands for; smaller ones get that entry too, larger ones than the last the
    last."""
    entries: np.ndarray
    """(n,) uint16, at least two different ones."""
    top: int
    """What the greatest entry could be."""

    def __call__(self, values: np.ndarray) -> np.ndarray:
        places = np.clip(np.nan_to_num(np.rint(values)) - self.first, 0, len(self.entries) - 1).astype(np.intp)
        return self.entries[places].astype(np.float32)


def map_grays(frame: np.ndarray, groups: Groups, index: int, header: Header) -> Grays:
    """Map a frame as its file says.

    Args:
        frame: (rows, columns), the stored numbers, signed if the file says so.
        groups: of its file.
        index: the frame's, from 0.
        header: of its file.
    """
    dataset, signed = groups.dataset, frame.dtype.kind == "i"
    order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
    low, high = (-(2 ** (header.bits - 1)), 2 ** (header.bits - 1) - 1) if signed else (0, 2**header.bits - 1)
    table = _read_table(dataset, "ModalityLUTSequence", signed, order)
    if table:
        values, low, high = table(frame), 0, table.top
    else:
        place = groups.find(index, "PixelValueTransformationSequence")
        slope, intercept = read_number(place, "RescaleSlope") or 1.0, read_number(place, "RescaleIntercept") or 0.0
        values = frame.astype(np.float32) * np.float32(slope) + np.float32(intercept)
        low, high = sorted((low * slope + intercept, high * slope + intercept))
    place = groups.find(index, "FrameVOILUTSequence")
    table, window = _read_table(place, "VOILUTSequence", low < 0, order), _read_window(place)
    if table:
        values, window = table(values), Window(0, table.top, "look-up table (the file's)")
    values[find_padding(frame, dataset, header)] = np.nan
    values[~np.isfinite(values)] = np.nan
    stored = Window(low, high, "as stored") if header.bits <= 8 and frame.dtype.kind != "f" else None
    if header.inverted:
        return Grays(-values, window and window.mirrored(), stored and stored.mirrored())
    return Grays(values, window, stored)


def _read_table(dataset, tag: str, signed: bool, order: str) -> Table | None:
    """The first table of a sequence that can be used; None if there is none.

    Args:
        signed: the numbers that it maps may be negative, so its first one may be, whatever type it is written as.
        order: of the bytes, "<" or ">".
    """
    try:
        items = list(dataset.get(tag) or [])
    except Exception:  # pydicom converts a value when it is asked for, and a damaged one can raise nearly anything
        return None
    for item in items[:10]:
        try:
            count, first, bits = (int(number) for number in item.LUTDescriptor)
            if "LUTData" not in item or not is_short(item, "LUTData"):
                continue
            entries = _read_entries(item["LUTData"].value, (count % 2**16) or 2**16, order)
        except Exception:
            continue
        if len(entries) > 1 and entries.min() < entries.max():
            first -= 2**16 if signed and first >= 2**15 else 0
            top = max(int(entries.max()), 2**bits - 1 if 8 <= bits <= 16 else 0)
            return Table(first, entries, top)
    return None


def _read_entries(data, count: int, order: str) -> np.ndarray:
    """Entries of a table, at most `count`: 16 bits each, or 8 if there are only so many bytes."""
    if not isinstance(data, bytes):
        return np.atleast_1d(np.asarray(data, np.int64)).astype(np.uint16)[:count]
    if len(data) < 2 * count and len(data) - count in (0, 1):
        return np.frombuffer(data, np.uint8)[:count].astype(np.uint16)
    return np.frombuffer(data[: len(data) // 2 * 2], f"{order}u2")[:count].astype(np.uint16)


def _read_window(dataset) -> Window | None:
    """The first window of a file (PS3.3 C.11.2), None if it has none that makes sense."""
    center, width = read_number(dataset, "WindowCenter"), read_number(dataset, "WindowWidth")
    function = read_word(dataset, "VOILUTFunction").upper()
    if center is None or width is None or width < 1 and function not in ("LINEAR_EXACT", "SIGMOID") or width <= 0:
        return None
    words = f"center {center:,.4g}, width {width:,.4g} (the file's)"
    if function in ("SIGMOID", "LINEAR_EXACT"):
        return Window(center - width / 2, center + width / 2, words, sigmoid=function == "SIGMOID")
    # LINEAR: black up to c - 0.5 - (w - 1) / 2, white above c - 0.5 + (w - 1) / 2
    half = max(width - 1, 1e-6) / 2
    return Window(center - 0.5 - half, center - 0.5 + half, words)


def find_padding(frame: np.ndarray, dataset, header: Header) -> np.ndarray:
    """Find the pixels of a frame that are padding: outside of what was scanned.

    The number may be written unsigned for signed pixels (63,536 for -2,000) and the other way round, with bits beyond
    those stored, or with another one, in any order, as a range. Lossy compression blurs it: see `_find_blur`.

    Returns:
        (rows, columns) bool.
    """
    for kind in ("", "Float", "DoubleFloat"):
        ends = [read_number(dataset, f"{kind}PixelPadding{what}") for what in ("Value", "RangeLimit")]
        if ends[0] is None:
            continue
        ends = [
            end if frame.dtype.kind == "f" else _as_stored(end, frame, header.bits) for end in ends if end is not None
        ]
        low, high = min(ends), max(ends)
        if header.syntax in LOSSY or read_word(dataset, "LossyImageCompression") == "01":
            blur = _find_blur(frame, low, high)
            low, high = low - blur, high + blur
        return (frame >= low) & (frame <= high)
    return np.zeros(frame.shape, bool)


def _as_stored(number: float, frame: np.ndarray, bits: int) -> float:
    """A whole number as pixels of `bits` bits would hold it; if they hold more than that, as their type would."""
    signed = frame.dtype.kind == "i"
    lowest = -(2 ** (bits - 1)) if signed else 0
    if frame.min() < lowest or frame.max() >= lowest + 2**bits:
        bits = 8 * frame.dtype.itemsize
        lowest = -(2 ** (bits - 1)) if signed else 0
    return (number - lowest) % 2**bits + lowest


def _find_blur(frame: np.ndarray, low: float, high: float) -> float:
    """How far from their number lossy compression may have moved pixels of padding.

    Up to the first gray level that more than `FEW` of the pixels have behind the padding's own, since what lies between
    padding and head are echoes of the edge. Where head and padding are not further apart than the padding is wide, 1 %;
    where the head lies on both sides of it, nothing.
    """
    distance = np.maximum(np.maximum(low - frame.astype(np.float64), frame - float(high)), 0)
    counts, edges = np.histogram(distance, 100, (0, max(distance.max(), 1)))
    below, above = np.mean(frame < low - edges[1]), np.mean(frame > high + edges[1])
    common = counts > FEW * distance.size
    if min(below, above) > 20 * FEW or not common[0]:  # echoes on one side, or the head on both
        return 0
    wide = int(np.argmin(common)) if not common.all() else len(common)
    head = wide + int(np.argmax(common[wide:])) if common[wide:].any() else len(common)
    return edges[head] - edges[1] / 2 if head >= 2 * wide else edges[1]
