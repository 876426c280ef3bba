"""What happens to a slice in training, beside what happens to it in evaluation.

Both work on batches of resized uint8 slices as `dataset.read_pixels` returns them and end with the same
`normalize`, so the two lists of steps can be compared at a glance.
"""

import math

import torch
from torch.nn import functional

from brain_tumor.data.lesions import add_lesions, head_extent
from brain_tumor.data.pixels import read_pixels
from brain_tumor.labels import NO_TUMOR, TUMOR


def normalize(pixels: torch.Tensor, processor) -> torch.Tensor:
    """Rescale and normalize as the image processor does, to the last bit for uint8 pixels.

    Args:
        pixels: (batch, 3, height, width), uint8 or float, values 0 to 255.
        processor: whose `rescale_factor`, `image_mean` and `image_std` apply.

    Returns:
        (batch, 3, height, width) float32.
    """
    if pixels.dtype == torch.uint8:
        pixels = pixels.double()  # the processor multiplies in float64 before it goes down to float32
    mean = torch.tensor(processor.image_mean, dtype=torch.float32).view(1, 3, 1, 1)
    std = torch.tensor(processor.image_std, dtype=torch.float32).view(1, 3, 1, 1)
    return (pixels * processor.rescale_factor).float().sub_(mean).div_(std)


class EvalTransform:
    """Rows of `pixels` and `label` -> model inputs, as the processor would make them."""

    def __init__(self, processor):
        self.processor = processor
        self.height, self.width = processor.size["height"], processor.size["width"]

    def __call__(self, rows: dict) -> dict:
        # Gray slices go through the steps as one channel, a third of the work, and become RGB at the end.
        pixels = torch.from_numpy(read_pixels(rows["pixels"], self.height, self.width))
        pixels, labels = self.steps(pixels, torch.tensor(rows["label"]))
        return {"pixel_values": normalize(pixels.expand(-1, 3, -1, -1), self.processor), "labels": labels}

    def steps(self, pixels: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return pixels, labels


class TrainTransform(EvalTransform):
    """The same with augmentation: what differs between two scanners, two patients and two exports, and no color.

    Args:
        processor: of the checkpoint.
        strength: 0 leaves slices as they are, 1 is the default recipe; ranges grow in proportion.
        lesions: share of the healthy slices of which a copy with a simulated lesion, labeled `labels.TUMOR`, is added
            to the batch: beside the slice itself nothing but the lesion tells them apart.
        crops: share of the slices whose margin is changed, from a tight crop of the head to a wide black frame.
        curves: share of the slices whose grays go through a random curve, a third of these turned around.

    Attributes:
        side: pixels to which slices are made smaller, or None for the processor's own size. May change between passes.
    """

    def __init__(
        self, processor, *, strength: float = 1.0, lesions: float = 0.0, crops: float = 0.0, curves: float = 0.0
    ):
        super().__init__(processor)
        self.strength, self.lesions, self.crops, self.curves = strength, lesions, crops, curves
        self.side: int | None = None

    def steps(self, pixels: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        s = self.strength
        chosen = (labels == NO_TUMOR) & (torch.rand(len(labels)) < self.lesions)
        if chosen.any():
            pixels = pixels.float()
            pixels = torch.cat([pixels, add_lesions(pixels[chosen])])
            labels = torch.cat([labels, torch.full((int(chosen.sum()),), TUMOR)])
        if self.side is not None:
            sides = (self.side, self.side)
            pixels = functional.interpolate(pixels.float(), sides, mode="bilinear", antialias=True)
        if s == 0:
            return pixels, labels
        pixels = mirror(pixels.float())
        margins = tight_or_loose(pixels, share=self.crops) if self.crops else None
        pixels = affine(pixels, degrees=20 * s, shift=0.08 * s, zoom=0.2 * s, aspect=0.1 * s, margins=margins)
        if self.curves:
            pixels = gray_curves(pixels, share=self.curves)
        pixels = intensity(pixels, gamma=0.45 * s, contrast=0.3 * s, brightness=0.12 * s)
        pixels = blur(pixels, share=0.25 * s, sigma=1.2)
        return noise(pixels, share=0.25 * s, sigma=0.04), labels


def mirror(pixels: torch.Tensor) -> torch.Tensor:
    """Left and right swapped in half of the slices: exports follow both conventions."""
    return torch.where(_chosen(pixels, 0.5), pixels.flip(-1), pixels)


def affine(
    pixels: torch.Tensor,
    *,
    degrees: float,
    shift: float,
    zoom: float,
    aspect: float,
    margins: torch.Tensor | None = None,
) -> torch.Tensor:
    """Rotation up to `degrees`, shift up to a share of the side, zoom by exp(+-zoom), aspect by exp(+-aspect).

    `margins`, (batch, 2, 3), is a crop that is taken first, as `tight_or_loose` returns it.
    """
    n = len(pixels)
    angle = _uniform(n, math.radians(degrees))
    scale = torch.exp(-_uniform(n, zoom))
    stretch = torch.exp(_uniform(n, aspect) / 2)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = [cos * stretch, -sin * stretch, _uniform(n, 2 * shift), sin / stretch, cos / stretch, _uniform(n, 2 * shift)]
    matrix = torch.stack(rows, 1).view(n, 2, 3)
    if margins is not None:
        last = torch.tensor([0.0, 0.0, 1.0]).expand(n, 1, 3)
        matrix = margins @ torch.cat([matrix, last], 1)
    grid = functional.affine_grid(matrix, list(pixels.shape), align_corners=False)
    return functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def tight_or_loose(pixels: torch.Tensor, *, share: float) -> torch.Tensor:
    """Crops for a share of the slices: each side from 3 % inside the head's bounding box to 25 % outside of it.

    Exports differ in this more than in anything else: some cut to the head and squeeze it into a square, some frame it.

    Returns:
        (batch, 2, 3) float32, matrices from the crop's coordinates to the slice's, both -1 to 1.
    """
    n, _, height, width = pixels.shape
    gray = pixels.mean(dim=1)
    rows = []
    for axis, length in ((1, width), (2, height)):
        first, last = head_extent(gray, axis)
        side = last - first
        low = (first - side * (torch.rand(n) * 0.28 - 0.03)) / length * 2 - 1
        high = (last + 1 + side * (torch.rand(n) * 0.28 - 0.03)) / length * 2 - 1
        rows.append(((high - low) / 2, (high + low) / 2))
    chosen = torch.rand(n) < share
    (sx, cx), (sy, cy) = rows
    zero, one = torch.zeros(n), torch.ones(n)
    crop = torch.stack([sx, zero, cx, zero, sy, cy], 1)
    whole = torch.stack([one, zero, zero, zero, one, zero], 1)
    return torch.where(chosen.view(n, 1), crop, whole).view(n, 2, 3)


def gray_curves(pixels: torch.Tensor, *, share: float) -> torch.Tensor:
    """Grays through a random rising curve, in a third of the chosen slices a falling one; black stays black.

    The kinds of scan order the tissues differently (fluid is dark in T1 and bright in T2), so a network that sees every
    slice in many orders has little to learn from the order.
    """
    n, points = len(pixels), 7
    steps = torch.distributions.Gamma(3.0, 1.0).sample((n, points - 1))
    curve = functional.pad(steps.cumsum(1) / steps.sum(1, keepdim=True), (1, 0))
    falling = (torch.rand(n) < 1 / 3).view(n, 1)
    curve = torch.where(falling, 1 - curve * 0.9, curve)
    table = functional.interpolate(curve.unsqueeze(1), 256, mode="linear", align_corners=True)[:, 0] * 255
    values = pixels.clamp(0, 255)
    index = values.round().long().flatten(1)
    changed = table.gather(1, index).view_as(pixels)
    tissue = (values / 24).clamp(0, 1)  # a soft edge, so that a falling curve draws no line around the head
    mixed = torch.rand(n, 1, 1, 1) * 0.6 + 0.4
    changed = ((changed * mixed + values * (1 - mixed)) * tissue).clamp(0, 255)
    return torch.where(_chosen(pixels, share), changed, pixels)


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


def _uniform(n: int, half_range: float) -> torch.Tensor:
    return (torch.rand(n) * 2 - 1) * half_range


def _chosen(pixels: torch.Tensor, share: float) -> torch.Tensor:
    return (torch.rand(len(pixels)) < share).view(-1, 1, 1, 1)


class MixedCollate:
    """Mixup (Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization"): each slice with a share of another one.

    Args:
        alpha: of the Beta(alpha, alpha) distribution that a batch's share is drawn from.

    The labels of a batch are then (batch, 3) float: own label, the other's label, own share. Evaluation and a batch of
    one are never mixed.
    """

    def __init__(self, alpha: float):
        self.share = torch.distributions.Beta(alpha, alpha)

    def __call__(self, rows: list[dict]) -> dict:
        batch = collate(rows)
        share = self.share.sample().item()
        other = torch.randperm(len(rows))
        pixels, labels = batch["pixel_values"], batch["labels"].float()
        mixed = share * pixels + (1 - share) * pixels[other]
        return {
            "pixel_values": mixed.contiguous(memory_format=torch.channels_last),
            "labels": torch.stack([labels, labels[other], torch.full_like(labels, share)], dim=1),
        }


def collate(rows: list[dict]) -> dict:
    """Stack rows into a batch whose pixels lie channels-last in memory, as the convolutions are fastest."""
    pixel_values = torch.stack([row["pixel_values"] for row in rows])
    return {
        "pixel_values": pixel_values.contiguous(memory_format=torch.channels_last),
        "labels": torch.stack([torch.as_tensor(row["labels"]) for row in rows]),
    }
