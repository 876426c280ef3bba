"""Fit `Familiarity` to a checkpoint: slices against drawn pictures, and real ones where there are any."""

import itertools
import warnings
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from datasets import Dataset
from PIL import Image
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from tqdm.auto import tqdm

from brain_tumor.data.pixels import open_picture
from brain_tumor.data.split import slice_weights
from brain_tumor.inference.familiarity import ALLOWED, NETWORKS, Familiarity, network_inputs, scale_inputs
from brain_tumor.inference.picture_statistics import picture_statistics
from brain_tumor.network.embedding import embeddings
from brain_tumor.training.disguise import disguise
from brain_tumor.training.other_pictures import OtherPicture
from brain_tumor.training.strangers import stranger

SLICES = 1500
"""Training slices that are used: a third as they are, the others disguised. More take longer and change little."""

VALIDATION_SLICES = 800
"""Validation slices that the threshold is chosen by."""

STRANGERS = 1000
"""Pictures that are drawn."""

DIRECTIONS = 48
"""Directions of the embedding, those in which slices differ most, that the networks see."""

HIDDEN = 64
"""Units of the one hidden layer of each network."""

WEIGHT_DECAY = 5.0

_BATCH = 32

Measured = tuple[np.ndarray, np.ndarray]
"""Embeddings (n, d) float32 and statistics (n, k) of n pictures."""


def fit_familiarity(
    model, processor, parts: dict[str, Dataset], others: Sequence[OtherPicture] = (), seed: int = 0
) -> Familiarity | None:
    """Fit `Familiarity` to a checkpoint, from its training and validation slices, drawn strangers and real ones.

    Args:
        model: the finished network, on any device.
        processor: its image processor.
        parts: name -> part of `split.split_scans`, with the column image. Those used are train and validation; of each,
            slices are chosen so that no class, set or sequence rules by its size.
        others: real pictures that are no brain MRI; each is used as it is and disguised.
        seed: of the choice of slices, of the drawn pictures and of the fit.

    Returns:
        None if the network has no embedding (see `embeddings`).
    """
    random = np.random.default_rng(seed)

    def choose(name: str, most: int) -> Dataset:
        part, weights = parts[name], slice_weights(parts[name])
        shares = weights / weights.sum()
        count = min(most, part.num_rows)
        return part.select(np.sort(random.choice(part.num_rows, count, replace=False, p=shares)))

    def open_rows(part: Dataset) -> Iterator[Image.Image]:
        return (open_picture(image) for image in part["image"])

    train, validation = choose("train", SLICES), choose("validation", VALIDATION_SLICES)
    to_break = list(open_rows(train.select(range(0, train.num_rows, max(1, train.num_rows // 200)))))
    real = [other.open() for other in others]
    jobs = {
        "plain": (open_rows(validation), validation.num_rows),
        "disguised": ((disguise(image, random) for image in open_rows(validation)), validation.num_rows),
        "train": (
            (disguise(image, random) if i % 3 else image for i, image in enumerate(open_rows(train))),
            train.num_rows,
        ),
        "strangers": (
            itertools.chain(
                (stranger(random, to_break) for _ in range(STRANGERS)),
                real,
                (disguise(image, random) for image in real),
            ),
            STRANGERS + 2 * len(real),
        ),
    }
    found = {}
    with tqdm(total=sum(count for _, count in jobs.values()), desc="Learning what is no slice", unit="picture") as bar:
        for name, (pictures, _) in jobs.items():
            measured = measure(model, processor, pictures, bar)
            if measured is None:
                return None
            found[name] = measured
    return fit(**found, seed=seed)


def fit(train: Measured, strangers: Measured, plain: Measured, disguised: Measured, seed: int = 0) -> Familiarity:
    """Learn to tell slices from other pictures, and choose the threshold.

    Args:
        train: of training slices.
        strangers: of pictures that are no brain MRI.
        plain, disguised: of validation slices, as they are and changed by `disguise`. They choose the threshold and
            nothing else: at most `ALLOWED` of each fall below it.
    """
    arrays = _subspace(train[0])
    rows = np.concatenate([network_inputs(arrays, *train), network_inputs(arrays, *strangers)])
    familiar = np.repeat([1, 0], [len(train[0]), len(strangers[0])])
    # Scaled by the slices' own spread, so that whatever is far from all of them is far from zero.
    arrays["center"] = np.median(rows[familiar == 1], axis=0)
    arrays["spread"] = np.maximum(rows[familiar == 1].std(axis=0), 1e-3)
    scaled = scale_inputs(arrays, rows)
    for number in range(NETWORKS):
        network = MLPClassifier((HIDDEN,), alpha=WEIGHT_DECAY, max_iter=60, random_state=seed + number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # 60 passes are enough, and meant
            network.fit(scaled, familiar)
        for layer, (weight, bias) in enumerate(zip(network.coefs_, network.intercepts_, strict=True)):
            arrays[f"network{number}.weight{layer}"], arrays[f"network{number}.bias{layer}"] = weight, bias
    arrays = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
    scorer = Familiarity(-np.inf, arrays)
    lowest = [
        np.quantile(scorer.score(*slices), ALLOWED[name], method="lower")
        for name, slices in (("plain", plain), ("disguised", disguised))
    ]
    return Familiarity(float(min(lowest)), arrays)


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


def measure(model, processor, pictures: Iterable[Image.Image], bar: tqdm) -> Measured | None:
    """Embeddings and statistics of pictures, in batches; None if the network has no embedding."""
    device = next(model.parameters()).device
    rows: list[np.ndarray] = []
    statistics: list[np.ndarray] = []
    for batch in _batches(pictures):
        pixel_values = processor(images=batch, return_tensors="pt")["pixel_values"]
        seen = embeddings(model, pixel_values.to(device))
        if seen is None:
            return None
        rows.append(seen[0])
        statistics.append(picture_statistics(batch))
        bar.update(len(batch))
    return np.concatenate(rows), np.concatenate(statistics)


def _batches(pictures: Iterable[Image.Image]) -> Iterator[list[Image.Image]]:
    pictures = iter(pictures)
    while batch := list(itertools.islice(pictures, _BATCH)):
        yield batch
