"""What differs between two scanners, two patients, two kinds of scan and two exports: the steps of the augmentation.

Each works on a batch of slices, (batch, channels, height, width) float32 with values 0 to 255 and black air, and
returns such a batch. A `share` is that of the slices that a step changes.
"""

import math

import torch
from torch.nn import functional

TISSUE = 0.06
"""Least gray, as a share of the brightest, of what belongs to the head."""

CURVE_KNOTS = 6
"""Points of the random curves of `recolor`."""


def mirror(pixels: torch.Tensor) -> torch.Tensor:
    """Left and right swapped in half of the slices: exports follow both conventions."""
    return torch.where(torch.rand(len(pixels), 1, 1, 1) < 0.5, pixels.flip(-1), pixels)


def affine(pixels: torch.Tensor, *, degrees: float, shift: float, zoom: float, aspect: float) -> torch.Tensor:
    """Rotation up to `degrees`, shift up to a share of the side, zoom by exp(+-zoom), aspect by exp(+-aspect)."""
    n = len(pixels)
    angle = _uniform(n, math.radians(degrees))
    scale = torch.exp(-_uniform(n, zoom))
    stretch = torch.exp(_uniform(n, aspect) / 2)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = [cos * stretch, -sin * stretch, _uniform(n, 2 * shift), sin / stretch, cos / stretch, _uniform(n, 2 * shift)]
    return _sample(pixels, torch.stack(rows, 1).view(n, 2, 3))


def reframe(pixels: torch.Tensor, *, share: float, tightest: float = 0.9, loosest: float = 1.45) -> torch.Tensor:
    """A crop around the head: from its bounding box times `tightest` to times `loosest`, on each axis by itself.

    Published sets differ in how much air they leave around the head, and some in its proportions.
    """
    n, _, height, width = pixels.shape
    head = _head(pixels)[:, 0]
    chosen = (torch.rand(n) < share) & head.flatten(1).any(1)
    if not chosen.any():
        return pixels
    matrix = torch.zeros(n, 2, 3)
    common = tightest + torch.rand(n) * (loosest - tightest)
    for row, (axis, side) in enumerate(((1, width), (2, height))):
        covered = head.any(axis).float()
        places = torch.arange(side).expand(n, side)
        first = torch.where(covered > 0, places, side).amin(1)
        last = torch.where(covered > 0, places, -1).amax(1)
        extent = common * torch.exp(_uniform(n, 0.08))
        matrix[:, row, row] = (last - first + 1) / side * extent
        matrix[:, row, 2] = (first + last + 1) / side - 1
    return torch.where(chosen.view(n, 1, 1, 1), _sample(pixels, matrix), pixels)


def intensity(pixels: torch.Tensor, *, gamma: float, contrast: float, brightness: float) -> torch.Tensor:
    """Gamma exp(+-gamma), contrast 1 +- contrast about the mean, brightness +- a share of the range. Black stays."""
    n = len(pixels)
    values = (pixels / 255).clamp(0, 1)
    values = values ** torch.exp(_uniform(n, gamma)).view(-1, 1, 1, 1)
    mean = values.mean(dim=(1, 2, 3), keepdim=True)
    changed = (values - mean) * (1 + _uniform(n, contrast).view(-1, 1, 1, 1)) + mean
    changed = changed + _uniform(n, brightness).view(-1, 1, 1, 1)
    # The air around the head is zero on every scanner; only tissue changes.
    return (torch.where(values > 0.02, changed, values).clamp(0, 1)) * 255


def recolor(pixels: torch.Tensor, *, share: float) -> torch.Tensor:
    """Grays sent through a random curve that need not rise: which tissue is bright is what T1 and T2 differ in.

    A curve goes through `CURVE_KNOTS` heights over evenly spaced grays, a random mean of the gray and a random height.
    """
    chosen = torch.rand(len(pixels)) < share
    if not chosen.any():
        return pixels
    some = pixels[chosen]
    heights = torch.rand(len(some), CURVE_KNOTS)
    straight = torch.linspace(0, 1, CURVE_KNOTS)
    weight = 0.75 * torch.rand(len(some), 1)
    heights = weight * heights + (1 - weight) * straight
    heights[:, 0] = 0
    place = (some / 255).clamp(0, 1) * (CURVE_KNOTS - 1)
    below = place.long().clamp(max=CURVE_KNOTS - 2)
    flat = below.flatten(1)
    low = heights.gather(1, flat).view_as(some)
    high = heights.gather(1, flat + 1).view_as(some)
    pixels = pixels.clone()
    pixels[chosen] = (low + (high - low) * (place - below)) * 255
    return pixels


def shade(pixels: torch.Tensor, *, share: float, strength: float) -> torch.Tensor:
    """Brightness that drifts across the slice, by exp(+-strength), as a coil's sensitivity makes it."""
    n, _, height, width = pixels.shape
    field = functional.interpolate(torch.randn(n, 1, 3, 3), (height, width), mode="bicubic", align_corners=True)
    amount = strength * (torch.rand(n, 1, 1, 1) < share)
    return (pixels * torch.exp(field.clamp(-2, 2) / 2 * amount)).clamp(0, 255)


def strip_skull(pixels: torch.Tensor, *, share: float, depths: tuple[float, float] = (0.05, 0.12)) -> torch.Tensor:
    """The head without its outer layer, `depths` of the side thick: roughly what skull-stripping leaves.

    Otherwise black surroundings of a bare brain would stand for the few classes that have stripped slices.
    """
    chosen = torch.rand(len(pixels)) < share
    if not chosen.any():
        return pixels
    depth = depths[0] + torch.rand(1).item() * (depths[1] - depths[0])
    # A quarter of the resolution is enough for an outline, and sixteen times faster.
    head = functional.max_pool2d(_head(pixels[chosen]).float(), 4, ceil_mode=True)
    side = min(head.shape[-2:])
    gap, peel = max(1, side // 10), max(1, round(depth * side))
    closed = _erode(_grow(functional.pad(head, (2 * gap,) * 4), gap), gap)
    inner = _erode(closed, peel)[..., 2 * gap : -2 * gap, 2 * gap : -2 * gap]
    inner = functional.interpolate(inner, pixels.shape[-2:], mode="bilinear")
    pixels = pixels.clone()
    pixels[chosen] = pixels[chosen] * (inner > 0.5)
    return pixels


def coarsen(pixels: torch.Tensor, *, share: float, worst: float) -> torch.Tensor:
    """Resolution lowered up to `worst` times, then back: thumbnails and thick voxels are enlarged on the way here."""
    chosen = torch.rand(len(pixels)) < share
    if not chosen.any():
        return pixels
    side = [round(edge / (1.2 + torch.rand(1).item() * (worst - 1.2))) for edge in pixels.shape[-2:]]
    small = functional.interpolate(pixels[chosen], side, mode="area")
    pixels = pixels.clone()
    pixels[chosen] = functional.interpolate(small, pixels.shape[-2:], mode="bilinear", align_corners=False)
    return pixels


def blur(pixels: torch.Tensor, *, share: float, sigma: float) -> torch.Tensor:
    """Gaussian blur of 0.3 to `sigma` pixels in a share of the slices."""
    chosen = torch.rand(len(pixels)) < share
    if not chosen.any():
        return pixels
    width = 0.3 + torch.rand(1).item() * (sigma - 0.3)
    taps = torch.exp(-(torch.arange(-3, 4).float() ** 2) / (2 * width**2))
    channels = pixels.shape[1]
    taps = (taps / taps.sum()).repeat(channels, 1)
    some = functional.pad(pixels[chosen], (3, 3, 3, 3), mode="replicate")
    some = functional.conv2d(some, taps.view(channels, 1, 1, 7), groups=channels)
    some = functional.conv2d(some, taps.view(channels, 1, 7, 1), groups=channels)
    pixels = pixels.clone()
    pixels[chosen] = some
    return pixels


def noise(pixels: torch.Tensor, *, share: float, sigma: float) -> torch.Tensor:
    """Gray Gaussian noise of up to `sigma` of the range, in a share of the slices."""
    n, _, height, width = pixels.shape
    amount = torch.rand(n, 1, 1, 1) * sigma * 255 * (torch.rand(n, 1, 1, 1) < share)
    return (pixels + torch.randn(n, 1, height, width) * amount).clamp(0, 255)


def _head(pixels: torch.Tensor) -> torch.Tensor:
    """(batch, 1, height, width) bool: what is no air."""
    gray = pixels.mean(1, keepdim=True)
    return gray > TISSUE * gray.amax(dim=(2, 3), keepdim=True).clamp(min=1)


def _grow(mask: torch.Tensor, radius: int) -> torch.Tensor:
    """A (batch, 1, height, width) float32 mask of 0 and 1, grown by `radius` pixels: an octagon, nearly a disk."""
    for step in range(radius):
        if step % 2:
            mask = functional.max_pool2d(mask, 3, 1, 1)
        else:
            along_rows = functional.max_pool2d(mask, (1, 3), 1, (0, 1))
            mask = torch.maximum(along_rows, functional.max_pool2d(mask, (3, 1), 1, (1, 0)))
    return mask


def _erode(mask: torch.Tensor, radius: int) -> torch.Tensor:
    return 1 - _grow(1 - mask, radius)


def _sample(pixels: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    grid = functional.affine_grid(matrix, list(pixels.shape), align_corners=False)
    return functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _uniform(n: int, half_range: float) -> torch.Tensor:
    return (torch.rand(n) * 2 - 1) * half_range
