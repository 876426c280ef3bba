"""A network and a part of a dataset -> logits."""

import numpy as np
import torch
from datasets import Dataset
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from brain_tumor.data.pixels import open_picture
from brain_tumor.data.transforms import EvalTransform


@torch.inference_mode()
def predict_logits(model: PreTrainedModel, part: Dataset, processor, description: str, batch_size=64) -> np.ndarray:
    """Logits of every slice of a part, in float32 (training may have run in bfloat16).

    Args:
        part: with the columns pixels and label of `pixels.pixels_for`; without pixels each picture is opened and goes
            through the processor as it is, which takes any processor and gives the same logits.

    Returns:
        (slices, classes) float32, divided by `config.confidence_temperature` where the checkpoint keeps one.
    """
    resized = "pixels" in part.column_names
    transform, device = EvalTransform(processor) if resized else None, next(model.parameters()).device
    model.eval()
    logits = []
    for start in tqdm(range(0, part.num_rows, batch_size), desc=description, unit="batch"):
        rows = part[start : start + batch_size]
        if resized:
            pixel_values = transform(rows)["pixel_values"]
        else:
            pictures = [open_picture(image) for image in rows["image"]]
            pixel_values = processor(images=pictures, return_tensors="pt")["pixel_values"]
        logits.append(model(pixel_values=pixel_values.to(device)).logits.float().cpu())
    return torch.cat(logits).numpy() / getattr(model.config, "confidence_temperature", 1.0)
