"""Places along a line, in millimeters: which are the same, how far apart the others are, and which are missing."""

from collections.abc import Sequence

import numpy as np

from brain_tumor.reading.dicom.frames import Frame

SAME_PLACE = 0.1
"""Millimeters between slices that share a place: less than between any two neighbors, more than any rounding."""

SAME_SPACING = 0.05
"""Slices are evenly spaced if no distance between two is off by more than this share (or 0.1 mm)."""


def cluster(numbers: Sequence[float], apart: float, share: float = 0.0) -> list[int]:
    """Tell which numbers belong together.

    Args:
        numbers: at least one.
        apart: numbers further apart than this, with no other between them, do not belong together.
        share: nor do those less than this share of their size apart, if that is more.

    Returns:
        Of each number which cluster it belongs to, from 0, by size.

    >>> cluster([5.0, 0.04, 0.05, 0.06], 0.1)
    [1, 0, 0, 0]
    """
    numbers = np.asarray(numbers, float)
    order = np.argsort(numbers, kind="stable")
    sizes = numbers[order]
    begins = np.diff(sizes) > np.maximum(apart, share * np.abs(sizes[1:]))
    places = np.empty(len(numbers), int)
    places[order] = np.concatenate([[0], np.cumsum(begins)])
    return places.tolist()


def measure_steps(frames: Sequence[Frame]) -> tuple[float, bool, float]:
    """Measure the way from slice to slice of a placed stack of two or more.

    Returns:
        The typical distance along the normal in millimeters, signed; whether all are as long; and how far, at most, a
        slice lies aside of the one before it.
    """
    steps = np.diff(np.array([frame.position for frame in frames]), axis=0)
    along = steps @ frames[0].normal
    typical = float(np.median(along))
    even = bool(np.abs(along - typical).max() <= max(SAME_SPACING * abs(typical), 0.1))
    return typical, even, float(np.abs(steps - np.outer(along, frames[0].normal)).max())


def note_gaps(distances: np.ndarray | None) -> list[str]:
    """A note for the visitor if slices are missing between others, or lie unevenly.

    Args:
        distances: (n,) millimeters along a line, ascending; None if they are unknown.
    """
    if distances is None or len(distances) < 4:
        return []
    steps = np.diff(distances)
    typical = float(np.median(steps))
    uneven = np.abs(steps - typical) > max(SAME_SPACING * typical, 0.1)
    if not uneven.any() or typical <= SAME_PLACE:
        return []
    gaps = np.flatnonzero(uneven)
    missing = np.rint(steps[gaps] / typical).astype(int) - 1
    off = np.abs(steps[gaps] / typical - missing - 1)
    if (missing < 1).any() or (off > 0.1).any() or len(gaps) > len(steps) / 4:
        return [f"The slices are unevenly spaced, {steps.min():.3g} to {steps.max():.3g} mm apart."]
    where = f"between slices {gaps[0] + 1} and {gaps[0] + 2}" if len(gaps) == 1 else f"in {len(gaps)} places"
    seem = "1 slice seems" if missing.sum() == 1 else f"{missing.sum()} slices seem"
    return [
        f"{seem} to be missing {where}: the distance is {steps[gaps].max():.3g} mm there, {typical:.3g} mm elsewhere."
    ]
