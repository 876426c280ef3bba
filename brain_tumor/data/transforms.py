"""What happens to a slice in training, beside what happens to it in evaluation.

Both work on batches of resized uint8 slices as `pixels.read_pixels` returns them and end with the same
`normalize`, so the two lists of steps can be compared at a glance.
"""

import math

import torch
from torch.nn import functional

from brain_tumor.data.pixels import read_pixels


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
        pixels = self.steps(torch.from_numpy(read_pixels(rows["pixels"], self.height, self.width)))
        return {
            "pixel_values": normalize(pixels.expand(-1, 3, -1, -1), self.processor),
            "labels": torch.tensor(rows["label"]),
        }

    def steps(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels


class TrainTransform(EvalTransform):
    """The same with augmentation: what differs between two scanners, two patients and two exports, and no color.

    Args:
        processor: of the checkpoint.
        strength: 0 leaves slices as they are, 1 is the default recipe; ranges grow in proportion.
    """

    def __init__(self, processor, *, strength: float = 1.0):
        super().__init__(processor)
        self.strength = strength

    def steps(self, pixels: torch.Tensor) -> torch.Tensor:
        s = self.strength
        if s == 0:
            return pixels
        pixels = mirror(pixels.float())
        pixels = affine(pixels, degrees=20 * s, shift=0.08 * s, zoom=0.2 * s, aspect=0.1 * s)
        pixels = intensity(pixels, gamma=0.45 * s, contrast=0.3 * s, brightness=0.12 * s)
        pixels = blur(pixels, share=0.25 * s, sigma=1.2)
        return noise(pixels, share=0.25 * s, sigma=0.04)


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
    matrix = torch.stack(rows, 1).view(n, 2, 3)
    grid = functional.affine_grid(matrix, list(pixels.shape), align_corners=False)
    return functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


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


def collate(rows: list[dict]) -> dict:
    """Stack rows into a batch whose pixels lie channels-last in memory, as the convolutions are fastest."""
    pixel_values = torch.stack([row["pixel_values"] for row in rows])
    return {
        "pixel_values": pixel_values.contiguous(memory_format=torch.channels_last),
        "labels": torch.stack([torch.as_tensor(row["labels"]) for row in rows]),
    }


def _uniform(n: int, half_range: float) -> torch.Tensor:
    return (torch.rand(n) * 2 - 1) * half_range
