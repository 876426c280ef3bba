"""DICOM series of every structure, drawn by hypothesis; `tests.independent` knows what should come out of them.

A series has places, time points or other settings, a direction, a gray mapping and a compression, is many files or one
of many frames, and has the faults of real ones: directions that differ in the seventh digit, one SOPInstanceUID for
all, a series of its own for each file, no positions, missing slices, empty tables.
"""

import io
from dataclasses import dataclass

import imagecodecs
import numpy as np
import pydicom
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from tests.reading.scans import rle
from tests.scan_files import DEFLATED, EXPLICIT, IMPLICIT, JPEG2000, RLE, dicom

SIDE = 36
BIG_ENDIAN, JPEG_LOSSLESS, JPEG_LS = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80"

SETTINGS = {  # how files of one place differ, and whether each of them is a scan of its own
    "time points": (False, lambda t: {"TemporalPositionIdentifier": t + 1}),
    "acquisitions": (False, lambda t: {"AcquisitionNumber": t + 1}),
    "triggers": (False, lambda t: {"TriggerTime": 35.5 * t}),
    "nothing": (False, lambda t: {}),
    "echo times": (True, lambda t: {"EchoTime": 12 + 70 * t}),
    "b values": (True, lambda t: {"DiffusionBValue": 700.0 * t}),
    "types of picture": (True, lambda t: {"ImageType": ["ORIGINAL", "PRIMARY", "MPR"[t]]}),
    "flip angles": (True, lambda t: {"FlipAngle": 5 + 10 * t}),
}

NUMBERS = st.tuples(st.sampled_from([(8, 8), (16, 16), (16, 12), (16, 10), (16, 7)]), st.booleans())
"""(bits allocated, bits stored), signed."""

MODALITIES = st.one_of(
    st.just(("none",)),
    st.tuples(st.just("rescale"), st.sampled_from([1, 2, 3, 0.5, 1.25]), st.sampled_from([0, -1024, 100, 7])),
    st.tuples(st.just("rescale, each its own"), st.sampled_from([1, 2]), st.sampled_from([0, -50])),
    st.tuples(st.just("table"), st.sampled_from([8, 16])),
    st.tuples(st.just("empty table")),
)

VALUES_OF_INTEREST = st.one_of(
    st.just(("none",)),
    st.tuples(
        st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]), st.floats(0, 0.3), st.floats(0.7, 1.2), st.booleans()
    ),
    st.tuples(st.just("table"), st.sampled_from([8, 10, 12, 16]), st.floats(0.4, 2)),
    st.tuples(st.just("empty table")),
)


@dataclass(frozen=True)
class Series:
    """How a series is built."""

    places: int
    spacing: float
    turn: tuple[float, float, float]
    """Angles in degrees around x, y and z."""
    plane: int
    missing: frozenset[int]
    times: int
    setting: str
    lost: int
    """The place that the first of several time points lacks; -1 for none."""
    frames: bool
    """One enhanced file instead of many."""
    told_by: str
    """ "position", "location" or "number"."""
    identifiers: str
    syntax: str
    numbers: tuple[tuple[int, int], bool]
    modality: tuple
    interest: tuple
    padding: str
    inverted: bool
    seed: int

    @property
    def inner(self) -> set[int]:
        """Missing places between others."""
        return {place for place in self.missing if 0 < place < self.places - 1}

    @property
    def makes_sense(self) -> bool:
        """Whether it is known what should come out."""
        stored, mapped_by_table = self.numbers[0][1], "table" in (self.modality[0], self.interest[0])
        lone = self.identifiers in ("a series for each", "none")
        plain = (
            self.syntax in (EXPLICIT, IMPLICIT)
            and self.identifiers == "good"
            and self.setting not in ("nothing", "triggers")
        )
        return (
            (not lone or self.told_by == "position" and self.times == 1 and not self.missing and self.places > 4)
            and (self.told_by != "number" or self.places > 1 and (self.setting != "nothing" or self.times == 1))
            and (not mapped_by_table or stored <= 12)  # too long for the length of a US
            and (self.lost < 0 or self.times > 1 and self.told_by != "number" and not SETTINGS[self.setting][0])
            and (not self.frames or plain and self.told_by == "position" and not mapped_by_table)
        )


CASES = st.builds(
    Series,
    places=st.integers(1, 12),
    spacing=st.sampled_from([0.4, 1.0, 3.3, 6.5]),
    turn=st.one_of(st.just((0.0, 0.0, 0.0)), st.tuples(*[st.floats(-25, 25)] * 3)),
    plane=st.integers(0, 5),
    missing=st.one_of(st.just(frozenset()), st.frozensets(st.integers(1, 10), max_size=2)),
    lost=st.one_of(st.just(-1), st.integers(0, 11)),
    frames=st.sampled_from([False, False, True]),
    times=st.sampled_from([1, 1, 2, 3]),
    setting=st.sampled_from(sorted(SETTINGS)),
    told_by=st.sampled_from(["position", "position", "position", "location", "number"]),
    identifiers=st.sampled_from(["good", "good", "one for all slices", "a series for each", "none"]),
    syntax=st.sampled_from([EXPLICIT, EXPLICIT, IMPLICIT, DEFLATED, BIG_ENDIAN, RLE, JPEG_LOSSLESS, JPEG_LS, JPEG2000]),
    numbers=NUMBERS,
    modality=MODALITIES,
    interest=VALUES_OF_INTEREST,
    padding=st.sampled_from(["none", "none", "value", "unsigned", "range", "range, turned"]),
    inverted=st.booleans(),
    seed=st.integers(0, 2**16),
).filter(lambda case: case.makes_sense)


def build(case: Series) -> list[tuple[int, int, bytes]]:
    """(place, time, file) of each slice."""
    random_ = np.random.default_rng(case.seed)
    allocated, stored = case.numbers[0]
    signed = case.numbers[1]
    low, high = (-(2 ** (stored - 1)), 2 ** (stored - 1) - 1) if signed else (0, 2**stored - 1)
    rows, columns = direction(case)
    normal = np.cross(rows, columns)
    shared = {} if case.identifiers == "none" else {"SeriesInstanceUID": "1.2.3.4"}
    files = []
    for time in range(case.times):
        for place in sorted(set(range(case.places)) - case.inner - {case.lost if time == 0 else -1}):
            pixels = draw(place, case.places, low, high, random_)
            pixels = low + high - pixels if case.inverted else pixels
            tags = shared | mapping(case, pixels, low, high, place) | SETTINGS[case.setting][1](time)
            if case.identifiers == "a series for each":
                tags["SeriesInstanceUID"] = f"1.2.3.4.{place + 1}"
            if case.identifiers == "one for all slices":
                tags["SOPInstanceUID"] = "1.2.3.4.5"
            jitter = random_.uniform(-1e-7, 1e-7, 6)
            tags["ImageOrientationPatient"] = [f"{c:.9f}"[:16] for c in np.concatenate([rows, columns]) + jitter]
            along = case.spacing * place
            if case.told_by == "position":
                tags["ImagePositionPatient"] = [f"{c:.6f}"[:16] for c in normal * along - 40 * rows - 40 * columns]
            if case.told_by != "number":
                tags["SliceLocation"] = f"{along - 20:.5f}"
            number = place if case.told_by == "number" else 10**6 * time + int(random_.integers(10**6))
            tags |= {"InstanceNumber": number + 1, "PixelSpacing": [1.5, 1.5], "Modality": "MR"}
            tags |= {"BitsStored": stored, "HighBit": stored - 1}
            if case.inverted:
                tags["PhotometricInterpretation"] = "MONOCHROME1"
            dtype = np.dtype(f"{'i' if signed else 'u'}{allocated // 8}")
            files.append((place, time, pack(pixels.astype(dtype), case.syntax, tags)))
    return files


def direction(case: Series) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors along the rows and the columns, LPS."""
    x, y, z = np.radians(case.turn)
    turn_ = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    turn_ = turn_ @ np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    turn_ = turn_ @ np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    one, other = [(0, 1), (1, 2), (0, 2), (1, 0), (2, 1), (2, 0)][case.plane]
    sign = 1 if case.seed % 2 else -1
    return turn_[:, one], sign * turn_[:, other]


def draw(place: int, places: int, low: int, high: int, random_: np.random.Generator) -> np.ndarray:
    """A head without symmetry, whose size tells the place; its dark surroundings are the least number."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    head = x**2 + (y / 0.9) ** 2 < 0.55 + 0.4 * np.sin(np.pi * (place + 1) / (places + 1))
    share = 0.55 + 0.2 * x + 0.1 * y + 0.15 * (place + 1) / places * (x > 0.3) + random_.uniform(-0.03, 0.03, x.shape)
    return np.rint(low + (high - low) * np.where(head, share.clip(0.1, 1), 0)).astype(int)


def mapping(case: Series, pixels: np.ndarray, low: int, high: int, place: int) -> dict:
    """Tags of the gray mapping, and padding written into the pixels."""
    tags: dict = {}
    signed = case.numbers[1]
    if case.padding != "none":
        value, end = low + 1, low + 1
        pixels[:3], pixels[-2:, :9] = value, value
        if case.padding.startswith("range"):
            end = min(low + 3, high)
            pixels[3, ::2] = end
            tags["PixelPaddingRangeLimit"] = end
        if case.padding == "range, turned":
            value, tags["PixelPaddingRangeLimit"] = end, value
        tags["PixelPaddingValue"] = value
        if case.padding == "unsigned":
            tags["PixelPaddingValue"] = ("US", value % 2 ** case.numbers[0][0])
    kind, *details = case.modality
    out = (low, high)
    if kind.startswith("rescale"):
        slope, intercept = details
        if "own" in kind:
            slope, intercept = slope + place % 3, intercept - place
        tags |= {"RescaleSlope": slope, "RescaleIntercept": intercept}
        out = (low * slope + intercept, high * slope + intercept)
    elif kind == "table":
        bits = deep_enough(details[0], low, high)
        tags["ModalityLUTSequence"] = [table(low, high, bits, 1.0, signed)]
        out = (0, 2**bits - 1)
    elif kind == "empty table":
        tags["ModalityLUTSequence"] = [Dataset()]
    kind, *details = case.interest
    if kind == "table":
        bits = deep_enough(details[0], *out)
        tags["VOILUTSequence"] = [table(int(out[0]), int(out[1]), bits, details[1], out[0] < 0)]
    elif kind == "empty table":
        item = Dataset()
        item.LUTExplanation = "none"
        tags["VOILUTSequence"] = [item]
    elif kind != "none":
        start, end, own = details
        factor = 1 + 0.05 * (place % 4) if own else 1
        center, width = out[0] + (out[1] - out[0]) * (start + end) / 2 * factor, (out[1] - out[0]) * (end - start)
        tags |= {"WindowCenter": f"{center:.6g}", "WindowWidth": f"{max(width, 2):.6g}", "VOILUTFunction": kind}
    return tags


def deep_enough(bits: int, low: float, high: float) -> int:
    """16 instead of 8 for more than 256 numbers: pydicom looks tables of 8 bits up by numbers of 8 bits."""
    return 16 if high - low > 255 else bits


def table(low: int, high: int, bits: int, power: float, signed: bool) -> Dataset:
    """A look-up table that grows from 0 to its greatest number, of at most 30,000 entries."""
    low = max(low, -(2**15))
    count = min(high - low + 1, 30_000)
    entries = np.rint(np.linspace(0, 1, count) ** power * (2**bits - 1)).astype(int)
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if signed else "US", [count, low, bits])
    item.add_new("LUTData", "US", entries.tolist())
    return item


def pack(pixels: np.ndarray, syntax: str, tags: dict) -> bytes:
    """A DICOM file of these stored numbers."""
    unsigned = pixels.view(f"u{pixels.itemsize}")
    data = {
        RLE: lambda: encapsulate([rle(unsigned)]),
        JPEG_LOSSLESS: lambda: encapsulate([imagecodecs.jpeg8_encode(unsigned, lossless=True)]),
        JPEG_LS: lambda: encapsulate([imagecodecs.jpegls_encode(unsigned)]),
        JPEG2000: lambda: encapsulate([imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True)]),
        BIG_ENDIAN: lambda: pixels.astype(pixels.dtype.newbyteorder(">")).tobytes(),
    }.get(syntax, pixels.tobytes)()
    plain = {tag: value for tag, value in tags.items() if not isinstance(value, tuple)}
    written = {tag: Sequence(value) if tag.endswith("Sequence") else value for tag, value in plain.items()}
    ambiguous = "SS" if pixels.dtype.kind == "i" else "US"
    dataset = Dataset()
    for tag in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        if tag in tags:
            vr, value = tags[tag] if isinstance(tags[tag], tuple) else (ambiguous, tags[tag])
            dataset.add_new(tag, vr, value)
            written[tag] = dataset[tag]
    return dicom(pixels, syntax, data=data, **written)


GROUPS = {  # of an enhanced file: tag -> the functional group and the tag in it
    "ImagePositionPatient": ("PlanePositionSequence", "ImagePositionPatient"),
    "ImageOrientationPatient": ("PlaneOrientationSequence", "ImageOrientationPatient"),
    "PixelSpacing": ("PixelMeasuresSequence", "PixelSpacing"),
    "RescaleSlope": ("PixelValueTransformationSequence", "RescaleSlope"),
    "RescaleIntercept": ("PixelValueTransformationSequence", "RescaleIntercept"),
    "WindowCenter": ("FrameVOILUTSequence", "WindowCenter"),
    "WindowWidth": ("FrameVOILUTSequence", "WindowWidth"),
    "VOILUTFunction": ("FrameVOILUTSequence", "VOILUTFunction"),
    "TemporalPositionIdentifier": ("FrameContentSequence", "TemporalPositionIndex"),
    "AcquisitionNumber": ("FrameContentSequence", "FrameAcquisitionNumber"),
    "EchoTime": ("MREchoSequence", "EffectiveEchoTime"),
    "DiffusionBValue": ("MRDiffusionSequence", "DiffusionBValue"),
    "ImageType": ("MRImageFrameTypeSequence", "FrameType"),
    "FlipAngle": ("MRTimingAndRelatedParametersSequence", "FlipAngle"),
}


def merge(files: list[bytes], syntax: str) -> bytes:
    """One enhanced file of these uncompressed ones."""
    datasets = [pydicom.dcmread(io.BytesIO(data)) for data in files]
    frames = []
    for dataset in datasets:
        groups: dict[str, Dataset] = {}
        for tag, (group, own) in GROUPS.items():
            if tag in dataset:
                setattr(groups.setdefault(group, Dataset()), own, dataset[tag].value)
        frame = Dataset()
        for group, item in groups.items():
            setattr(frame, group, Sequence([item]))
        frames.append(frame)
    first = datasets[0]
    kept = (
        "Modality",
        "BitsStored",
        "HighBit",
        "PhotometricInterpretation",
        "PixelPaddingValue",
        "PixelPaddingRangeLimit",
    )
    tags = {tag: first[tag] for tag in kept if tag in first}
    pixels = np.stack(
        [np.frombuffer(d.PixelData, f"{'iu'[1 - d.PixelRepresentation]}{d.BitsAllocated // 8}") for d in datasets]
    )
    pixels = pixels.reshape(len(datasets), SIDE, SIDE)
    return dicom(pixels, syntax, PerFrameFunctionalGroupsSequence=Sequence(frames), SeriesInstanceUID="1.2.3.4", **tags)
