"""A class activation map over the slice: where in the picture the score of a class comes from."""

import functools

import numpy as np
from PIL import Image, ImageChops

from brain_tumor.inference.head import GRID, head_mask

COLORS = "plasma"
"""Even steps of brightness from blue over magenta to yellow: told apart by color-blind readers too, and none of them
is a gray of the scan (matplotlib's map of S. van der Walt and N. Smith, 2015)."""

FLOOR = 15.0
"""Contribution to the logit that gets the brightest color, unless the map has a higher one. On public slices nine of
ten maps of the right class peak at 14 to 48, those of the other classes below 5: these must look like nothing."""

SOLID = 0.5
"""At this share of the scale and above, the map is as opaque as was asked for. Below, it fades out with the square of
its strength, so that the scan shows through where little or nothing is added."""

OPACITY = 0.5
"""Where the map is strongest: the scan still shows through."""


def overlay(image: Image.Image, heatmap: np.ndarray, opacity: float = OPACITY) -> Image.Image:
    """The slice with the heat map over it. Only what adds to the score of the class is shown, and only on the head.

    Args:
        image: 8-bit RGB of any size.
        heatmap: (h, w) float32, from `Prediction.heatmaps`; covers the picture from edge to edge.
        opacity: where the map is strongest, from 0 (only the slice) to 1 (the slice is hidden there).

    Returns:
        `PIL.Image.Image` of mode "RGB", as large as `image`, which stays as it is. No legend: see `gradient`.
    """
    strength = ImageChops.multiply(_strength(heatmap), head_mask(image)).resize(image.size, Image.Resampling.BILINEAR)
    colors = Image.merge("RGB", [strength.point(channel) for channel in _color_table()])
    opaque = [round(255 * min(max(opacity, 0), 1) * min(level / 255 / SOLID, 1) ** 2) for level in range(256)]
    return Image.composite(colors, image.convert("RGB"), strength.point(opaque))


def gradient(steps: int = 9) -> list[str]:
    """The colors from "adds nothing" to "adds most", as "#rrggbb", for a legend."""
    red, green, blue = _color_table()
    places = [round(255 * step / (steps - 1)) for step in range(steps)]
    return [f"#{red[place]:02x}{green[place]:02x}{blue[place]:02x}" for place in places]


def _strength(heatmap: np.ndarray) -> Image.Image:
    """Positive contributions as 0 to 255, on a scale that `FLOOR` keeps from making noise look like a finding.

    The map is upsampled exactly to the grid of the head; beyond that, plain interpolation looks the same.
    """
    positive = np.nan_to_num(np.asarray(heatmap, np.float32), posinf=0, neginf=0).clip(0)
    scale = max(float(positive.max()), FLOOR)
    grid = Image.fromarray(positive / scale).resize((GRID, GRID), Image.Resampling.BICUBIC)
    return Image.fromarray((np.asarray(grid).clip(0, 1) * 255).round().astype(np.uint8))


@functools.cache
def _color_table() -> tuple[list[int], list[int], list[int]]:
    """Red, green and blue of the 256 strengths."""
    from matplotlib import colormaps  # here, because it takes a while to import

    table = (colormaps[COLORS](np.arange(256))[:, :3] * 255).round().astype(int)
    return tuple(table.T.tolist())
