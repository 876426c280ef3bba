"""A stack of DICOM slices -> an upload: decoded, cut in a plane, with facts and notes."""

import hashlib
from collections.abc import Hashable, Iterator
from dataclasses import replace

import numpy as np

from brain_tumor.reading.dicom.frames import Frame
from brain_tumor.reading.dicom.grays import Grays
from brain_tumor.reading.dicom.header import Header
from brain_tumor.reading.dicom.pixels import read_frames
from brain_tumor.reading.dicom.places import measure_steps
from brain_tumor.reading.dicom.stacks import Picture, Stack
from brain_tumor.reading.dicom.words import NOT_STATED, name_times
from brain_tumor.reading.levels import ScanError
from brain_tumor.reading.pictures import MIN_SIDE
from brain_tumor.reading.uploads import MAX_VOXELS, Rejected, Slice, Upload
from brain_tumor.reading.volumes import MIN_STACK, PLANES, Block, find_square_size, note_thinning, thin, to_picture
from brain_tumor.reading.windows import (
    Window,
    believe,
    describe_percentiles,
    find_percentile_window,
    hide_background,
    middle_of,
)

_MOSAIC = (
    "This DICOM file is a mosaic: one picture that holds many small slices, as scanners of Siemens store echo planar "
    "series. It is not read. Upload another series, or convert this one to NIfTI, for instance with dcm2niix."
)

Decoded = tuple[int, Picture, Grays | np.ndarray]
"""A picture's number in its whole stack, from 1; the picture; and its grays, or (rows, columns, 3) uint8 of color."""


def read_stack(stack: Stack, name: str, plane: str | None = None) -> Iterator[Upload | Rejected]:
    """Read a stack as one upload.

    Args:
        stack: as `stacks.find_stacks` returns it.
        name: what the upload is called.
        plane: how a volume that has a choice is cut. Default: as it is finest.

    Yields:
        `Rejected` for each file that cannot be decoded, then the upload, if anything is left of it.
    """
    pictures = stack.pictures
    first = pictures[0].file.header
    if first.mosaic:
        yield Rejected(name, _MOSAIC)
        return
    taken = thin(len(pictures), max(1, MAX_VOXELS // (first.rows * first.columns)))
    notes = [*stack.notes, *note_thinning(len(pictures), taken)]
    numbered = [(i + 1, pictures[i]) for i in taken]
    decoded: dict[int, Grays | np.ndarray] = {}
    files = {id(picture.file): picture.file for _, picture in numbered}
    for file in files.values():
        wanted = [picture for _, picture in numbered if picture.file is file]
        try:
            read = read_frames(file.read(), file.header, [picture.index for picture in wanted])
            decoded |= {id(picture): pixels for picture, pixels in zip(wanted, read, strict=True)}
        except ScanError as error:
            yield Rejected(file.name, str(error))
    left = [(number, picture, decoded.pop(id(picture))) for number, picture in numbered if id(picture) in decoded]
    if not left:
        return
    if len(left) < len(numbered) and len(left) > 1:
        notes.append("Slices whose files cannot be read are missing.")
    if not stack.placed and not stack.alone and len(files) > 1:
        left, before = _leave_out_copies(left), len(left)
        notes += [f"{before - len(left)} of the pictures are copies of others and are left out."] * (len(left) < before)
    try:
        yield _make_upload(name, stack, left, plane, notes)
    except ScanError as error:
        yield Rejected(name, str(error))


def _leave_out_copies(pictures: list[Decoded]) -> list[Decoded]:
    """Without copies, where no place tells pictures apart: those of equal pixels and of the same number, if any.

    Equal ones of other numbers may be slices of a head that look alike, unless all come as often.
    """
    alike: dict[Hashable, dict[Hashable, Decoded]] = {}
    for one in pictures:
        _, picture, pixels = one
        values = pixels.values if isinstance(pixels, Grays) else pixels
        header = picture.file.header
        key = picture.frame.position, header.location, hashlib.blake2b(values.tobytes()).digest()
        # Frames of one file are told apart by their order.
        alike.setdefault(key, {}).setdefault((header.number, picture.index), one)
    times = {len(some) for some in alike.values()}
    if len(times) == 1 and len(alike) > 2:
        return [next(iter(some.values())) for some in alike.values()]
    return sorted((one for some in alike.values() for one in some.values()), key=lambda one: one[0])


def _make_upload(name: str, stack: Stack, pictures: list[Decoded], plane: str | None, notes: list[str]) -> Upload:
    _, picture, _ = pictures[0]
    header, frames = picture.file.header, [picture.frame for _, picture, _ in pictures]
    placed = frames[0].orientation is not None and (stack.placed or len(pictures) == 1)
    if header.color or stack.alone or not placed:
        return _make_pages(name, stack, pictures, notes)
    values, affine, regular = _stack(pictures, frames)
    windows = _choose_windows(values, [grays for *_, grays in pictures], header)
    block = Block(values, affine, regular, stacked=0)
    planes = block.planes
    scanned = PLANES[block.stacked_along]
    native = block.native_plane if planes else scanned
    shown = plane if plane in planes else native
    slices, more = block.slices(shown, windows)
    if 1 < len(pictures) == len(slices) and shown == scanned:  # numbered within the whole series
        slices = [Slice(s.image, f"slice {p[0]}", s.counts) for s, p in zip(slices, pictures, strict=True)]
    windows = windows if shown == scanned else [middle_of(windows)]
    facts = _describe(picture, slices, windows)
    facts["Plane"] = shown if shown == scanned else f"{shown}, cut from {scanned} slices"
    if len(pictures) == 1:
        facts |= _describe_place(header)
    if regular:
        facts["Voxels"] = " x ".join(f"{s:.3g}" for s in np.linalg.norm(affine[:3, [2, 1, 0]], axis=0)) + " mm"
    kind = "picture" if len(pictures) == 1 else "volume" if regular else "series"
    sides_known = shown != "sagittal"
    return Upload(name, kind, slices, facts, notes + more, shown, planes, sides_known, block.extent(shown))


def _stack(pictures: list[Decoded], frames: list[Frame]) -> tuple[np.ndarray, np.ndarray, bool]:
    """Stack pictures: (slices, rows, columns) float32, its affine to RAS, and whether it can be cut in other planes.

    Each picture's numbers are released once they are copied, so memory holds them only once.
    """
    first = frames[0]
    values = np.empty((len(pictures), *pictures[0][2].values.shape), np.float32)
    for place, (number, picture, grays) in enumerate(pictures):
        values[place] = grays.values
        pictures[place] = number, picture, Grays(np.empty(0), grays.window, grays.range)
    thickness = pictures[0][1].file.header.thickness or 1.0
    step, regular = thickness, False
    if len(frames) > 1:
        typical, even, aside = measure_steps(frames)
        # A tilted gantry shifts every slice: cut in other planes, the head would lean.
        regular = len(frames) >= MIN_STACK and abs(typical) > 0.05 and even and aside <= 0.1 * abs(typical)
        regular = bool(regular and all(_same_spacing(f.spacing, first.spacing) for f in frames))
        step = typical if abs(typical) > 1e-3 else thickness
    affine = np.eye(4)
    affine[:3, :3] = _axes(first, first.normal * step)
    return values, affine, regular


def _axes(frame: Frame, step: np.ndarray) -> np.ndarray:
    """(3, 3): the columns are a step in (slice, row, column), in millimeters to the right, front and head."""
    row, column = np.array(frame.orientation[:3]), np.array(frame.orientation[3:])
    spacing = frame.spacing or (1.0, 1.0)
    return np.stack([step, column * spacing[0], row * spacing[1]], axis=1) * [[-1], [-1], [1]]  # LPS -> RAS


def _same_spacing(spacing: tuple[float, float] | None, other: tuple[float, float] | None) -> bool:
    return spacing == other or (spacing is not None and other is not None and np.allclose(spacing, other, rtol=0.01))


def _choose_windows(values: np.ndarray, grays: list[Grays], header: Header) -> list[Window]:
    """Choose a window for each slice: its file's, if it shows something; else one for all of them.

    Gray levels of 8 bits without a window are shown as they are, like those of a PNG, if that is the same for all
    slices; others get a window by percentiles.
    """
    windows = believe(values, [one.window for one in grays])
    if windows is None and len({one.range for one in grays}) == 1 and not any(one.window for one in grays):
        windows = [one.range for one in grays]
    if windows is not None and windows[0] is not None and np.isfinite(values).any():
        return windows
    hide_background(values)
    window = find_percentile_window(values)
    if header.inverted:
        window = replace(window, words=describe_percentiles(-window.high, -window.low))
    return [window] * len(values)


def _make_pages(name: str, stack: Stack, pictures: list[Decoded], notes: list[str]) -> Upload:
    """Make an upload of pictures that form no volume, being in color, without a place, or a localizer's."""
    _, first, _ = pictures[0]
    header = first.file.header
    one_file = all(picture.file is first.file for _, picture, _ in pictures)
    windows: list[Window | None] = [None] * len(pictures)
    if not header.color:
        grays = [grays for *_, grays in pictures]
        windows = _choose_windows(np.stack([one.values for one in grays]), grays, header)
    slices, planes = [], set()
    for (number, picture, pixels), window in zip(pictures, windows, strict=True):
        image, plane = _show_alone(pixels, picture.frame, window)
        word = "" if len(pictures) == 1 else f"frame {number}" if one_file else f"slice {number}"
        slices.append(Slice(image, word))
        planes.add(plane)
    plane = planes.pop() if len(planes) == 1 else None
    unit = "frames" if one_file else "slices"
    facts = _describe(first, slices, windows, unit) | {"Plane": plane or NOT_STATED}
    facts |= _describe_place(header) if len(slices) == 1 else {}
    kind = "picture" if len(slices) == 1 else "pages" if one_file or stack.alone else "series"
    if kind == "pages" and not stack.alone:
        notes = [*notes, f"A file of {len(slices)} frames: each frame is a scan of its own."]
    sides_known = plane in ("axial", "coronal")
    return Upload(name, kind, slices, facts, notes, plane, (), sides_known, localizer=stack.localizer)


def _show_alone(pixels: Grays | np.ndarray, frame: Frame, window: Window | None):
    """Show a picture by itself: 8-bit RGB of square pixels; and its plane, None if the file does not tell."""
    values = pixels.values if isinstance(pixels, Grays) else pixels
    height, width = values.shape[:2]
    if frame.orientation is not None and values.ndim == 2:
        affine = np.eye(4)
        affine[:3, :3] = _axes(frame, frame.normal)
        block = Block(values[None], affine, regular=False, stacked=0)
        (slice_,), _ = block.slices(block.native_plane, window)
        return slice_.image, block.native_plane
    size = find_square_size((width, height), (frame.spacing or (1, 1))[::-1])
    if min(size) < MIN_SIDE:
        raise ScanError(
            f"This picture is {size[0]} x {size[1]} pixels; a slice needs at least {MIN_SIDE} on its shorter side."
        )
    return to_picture(window(values) if window else values, size), None


def _describe(
    first: Picture, slices: list[Slice], windows: list[Window | None], unit: str = "slices"
) -> dict[str, str]:
    header, (width, height) = first.file.header, slices[0].image.size
    facts = {
        "Format": f"DICOM, {header.syntax}",
        "Size": f"{width} x {height} pixels" + (f", {len(slices)} {unit}" if len(slices) > 1 else ""),
        "Bit depth": f"{header.bits} bits, {'color' if header.color else 'gray'}",
    } | header.facts
    if "Sequence" in facts:
        facts["Sequence"] = ", ".join(filter(None, (facts["Sequence"], name_times(first.frame)))) or NOT_STATED
    words = {window.words for window in windows if window}
    return facts | ({"Window": words.pop() if len(words) == 1 else "each slice's own (the file's)"} if words else {})


def _describe_place(header: Header) -> dict[str, str]:
    words = [f"number {header.number}"] if header.number is not None else []
    words += [f"at {header.location:.1f} mm"] if header.location is not None else []
    return {"Slice": ", ".join(words)} if words else {}
