"""Numbers of any depth -> 8-bit gray levels, and the error that all readers raise."""

from collections.abc import Callable

import numpy as np
from PIL import Image

WINDOW_PERCENTILES = (0.5, 99.5)
"""The gray levels of a picture of more than 8 bits at these percentiles become 0 and 255."""

MAX_NUMBER_BYTES = 160 * 10**6
"""The most bytes of one picture's numbers, such as 40 megapixels of 32 bits; a window takes as much again, and more."""

STRIP = 2**20
"""How many numbers are turned into gray levels at a time: the steps in between take many times their memory."""


class ScanError(ValueError):
    """A scan that cannot be used. The message is a sentence for the person who brought it."""


def window(values: np.ndarray) -> Image.Image:
    """Gray levels of any depth -> 8-bit RGB, linear between the 0.5th and the 99.5th percentile.

    Args:
        values: (height, width), or (height, width, 3) of which all channels get one window and color stays color;
            any real dtype; values that are not finite become black.

    Returns:
        `PIL.Image.Image` of mode "RGB", values 0 to 255; one flat gray becomes black.
    """
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values.flatten()
    if not finite.size:
        raise ScanError("This picture holds no numbers that could be shown as gray levels.")
    low, high = _percentiles(finite, WINDOW_PERCENTILES)
    if high <= low:  # almost flat: nothing between the percentiles, so take the extremes
        low, high = float(finite.min()), float(finite.max())
    del finite  # what follows takes as much again
    width = max(high - low, np.finfo(np.float64).tiny)

    def scale(strip: np.ndarray) -> np.ndarray:
        return np.where(np.isfinite(strip), strip - low, 0) / width

    with np.errstate(invalid="ignore"):  # what is not finite
        return Image.fromarray(paint(values, scale)).convert("RGB")


def paint(values: np.ndarray, scale: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Numbers -> uint8. `scale` is given some rows at a time, as float64, and returns 0 (black) to 1 (white)."""
    pixels = np.empty(values.shape, np.uint8)
    rows = max(1, STRIP * len(values) // max(1, values.size))
    for start in range(0, len(values), rows):
        share = scale(values[start : start + rows].astype(np.float64))
        pixels[start : start + rows] = (share.clip(0, 1) * 255).round()
    return pixels


def check_number_bytes(width: int, height: int, bytes_each: int) -> None:
    """Raise ScanError if the numbers of a picture, `bytes_each` a pixel, would take too much memory."""
    if width * height * bytes_each > MAX_NUMBER_BYTES:
        raise ScanError(
            f"This picture is too large ({width} x {height} pixels of {bytes_each} bytes); of such at most "
            f"{MAX_NUMBER_BYTES // bytes_each // 10**6} megapixels are read. Save it with 8 bits, or smaller."
        )


def _percentiles(values: np.ndarray, percentiles: tuple[float, ...]) -> list[float]:
    """`np.percentile` without a copy of all the numbers in float64, or any: they are put into another order."""
    places = np.array(percentiles) / 100 * (len(values) - 1)
    below = np.floor(places).astype(int)
    above = np.minimum(below + 1, len(values) - 1)
    values.partition(sorted({*below.tolist(), *above.tolist()}))
    return [
        float(a) + (float(b) - float(a)) * share if share < 0.5 else float(b) - (float(b) - float(a)) * (1 - share)
        for a, b, share in zip(values[below], values[above], places - below, strict=True)
    ]
