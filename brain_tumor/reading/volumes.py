"""A block of voxels -> the slices of a plane: radiological convention, square pixels, one window; and which count."""

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from brain_tumor.reading.levels import ScanError
from brain_tumor.reading.pictures import MIN_SIDE
from brain_tumor.reading.uploads import MAX_SLICES, Slice
from brain_tumor.reading.windows import Window, find_head_threshold, middle_of

MAX_SLICE_SIDE = 512
"""The longest side in pixels to which a slice with oblong voxels is stretched."""

PLANES = ("sagittal", "coronal", "axial")
"""The plane whose slices are stacked along the axis right to left, back to front, foot to head."""

MIN_STACK = 10
"""The fewest slices of a volume that can be cut in other planes."""

MIN_HEAD_SHARE = 1 / 3
"""A slice counts if the area of its head is at least this share of the largest one."""

BRAIN_HEIGHT = 140.0
"""Millimeters from the top of the head down to the cerebellum; axial slices further down show face and neck. In the
MNI152 template, a large brain, slices with a third of the largest brain area end 127 mm below the top of the brain,
over which skull and skin are some 10 mm."""


class Block:
    """A block of voxels in anatomical order: along x from the patient's left to right, y back to front, z foot to head.

    Args:
        values: (i, j, k), any real dtype; NaN is painted black.
        affine: (4, 4), voxel index -> millimeters to the patient's right, front and head (NIfTI's RAS).
        regular: the slices are evenly spaced, so the block can be cut in other planes.
        stacked: the axis of `values` along which slices were stacked.
    """

    def __init__(self, values: np.ndarray, affine: np.ndarray, regular: bool = True, stacked: int = 2):
        from nibabel.orientations import apply_orientation, io_orientation

        orientation = io_orientation(affine)
        if np.isnan(orientation).any():
            raise ScanError("This scan does not say how its slices lie in space. Export it again.")
        self.values = apply_orientation(values, orientation)  # a view: axes permuted and flipped
        self.spacing = np.empty(3)
        self.spacing[orientation[:, 0].astype(int)] = np.linalg.norm(affine[:3, :3], axis=0)
        self.stacked_along = int(orientation[stacked, 0])
        self._backwards = orientation[stacked, 1] < 0
        self.regular = regular

    @property
    def native_plane(self) -> str:
        """The plane with the finest pixels; of nearly equal ones (5 %) the axial one. A single slice has its own."""
        shape = self.values.shape
        if not self.regular or shape[self.stacked_along] == 1:
            return PLANES[self.stacked_along]
        if 1 in shape:
            return PLANES[shape.index(1)]
        large = [a for a in range(3) if min(self.picture_size(PLANES[a])) >= MIN_SIDE]
        pixel = [np.prod(np.delete(self.spacing, axis)) for axis in range(3)]
        finest = min((pixel[axis] for axis in large), default=0)
        return PLANES[max((a for a in large if pixel[a] <= finest * 1.05), default=self.stacked_along)]

    @property
    def planes(self) -> tuple[str, ...]:
        """The planes to choose from: those whose slices are large enough, if the block is thick enough at all."""
        if not self.regular or min(self.values.shape) < MIN_STACK:
            return ()
        planes = tuple(p for p in ("axial", "coronal", "sagittal") if min(self.picture_size(p)) >= MIN_SIDE)
        return planes if len(planes) > 1 else ()

    def picture_size(self, plane: str) -> tuple[int, int]:
        """(width, height) in pixels of a slice, stretched to square pixels."""
        axis = PLANES.index(plane)
        return find_square_size(np.delete(self.values.shape, axis), np.delete(self.spacing, axis))

    def extent(self, plane: str) -> tuple[float, float, float] | None:
        """Millimeters that its slices are wide and high, and from one that is read to the next; None if uneven."""
        axis = PLANES.index(plane)
        if not self.regular or len(taken := thin(self.values.shape[axis])) < 2:
            return None
        width, height = np.delete(self.values.shape * self.spacing, axis)
        return float(width), float(height), float(self.spacing[axis] * taken.step)

    def slices(self, plane: str, window: Window | Sequence[Window]) -> tuple[list[Slice], list[str]]:
        """Slices of a plane, and notes for the visitor.

        Axial ones come from foot to head, coronal ones from back to front, sagittal ones from the patient's left to
        right. On an axial or coronal slice the patient's right is on the left; on a sagittal one the face is.

        Args:
            plane: "axial", "coronal" or "sagittal".
            window: one for all voxels, or one for each slice as they were stacked. Cut across the stack, that would
                make stripes, so there the middle one is used.

        Raises:
            ScanError: the slices are too small to show a brain.
        """
        axis = PLANES.index(plane)
        size = self.picture_size(plane)
        if min(size) < MIN_SIDE:
            raise ScanError(
                f"This scan's slices are {size[0]} x {size[1]} pixels; a slice needs at least {MIN_SIDE} on its "
                "shorter side."
            )
        stack = np.moveaxis(self.values, axis, 0)
        if isinstance(window, Window):
            windows = [window] * len(stack)
        elif axis == self.stacked_along:
            windows = list(window)[:: -1 if self._backwards else 1]
        else:
            windows = [middle_of(window)] * len(stack)
        counts = mark_counting(stack, self.spacing[axis], axial=plane == "axial")
        taken = thin(len(stack))
        notes = note_thinning(len(stack), taken)
        single = len(stack) == 1
        slices = [
            Slice(to_picture(windows[i](stack[i][::-1, ::-1].T), size), "" if single else f"slice {i + 1}", counts[i])
            for i in taken
        ]
        return slices, notes


def thin(length: int, most: int | None = None) -> range:
    """Choose the slices to be read: all of them, or every second, third, ... so that at most `most` are left.

    The spacing stays even, so what is left can still be cut in other planes.

    Args:
        length: how many slices there are.
        most: at most this many, and at most `MAX_SLICES`.

    Returns:
        Their indices, from 0.
    """
    most = MAX_SLICES if most is None else max(1, min(most, MAX_SLICES))
    return range(0, length, -(-length // most) or 1)


def note_thinning(length: int, taken: range) -> list[str]:
    """A note for the visitor if `thin` left slices out, else none."""
    if len(taken) == length:
        return []
    return [
        f"Of {length} slices, every {_ORDINALS.get(taken.step, f'{taken.step}th')} one is read: {len(taken)} slices."
    ]


_ORDINALS = {2: "second", 3: "third", 4: "fourth", 5: "fifth"}


def find_square_size(shape: Iterable[int], spacing: Iterable[float]) -> tuple[int, int]:
    """(width, height) that pixels of `spacing` (x, y) need to become square, none of them dropped.

    Spacings that cannot be (not positive, one more than 20 times the other) are taken for square ones.
    """
    (width, height), (x, y) = (int(n) for n in shape), (float(s) for s in spacing)
    if not (np.isfinite([x, y]).all() and x > 0 and y > 0 and max(x, y) <= 20 * min(x, y)) or abs(x / y - 1) < 0.01:
        return width, height
    finest = min(x, y)
    finest = max(finest, max(width * x, height * y) / max(MAX_SLICE_SIDE, width, height))
    return max(1, round(width * x / finest)), max(1, round(height * y / finest))


def to_picture(pixels: np.ndarray, size: tuple[int, int] | None = None) -> Image.Image:
    """(height, width) or (height, width, 3) uint8 -> 8-bit RGB, stretched to `size` (width, height)."""
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if size is not None and size != picture.size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    return picture.convert("RGB")


def mark_counting(stack: np.ndarray, thickness: float, axial: bool) -> list[bool]:
    """Tell which slices show enough of the head to be judged.

    A slice counts if the head in it is at least `MIN_HEAD_SHARE` of the largest; of axial ones only those within
    `BRAIN_HEIGHT` of the top of the head. Measured on the MNI152 template in tests/reading/test_volumes.py.

    Args:
        stack: (slices, ., .) real; axial ones from foot to head.
        thickness: from slice to slice, in millimeters.
    """
    threshold = find_head_threshold(stack)
    with np.errstate(invalid="ignore"):
        areas = np.array([np.mean(slice_[::2, ::2] > threshold) for slice_ in stack])
    counts = areas >= MIN_HEAD_SHARE * areas.max()
    if axial and thickness > 0:
        top = np.flatnonzero(areas >= 0.1 * areas.max())[-1]
        counts &= (top - np.arange(len(areas))) * thickness <= BRAIN_HEIGHT
    return counts.tolist() if counts.any() else [True] * len(counts)
