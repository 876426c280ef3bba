"""A checkpoint, loaded once: slices in, `Prediction`s out. The rest of the app cannot tell what runs inside."""

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from PIL import Image
from scipy.special import softmax
from torch import nn
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification

import brain_tumor.baseline_cnn  # noqa: F401  registers the baseline network, so its checkpoints load here too
from brain_tumor import decision, familiarity
from brain_tumor.decision import UNCERTAIN_VERDICT, Thresholds
from brain_tumor.familiarity import Familiarity, picture_statistics
from brain_tumor.labels import LABELS, NO_TUMOR, canonical_label, display_name
from brain_tumor.model import drop_needless_padding, final_layer
from brain_tumor.run import public_name

UNFAMILIAR = "unfamiliar"
"""The verdict on a picture that is not of the kind the checkpoint has learned from."""
BATCH = 32
"""Slices in one forward pass at most."""
WEIGHTS = "model.safetensors"


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be loaded. The message says which one, why, and what to do."""


@dataclass(frozen=True)
class Prediction:
    """What the classifier says about one slice.

    Attributes:
        label: the most probable class, as the checkpoint's config names it.
        confidences: every class of the checkpoint -> calibrated probability in [0, 1]; they sum to 1.
        verdict: a label of `labels.LABELS`, "uncertain" or "unfamiliar"; of a checkpoint with other classes, `label`.
        familiarity: log-odds above the checkpoint's threshold, 0 or more is familiar; None if it has no such score.
        heatmaps: class -> class activation map (height, width) float32: what each place of the picture, from the top
            left, adds to the class's logit. Their mean and the class's bias are the logit (Zhou et al. 2016, "Learning
            Deep Features for Discriminative Localization"). None if the network is not built for it.
        thresholds: what the verdict was given by; None if the checkpoint has none.
    """

    label: str
    confidences: dict[str, float]
    verdict: str
    familiarity: float | None = None
    heatmaps: dict[str, np.ndarray] | None = None
    thresholds: Thresholds | None = None

    @property
    def tumor_probability(self) -> float | None:
        """Probability of any of the three tumours, in [0, 1]; None where the checkpoint has not the four classes."""
        named = by_canonical_label(self.confidences)
        return None if named is None else 1 - named[LABELS[NO_TUMOR]]


def by_canonical_label(confidences: dict[str, float]) -> dict[str, float] | None:
    """Confidences by the labels of `labels.LABELS`, in their order; None if they are not of exactly the four classes.

    >>> by_canonical_label({"notumor": 0.7, "glioma": 0.1, "Pituitary tumor": 0.0, "meningioma": 0.2})
    {'glioma': 0.1, 'meningioma': 0.2, 'no_tumor': 0.7, 'pituitary': 0.0}
    """
    named = {canonical_label(name): confidence for name, confidence in confidences.items()}
    if len(confidences) != len(LABELS) or set(named) != set(LABELS):
        return None
    return {label: named[label] for label in LABELS}


class Backend(Protocol):
    """What runs a network. `TorchBackend` is one; everything else here sees arrays alone."""

    head: tuple[np.ndarray, np.ndarray] | None
    """Weights (classes, d) and biases (classes,) that make logits of the mean of the feature maps; None if logits are
    not made so, and then `forward` gives no feature maps either."""

    def forward(self, pixel_values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """One pass: (n, 3, height, width) float32 -> logits (n, classes) float32, feature maps (n, d, h, w) float32,
        embedding (n, d) float32 as `familiarity.embeddings` defines it. Callable from several threads."""
        ...


class TorchBackend:
    """A network of `transformers` on the CPU. See `Backend`."""

    def __init__(self, model):
        self._model = model.eval()
        drop_needless_padding(model)
        # Channels-last, convolutions on a CPU take two thirds of the time.
        model.to(memory_format=torch.channels_last)
        # Hooks see every pass through the network, whoever asked for it, so there is one pass at a time.
        self._lock = threading.Lock()
        self._pooled: list[torch.Tensor] = []
        for module in model.modules():
            if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1)):
                module.register_forward_pre_hook(lambda _, inputs: self._pooled.append(inputs[0].detach()))
        self.head = None

    def find_head(self, pixel_values: np.ndarray) -> None:
        """Look, on pictures that are not blank, whether the logits are those of a mean of feature maps."""
        layer = final_layer(self._model)
        if layer is None:
            return
        weight = layer.weight.detach().flatten(1).float().numpy()
        bias = np.zeros(len(weight), np.float32) if layer.bias is None else layer.bias.detach().float().numpy()
        logits, features, _ = self._forward(pixel_values)
        if features is None or features.shape[1] != weight.shape[1]:
            return
        if np.allclose(features.mean(axis=(2, 3)) @ weight.T + bias, logits, atol=1e-3):
            self.head = weight, bias

    def forward(self, pixel_values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        logits, features, embedding = self._forward(pixel_values)
        return logits, None if self.head is None else features, embedding

    def _forward(self, pixel_values: np.ndarray):
        tensor = torch.from_numpy(pixel_values)
        with self._lock:
            self._pooled.clear()
            seen = familiarity.embeddings(self._model, tensor) if final_layer(self._model) is not None else None
            if seen is None:
                with torch.inference_mode():
                    seen = None, self._model(pixel_values=tensor).logits.float().numpy()
            pooled = self._pooled[-1] if self._pooled else None
            self._pooled.clear()
        embedding, logits = seen
        return logits, None if pooled is None or pooled.ndim != 4 else pooled.float().numpy(), embedding


class Classifier:
    """An image-classification checkpoint behind one call.

    Args:
        model_id: a folder written by `train.py` or any image-classification checkpoint's id on the Hub.

    Attributes:
        labels: the classes, as the checkpoint names them, in the order of its outputs.
        version: name and first seven digits of the weights' SHA-256, such as "model, 3f2a9c1".
        thresholds: of the verdict; None if the checkpoint has none, or other classes than the four.
        has_heatmaps, has_familiarity: whether predictions come with these.

    Raises:
        CheckpointError: there is no such checkpoint, or it is damaged.
    """

    def __init__(self, model_id: str | Path):
        self.model_id = str(model_id)
        try:
            config = AutoConfig.from_pretrained(self.model_id)
            # The PIL backend is the one that training used; torchvision resizes a little differently.
            self._processor = AutoImageProcessor.from_pretrained(self.model_id, backend="pil")
            model = AutoModelForImageClassification.from_pretrained(self.model_id, config=config, dtype=torch.float32)
            self._familiarity = _load_familiarity(self.model_id)
            self.version = f"{public_name(self.model_id)}, {_digest(self.model_id, model)[:7]}"
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
        of_the_four = by_canonical_label(dict.fromkeys(self.labels, 0.0)) is not None
        self.thresholds = decision.from_config(config) if of_the_four else None

        self._backend = TorchBackend(model)
        trial = self._pixel_values([_noise()])
        self._backend.find_head(trial)
        _, features, embedding = self._backend.forward(trial)
        self.has_heatmaps = features is not None
        self.has_familiarity = self._familiarity is not None and embedding is not None
        if self.has_familiarity and self._familiarity.arrays["mean"].shape != embedding.shape[1:]:
            raise CheckpointError(
                f"The checkpoint {self.model_id!r} has a {familiarity.FILE} that belongs to another network. Delete "
                "that file, or train again, which writes the right one."
            )

    def predict(self, slices: list[Image.Image]) -> list[Prediction]:
        """Classify slices.

        Args:
            slices: 8-bit RGB of any size, as `readers` and `scans.open_scan` return them. They are run in batches.

        Returns:
            One `Prediction` for each.
        """
        return [
            prediction
            for start in range(0, len(slices), BATCH)
            for prediction in self._predict(slices[start : start + BATCH])
        ]

    def _predict(self, slices: list[Image.Image]) -> list[Prediction]:
        logits, features, embedding = self._backend.forward(self._pixel_values(slices))
        probabilities = softmax(logits.astype(np.float64) / self._temperature, axis=-1)
        margins = [None] * len(slices)
        if self.has_familiarity:
            statistics = np.stack([picture_statistics(image) for image in slices])
            margins = (self._familiarity.score(embedding, statistics) - self._familiarity.threshold).tolist()
        maps = None if features is None else self._maps(features)
        return [
            self._judged(row.tolist(), margin, None if maps is None else maps[number])
            for number, (row, margin) in enumerate(zip(probabilities, margins, strict=True))
        ]

    def _judged(self, probabilities: list[float], margin: float | None, maps: np.ndarray | None) -> Prediction:
        confidences = dict(zip(self.labels, probabilities, strict=True))
        label = self.labels[int(np.argmax(probabilities))]
        named = by_canonical_label(confidences)
        if margin is not None and margin < 0:
            verdict = UNFAMILIAR
        elif named is None:
            verdict = label
        elif self.thresholds is None:
            verdict = canonical_label(label)
        else:
            verdict = decision.verdict(list(named.values()), self.thresholds)
        heatmaps = None if maps is None else dict(zip(self.labels, maps, strict=True))
        return Prediction(label, confidences, verdict, margin, heatmaps, self.thresholds)

    def _maps(self, features: np.ndarray) -> np.ndarray:
        """Class activation maps: (n, d, h, w) -> (n, classes, h, w) float32."""
        weight, _ = self._backend.head
        maps = np.einsum("cd,ndyx->ncyx", weight, features, optimize=True) / self._temperature
        return maps.astype(np.float32)

    def _pixel_values(self, slices: list[Image.Image]) -> np.ndarray:
        return np.asarray(self._processor(images=slices, return_tensors="np")["pixel_values"], np.float32)


def _noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))


def _load_familiarity(model_id: str) -> Familiarity | None:
    """The score stored beside a checkpoint, in its folder or on the Hub; None if it has none."""
    if Path(model_id).is_dir():
        return Familiarity.load(model_id)
    try:
        return Familiarity.load(Path(hf_hub_download(model_id, familiarity.FILE)).parent)
    except EntryNotFoundError:  # or, offline, not among the files that were fetched before
        return None


def _digest(model_id: str, model) -> str:
    """SHA-256 of the weights: of their file, as sha256sum gives it, or of the tensors where it is not one file."""
    try:
        path = Path(model_id) / WEIGHTS if Path(model_id).is_dir() else Path(hf_hub_download(model_id, WEIGHTS))
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, EntryNotFoundError):
        digest = hashlib.sha256()
        for name, tensor in sorted(model.state_dict().items()):
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


# --- in words ---------------------------------------------------------------------------------------------------


def verdict_words(prediction: Prediction) -> tuple[str, str]:
    """A verdict for a reader who is not an engineer: a headline, and one sentence of why with the numbers that decided.

    >>> thresholds = Thresholds(no_tumor=0.9, tumor=0.94)
    >>> confidences = {"glioma": 0.02, "meningioma": 0.95, "no_tumor": 0.03, "pituitary": 0.0}
    >>> headline, sentence = verdict_words(Prediction("meningioma", confidences, "meningioma", thresholds=thresholds))
    >>> print(headline)
    Looks like: meningioma
    >>> print(sentence)
    The model gives 97 % to a tumor of any kind, and from 94 % on it says so; the most probable kind is meningioma.
    """
    verdict, thresholds, tumor = prediction.verdict, prediction.thresholds, prediction.tumor_probability
    name = display_name(verdict).lower() if verdict in LABELS else verdict
    if verdict == UNFAMILIAR:
        return (
            "This does not look like a brain MRI slice",
            f"It scores {prediction.familiarity:.1f} on likeness to the slices that the model has learned from, and "
            "below 0 nothing that the model says about a picture can be believed.",
        )
    if tumor is None or thresholds is None:
        headline = "No tumor seen" if verdict == LABELS[NO_TUMOR] else f"Looks like: {name}"
        share = percent(prediction.confidences[prediction.label])
        missing = "other classes than tumors" if tumor is None else "no thresholds"
        return headline, (
            f"Of {len(prediction.confidences)} classes this one is the most probable, with {share}; the checkpoint has "
            f"{missing}, so this is no more than its best guess."
        )
    if verdict == UNCERTAIN_VERDICT:
        low, high = 1 - thresholds.no_tumor, thresholds.tumor
        return "Uncertain: needs a specialist", (
            f"The model gives {percent(tumor, low, high)} to a tumor of any kind, between the {percent(low)} up to "
            f"which it says no tumor and the {percent(high)} from which on it says tumor."
        )
    if verdict == LABELS[NO_TUMOR]:
        return "No tumor seen", (
            f"The model gives {percent(1 - tumor, thresholds.no_tumor)} to no tumor, and from "
            f"{percent(thresholds.no_tumor)} on it says so; it can still miss one, above all a small one."
        )
    return f"Looks like: {name}", (
        f"The model gives {percent(tumor, thresholds.tumor)} to a tumor of any kind, and from "
        f"{percent(thresholds.tumor)} on it says so; the most probable kind is {name}."
    )


def percent(share: float, *limits: float) -> str:
    """A share in [0, 1] as per cent, with as few decimals as keep it on its side of each limit.

    >>> [percent(0.97), percent(0.9982), percent(0.99999), percent(0.00001), percent(1.0)]
    ['97 %', '99.82 %', 'more than 99.99 %', 'less than 0.01 %', 'more than 99.99 %']
    >>> [percent(0.9981, 0.9982), percent(0.8996, 0.9), percent(0.9004, 0.9), percent(0.9, 0.9)]
    ['99.81 %', '89.96 %', '90 %', '90 %']
    """
    if share > 0.9999 and not any(share < limit for limit in limits):
        return "more than 99.99 %"
    if share < 0.0001:
        return "less than 0.01 %"
    value = 100 * share
    least = 0 if 0.01 <= share <= 0.99 else 2
    for decimals in range(least, 5):
        shown = round(value, decimals)
        if all(_side(shown, 100 * limit) == _side(value, 100 * limit) for limit in limits):
            break
    return f"{shown:.{decimals}f}".rstrip("0").rstrip(".") + " %" if decimals else f"{shown:.0f} %"


def _side(value: float, limit: float) -> bool:
    return value >= limit - 1e-9
