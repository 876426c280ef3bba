"""Where the head is in a slice."""

import numpy as np
from PIL import Image, ImageChops, ImageFilter
from scipy import ndimage

GRID = 256
"""Side of the square in which the head is looked for."""


def head_mask(image: Image.Image) -> Image.Image:
    """Where the head is, 0 to 255, fading out at its edge; mode "L", `GRID` pixels wide and high.

    It is the largest thing on the dark (in an inverted picture, bright) ground that touches the picture's edge;
    without such a ground, or such a thing, it is the whole picture.

    Args:
        image: 8-bit gray or RGB of any size.
    """
    gray = np.asarray(image.resize((GRID, GRID), Image.Resampling.BOX).convert("L"), np.float32)
    level = ground_level(gray)
    pieces, _ = ndimage.label(abs(gray - level) < 25)
    edges = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))
    things, _ = ndimage.label(~np.isin(pieces, edges[edges > 0]))
    sizes = np.bincount(things.ravel(), minlength=2)[1:]
    if 40 < level < 215 or sizes.max() < 0.02 * gray.size:
        return Image.new("L", gray.shape, 255)
    head = Image.fromarray(np.where(things == 1 + sizes.argmax(), 255, 0).astype(np.uint8))
    return ImageChops.multiply(head, head.filter(ImageFilter.GaussianBlur(3)))


def ground_level(gray: np.ndarray) -> float:
    """The gray level of the ground on which the head lies: the median of the four corners of a slice."""
    corners = [gray[rows, columns] for rows in (slice(8), slice(-8, None)) for columns in (slice(8), slice(-8, None))]
    return float(np.median([corner.ravel() for corner in corners]))
