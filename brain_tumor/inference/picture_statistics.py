"""What can be told of a picture without a network; `familiarity` scores it."""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.special import xlogy

SIDE = 64
"""Side in pixels of the copy that statistics are taken from: a head is still a head, and noise is gone."""


def picture_statistics(pictures: Sequence[Image.Image]) -> np.ndarray:
    """What can be told of pictures without a network: color, border, outline, symmetry, gray levels, edges, layout.

    Args:
        pictures: 8-bit RGB of any size and shape, at least one.

    Returns:
        (n, k) float32, finite for every picture.
    """
    averaged, sampled = (np.stack(copies) for copies in zip(*map(_reduced, pictures), strict=True))
    rgb = averaged.astype(np.float32) / 255
    gray = rgb @ np.float32([0.299, 0.587, 0.114])
    level = np.percentile(gray, [1, 10, 25, 50, 75, 90, 99], axis=(1, 2)).T
    darkest, scale = level[:, 0], np.maximum(level[:, -1] - level[:, 0], 0.02)
    # Brightness and contrast apart from what is shown.
    even = ((gray - darkest[:, None, None]) / scale[:, None, None]).clip(0, 1).astype(np.float32)
    outlines = np.stack([_outline(one) for one in even])
    rows = [_color(rgb), level, _border(even, gray), outlines, _symmetry(even)]
    rows += [_gray_levels(sampled), _edges(even), _rings(even), _layout(even)]
    return np.concatenate(rows, axis=1).astype(np.float32)


def _reduced(image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """The two small copies that statistics are taken from.

    Returns:
        (SIDE, SIDE, 3) uint8, averaged; (SIDE, SIDE, 3) uint8, single pixels of the picture, whose gray levels are
        its own.
    """
    size = (SIDE, SIDE)
    averaged = image.resize(size, Image.Resampling.BOX, reducing_gap=2)
    return np.asarray(averaged), np.asarray(image.resize(size, Image.Resampling.NEAREST))


# What follows takes all pictures at once and returns (n, some): one by one, numpy's calls take longer than the numbers.


def _color(rgb: np.ndarray) -> np.ndarray:
    """How much color, and how much of it is more than one tint over a gray picture."""
    red, green, blue = np.moveaxis(rgb, -1, 0)
    chroma = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    pixels = rgb.reshape(len(rgb), -1, 3)
    pixels = pixels - pixels.mean(axis=1, keepdims=True)
    # One tint over a gray picture is a line through RGB: one eigenvalue.
    covariances = (pixels.transpose(0, 2, 1) @ pixels).astype(np.float64) / pixels.shape[1]
    spread = np.sqrt(np.linalg.eigvalsh(covariances).clip(0))
    high = np.percentile(chroma, 95, axis=(1, 2))
    return np.stack([_mean(chroma), high, _mean(chroma > 0.12), spread[:, 1], spread[:, 0]], axis=1)


def _mean(values: np.ndarray) -> np.ndarray:
    """(n,) of (n, height, width)."""
    return values.mean(axis=(1, 2))


def _border(even: np.ndarray, gray: np.ndarray) -> np.ndarray:
    """The edge of the picture against its middle."""
    ring, middle = even[:, _EDGE], even[:, 16:48, 16:48]
    corners = even[:, *_CORNERS]
    sides = [_mean(side) for side in (even[:, :3], even[:, -3:], even[:, :, :3], even[:, :, -3:])]
    figures = [ring.mean(1), ring.std(1), np.median(ring, axis=1), *np.sort(corners.mean(2), axis=1).T]
    figures += [corners.std(2).max(1), *np.sort(sides, axis=0), _mean(middle), middle.std((1, 2))]
    figures += [_mean(middle) - ring.mean(1), _mean(gray < 0.06), (ring < 0.1).mean(1), (ring > 0.9).mean(1)]
    return np.stack(figures, axis=1)


_ROWS, _COLUMNS = np.mgrid[:SIDE, :SIDE].astype(np.float32)

_EDGE = np.pad(np.zeros((SIDE - 6, SIDE - 6), bool), 3, constant_values=True)

_ENDS = (slice(0, 8), slice(-8, None))

_CORNERS = tuple(
    np.stack([axis[rows, columns].ravel() for rows in _ENDS for columns in _ENDS]) for axis in np.mgrid[:SIDE, :SIDE]
)


def _outline(even: np.ndarray) -> list[float]:
    """Of one picture the largest thing that stands out from the ground at its edge, and how much it is like an oval.

    The ground is what is as dark (or, in an inverted picture, as bright) as the corners and touches the edge.
    """
    like_ground = abs(even - np.median(even[_CORNERS])) < 0.1
    ground = _touching_the_edge(like_ground)
    labels, count = ndimage.label(~ground)
    sizes = np.bincount(labels.ravel(), minlength=2)[1:]
    if not sizes.max():
        return [ground.mean(), like_ground.mean(), *[0.0] * 12]
    thing = labels == 1 + sizes.argmax()
    # Sums over it: pixels, and by row and column their first and second moments, the levels and their squares.
    weights = np.concatenate([_MOMENTS, [even.ravel(), even.ravel() ** 2]])
    size, y, x, yy, yx, xx, level, square = weights @ thing.ravel().astype(np.float64)
    cy, cx, mean = y / size, x / size, level / size
    cov = np.array([[yy, yx], [yx, xx]]) / size - np.outer([cy, cx], [cy, cx]) + np.eye(2) / 12
    short, long = np.sqrt(np.linalg.eigvalsh(cov))
    # The ellipse with the same moments: an oval covers it and nothing else.
    (a, b), (_, c) = np.linalg.inv(cov)
    down, right = _ROWS - cy, _COLUMNS - cx
    inside = a * down**2 + 2 * b * down * right + c * right**2 < 4
    overlap = (inside & thing).sum() / (inside | thing).sum()
    padded = np.pad(thing, 1, constant_values=True)
    edge = thing & ~(padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:])
    touched = (thing[0].sum() + thing[-1].sum() + thing[:, 0].sum() + thing[:, -1].sum()) / (4 * SIDE)
    height, width = (np.flatnonzero(thing.any(axis))[[0, -1]] for axis in (1, 0))
    area, rest = size / thing.size, 1 - ground.mean()
    return [
        1 - rest, like_ground.mean(), area, area / max(rest, 1e-3), np.log1p(count), (cy - SIDE / 2) / SIDE,
        (cx - SIDE / 2) / SIDE, short / long, overlap, size / (np.ptp(height) + 1) / (np.ptp(width) + 1),
        edge.sum() / np.sqrt(size), touched, mean, np.sqrt(max(square / size - mean**2, 0)),
    ]  # fmt: skip


_MOMENTS = np.stack([_ROWS**0, _ROWS, _COLUMNS, _ROWS**2, _ROWS * _COLUMNS, _COLUMNS**2]).reshape(6, -1).astype(float)


def _touching_the_edge(mask: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(mask)
    touching = np.zeros(count + 1, bool)
    for line in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        touching[line] = True
    touching[0] = False
    return touching[labels]


def _symmetry(even: np.ndarray) -> np.ndarray:
    """Correlation with itself mirrored and turned."""
    smooth = ndimage.uniform_filter(even, (1, 5, 5))
    smooth = smooth - _mean(smooth)[:, None, None]
    length = (smooth**2).sum((1, 2))
    turned = (smooth[:, :, ::-1], smooth[:, ::-1], smooth[:, ::-1, ::-1], smooth.transpose(0, 2, 1))
    found = np.stack([(smooth * other).sum((1, 2)) for other in turned], axis=1)
    return np.where(length[:, None] > 1e-3, found / np.maximum(length[:, None], 1e-3), 0)


def _gray_levels(sampled: np.ndarray) -> np.ndarray:
    """Histogram of single pixels: drawings have few levels, slices have one heap of dark ones and a broad rest."""
    gray = sampled.astype(np.int64).sum(-1) // 3 + 256 * np.arange(len(sampled))[:, None, None]
    counts = np.bincount(gray.ravel(), minlength=256 * len(sampled)).reshape(-1, 256) / SIDE**2
    top = np.sort(counts, axis=1)[:, :-5:-1]
    entropy, present = -xlogy(counts, counts).sum(1), (counts > 0).sum(1) / 256
    return np.column_stack([entropy, present, top[:, 0], top.sum(1), counts.reshape(-1, 16, 16).sum(2)])


def _edges(even: np.ndarray) -> np.ndarray:
    """Where edges are, how sharp, and whether they run along the axes (text, windows) or around the middle (skulls)."""
    dy, dx = np.gradient(even, axis=(1, 2))
    strength = np.hypot(dy, dx)
    total, power = (np.maximum(of.sum((1, 2)), 1e-3) for of in (strength, strength**2))
    axes = ((dy**2 - dx**2) ** 2 / np.maximum(strength, 1e-6) ** 2).sum((1, 2)) / power
    center = [(strength * along).sum((1, 2)) / total for along in (_ROWS, _COLUMNS)]
    ry, rx = _ROWS - center[0][:, None, None], _COLUMNS - center[1][:, None, None]
    inward = (dy * ry + dx * rx) / np.maximum(np.hypot(ry, rx), 1)
    inner = strength[:, np.hypot(_ROWS - SIDE / 2, _COLUMNS - SIDE / 2) < SIDE / 4]
    padded = np.pad(even, ((0, 0), (1, 1), (1, 1)), mode="edge")
    laplacian = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:] - 4 * even
    octaves, coarse = [], even
    for _ in range(5):  # detail of 2, 4, ... 32 pixels: what is lost when the side is halved
        half = coarse.shape[1] // 2
        fields = coarse.reshape(-1, half, 2, half, 2)
        coarse = fields.mean((2, 4))
        octaves.append(np.log((fields - coarse[:, :, None, :, None]).std((1, 2, 3, 4)) + 1e-3))
    figures = [_mean(strength), *np.percentile(strength, [50, 75, 90, 98], axis=(1, 2)), _mean(strength > 0.1), axes]
    figures += [(inward**2).sum((1, 2)) / power, inward.sum((1, 2)) / total, inner.mean(1), inner.sum(1) / total]
    return np.stack([*figures, _mean(abs(laplacian)), *octaves], axis=1)


def _rings(even: np.ndarray) -> np.ndarray:
    """Mean and spread in rings around the middle."""
    levels = even.reshape(len(even), -1).astype(np.float64)
    means, squares = levels @ _RINGS, levels**2 @ _RINGS
    return np.concatenate([means, np.sqrt((squares - means**2).clip(0))], axis=1)


_RINGS = np.eye(6)[(np.hypot(_ROWS - SIDE / 2 + 0.5, _COLUMNS - SIDE / 2 + 0.5) / (SIDE / 10)).astype(int).clip(0, 5)]

_RINGS = _RINGS.reshape(-1, 6) / _RINGS.sum((0, 1))


def _layout(even: np.ndarray) -> np.ndarray:
    """Where it is bright, in 8x8 fields, and how rough each of 4x4 fields is."""
    fields = even.reshape(-1, 8, 8, 8, 8).mean((2, 4))
    rough = even.reshape(-1, 4, 16, 4, 16).std((2, 4))
    return np.concatenate([fields.reshape(len(even), -1), rough.reshape(len(even), -1)], axis=1)
