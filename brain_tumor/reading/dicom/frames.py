"""Where each frame of a DICOM file lies, and with which settings and when it was taken: numbers and codes alone."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from brain_tumor.reading.dicom.parsing import read_number, read_numbers, read_words

PARALLEL = 0.02
"""Directions are the same if none of their cosines differs by more: 1 degree. Files round theirs to 6 or 7 digits."""

_SETTINGS = {
    "echo times": ("MREchoSequence", "EffectiveEchoTime", "EchoTime"),
    "inversion times": ("MRModifierSequence", "InversionTimes", "InversionTime"),
    "repetition times": ("MRTimingAndRelatedParametersSequence", "RepetitionTime", "RepetitionTime"),
    "flip angles": ("MRTimingAndRelatedParametersSequence", "FlipAngle", "FlipAngle"),
    "b values": ("MRDiffusionSequence", "DiffusionBValue", "DiffusionBValue"),
}
"""Words -> the functional group of an enhanced file, the number in it, and the same of a file of one slice."""

_MOMENTS = (
    ("FrameContentSequence", "TemporalPositionIndex", "TemporalPositionIdentifier"),
    ("FrameContentSequence", "FrameAcquisitionNumber", "AcquisitionNumber"),
    ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime", "TriggerTime"),
)


@dataclass(frozen=True)
class Frame:
    """One frame of a file, as the header describes it."""

    orientation: tuple[float, ...] | None
    """Direction cosines of rows and columns, towards the patient's left, back and head (DICOM's LPS)."""
    position: tuple[float, ...] | None
    """Of the center of the first pixel, in millimeters, LPS."""
    spacing: tuple[float, float] | None
    """Millimeters from row to row and from column to column."""
    settings: tuple[tuple[str, float | str | None], ...]
    """What makes two pictures of one place look different: words (`_SETTINGS`) -> milliseconds, degrees, s/mm2."""
    moment: tuple[float, ...]
    """What comes later is larger: number of the time point, of the acquisition, milliseconds after a trigger."""

    @cached_property
    def normal(self) -> np.ndarray:
        """Unit vector across the slice, towards the patient's right to left, front to back or foot to head (LPS)."""
        return np.cross(self.orientation[:3], self.orientation[3:])

    def is_parallel_to(self, other: "Frame") -> bool:
        """True if both lie in parallel planes, with rows in the same direction."""
        if self.orientation is None or other.orientation is None:
            return False
        return bool(np.abs(np.subtract(self.orientation, other.orientation)).max() < PARALLEL)


class Groups:
    """What the frames of an enhanced file share, and what each has of its own (functional groups, PS3.3 C.7.6.16).

    A file without them is a file of one frame whose own tags are meant.
    """

    def __init__(self, dataset):
        self.dataset = dataset
        self._shared = self._read("SharedFunctionalGroupsSequence")[:1]
        self._each = self._read("PerFrameFunctionalGroupsSequence")
        self._items: dict[tuple, object] = {}
        """Those of thousands of frames are mostly the same, and each takes pydicom a while."""

    def _read(self, tag: str) -> list:
        try:
            return list(self.dataset.get(tag) or [])
        except Exception:  # pydicom converts a value when it is asked for, and a damaged one can raise nearly anything
            return []

    def __bool__(self) -> bool:
        """True if the frames may differ."""
        return bool(self._each)

    def find(self, index: int, tag: str, own: bool = False):
        """The item of a frame's group, its own or, unless `own`, the shared one; the file itself if there is none."""
        for place in (*self._each[index : index + 1], *([] if own else self._shared)):
            try:
                if tag in place:
                    stored = place.get_item(tag).value  # bytes, as long as nobody has asked for the items
                    key = (tag, stored) if isinstance(stored, bytes) else None
                    item = self._items.get(key) or place.get(tag)[0]
                    if key:
                        self._items[key] = item
                    return item
            except Exception:
                continue
        return self.dataset

    def number(self, index: int, group: str, tag: str, tag_of_file: str) -> float | None:
        """A number of a frame's group, or of the file."""
        item = self.find(index, group)
        return read_number(item, tag_of_file if item is self.dataset else tag)


def describe_frames(groups: Groups, count: int) -> tuple[Frame, ...]:
    """Each frame's place, settings and moment: those of the file, or of an enhanced file's functional groups."""
    frames = tuple(_describe_frame(groups, index, count > 1) for index in range(count if groups else 1))
    return frames if groups else frames * count


def _describe_frame(groups: Groups, index: int, one_of_several: bool) -> Frame:
    kind = groups.find(index, "MRImageFrameTypeSequence")
    kinds = "/".join(read_words(kind, "ImageType" if kind is groups.dataset else "FrameType")).upper()
    settings = {"types of picture": kinds or None}
    settings |= {name: groups.number(index, *tags) for name, tags in _SETTINGS.items()}
    orientation = read_numbers(groups.find(index, "PlaneOrientationSequence"), "ImageOrientationPatient", 6)
    # One position for several frames is that of the first, and says nothing of where the others lie.
    place = groups.find(index, "PlanePositionSequence", own=one_of_several)
    unknown = one_of_several and place is groups.dataset
    return Frame(
        orientation=_check_orientation(orientation),
        position=None if unknown else read_numbers(place, "ImagePositionPatient", 3),
        spacing=_read_spacing(groups.find(index, "PixelMeasuresSequence")),
        settings=tuple(settings.items()),
        moment=tuple(groups.number(index, *tags) or 0.0 for tags in _MOMENTS),
    )


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
