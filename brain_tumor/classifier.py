"""A checkpoint, loaded once: slices in, `Prediction`s out. The rest of the app cannot tell what runs inside."""

from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification

import brain_tumor.baseline_cnn  # noqa: F401  registers the baseline network, so its checkpoints load here too


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be loaded. The message says which one, why, and what to do."""


@dataclass(frozen=True)
class Prediction:
    """What the classifier says about one slice.

    Attributes:
        label: the most probable class, as the checkpoint's config names it.
        confidences: every class of the checkpoint -> calibrated probability in [0, 1]; they sum to 1.
    """

    label: str
    confidences: dict[str, float]


class Classifier:
    """An image-classification checkpoint behind one call.

    Args:
        model_id: a folder written by `train.py` or any image-classification checkpoint's id on the Hub.

    Raises:
        CheckpointError: there is no such checkpoint, or it is damaged.
    """

    def __init__(self, model_id: str | Path):
        self.model_id = str(model_id)
        try:
            config = AutoConfig.from_pretrained(self.model_id)
            # The PIL backend is the one that training used; torchvision resizes a little differently.
            self._processor = AutoImageProcessor.from_pretrained(self.model_id, backend="pil")
            self._model = AutoModelForImageClassification.from_pretrained(self.model_id, config=config).eval()
        except Exception as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(
                f"The checkpoint {self.model_id!r} cannot be loaded ({type(error).__name__}: {reason}). It must be a "
                "folder written by train.py or the id of an image-classification model on the Hugging Face Hub; set "
                "MODEL_ID to one, or unset it for the bundled checkpoint."
            ) from error
        # A checkpoint whose last layer is not linear keeps its temperature in the config; others have it folded in.
        self._temperature = float(getattr(config, "confidence_temperature", 1.0))
        self.labels = [config.id2label[i] for i in range(config.num_labels)]

    def predict(self, slices: list[Image.Image]) -> list[Prediction]:
        """Classify slices of any size, as `scans.open_scan` returns them, in one forward pass."""
        pixel_values = self._processor(images=slices, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            logits = self._model(pixel_values=pixel_values).logits.float() / self._temperature
        return [
            Prediction(self.labels[int(p.argmax())], dict(zip(self.labels, p.tolist(), strict=True)))
            for p in logits.softmax(-1)
        ]
