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
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

import numpy as np

from brain_tumor.reading.dicom.frames import Frame
from brain_tumor.reading.dicom.header import Header
from brain_tumor.reading.dicom.places import SAME_PLACE, SAME_SPACING, cluster, measure_steps, note_gaps
from brain_tumor.reading.dicom.words import NOT_STATED, SEQUENCES

MOST_IN_LOCALIZER = 15
"""Slices of a localizer in one direction, and in all three planes of the body together if no header says what it is."""

MOST_DIRECTIONS = 10
"""In which slices may lie to be stacks; those of more, turned around an axis for instance, stand alone."""

MOST_SETTINGS = 6
"""Of one setting: with more, as in maps of relaxation or diffusion, the first at each place is taken."""

LEAST_ASIDE = 4
"""Slices of one setting that lie so evenly between those of another by chance are unlikely."""

COARSE = 0.2
"""Settings that differ by less than this share may vary from slice to slice of one scan."""

NEAR = 0.25
"""Slices that share a place may lie aside by this share of the distance between slices: heads move between scans."""

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
    return [stack for some in directions for part in _split_by_zip(some) for stack in _split_by_place(part, notes)]


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


def _split_by_zip(pictures: list[Picture]) -> list[list[Picture]]:
    """Split parallel pictures by the zips they are in, if these hold the same places: patients under one identifier."""
    if len({picture.file.zip for picture in pictures}) == 1:
        return [pictures]
    pictures, places, *_ = _sort_by_place(pictures)
    zips = [picture.file.zip for picture in pictures]
    several = len(set(zip(places, zips, strict=True))) - len(set(places))
    return [[pictures[i] for i in part] for part in _group(zips)] if 2 * several >= len(set(places)) else [pictures]


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
    given = pictures
    # By the bytes at last: which of several pictures of a place is read must not depend on the order of the files.
    pictures = sorted(given, key=lambda picture: (picture.frame.moment, *_number(picture), picture.file.digest))
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
        return sorted(given, key=_number), list(range(len(given))), None, False
    places = cluster(measured, apart)
    if apart:
        places = _join_near(pictures, measured, places)
    order = sorted(range(len(pictures)), key=lambda i: places[i])  # stable: of one place the first made comes first
    distances = measured[order] if apart else None
    return [pictures[i] for i in order], [places[i] for i in order], distances, placed


def _join_near(pictures: list[Picture], measured: np.ndarray, places: list[int]) -> list[int]:
    """Make one place of those that lie far nearer together than slices do, if each holds pictures of other moments."""
    moments = list(zip(*(picture.frame.moment for picture in pictures), strict=True))
    for column in [*(ids for _, ids in _settings(pictures)), *moments]:
        of_one = [np.diff(sorted({places[i]: measured[i] for i in some}.values())) for some in _group(column)]
        steps = np.concatenate(of_one)
        if not len(steps):  # each picture has a moment of its own
            steps = np.diff(sorted(dict(zip(places, measured, strict=True)).values()))
        apart = NEAR * float(np.median(steps)) if len(steps) else 0.0
        joined = cluster(measured, max(apart, SAME_PLACE))
        pairs = set(zip(joined, column, places, strict=True))
        # Of one moment no two places are joined: that would lose slices.
        if len(set(joined)) < len(set(places)) and len({pair[:2] for pair in pairs}) == len(pairs):
            return joined
    return places


def _group(ids: Iterable[Hashable]) -> list[list[int]]:
    """The indices of equal ids, for each, in the order of the ids."""
    groups: dict[Hashable, list[int]] = {}
    for index, id_ in enumerate(ids):
        groups.setdefault(id_, []).append(index)
    return [groups[id_] for id_ in sorted(groups)]


def _lie_between_each_other(parts: list[list[int]], distances: np.ndarray | None) -> bool:
    """True for parts that are each evenly spaced and reach over the same range, as scans do but parts of one do not."""
    if distances is None or len(parts) < 2:
        return False
    wheres = [np.sort(distances[part]) for part in parts]
    steps = [np.diff(where) for where in wheres]
    steps = [some[some > SAME_PLACE] for some in steps]
    if min(map(len, steps)) < LEAST_ASIDE - 1:
        return False
    typical = [float(np.median(some)) for some in steps]
    even = all(abs(some - t).max() <= max(SAME_SPACING * t, 0.1) for some, t in zip(steps, typical, strict=True))
    common = min(where[-1] for where in wheres) - max(where[0] for where in wheres)
    return even and 2 * common >= min(np.ptp(where) for where in wheres)


def _split_by_place(pictures: list[Picture], notes: list[str]) -> list[Stack]:
    """Split parallel pictures into stacks in which no two share a place."""
    pictures, places, distances, placed = _sort_by_place(pictures)
    times = Counter(places)
    shared = [place for place, count in times.items() if count > 1]
    for coarse in (False, True):
        for setting, ids in _settings(pictures, coarse):
            found: dict[int, set] = {}
            for place, id_ in zip(places, ids, strict=True):
                found.setdefault(place, set()).add(id_)
            parts = _group(ids)
            of_several = sum(len(ids_there) > 1 for ids_there in found.values())
            if coarse and not of_several and _lie_between_each_other(parts, distances):
                note = f"Slices of {len(parts)} {setting} lie between each other: each is a scan of its own."
            elif not coarse and 2 * of_several >= len(shared) > 0:
                note = f"The same places were scanned with {len(parts)} {setting}: each is a scan of its own."
            else:
                continue
            if len(parts) <= MOST_SETTINGS:
                own = [[pictures[i] for i in part] for part in parts]
                return [stack for part in own for stack in _split_by_place(part, [*notes, note])]
    if not shared:
        return [Stack(pictures, [*notes, *note_gaps(distances)], placed)]
    if len(times) == 1 and len(pictures) >= LEAST_ON_A_LINE:  # of a few, the others may be copies
        note = "By their header all slices lie at one place, so none stands for the others: each stands alone."
        return [Stack(sorted(pictures, key=_number), [*notes, note], alone=True)]
    ranks = list(zip(*(ids for _, ids in _settings(pictures)), strict=True))
    order = sorted(range(len(pictures)), key=lambda i: (places[i], ranks[i], i))
    firsts = [i for n, i in enumerate(order) if n == 0 or places[i] != places[order[n - 1]]]
    note = (
        f"The same {len(firsts)} places were scanned up to {max(times.values())} times (time points, directions or "
        f"copies): the first picture of each is read, {len(pictures) - len(firsts)} are left out."
    )
    distances = None if distances is None else distances[firsts]
    return [Stack([pictures[i] for i in firsts], [*notes, note, *note_gaps(distances)], placed)]


def _settings(pictures: list[Picture], coarse: bool = False) -> Iterable[tuple[str, list[int]]]:
    """Each setting in words, with the number of its value for each picture; nearly equal ones have the same.

    With `coarse` also those that differ as much as settings of one scan may from slice to slice.
    """
    names = [name for name, _ in pictures[0].frame.settings]
    values = [[value for _, value in picture.frame.settings] for picture in pictures]
    agents = [picture.file.header.facts.get("Contrast agent", NOT_STATED) for picture in pictures]
    spacings = [picture.frame.spacing and picture.frame.spacing[0] for picture in pictures]
    columns = [*zip(names, zip(*values, strict=True), strict=True)]
    for name, column in [*columns, ("states of contrast agent", agents), ("pixel spacings", spacings)]:
        known = [value for value in column if isinstance(value, float)]
        if known:
            apart = {"b values": 20, "pixel spacings": 0.0}.get(name, 0.05)
            ids = iter(cluster(known, apart, COARSE if coarse and name != "pixel spacings" else 0.02))
            yield name, [next(ids) if isinstance(value, float) else -1 for value in column]
        else:
            words = sorted({str(value) for value in column})
            yield name, [words.index(str(value)) for value in column]
