"""Simulated lesions for training: healthy slices of any kind of scan become tumors of unknown type.

In public data the kind of scan gives a tumor away: healthy slices are mostly T2 or FLAIR, tumors T1 with contrast. A
healthy slice with a blob in it differs from its healthy copy by nothing but the blob, so what a network learns from the
pair is to look for the blob. The blobs are crude on purpose (any outline, any gray, with or without a rim): what
`benchmarks/probes.py` measures is drawn by other code.
"""

import math

import torch
from torch.nn import functional

HEAD_LEVEL = 28
"""Gray level above which a pixel belongs to the head rather than to the air around it."""


def add_lesions(pixels: torch.Tensor) -> torch.Tensor:
    """One lesion in each slice, somewhere in the inner part of the head.

    Args:
        pixels: (batch, channels, height, width) float, values 0 to 255.

    Returns:
        The same shape and range. Uses torch's global random state.
    """
    n, _, height, width = pixels.shape
    gray = pixels.mean(dim=1)
    left, right = head_extent(gray, 1)
    top, bottom = head_extent(gray, 2)
    # A place in the ellipse that fills two thirds of the head's bounding box; scalp and skull stay outside. Of some
    # tries the first that hits tissue.
    tries = (n, 6)
    turn, out = torch.rand(tries) * 2 * math.pi, 0.62 * torch.rand(tries).sqrt()
    half_width, half_height = (right - left) / 2, (bottom - top) / 2
    xs = ((left + right) / 2).unsqueeze(1) + out * torch.cos(turn) * half_width.unsqueeze(1)
    ys = ((top + bottom) / 2).unsqueeze(1) + out * torch.sin(turn) * half_height.unsqueeze(1)
    at = (ys.long().clamp(0, height - 1) * width + xs.long().clamp(0, width - 1)).clamp(0)
    first = (gray.flatten(1).gather(1, at) > 1.5 * HEAD_LEVEL).float().argmax(dim=1, keepdim=True)
    x0, y0 = xs.gather(1, first)[:, 0], ys.gather(1, first)[:, 0]
    size = torch.exp(_between(n, math.log(0.06), math.log(0.34))) * torch.minimum(half_width, half_height)

    y, x = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    dx, dy = x - x0.view(n, 1, 1), y - y0.view(n, 1, 1)
    stretch, lean = torch.exp(_between(n, -0.35, 0.35)).view(n, 1, 1), _between(n, 0, math.pi).view(n, 1, 1)
    u = (dx * torch.cos(lean) + dy * torch.sin(lean)) * stretch
    v = (dy * torch.cos(lean) - dx * torch.sin(lean)) / stretch
    angle = torch.atan2(v, u)
    outline = torch.ones(n, height, width)
    for wave in range(2, 6):
        depth = _between(n, 0, 0.45 / wave).view(n, 1, 1)
        outline += depth * torch.cos(wave * angle + _between(n, 0, 2 * math.pi).view(n, 1, 1))
    # Distance from the center, 1 at the outline.
    distance = torch.sqrt(u * u + v * v) / (size.view(n, 1, 1) * outline.clamp(min=0.3))
    softness = _between(n, 0.03, 0.10).view(n, 1, 1)
    inside = torch.sigmoid((1 - distance) / softness)

    tissue = (gray * inside).sum(dim=(1, 2)) / inside.sum(dim=(1, 2)).clamp(min=1)
    brightest = torch.quantile(gray.flatten(1)[:, ::7], 0.985, dim=1)
    # How far from the tissue around: to the bright end, rarely to the dark one; never so little that nobody sees it.
    brighter = (torch.rand(n) < 0.9) | (tissue < 60)
    amount = torch.where(
        brighter,
        _between(n, 0.5, 1.1) * (brightest - tissue).clamp(min=70),
        -_between(n, 0.5, 0.9) * tissue.clamp(min=50),
    ).view(n, 1, 1)
    texture = 1 + _between(n, 0, 0.5).view(n, 1, 1) * _cloud(n, height, width)
    body = inside * texture
    ring_width = _between(n, 0.12, 0.35).view(n, 1, 1)
    rim = inside * (1 - torch.sigmoid((1 - ring_width - distance) / softness))
    core = inside - rim
    hollow = (torch.rand(n) < 0.45).view(n, 1, 1)
    change = amount * torch.where(hollow, rim * texture - _between(n, -0.3, 0.8).view(n, 1, 1) * core, body)
    # Swelling around it: a wide soft cloud, brighter (T2) or darker (T1), in half of the lesions.
    swelling = torch.exp(-((distance - 1).clamp(min=0) ** 2) / (2 * _between(n, 0.2, 0.7).view(n, 1, 1) ** 2)) - inside
    sign = torch.where(brighter, torch.where(torch.rand(n) < 0.6, 1.0, -1.0), -1.0).view(n, 1, 1)
    share = (_between(n, 0.1, 0.5) * (torch.rand(n) < 0.5)).view(n, 1, 1)
    change = change + share * sign * amount.abs() * swelling.clamp(min=0) * (1 + 0.5 * _cloud(n, height, width))
    # Air stays black.
    change = change * (gray / HEAD_LEVEL).clamp(0, 1)
    return (pixels + change.unsqueeze(1)).clamp(0, 255)


def head_extent(gray: torch.Tensor, axis: int) -> tuple[torch.Tensor, torch.Tensor]:
    """First and last row (axis 2) or column (axis 1) of the head in (batch, height, width) grays, as floats.

    A row or column belongs to it if a twelfth of its pixels is brighter than air; thin writing beside the head is not.
    The whole length where nothing does.
    """
    inside = (gray > HEAD_LEVEL).float().mean(dim=axis) > 1 / 12
    length = inside.shape[1]
    first = inside.float().argmax(dim=1)
    last = length - 1 - inside.flip(1).float().argmax(dim=1)
    return first.float(), last.float()


def _cloud(n: int, height: int, width: int) -> torch.Tensor:
    """(n, height, width) smooth noise of about unit variance."""
    coarse = torch.randn(n, 1, 14, 14)
    return functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)[:, 0]


def _between(n: int, low: float, high: float) -> torch.Tensor:
    return low + torch.rand(n) * (high - low)
