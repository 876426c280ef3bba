"""Which slices of DICOM files are neighbors: the files of a series -> stacks, each of one scan.

Two rules, for files as for the frames of one file:

- One scan, one stack. Slices are neighbors only where they lie side by side. Those that share a place are not: they are
  copies, time points, directions, or pictures with other settings. Copies are left out. Of other settings (`Frame.
  settings`: echo time, b value, type of picture, ...) each becomes a stack of its own. Of time points and the like the
  first at each place is taken, as of a 4D NIfTI file. So a verdict does not change when slices come several times.
- What belongs together is told by what the files hold, not by an identifier alone, and with tolerances that have no
  steps: numbers belong together if no two neighbors among them, in order of size, are further apart than a distance.
  Nothing is rounded, so no two equal numbers end up on two sides of a step. Files of one SOPInstanceUID are copies only
  if their bytes are. Files that each name a series of their own, or none, are one if they lie evenly on one line.

The place of a slice is that along its normal; without positions, SliceLocation; without that, InstanceNumber.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from brain_tumor.reading.dicom.frames import Frame
from brain_tumor.reading.dicom.header import Header
from brain_tumor.reading.dicom.places import SAME_PLACE, cluster, measure_steps, note_gaps
from brain_tumor.reading.dicom.words import NOT_STATED, SEQUENCES

MOST_IN_LOCALIZER = 15
"""Slices of a localizer in one direction, and in all three planes of the body together if no header says what it is."""

MOST_DIRECTIONS = 10
"""In which slices may lie to be stacks; those of more, turned around an axis for instance, stand alone."""

MOST_SETTINGS = 6
"""Of one setting: with more, as in maps of relaxation or diffusion, the first at each place is taken."""

LEAST_ON_A_LINE = 5
"""Files without a series of their own that lie so evenly on a line by chance are unlikely."""


@dataclass(frozen=True)
class DicomFile:
    """A DICOM file whose header has been read; it is read again when its pixels are needed."""

    name: str
    header: Header
    read: Callable[[], bytes]
    digest: bytes = b""
    """Equal for equal bytes."""
    zip: str = ""
    """The name of the zip that it is in; empty outside of zips."""


@dataclass(frozen=True)
class Picture:
    """A frame of a file."""

    file: DicomFile
    index: int
    """The frame's in its file, from 0."""

    @property
    def frame(self) -> Frame:
        return self.file.header.frames[self.index]


@dataclass(frozen=True)
class Stack:
    """Slices of one scan, or of a localizer, in order: with places, from one end of the head to the other."""

    pictures: list[Picture]
    notes: list[str] = field(default_factory=list)
    """Sentences for the visitor."""
    placed: bool = False
    """They lie side by side, and it is known where."""
    alone: bool = False
    """They do not lie side by side, so each is a scan of its own."""
    localizer: bool = False

    @property
    def name(self) -> str:
        return self.pictures[0].file.name


def join_lone(series: Iterable[list[DicomFile]]) -> list[list[DicomFile]]:
    """Join series of one slice that are one series by what they hold; see the module.

    Args:
        series: the files of each, as `Header.key` tells them apart.

    Returns:
        The same with some of them joined, each where its first file stood.
    """
    joined, alike = list(series), {}
    for files in joined:
        header = files[0].header
        if len(files) == len(header.frames) == 1 and header.frames[0].orientation and header.frames[0].position:
            spacing, facts = header.frames[0].spacing, tuple(header.facts.items())
            # Two patients in two zips may have been scanned alike.
            kind = files[0].zip, header.rows, header.columns, header.color, spacing, header.thickness, facts
            alike.setdefault(kind, []).append(files)
    for lone in alike.values():
        directions = _split_by_direction([Picture(files[0], 0) for files in lone])
        for some in directions[:MOST_DIRECTIONS]:
            if len(some) >= LEAST_ON_A_LINE and _lie_evenly_on_a_line(_sort_by_place(some)[0]):
                whole = [picture.file for picture in some]
                at = next(i for i, files in enumerate(joined) if files[0] is whole[0])
                joined[at] = whole
                others = {id(file) for file in whole[1:]}
                joined = [files for files in joined if id(files[0]) not in others]
    return joined


def _lie_evenly_on_a_line(pictures: list[Picture]) -> bool:
    step, even, aside = measure_steps([picture.frame for picture in pictures])
    return even and abs(step) > SAME_PLACE and aside <= SAME_PLACE


def find_stacks(files: list[DicomFile]) -> list[Stack]:
    """Find the stacks in the files of one series.

    Args:
        files: at least one, in any order, of one `Header.key`.

    Returns:
        At least one, in the order of their first files.
    """
    different = list({file.digest or id(file): file for file in reversed(files)}.values())[::-1]
    left = len(files) - len(different)
    notes = [f"{left} of the files {'is a duplicate and is' if left == 1 else 'are duplicates and are'} left out."]
    notes = notes if left else []
    pictures = [Picture(file, index) for file in different for index in range(len(file.header.frames))]
    if different[0].header.mosaic:  # each holds a whole volume
        return [Stack(pictures, notes, alone=True)]
    directions = _split_by_direction(pictures)
    if _are_localizer(different, pictures, directions):
        notes.append("This is a localizer, by which a scan was planned: each of its slices stands alone.")
        return [Stack(sorted(pictures, key=_number), notes, alone=True, localizer=True)]
    if len(directions) > MOST_DIRECTIONS:
        notes.append("The slices lie in many directions: each stands alone.")
        return [Stack(sorted(pictures, key=_number), notes, alone=True)]
    return [stack for some in directions for stack in _split_by_place(some, notes)]


def _split_by_direction(pictures: list[Picture]) -> list[list[Picture]]:
    """Split pictures into those that lie in parallel planes; those of unknown direction are one group.

    Not further than into one group more than `MOST_DIRECTIONS`; what is left of the pictures then is in none.
    """
    groups: list[list[Picture]] = []
    of: dict[tuple | None, list[Picture]] = {}
    for picture in pictures:
        direction = picture.frame.orientation
        if direction not in of:
            near = (group for group in groups if picture.frame.is_parallel_to(group[0].frame))
            of[direction] = next(near, [])
            if not of[direction]:
                groups.append(of[direction])
        of[direction].append(picture)
        if len(groups) > MOST_DIRECTIONS:
            break
    return groups


def _are_localizer(files: list[DicomFile], pictures: list[Picture], directions: list[list[Picture]]) -> bool:
    """True if most files say so, in a word that others use too, or none names its sequence; and only of few slices."""
    if 2 * sum(file.header.localizer for file in files) > len(files):
        ways = [_sort_by_place(group) for group in directions]
        return all(distances is None or len(set(places)) <= MOST_IN_LOCALIZER for _, places, distances, _ in ways)
    named = any(SEQUENCES & set(file.header.facts.get("Sequence", "").split(", ")) for file in files)
    return not named and len(pictures) <= MOST_IN_LOCALIZER and _are_all_planes(directions)


def _are_all_planes(directions: list[list[Picture]]) -> bool:
    """True for slices in all three planes of the body."""
    frames = [group[0].frame for group in directions if group[0].frame.orientation]
    return len({int(np.argmax(abs(frame.normal))) for frame in frames}) == 3


def _number(picture: Picture) -> tuple:
    """The order of pictures without a place; what has no number comes last."""
    number = picture.file.header.number
    return number is None, number or 0, picture.index


def _sort_by_place(pictures: list[Picture]) -> tuple[list[Picture], list[int], np.ndarray | None, bool]:
    """Sort parallel pictures by their places.

    Returns:
        The pictures, in the order in which `Block` stacks them; the number of each one's place; where the places are
        along a line, in millimeters, None if that is unknown; and whether they have positions and a direction.
    """
    pictures = sorted(pictures, key=lambda picture: (picture.frame.moment, *_number(picture)))
    frames, headers = [p.frame for p in pictures], [p.file.header for p in pictures]
    single = all(len(header.frames) == 1 for header in headers)
    positions, locations = [f.position for f in frames], [h.location for h in headers]
    numbers = [h.number for h in headers]
    along, oriented = None, all(frame.is_parallel_to(frames[0]) for frame in frames)
    if None not in positions and any(any(position) for position in positions):
        across = frames[0].normal if oriented else np.eye(3)[np.argmax(np.ptp(positions, axis=0))]
        axis = int(np.argmax(abs(across)))
        upwards = across * np.sign(across[axis]) * (1 if axis == 2 else -1)
        along = np.array(positions) @ upwards  # LPS -> right, front, head
    if not single or None in locations or not any(locations):
        locations = None
    if along is not None and (np.ptp(along) > SAME_PLACE or locations is None or np.ptp(locations) <= SAME_PLACE):
        measured, apart, placed = along, SAME_PLACE, oriented
    elif locations is not None:
        measured, apart, placed = np.array(locations), SAME_PLACE, False
    elif single and None not in numbers and len(set(numbers)) > 1 and len(set(Counter(numbers).values())) == 1:
        measured, apart, placed = np.array(numbers, float), 0.0, False
    else:
        return sorted(pictures, key=_number), list(range(len(pictures))), None, False
    places = cluster(measured, apart)
    order = sorted(range(len(pictures)), key=lambda i: places[i])  # stable: of one place the first made comes first
    distances = measured[order] if apart else None
    return [pictures[i] for i in order], [places[i] for i in order], distances, placed


def _split_by_place(pictures: list[Picture], notes: list[str]) -> list[Stack]:
    """Split parallel pictures into stacks in which no two share a place."""
    pictures, places, distances, placed = _sort_by_place(pictures)
    times = Counter(places)
    shared = [place for place, count in times.items() if count > 1]
    if not shared:
        return [Stack(pictures, [*notes, *note_gaps(distances)], placed)]
    for setting, ids in _settings(pictures):
        found: dict[int, set] = {}
        for place, id_ in zip(places, ids, strict=True):
            found.setdefault(place, set()).add(id_)
        if len(set(ids)) <= MOST_SETTINGS and 2 * sum(len(found[place]) > 1 for place in shared) >= len(shared):
            parts: dict[int, list[Picture]] = {}
            for picture, id_ in zip(pictures, ids, strict=True):
                parts.setdefault(id_, []).append(picture)
            note = f"The same places were scanned with {len(parts)} {setting}: each is a scan of its own."
            ordered = [parts[id_] for id_ in sorted(parts)]
            return [stack for part in ordered for stack in _split_by_place(part, [*notes, note])]
    ranks = list(zip(*(ids for _, ids in _settings(pictures)), strict=True))
    order = sorted(range(len(pictures)), key=lambda i: (places[i], ranks[i], i))
    firsts = [i for n, i in enumerate(order) if n == 0 or places[i] != places[order[n - 1]]]
    note = (
        f"The same {len(firsts)} places were scanned up to {max(times.values())} times (time points, directions or "
        f"copies): the first picture of each is read, {len(pictures) - len(firsts)} are left out."
    )
    distances = None if distances is None else distances[firsts]
    return [Stack([pictures[i] for i in firsts], [*notes, note, *note_gaps(distances)], placed)]


def _settings(pictures: list[Picture]) -> Iterable[tuple[str, list[int]]]:
    """Each setting in words, with the number of its value for each picture; nearly equal ones have the same."""
    names = [name for name, _ in pictures[0].frame.settings]
    values = [[value for _, value in picture.frame.settings] for picture in pictures]
    agents = [picture.file.header.facts.get("Contrast agent", NOT_STATED) for picture in pictures]
    for name, column in [*zip(names, zip(*values, strict=True), strict=True), ("states of contrast agent", agents)]:
        known = [value for value in column if isinstance(value, float)]
        if known:
            ids = iter(cluster(known, 20 if name == "b values" else 0.05, 0.02))
            yield name, [next(ids) if isinstance(value, float) else -1 for value in column]
        else:
            words = sorted({str(value) for value in column})
            yield name, [words.index(str(value)) for value in column]
