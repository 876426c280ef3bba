"""Windows: which numbers of a scan become black and white."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from brain_tumor.reading.levels import WINDOW_PERCENTILES, ScanError, paint


@dataclass(frozen=True)
class Window:
    """The two numbers that become black and white; those between become grays."""

    low: float
    high: float
    words: str
    """For the page: the window, and where it comes from."""
    sigmoid: bool = False
    """DICOM's VOI LUT function SIGMOID instead of a straight line (PS3.3 C.11.2.1.3)."""

    def mirrored(self) -> "Window":
        """The window that shows `-values` as this one shows `values`, with black and white exchanged."""
        return replace(self, low=-self.high, high=-self.low)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Numbers of any shape -> uint8; what is not finite becomes black."""

        def scale(strip: np.ndarray) -> np.ndarray:
            share = (strip - self.low) / max(self.high - self.low, np.finfo(np.float64).tiny)
            if self.sigmoid:
                share = 1 / (1 + np.exp(-4 * (share - 0.5)))
            return np.where(np.isfinite(strip), share, 0)

        with np.errstate(all="ignore"):
            return paint(values, scale)


def believe(stack: np.ndarray, own: Sequence[Window | None]) -> list[Window] | None:
    """Choose a window for each slice of a stack: its own, if that shows something.

    A slice that has none, or whose own would paint more than half of it white, gets the middle one of the others; so
    does one that only its own would paint all but black.

    Args:
        stack: (slices, ., .) real.
        own: of each slice, as its file says; None if it says nothing.

    Returns:
        One for each slice; None if no slice has one to be believed, or they would paint nearly all of the stack black.
    """
    step = max(1, stack.size // 500_000) | 1
    samples = [slice_.reshape(-1)[i % step :: step] for i, slice_ in enumerate(stack)]
    shown = [window and np.mean(window(sample) == 255) <= 0.5 for window, sample in zip(own, samples, strict=True)]
    believed = [window for window, good in zip(own, shown, strict=True) if good]
    if not believed:
        return None
    middle, chosen = middle_of(believed), []
    for window, good, sample in zip(own, shown, samples, strict=True):
        bad = not good or _is_black(window(sample)) and not _is_black(middle(sample))
        chosen.append(middle if bad else window)
    painted = np.concatenate([window(sample) for window, sample in zip(chosen, samples, strict=True)])
    return None if _is_black(painted) else chosen


def _is_black(pixels: np.ndarray) -> bool:
    return np.percentile(pixels, 99.5) < 32


def middle_of(windows: Sequence[Window]) -> Window:
    """The middle one of several windows, by brightness: the one that shows them all if they must look alike."""
    return sorted(windows, key=lambda w: (w.low + w.high, w.high))[len(windows) // 2]


def find_percentile_window(values: np.ndarray) -> Window:
    """Choose a window for numbers that come without one: from the darkest of all to the brightest of the head.

    The upper end is the 99.5th percentile of the head's voxels alone: however much air is around it, the same
    share of the head becomes white.

    Raises:
        ScanError: none of the numbers is finite, or they are all the same.
    """
    sample = _sample(values)
    if not len(sample) or sample.min() == sample.max():
        raise ScanError(
            "This scan shows nothing: all its voxels hold the same number. Export it again, or choose another."
            if len(sample)
            else "This scan holds no numbers that could be shown as gray levels. Export it again, or choose another."
        )
    head = sample[sample > find_head_threshold(sample)]
    low = np.percentile(sample, WINDOW_PERCENTILES[0])
    high = np.percentile(head if len(head) else sample, WINDOW_PERCENTILES[1])
    if high <= low or np.mean(head >= high) > 0.05:  # a drawn head of one gray level must not turn white
        high = sample.max()
    if high <= low:
        low = sample.min()
    return Window(float(low), float(high), describe_percentiles(low, high))


def describe_percentiles(low: float, high: float) -> str:
    """The words of a window that was found by percentiles."""
    return f"{low:,.4g} to {high:,.4g} (percentiles)"


def find_head_threshold(values: np.ndarray) -> float:
    """Find the number above which a voxel counts as head and not as air: halfway from air to Otsu's threshold.

    Otsu (1979) separates two kinds of voxels; halfway, because gray matter near the skull base of an uneven scan is
    dark.
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
    """The finite ones of the numbers, float64; of very many, about `most` that are evenly spread."""
    # Turned to the order in which they lie in memory, so that no copy of all of them is made.
    values = values[tuple(slice(None, None, -1 if stride < 0 else 1) for stride in values.strides)]
    flat = values.ravel() if values.flags.c_contiguous else values.ravel(order="K")
    flat = flat[:: max(1, flat.size // most) | 1]  # an odd step does not keep to one column
    return flat[np.isfinite(flat)].astype(np.float64)


def hide_background(values: np.ndarray) -> None:
    """Replace the constant around a skull-stripped brain by NaN, which is painted black, in place.

    Only where it lies within the numbers of the brain, as 0 does in a scan that was normalized to mean 0.
    """
    corners = values[np.ix_(*[sorted({0, size - 1}) for size in values.shape])].ravel()
    if len(set(corners.tolist())) == 1 and np.isfinite(corners[0]):
        sample = _sample(values)
        if np.mean(sample < corners[0]) > 0.005:
            values[values == corners[0]] = np.nan
