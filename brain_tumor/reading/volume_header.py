"""What a volume's file says of its voxels, whatever its format, and how large and which way they are.

A header is read as other programs read it, who forgive what makes no sense if something else in it does: a place in
space that cannot be is passed over for the next one that the header has, a size that cannot be is 1 mm, a scale that
cannot be is none. A note says what was passed over.
"""

from dataclasses import dataclass, field

import numpy as np

HEAD_SIZE = 30.0, 1000.0
"""Millimeters between which the longest side of a scan of a head lies, from a thick slab to a whole body."""

UNITS = {"millimeters": 1.0, "micrometers": 1e-3, "meters": 1e3}
"""Of length, in millimeters; the likelier first."""


@dataclass(frozen=True)
class VolumeHeader:
    """The header of a volume's file."""

    format: str
    """ "NIfTI-1", "NIfTI-2" or "MGH"."""
    dtype: np.dtype
    """Of the numbers in the file."""
    shape: tuple[int, int, int]
    volumes: int
    """How many the file holds."""
    offset: int
    """The byte at which the voxels begin."""
    scale: tuple[float, float] | None
    """Slope and intercept; None if the numbers are to be taken as they are."""
    affine: np.ndarray
    """(4, 4) float64: voxel index -> millimeters to the patient's right, front and head."""
    sides_known: bool
    """False if the file does not say how the head lies in it: the affine is the format's default then."""
    notes: list[str] = field(default_factory=list)
    """Sentences for the visitor."""


def can_be_placed(affine: np.ndarray) -> bool:
    """Whether three axes of voxels lead in three directions. Where the first voxel lies does not matter.

    >>> can_be_placed(np.diag([1.0, 1, 1, 1])), can_be_placed(np.diag([1.0, 1, 0, 1]))
    (True, False)
    """
    axes = np.asarray(affine, np.float64)[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    if not np.isfinite(axes).all() or not (np.isfinite(lengths) & (lengths > 0)).all():
        return False
    return bool(abs(np.linalg.det(axes / lengths)) > 1e-3)


def unplaced(damaged: bool) -> str:
    """The note on a file that does not say how the head lies in it, or says what cannot be."""
    unsaid = "The file does not say how the head lies in it"
    what = "What the file says of how the head lies in it makes no sense" if damaged else unsaid
    return f"{what}: planes, left and right are guessed and unmarked."


def measure_in_millimeters(
    affine: np.ndarray, shape: tuple[int, ...], unit: str | None
) -> tuple[np.ndarray, list[str]]:
    """An affine in a file's unit of length -> in millimeters.

    The file's unit counts (None: millimeters, as for all programs), unless a head cannot be of that size and in another
    unit can: some programs write a unit and give their numbers in another.

    Returns:
        The affine, and notes for the visitor.
    """
    longest = float(np.max(np.linalg.norm(affine[:3, :3], axis=0) * shape))
    given = unit or "millimeters"
    fitting = [name for name in (given, *UNITS) if HEAD_SIZE[0] <= longest * UNITS[name] <= HEAD_SIZE[1]]
    taken = fitting[0] if fitting else given
    notes = []
    if taken != given:
        measured = f"{longest * UNITS[given]:,.{0 if longest * UNITS[given] > 10 else 3}f}"
        notes.append(
            f"The file gives sizes {f'in {unit}' if unit else 'without a unit'}, by which this scan would measure "
            f"{measured} millimeters; they are taken for {taken}."
        )
    elif unit and unit != "millimeters":
        notes.append(f"The file gives sizes in {unit}; they are shown in millimeters.")
    return np.diag([*[UNITS[taken]] * 3, 1]) @ affine, notes
