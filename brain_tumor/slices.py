"""A block of voxels -> the slices of a plane: radiological convention, square pixels, one window, which of them count.

What every reader of files hands over stands here too, with the limits.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from brain_tumor.scans import MIN_SIDE, WINDOW_PERCENTILES, ScanError, painted

MAX_FILES = 1000
"""Most files of one upload, those inside zips included."""
MAX_TOTAL_BYTES = 512 * 1024**2
"""Most bytes of one upload after unpacking."""
MAX_SLICES = 400
"""Most slices of one volume, series or file of pages; of longer ones every second, third, ... is taken."""
MAX_SECONDS = 120
"""Longest time for one request of a visitor; what is left then is left out."""
MAX_VOXELS = 2**26
"""Most voxels of one volume: 512 x 512 x 256, or 406 x 406 x 406. They take 256 MB while it is read. Also the most
pixels of all frames or pages of a file together."""
MAX_PAGES = 5000
"""Most pages of a TIFF that are counted."""
MAX_SLICE_SIDE = 512
"""Longest side in pixels to which a slice with oblong voxels is stretched."""

PLANES = ("sagittal", "coronal", "axial")
"""The plane whose slices are stacked along the axis right to left, back to front, foot to head."""
MIN_STACK = 10
"""Fewest slices that make a volume which can be cut in other planes."""
MIN_HEAD_SHARE = 1 / 3
"""A slice counts if the head in it is at least this large, relative to the slice with most head."""
BRAIN_HEIGHT = 140.0
"""Millimeters from the top of the head down to the cerebellum; axial slices further down show face and neck. In the
MNI152 template, a large brain, slices with a third of the largest brain area end 127 mm below the top of the brain,
over which skull and skin are some 10 mm."""


@dataclass(frozen=True)
class Slice:
    """One picture as the model gets it."""

    image: Image.Image
    """8-bit RGB at its own size; square pixels for volumes and DICOM. Color stays color."""
    name: str
    """Within its upload: "", "page 2", "slice 34", "frame 3"."""
    counts: bool = True
    """False: shows too little head to be judged (empty, above or below the brain)."""


@dataclass(frozen=True)
class Upload:
    """One scan, or the slices that belong together."""

    name: str
    """The file's name as it came (it may be a patient's), or a series' neutral one: "DICOM series, 24 slices"."""
    kind: str
    """ "picture", "pages" (a TIFF of pages, DICOM frames that are no volume), "series" or "volume"."""
    slices: list[Slice]
    """At least one."""
    facts: dict[str, str] = field(default_factory=dict)
    """What the file was, in words for the page: "Format", "Size", "Bit depth", "Modality", "Sequence", ..."""
    notes: list[str] = field(default_factory=list)
    """Sentences for the visitor."""
    plane: str | None = None
    planes: tuple[str, ...] = ()
    """The planes that can be chosen; none if there is no choice."""
    sides_known: bool = False
    """True: the patient's right is on the left of the picture. False too for sagittal slices, which show one side."""


@dataclass(frozen=True)
class Rejected:
    """A file that cannot be read."""

    name: str
    reason: str
    """A sentence for the visitor: what was wrong, what to do."""


@dataclass(frozen=True)
class Window:
    """The numbers that become black and white."""

    low: float
    high: float
    words: str
    """For the page: where it comes from."""
    sigmoid: bool = False
    """DICOM's VOI LUT function SIGMOID instead of a straight line (PS3.3 C.11.2.1.3)."""

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Numbers of any shape -> uint8; what is not finite becomes black."""

        def scaled(strip: np.ndarray) -> np.ndarray:
            share = (strip - self.low) / max(self.high - self.low, np.finfo(np.float64).tiny)
            if self.sigmoid:
                share = 1 / (1 + np.exp(-4 * (share - 0.5)))
            return np.where(np.isfinite(strip), share, 0)

        with np.errstate(all="ignore"):
            return painted(values, scaled)


def percentile_window(values: np.ndarray) -> Window:
    """The window of deep numbers that come with none: from the darkest of all to the brightest of the head.

    The upper end is the 99.5th percentile of the head's voxels alone: however much air is around it, the same
    share of the head becomes white.

    Raises:
        ScanError: there are no finite numbers, or they are all the same.
    """
    sample = _sample(values)
    if not len(sample) or sample.min() == sample.max():
        raise ScanError(
            "This scan shows nothing: all its voxels hold the same number. Export it again, or choose another."
            if len(sample)
            else "This scan holds no numbers that could be shown as gray levels. Export it again, or choose another."
        )
    head = sample[sample > head_threshold(sample)]
    low = np.percentile(sample, WINDOW_PERCENTILES[0])
    high = np.percentile(head if len(head) else sample, WINDOW_PERCENTILES[1])
    if high <= low or np.mean(head >= high) > 0.05:  # a drawn head of one gray level must not turn white
        high = sample.max()
    if high <= low:
        low = sample.min()
    return Window(float(low), float(high), percentile_words(low, high))


def percentile_words(low: float, high: float) -> str:
    """A window of percentiles, for the page."""
    return f"{low:,.4g} to {high:,.4g} (percentiles)"


def head_threshold(values: np.ndarray) -> float:
    """The number above which a voxel is taken for head and not for air: halfway from air to Otsu's threshold.

    Otsu (1979) parts two kinds of voxels; halfway, because gray matter near the skull base of an uneven scan is dark.
    """
    sample = _sample(values)
    if not len(sample):
        return 0.0
    low, high = np.percentile(sample, (0.1, 99.9))
    if high <= low:
        low, high = sample.min(), sample.max()
    counts, edges = np.histogram(sample, 256, (low, high if high > low else low + 1))
    centers = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centers)
    with np.errstate(all="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    otsu = centers[np.nanargmax(between)] if np.isfinite(between).any() else low
    air = np.median(sample[sample <= otsu]) if (sample <= otsu).any() else low
    return float((air + otsu) / 2)


def _sample(values: np.ndarray, most: int = 2_000_000) -> np.ndarray:
    """Finite numbers of all of them, at most about `most`, evenly taken."""
    # Turned as they lie in memory, no copy of them is made, as large as they are.
    values = values[tuple(slice(None, None, -1 if stride < 0 else 1) for stride in values.strides)]
    flat = values.ravel() if values.flags.c_contiguous else values.ravel(order="K")
    flat = flat[:: max(1, flat.size // most) | 1]  # an odd step does not keep to one column
    return flat[np.isfinite(flat)].astype(np.float64)


def hide_background(values: np.ndarray) -> None:
    """Make the constant around a brain that was cut out NaN, so that it is painted black, in place.

    Only where it lies within the numbers of the brain, as 0 does in a scan that was normalized to mean 0.
    """
    corners = values[np.ix_(*[sorted({0, size - 1}) for size in values.shape])].ravel()
    if len(set(corners.tolist())) == 1 and np.isfinite(corners[0]):
        sample = _sample(values)
        if np.mean(sample < corners[0]) > 0.005:
            values[values == corners[0]] = np.nan


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
        """The planes that can be chosen: those whose slices are large enough, if the block is thick enough at all."""
        if not self.regular or min(self.values.shape) < MIN_STACK:
            return ()
        planes = tuple(p for p in ("axial", "coronal", "sagittal") if min(self.picture_size(p)) >= MIN_SIDE)
        return planes if len(planes) > 1 else ()

    def picture_size(self, plane: str) -> tuple[int, int]:
        """(width, height) in pixels of a slice, stretched to square pixels."""
        axis = PLANES.index(plane)
        return square_size(np.delete(self.values.shape, axis), np.delete(self.spacing, axis))

    def slices(self, plane: str, window: Window) -> tuple[list[Slice], list[str]]:
        """Slices of a plane, and notes for the visitor.

        Axial ones come from foot to head, coronal ones from back to front, sagittal ones from the patient's left to
        right. On an axial or coronal slice the patient's right is on the left; on a sagittal one the face is.

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
        counts = counting(stack, self.spacing[axis], axial=plane == "axial")
        taken = thinned(len(stack))
        notes = thinning_note(len(stack), taken)
        single = len(stack) == 1
        slices = [
            Slice(to_picture(window(stack[i][::-1, ::-1].T), size), "" if single else f"slice {i + 1}", counts[i])
            for i in taken
        ]
        return slices, notes


def thinned(length: int, most: int | None = None) -> range:
    """Indices of the slices that are read: all, or every second, third, ... so that at most `most` are left.

    The spacing stays even, so what is left can still be cut in other planes. `most` is `MAX_SLICES` or fewer.
    """
    most = MAX_SLICES if most is None else max(1, min(most, MAX_SLICES))
    return range(0, length, -(-length // most) or 1)


def thinning_note(length: int, taken: range) -> list[str]:
    """What the visitor is told of `thinned`."""
    if len(taken) == length:
        return []
    return [
        f"Of {length} slices, every {_ORDINALS.get(taken.step, f'{taken.step}th')} one is read: {len(taken)} slices."
    ]


_ORDINALS = {2: "second", 3: "third", 4: "fourth", 5: "fifth"}


def square_size(shape: Iterable[int], spacing: Iterable[float]) -> tuple[int, int]:
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


def counting(stack: np.ndarray, thickness: float, axial: bool) -> list[bool]:
    """Which slices show enough head to be judged.

    A slice counts if the head in it is at least `MIN_HEAD_SHARE` of the largest; of axial ones only those within
    `BRAIN_HEIGHT` of the top of the head. Measured on the MNI152 template in tests/test_readers.py.

    Args:
        stack: (slices, ., .) real; axial ones from foot to head.
        thickness: from slice to slice, in millimeters.
    """
    threshold = head_threshold(stack)
    with np.errstate(invalid="ignore"):
        areas = np.array([np.mean(slice_[::2, ::2] > threshold) for slice_ in stack])
    return counting_by_area(areas, thickness, axial)


def counting_by_area(areas: np.ndarray, thickness: float, axial: bool) -> list[bool]:
    """`counting` for the share of each slice that is head."""
    counts = areas >= MIN_HEAD_SHARE * areas.max()
    if axial and thickness > 0:
        top = np.flatnonzero(areas >= 0.1 * areas.max())[-1]
        counts &= (top - np.arange(len(areas))) * thickness <= BRAIN_HEIGHT
    return counts.tolist() if counts.any() else [True] * len(counts)
