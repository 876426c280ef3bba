"""The recipe of `run_image_classification.py`, the public example of `transformers`, on a part of a dataset.

With nothing but model and dataset given: AdamW at 5e-5 with linear decay, 3 epochs, batches of 8, random crops and
mirroring in training, the checkpoint's own processor (for MobileNetV2: resize to 256, middle 224) in evaluation. Batch
norm momentum, dropout and loss are the library's; no class weights, no temperature, no choice of an epoch.
"""

import io
import math

import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    Trainer,
    TrainingArguments,
    default_data_collator,
    set_seed,
)

from brain_tumor.labels import LABELS

CROP_AREA, CROP_ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)  # torchvision's RandomResizedCrop


def random_resized_crop(image: Image.Image, side: int, rng: np.random.Generator) -> Image.Image:
    """A random window of 8 to 100 % of the area and an aspect of 3:4 to 4:3, squeezed to `side` pixels square.

    As `torchvision.transforms.RandomResizedCrop` with its defaults, which needs torchvision: ten tries, then the
    largest window in the middle whose aspect is allowed.
    """
    width, height = image.size
    for _ in range(10):
        area = width * height * rng.uniform(*CROP_AREA)
        aspect = math.exp(rng.uniform(*map(math.log, CROP_ASPECT)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = rng.integers(width - w + 1), rng.integers(height - h + 1)
            break
    else:
        aspect = min(max(width / height, CROP_ASPECT[0]), CROP_ASPECT[1])
        w, h = min(width, round(height * aspect)), min(height, round(width / aspect))
        left, top = (width - w) // 2, (height - h) // 2
    box = (int(left), int(top), int(left) + w, int(top) + h)
    return image.resize((side, side), Image.Resampling.BILINEAR, box=box)


class ExampleTransform:
    """Rows of `image` and `label` -> what the example's transforms make: random crop, mirroring, tensor, normalized."""

    def __init__(self, processor, seed: int):
        self.rng = np.random.default_rng(seed)
        size = getattr(processor, "crop_size", None) or processor.size
        self.side = size["height"] if "height" in size else size["shortest_edge"]
        self.mean, self.std = (torch.tensor(of).view(3, 1, 1) for of in (processor.image_mean, processor.image_std))

    def __call__(self, rows: dict) -> dict:
        return {"pixel_values": [self.prepare(image) for image in rows["image"]], "labels": rows["label"]}

    def prepare(self, image: dict) -> torch.Tensor:
        """A row's encoded picture -> (3, side, side) float32."""
        file = io.BytesIO(image["bytes"]) if image["bytes"] is not None else image["path"]
        with Image.open(file) as opened:
            picture = random_resized_crop(opened.convert("RGB"), self.side, self.rng)
        if self.rng.random() < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float().div_(255)
        return pixels.sub_(self.mean).div_(self.std)


def example_trainer(part, checkpoint: str, args: TrainingArguments) -> Trainer:
    """The library's network and Trainer on a part, with nothing set but what the arguments say."""
    set_seed(args.seed)
    processor = AutoImageProcessor.from_pretrained(checkpoint, backend="pil")
    model = AutoModelForImageClassification.from_pretrained(
        checkpoint,
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
        ignore_mismatched_sizes=True,
    )
    rows = part.select_columns(["image", "label"]).with_transform(ExampleTransform(processor, args.seed))
    return Trainer(
        model=model, args=args, train_dataset=rows, data_collator=default_data_collator, processing_class=processor
    )
