"""What happens to a slice in training, beside what happens to it in evaluation.

Both work on batches of resized uint8 slices as `pixels.read_pixels` returns them and end with the same
`normalize`, so the two lists of steps can be compared at a glance.
"""

import torch

from brain_tumor.data import augmentation
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
    """The same with the steps of `augmentation`: no kind of scan shall tell the class, and there is no color.

    Args:
        processor: of the checkpoint.
        strength: 0 leaves slices as they are, 1 is the default recipe; ranges and shares grow in proportion.
    """

    def __init__(self, processor, *, strength: float = 1.0):
        super().__init__(processor)
        self.strength = strength

    def steps(self, pixels: torch.Tensor) -> torch.Tensor:
        s = self.strength
        if s == 0:
            return pixels
        pixels = augmentation.mirror(pixels.float())
        pixels = augmentation.reframe(pixels, share=0.4 * s)
        pixels = augmentation.affine(pixels, degrees=20 * s, shift=0.08 * s, zoom=0.2 * s, aspect=0.1 * s)
        pixels = augmentation.strip_skull(pixels, share=0.12 * s)
        pixels = augmentation.recolor(pixels, share=0.35 * s)
        pixels = augmentation.shade(pixels, share=0.25 * s, strength=0.6)
        pixels = augmentation.intensity(pixels, gamma=0.45 * s, contrast=0.3 * s, brightness=0.12 * s)
        pixels = augmentation.coarsen(pixels, share=0.3 * s, worst=3)
        pixels = augmentation.blur(pixels, share=0.2 * s, sigma=1.2)
        return augmentation.noise(pixels, share=0.3 * s, sigma=0.05)


def collate(rows: list[dict]) -> dict:
    """Stack rows into a batch whose pixels lie channels-last in memory, as the convolutions are fastest."""
    pixel_values = torch.stack([row["pixel_values"] for row in rows])
    return {
        "pixel_values": pixel_values.contiguous(memory_format=torch.channels_last),
        "labels": torch.stack([torch.as_tensor(row["labels"]) for row in rows]),
    }
