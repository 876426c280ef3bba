"""Is this the kind of picture the model has learned from? One score from its embedding and from the picture itself.

What scores a picture needs numpy alone, and one small file beside the checkpoint: no training data, and no torch.
"""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from brain_tumor.inference.picture_statistics import SIDE, picture_statistics

# --- the score ----------------------------------------------------------------------------------------------------

FILE = "familiarity.safetensors"

DIRECTIONS = 48
"""Directions of the embedding, those in which slices differ most, that the networks see."""

NETWORKS = 5

HIDDEN = 64

WEIGHT_DECAY = 5.0

ALLOWED = {"plain": 0.004, "disguised": 0.03}
"""Share of validation slices, as they are and changed by `strangers.disguise`, that the threshold may flag. Few slices
are as odd as many of the disguised: inverted, cut and noisy at once."""


@dataclass(frozen=True)
class Familiarity:
    """Tells slices of a head from other pictures. Fitted once, stored beside the checkpoint, scored with numpy alone.

    A few small networks, whose mean logit counts, see the picture's statistics, the embedding's coordinates along the
    directions in which slices differ most, and its distance from all of these (the residual, as in Wang et al. 2022,
    "ViM: Out-of-Distribution with Virtual-logit Matching"). They learned slices from drawn pictures (`strangers`).

    Attributes:
        threshold: least score of a picture that the model may judge.
        arrays: name -> float32 array, all that the score needs.
    """

    threshold: float
    arrays: dict[str, np.ndarray]

    @classmethod
    def fit(
        cls,
        train: tuple[np.ndarray, np.ndarray],
        strangers: tuple[np.ndarray, np.ndarray],
        plain: tuple[np.ndarray, np.ndarray],
        disguised: tuple[np.ndarray, np.ndarray],
        seed: int = 0,
    ) -> "Familiarity":
        """Learn slices from other pictures, and choose the threshold.

        Args:
            train: embeddings (n, d) float32 and statistics (n, k) of training slices.
            strangers: the same of pictures that are no brain MRI.
            plain, disguised: the same of validation slices, as they are and changed by `strangers.disguise`; they
                choose the threshold and nothing else: at most `ALLOWED` of each fall below it.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        arrays = _subspace(train[0])
        rows = np.concatenate([_inputs(arrays, *train), _inputs(arrays, *strangers)])
        familiar = np.repeat([1, 0], [len(train[0]), len(strangers[0])])
        # Scaled by the slices' own spread, so that whatever is far from all of them is far from zero.
        arrays["center"] = np.median(rows[familiar == 1], axis=0)
        arrays["spread"] = np.maximum(rows[familiar == 1].std(axis=0), 1e-3)
        scaled = _scaled(arrays, rows)
        for number in range(NETWORKS):
            network = MLPClassifier((HIDDEN,), alpha=WEIGHT_DECAY, max_iter=60, random_state=seed + number)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # 60 passes are enough, and meant
                network.fit(scaled, familiar)
            for layer, (weight, bias) in enumerate(zip(network.coefs_, network.intercepts_, strict=True)):
                arrays[f"network{number}.weight{layer}"], arrays[f"network{number}.bias{layer}"] = weight, bias
        arrays = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
        fitted = cls(-np.inf, arrays)
        lowest = [
            np.quantile(fitted.score(*slices), ALLOWED[name], method="lower")
            for name, slices in (("plain", plain), ("disguised", disguised))
        ]
        return cls(float(min(lowest)), arrays)

    def score(self, embeddings: np.ndarray, statistics: np.ndarray) -> np.ndarray:
        """How much each picture is like the slices that the model knows.

        Args:
            embeddings: (n, d) float32, from the checkpoint that this was fitted for.
            statistics: (n, k), of the same pictures, as `picture_statistics` makes them.

        Returns:
            (n,) float64, a log-odds: higher is more familiar.
        """
        scaled = _scaled(self.arrays, _inputs(self.arrays, embeddings, statistics))
        scores = np.zeros(len(scaled))
        for number in range(NETWORKS):
            part = {key: self.arrays[f"network{number}.{key}"] for key in ("weight0", "bias0", "weight1", "bias1")}
            hidden = np.maximum(scaled @ part["weight0"] + part["bias0"], 0)
            scores += (hidden @ part["weight1"] + part["bias1"])[:, 0] / NETWORKS
        return scores

    def is_familiar(self, embeddings: np.ndarray, statistics: np.ndarray) -> np.ndarray:
        """(n,) bool: at or above the threshold."""
        return self.score(embeddings, statistics) >= self.threshold

    def check(self) -> None:
        """Score a blank picture: raises KeyError or ValueError if an array is missing or of another shape."""
        blank = picture_statistics([Image.new("RGB", (SIDE, SIDE))])
        self.score(np.zeros((1, len(self.arrays["mean"])), np.float32), blank)

    def save(self, folder: str | Path) -> None:
        """Write `FILE` into the checkpoint's folder."""
        from safetensors.numpy import save

        about = json.dumps({"threshold": self.threshold, "allowed": ALLOWED})
        # Not `save_file`, whose files only their owner may read.
        (Path(folder) / FILE).write_bytes(save(self.arrays, metadata={"familiarity": about}))

    @classmethod
    def load(cls, folder: str | Path) -> "Familiarity | None":
        """What `save` wrote, or None where a checkpoint has no such file."""
        from safetensors import safe_open

        path = Path(folder) / FILE
        if not path.is_file():
            return None
        with safe_open(path, framework="np") as file:
            threshold = json.loads(file.metadata()["familiarity"])["threshold"]
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
        if "centre" in arrays:  # as files of earlier versions spell it
            arrays["center"] = arrays.pop("centre")
        return cls(threshold, arrays)


def _subspace(embeddings: np.ndarray) -> dict[str, np.ndarray]:
    """Mean, main directions and scales of the slices' embeddings."""
    mean = embeddings.mean(axis=0)
    _, scales, directions = np.linalg.svd(embeddings - mean, full_matrices=False)
    count = min(DIRECTIONS, len(directions))
    return {
        "mean": mean,
        "directions": directions[:count],
        "scales": np.maximum(scales[:count] / np.sqrt(len(embeddings)), 1e-3),
    }


def _inputs(arrays: dict[str, np.ndarray], embeddings: np.ndarray, statistics: np.ndarray) -> np.ndarray:
    """(n, DIRECTIONS + 3 + k): whitened coordinates, logs of residual, distance and length, statistics."""
    centerd = embeddings.astype(np.float64) - arrays["mean"]
    along = centerd @ arrays["directions"].T
    residual = np.sqrt(np.maximum((centerd**2).sum(1) - (along**2).sum(1), 1e-6))
    white = along / arrays["scales"]
    distance = np.sqrt((white**2).mean(1))
    lengths = np.log(np.stack([residual, distance + 1e-3, np.linalg.norm(embeddings, axis=1) + 1e-3], axis=1))
    return np.concatenate([white, lengths, statistics], axis=1)


def _scaled(arrays: dict[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    """In units of the slices' spread; far values are drawn in, or one odd number would decide alone."""
    units = (rows - arrays["center"]) / arrays["spread"]
    return np.sign(units) * np.log1p(abs(units))
