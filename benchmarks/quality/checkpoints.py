"""What a checkpoint says about pictures, and shares with intervals: the ground of all benchmarks that train nothing."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnxruntime
from datasets import Dataset, DatasetDict
from PIL import Image
from scipy.special import softmax
from transformers import AutoImageProcessor, AutoModelForImageClassification

import brain_tumor.network.baseline_cnn  # noqa: F401  registers the baseline network, so its checkpoints load here too
from brain_tumor.data.dataset import load_scans
from brain_tumor.data.pixels import open_picture
from brain_tumor.data.split import split_scans
from brain_tumor.evaluation.intervals import group_draws, share_intervals, sums_by_group
from brain_tumor.labels import LABELS, canonical_label
from brain_tumor.network.pretrained import drop_needless_padding
from brain_tumor.publishing.export import export_onnx

BATCH = 32

SPLIT, SPLIT_SEED = "copy_free", 42  # of every result here; the defaults of train.py


def load_parts(data: Path) -> DatasetDict:
    """The copy-free parts of the default dataset that lies in the folder `data`."""
    return split_scans(load_scans(data / "brain-tumour-MRI-scan"), SPLIT, SPLIT_SEED)


def open_slices(part: Dataset) -> list[Image.Image]:
    """Every slice of a part, 8-bit RGB at its own size."""
    return [open_picture(image) for image in part["image"]]


class Checkpoint:
    """A checkpoint with its own processor behind one call, in batches.

    Args:
        folder: written by `train.py`, or the id of an image-classification model on the Hub, of the four classes.
    """

    def __init__(self, folder: str | Path):
        # The PIL backend is the one that training used; torchvision resizes a little differently.
        self.processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        self.model = AutoModelForImageClassification.from_pretrained(folder).eval()
        drop_needless_padding(self.model)
        self._session = None
        names = [canonical_label(self.model.config.id2label[i]) for i in range(self.model.config.num_labels)]
        if sorted(map(str, names)) != sorted(LABELS):
            raise SystemExit(f"{folder} has the classes {list(self.model.config.id2label.values())}, not {LABELS}.")
        self._order = [names.index(label) for label in LABELS]
        # A checkpoint whose last layer is not linear keeps its temperature in the config; others have it folded in.
        self._temperature = float(getattr(self.model.config, "confidence_temperature", 1.0))

    def probabilities(self, pictures: Iterable[Image.Image]) -> np.ndarray:
        """8-bit pictures of any size, or a generator of them -> (n, 4) float64 in the order of `LABELS`."""
        rows, batch = [np.empty((0, len(LABELS)))], []
        for picture in pictures:
            batch.append(picture.convert("RGB"))
            if len(batch) == BATCH:
                rows.append(self._forward(batch))
                batch = []
        if batch:
            rows.append(self._forward(batch))
        return np.concatenate(rows)

    def _forward(self, pictures: list[Image.Image]) -> np.ndarray:
        """By ONNX Runtime, five times faster than torch and the same to 1e-3 in the logits (`tests/test_export.py`)."""
        pixels = self.processor(images=pictures, return_tensors="np")["pixel_values"]
        if self._session is None:
            with tempfile.TemporaryDirectory() as scratch:
                path = export_onnx(self.model, Path(scratch, "model.onnx"), pixels.shape[-1])
                self._session = onnxruntime.InferenceSession(path.read_bytes())
        logits = self._session.run(["logits"], {"pixel_values": pixels})[0].astype(np.float64)
        return softmax(logits / self._temperature, axis=1)[:, self._order]


def share(hits: np.ndarray, groups: np.ndarray, seed: int = 0) -> dict:
    """The mean of `hits` with its 95 % interval over groups of copies, as `metrics.share_interval` makes it.

    Args:
        hits: (n,) bool, or in [0, 1] such as the accuracy on several pictures of one slice.
        groups: (n,) groups of copies.
        seed: of the bootstrap.

    Returns:
        share, interval [low, high], by_group (the mean of the groups' own means, for which thirty copies of one
        scan count as much as a scan without a copy), and the number of pictures and groups.
    """
    hits = np.asarray(hits, np.float64)
    if not len(hits):
        return {"share": None, "interval": None, "by_group": None, "pictures": 0, "groups": 0}
    draws, member = group_draws(groups, seed)
    sums, counts = (sums_by_group(of[:, None], member, draws.shape[1]) for of in (hits, np.ones(len(hits))))
    return {
        "share": float(hits.mean()),
        "interval": share_intervals(draws, sums, counts)[0],
        "by_group": float((sums / counts).mean()),
        "pictures": len(hits),
        "groups": len(sums),
    }


def fair_subset(part: Dataset, slices: int, labels: Iterable[int] = range(len(LABELS))) -> Dataset:
    """As many slices of each class, spread over as many groups of copies as there are.

    Of every group the slice with the smallest hash is taken, then of every group the next one, until a class has its
    share of `slices` or no more. Nothing is random: the same part gives the same subset.
    """
    every_label, groups = np.array(part["label"]), np.array(part["group"])
    hashes = np.array(part["sha256"])
    labels, chosen = list(labels), []
    for label in labels:
        rows = np.flatnonzero(every_label == label)
        rows = rows[np.argsort(hashes[rows], kind="stable")]
        _, member = np.unique(groups[rows], return_inverse=True)
        turn = np.array([np.sum(member[:i] == g) for i, g in enumerate(member)], dtype=int)  # its place in its group
        chosen.extend(rows[np.argsort(turn, kind="stable")][: slices // len(labels)])
    return part.select(sorted(chosen))
