"""Is this the kind of picture that the model has learned from? One score from its embedding and the picture itself.

Scoring needs numpy alone and one small file beside the checkpoint; `training.fit_familiarity` makes that file.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save

from brain_tumor.inference.picture_statistics import SIDE, picture_statistics

FILE = "familiarity.safetensors"

NETWORKS = 5

ALLOWED = {"plain": 0.01, "disguised": 0.06}
"""Share of validation slices, as they are and changed by `training.disguise`, that the threshold may flag. Few slices
are as odd as many of the disguised ones: inverted, cut and noisy at once."""


@dataclass(frozen=True)
class Familiarity:
    """Tells slices of a head from other pictures.

    A few small networks, whose mean logit counts, see the picture's statistics, the embedding's coordinates along the
    directions in which slices differ most and along those in which strangers leave these, and its distance from all of
    them (the residual, as in Wang et al. 2022, "ViM: Out-of-Distribution with Virtual-logit Matching"). They have
    learned to tell slices from drawn pictures (`training.strangers`), and from real ones where the training was given
    some.

    Attributes:
        threshold: lowest score of a picture that the model may judge.
        arrays: name -> float32 array, all that the score needs.
    """

    threshold: float
    arrays: dict[str, np.ndarray]

    def score(self, embeddings: np.ndarray, statistics: np.ndarray) -> np.ndarray:
        """How much each picture is like the slices that the model knows.

        Args:
            embeddings: (n, d) float32, from the checkpoint that this was fitted for.
            statistics: (n, k), of the same pictures, as `picture_statistics` makes them.

        Returns:
            (n,) float64, a log-odds: higher is more familiar.
        """
        scaled = scale_inputs(self.arrays, network_inputs(self.arrays, embeddings, statistics))
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
        about = json.dumps({"threshold": self.threshold, "allowed": ALLOWED})
        # Not `save_file`, whose files only their owner may read.
        (Path(folder) / FILE).write_bytes(save(self.arrays, metadata={"familiarity": about}))

    @classmethod
    def load(cls, folder: str | Path) -> "Familiarity | None":
        """What `save` wrote, or None where a checkpoint has no such file."""
        path = Path(folder) / FILE
        if not path.is_file():
            return None
        with safe_open(path, framework="np") as file:
            threshold = json.loads(file.metadata()["familiarity"])["threshold"]
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
        if "centre" in arrays:  # as files of earlier versions spell it
            arrays["center"] = arrays.pop("centre")
        return cls(threshold, arrays)


def network_inputs(arrays: dict[str, np.ndarray], embeddings: np.ndarray, statistics: np.ndarray) -> np.ndarray:
    """What the networks see, not yet scaled: whitened coordinates, logs of residual, distance and length, statistics.

    Args:
        arrays: with mean (d,), directions (m, d) and scales (m,).
        embeddings, statistics: as for `Familiarity.score`.

    Returns:
        (n, m + 3 + k) float64.
    """
    centered = embeddings.astype(np.float64) - arrays["mean"]
    along = centered @ arrays["directions"].T
    residual = np.sqrt(np.maximum((centered**2).sum(1) - (along**2).sum(1), 1e-6))
    white = along / arrays["scales"]
    distance = np.sqrt((white**2).mean(1))
    lengths = np.log(np.stack([residual, distance + 1e-3, np.linalg.norm(embeddings, axis=1) + 1e-3], axis=1))
    return np.concatenate([white, lengths, statistics], axis=1)


def scale_inputs(arrays: dict[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Rows of `network_inputs` in units of the slices' spread. Far values are pulled in, or a single odd number would
    decide alone.
    """
    units = (rows - arrays["center"]) / arrays["spread"]
    return np.sign(units) * np.log1p(abs(units))
