"""DICOM files -> uploads: single slices, frames, and series sorted along the normal of their slices."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from brain_tumor.reading.dicom.header import Frame, Header
from brain_tumor.reading.dicom.pixels import read_frames
from brain_tumor.reading.pictures import MIN_SIDE, ScanError
from brain_tumor.reading.uploads import MAX_VOXELS, Rejected, Slice, Upload
from brain_tumor.reading.volumes import MIN_STACK, PLANES, Block, find_square_size, note_thinning, thin, to_picture
from brain_tumor.reading.windows import Window, describe_percentiles, find_percentile_window, hide_background

SAME_SPACING = 0.05
"""Slices are evenly spaced if no distance between two is off by more than this share (or 0.1 mm)."""


@dataclass(frozen=True)
class DicomFile:
    """A DICOM file whose header has been read; it is read again when its pixels are needed."""

    name: str
    header: Header
    read: Callable[[], bytes]


def read_series(files: list[DicomFile], name: str, plane: str | None = None) -> Iterator[Upload | Rejected]:
    """Read the files of one key (`Header.key`) as one upload.

    Args:
        files: at least one, in any order.
        name: what the upload is called.
        plane: how a volume that has a choice is cut. Default: as it is finest.

    Yields:
        `Rejected` for each file that cannot be decoded, then the upload, if anything is left of it.
    """
    notes = []
    different = list({file.header.instance or id(file): file for file in reversed(files)}.values())[::-1]
    if len(different) < len(files):
        notes.append(f"{len(files) - len(different)} of the files are duplicates and are left out.")
    first = different[0].header
    pictures = _sort([(file, index) for file in different for index in range(len(file.header.frames))])
    taken = thin(len(pictures), max(1, MAX_VOXELS // (first.rows * first.columns)))
    notes += note_thinning(len(pictures), taken)
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
        notes.append(f"The file says that this is {first.modality}, not MRI: the model was trained on MRI alone.")
    try:
        yield _make_upload(name, [(n, f, i, decoded.pop((id(f), i))) for n, f, i in numbered], plane, notes)
    except ScanError as error:
        yield Rejected(name, str(error))


def _normal(frame: Frame) -> np.ndarray:
    """Unit vector across the slices, towards the patient's right to left, front to back or foot to head (LPS)."""
    row, column = np.array(frame.orientation[:3]), np.array(frame.orientation[3:])
    return np.cross(row, column)


def _sort(pictures: list[tuple[DicomFile, int]]) -> list[tuple[DicomFile, int]]:
    """Sort along the slices' normal, in the order in which `Block` stacks them; by number if one has no place."""

    def number(picture: tuple[DicomFile, int]) -> tuple:
        file, index = picture
        return (file.header.number is None, file.header.number or 0, index)

    frames = [file.header.frames[index] for file, index in pictures]
    pictures = sorted(pictures, key=number)
    orientation = frames[0].orientation
    if orientation is None or any(f.position is None or not _are_parallel(f.orientation, orientation) for f in frames):
        return pictures
    normal = _normal(frames[0])
    axis = int(np.argmax(abs(normal)))
    upwards = normal * np.sign(normal[axis]) * (1 if axis == 2 else -1)  # LPS -> right, front, head
    return sorted(pictures, key=lambda p: round(float(upwards @ p[0].header.frames[p[1]].position), 3))


def _are_parallel(orientation: tuple[float, ...] | None, other: tuple[float, ...]) -> bool:
    return orientation is not None and bool(np.abs(np.subtract(orientation, other)).max() < 0.02)


def _make_upload(
    name: str, pictures: list[tuple[int, DicomFile, int, np.ndarray]], plane: str | None, notes: list[str]
) -> Upload:
    header, frame = pictures[0][1].header, pictures[0][1].header.frames[pictures[0][2]]
    frames = [file.header.frames[index] for _, file, index, _ in pictures]
    stacked = frame.orientation is not None and all(_are_parallel(f.orientation, frame.orientation) for f in frames)
    placed = stacked and (len(pictures) == 1 or all(f.position is not None for f in frames))
    if header.color or not placed:
        return _make_pages(name, pictures, notes)
    values, affine, regular = _stack(pictures, frames)
    window = _choose_window(values, frames, header)
    block = Block(values, affine, regular, stacked=0)
    planes = block.planes
    native = block.native_plane if planes else PLANES[block.stacked_along]
    shown = plane if plane in planes else native
    slices, more = block.slices(shown, window)
    if 1 < len(pictures) == len(slices) and shown == PLANES[block.stacked_along]:  # numbered within the whole series
        slices = [Slice(s.image, f"slice {p[0]}", s.counts) for s, p in zip(slices, pictures, strict=True)]
    facts = _describe(header, slices, window) | {"Plane": shown}
    if len(pictures) == 1:
        facts |= _describe_place(header)
    if regular:
        facts["Voxels"] = " x ".join(f"{s:.3g}" for s in np.linalg.norm(affine[:3, [2, 1, 0]], axis=0)) + " mm"
    kind = "picture" if len(pictures) == 1 else "volume" if regular else "series"
    return Upload(name, kind, slices, facts, notes + more, shown, planes, sides_known=shown != "sagittal")


def _stack(pictures: list, frames: list[Frame]) -> tuple[np.ndarray, np.ndarray, bool]:
    """Stack pictures: (slices, rows, columns) float32, its affine to RAS, and whether it can be cut in other planes.

    Each picture's numbers are released once they are copied, so memory holds them only once.
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
    """Choose one window for all slices: the file's (the middle one of several) if it fits, or percentiles.

    A window that paints half of the picture white, or nearly all of it black, is a mistake. Gray levels of 8 bits
    without a window are shown as they are, like those of a PNG.
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
    window = find_percentile_window(values)
    if header.inverted:
        return replace(window, words=describe_percentiles(-window.high, -window.low))
    return window


def _make_pages(name: str, pictures: list, notes: list[str]) -> Upload:
    """Make an upload of pictures that form no stack, being in color or without a place: each stands alone."""
    header = pictures[0][1].header
    one_file = all(file is pictures[0][1] for _, file, *_ in pictures)
    frames = [file.header.frames[index] for _, file, index, _ in pictures]
    window = None if header.color else _choose_window(np.stack([p[3] for p in pictures]), frames, header)
    slices, planes = [], set()
    for (number, *_, values), frame in zip(pictures, frames, strict=True):
        picture, plane = _show_alone(values, frame, window)
        word = "" if len(pictures) == 1 else f"frame {number}" if one_file else f"slice {number}"
        slices.append(Slice(picture, word))
        planes.add(plane)
    plane = planes.pop() if len(planes) == 1 else None
    unit = "frames" if one_file else "slices"
    facts = _describe(header, slices, window, unit) | ({"Plane": plane} if plane else {})
    facts |= _describe_place(header) if len(slices) == 1 else {}
    kind = "picture" if len(slices) == 1 else "pages" if one_file else "series"
    if kind == "pages":
        notes = [*notes, f"A file of {len(slices)} frames: each frame is a scan of its own."]
    return Upload(name, kind, slices, facts, notes, plane, (), sides_known=plane in ("axial", "coronal"))


def _show_alone(values: np.ndarray, frame: Frame, window: Window | None):
    """Show a picture by itself: 8-bit RGB of square pixels; and its plane, None if the file does not tell."""
    height, width = values.shape[:2]
    if frame.orientation is not None and values.ndim == 2:
        affine = np.eye(4)
        affine[:3, :3] = _axes(frame, _normal(frame))
        block = Block(values[None], affine, regular=False, stacked=0)
        (slice_,), _ = block.slices(block.native_plane, window)
        return slice_.image, block.native_plane
    size = find_square_size((width, height), (frame.spacing or (1, 1))[::-1])
    if min(size) < MIN_SIDE:
        raise ScanError(
            f"This picture is {size[0]} x {size[1]} pixels; a slice needs at least {MIN_SIDE} on its shorter side."
        )
    return to_picture(window(values) if window else values, size), None


def _describe(header: Header, slices: list[Slice], window: Window | None, unit: str = "slices") -> dict[str, str]:
    width, height = slices[0].image.size
    facts = {
        "Format": f"DICOM, {header.syntax}",
        "Size": f"{width} x {height} pixels" + (f", {len(slices)} {unit}" if len(slices) > 1 else ""),
        "Bit depth": f"{header.bits} bits, {'color' if header.color else 'gray'}",
    }
    facts |= {name: words for name, words in (("Modality", header.modality), ("Sequence", header.sequence)) if words}
    return facts | ({"Window": window.words} if window else {})


def _describe_place(header: Header) -> dict[str, str]:
    words = [f"number {header.number}"] if header.number is not None else []
    words += [f"at {header.location:.1f} mm"] if header.location is not None else []
    return {"Slice": ", ".join(words)} if words else {}
