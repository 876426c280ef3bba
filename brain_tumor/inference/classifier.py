"""A checkpoint, loaded once: slices in, `Prediction`s out. Nothing outside can tell what runs inside."""

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image
from scipy.special import softmax

from brain_tumor.inference import familiarity, onnx_backend
from brain_tumor.inference.checkpoint import (
    CONFIG,
    PREPROCESSOR,
    WEIGHTS,
    CheckpointError,
    DamagedError,
    UnsupportedError,
    blame,
    find_file,
    read_settings,
    sha256_of,
)
from brain_tumor.inference.familiarity import Familiarity
from brain_tumor.inference.onnx_backend import OnnxBackend
from brain_tumor.inference.picture_statistics import picture_statistics
from brain_tumor.inference.prediction import UNFAMILIAR, Prediction, by_canonical_label, verdict_of
from brain_tumor.inference.preprocess import Preprocessor
from brain_tumor.inference.verdict import from_config
from brain_tumor.inference.weaknesses import Weaknesses
from brain_tumor.provenance import public_name

STATISTICS_AT_ONCE = 8
"""Slices whose statistics are taken in one go: of fewer it takes longer, of more other threads must wait."""


class Backend(Protocol):
    """What runs a network: `OnnxBackend`, or `TorchBackend`. Everything else here sees arrays alone."""

    file: str
    """Name of the checkpoint's file that the network comes from."""
    config: dict
    """What the checkpoint's config.json holds."""
    weights_sha256: str | None
    """Of the weights that the network was made from, in hexadecimal; None if it is these weights themselves."""
    workers: Executor | None
    """Threads that help the caller's; None if passes through the network wait for one another."""

    def portion(self, count: int) -> int:
        """How many of so many slices go through the network together at best."""
        ...

    def forward(self, slices: list[Image.Image]) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """One pass over 8-bit RGB slices of any size: logits (n, classes), class activation maps (n, classes, h, w)
        before any temperature, embedding (n, d) as `familiarity.embeddings` defines it; all float32. Maps and
        embedding are None if the network is not built for them. Callable from several threads."""
        ...


class Classifier:
    """An image-classification checkpoint behind one call.

    It runs in ONNX Runtime if it has an `onnx/model.onnx`, and else in torch, which is slower to start and to answer.

    Args:
        model_id: a folder written by `train.py` or any image-classification checkpoint's id on the Hub.

    Attributes:
        labels: the classes, as the checkpoint names them, in the order of its outputs.
        version: name and first seven digits of the weights' SHA-256, such as "model, 3f2a9c1".
        thresholds: of the verdict; None if the checkpoint has none, or other classes than the four.
        has_heatmaps, has_familiarity: whether predictions come with these.
        weaknesses: on which kinds of scan it does worse, as its own results say.

    Raises:
        CheckpointError: there is no such checkpoint, or it is damaged; the message names the file.
    """

    def __init__(self, model_id: str | Path):
        self.model_id = str(model_id)
        try:
            self._load()
        except CheckpointError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())
            if not isinstance(error, DamagedError):
                reason = f"{type(error).__name__}: {reason}"
            raise CheckpointError(
                f"The checkpoint {self.model_id!r} cannot be loaded ({reason}). It must be a folder written by "
                "train.py or the id of an image-classification model on the Hugging Face Hub; set MODEL_ID to one, or "
                "unset it for the bundled checkpoint."
            ) from error

    def _load(self) -> None:
        self._backend = _load_backend(self.model_id)
        config = self._backend.config
        with blame(CONFIG):
            names = {int(number): name for number, name in config["id2label"].items()}
            self.labels = [names[number] for number in range(len(names))]
            # A checkpoint whose last layer is not linear keeps its temperature in the config; others have it folded in.
            self._temperature = float(config.get("confidence_temperature") or 1.0)
            of_the_four = by_canonical_label(dict.fromkeys(self.labels, 0.0)) is not None
            self.thresholds = from_config(config) if of_the_four else None
        with blame(familiarity.FILE):
            path = find_file(self.model_id, familiarity.FILE)
            self._familiarity = Familiarity.load(path.parent) if path else None
            if self._familiarity:  # all its arrays are there and fit together
                self._familiarity.check()
        self.weaknesses = Weaknesses.load(self.model_id)
        self.version = f"{public_name(self.model_id)}, {self._digest()[:7]}"

        with blame(self._backend.file):
            logits, maps, embedding = self._backend.forward([Image.new("RGB", (64, 64))])
        if logits.ndim != 2 or not np.isfinite(logits).all():
            raise DamagedError(f"its {self._backend.file} holds no network that classifies")
        if logits.shape[1] != len(self.labels):
            raise DamagedError(f"its {CONFIG} names {len(self.labels)} classes, its network has {logits.shape[1]}")
        self.has_heatmaps = maps is not None
        self.has_familiarity = self._familiarity is not None and embedding is not None
        if self.has_familiarity and self._familiarity.arrays["mean"].shape != embedding.shape[1:]:
            raise DamagedError(
                f"its {familiarity.FILE} belongs to another network; delete that file, or train again, which writes "
                "the right one"
            )

    def predict(self, slices: list[Image.Image]) -> list[Prediction]:
        """Classify slices.

        Args:
            slices: 8-bit RGB of any size, as `reading` returns them. They are run in batches.

        Returns:
            One `Prediction` for each.
        """
        if not slices:
            return []
        looks = portions(slices, STATISTICS_AT_ONCE) if self.has_familiarity else []
        passes = portions(slices, self._backend.portion(len(slices)))
        jobs = [(picture_statistics, some) for some in looks] + [(self._backend.forward, some) for some in passes]
        found = together(jobs, self._backend.workers)
        logits, maps, embedding = map(_joined, zip(*found[len(looks) :], strict=True))
        probabilities = softmax(logits.astype(np.float64) / self._temperature, axis=-1)
        margins = [None] * len(slices)
        if self.has_familiarity:
            scores = self._familiarity.score(embedding, _joined(found[: len(looks)]))
            margins = (scores - self._familiarity.threshold).tolist()
        return [
            self._judge(row.tolist(), margin, None if maps is None else maps[number] / np.float32(self._temperature))
            for number, (row, margin) in enumerate(zip(probabilities, margins, strict=True))
        ]

    def _judge(self, probabilities: list[float], margin: float | None, maps: np.ndarray | None) -> Prediction:
        confidences = dict(zip(self.labels, probabilities, strict=True))
        label = self.labels[int(np.argmax(probabilities))]
        unfamiliar = margin is not None and margin < 0
        verdict = UNFAMILIAR if unfamiliar else verdict_of(label, confidences, self.thresholds)
        heatmaps = None if maps is None else dict(zip(self.labels, maps, strict=True))
        return Prediction(label, confidences, verdict, margin, heatmaps, self.thresholds)

    def _digest(self) -> str:
        """SHA-256 of the weights, as sha256sum gives it; for weights in several files that of the config."""
        exported = self._backend.weights_sha256
        path = find_file(self.model_id, WEIGHTS) if Path(self.model_id).is_dir() or not exported else None
        if path is None and exported:
            return exported
        digest = sha256_of(path or find_file(self.model_id, CONFIG))
        if exported and exported != digest:
            raise DamagedError(
                f"its {WEIGHTS} is damaged, or not the one that the network in ONNX beside it was made from; write "
                "that anew with python -m brain_tumor.publishing.export"
            )
        return digest


def portions(items: Sequence, size: int) -> list:
    """Items, such as a list or an array, in pieces of this size; the last may be smaller.

    >>> portions("abcde", 2)
    ['ab', 'cd', 'e']
    """
    return [items[start : start + size] for start in range(0, len(items), size)]


def _joined(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    return None if parts[0] is None else np.concatenate(parts)


def together(jobs: Sequence[tuple[Callable, object]], workers: Executor | None) -> list:
    """Call functions, the first of them in the workers' threads and the last, at the same time, in this one.

    Nobody waits for workers that are busy with something else: what they have not begun is done here.

    Args:
        jobs: functions, each with its argument.
        workers: threads; None to do everything here.

    Returns:
        What the functions returned, in the order of the jobs.
    """
    begun = [workers.submit(*job) for job in jobs[:-1]] if workers else []
    results: list = []
    for number, (function, argument) in reversed(list(enumerate(jobs))):
        here = number >= len(begun) or begun[number].cancel()
        results.append(function(argument) if here else begun[number])
    return [result.result() if isinstance(result, Future) else result for result in reversed(results)]


def _load_backend(model_id: str) -> Backend:
    config, settings = read_settings(model_id, CONFIG), read_settings(model_id, PREPROCESSOR)
    for name, content in ((CONFIG, config), (PREPROCESSOR, settings)):
        if content is None and Path(model_id).is_dir():
            raise DamagedError(f"it has no {name}")
    exported = find_file(model_id, onnx_backend.FILE)
    if exported and config is not None and settings is not None:
        with contextlib.suppress(UnsupportedError):
            with blame(PREPROCESSOR):
                preprocessor = Preprocessor(settings)
            with blame(onnx_backend.FILE):
                return OnnxBackend(exported, config, preprocessor)
    try:  # seconds and half a gigabyte, so only where it is needed
        from brain_tumor.inference.torch_backend import TorchBackend
    except ModuleNotFoundError as error:
        raise CheckpointError(
            f"The checkpoint {model_id!r} has no {onnx_backend.FILE} that can be served, so it needs PyTorch and "
            f"transformers, and {error.name} is not installed. Install them: pip install -r requirements.txt"
        ) from error
    return TorchBackend.load(model_id)
