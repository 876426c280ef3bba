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
from brain_tumor.training.disguise import cut_frame, disguise
from brain_tumor.training.other_pictures import OtherPicture
from brain_tumor.training.strangers import stranger

SLICES = 1800
"""Training slices that are used: a third as they are, a third disguised, a third without their frame and disguised.
More take longer and change little."""

VALIDATION_SLICES = 800
"""Validation slices that the threshold is chosen by."""

STRANGERS = 1000
"""Pictures that are drawn."""

DIRECTIONS = 48
"""Directions of the embedding, those in which slices differ most, that the networks see."""

STRANGE_DIRECTIONS = 64
"""Directions that the networks see besides, in which strangers differ most from what those hold of them."""

WITHOUT_FRAME = 3
"""Copies of each real stranger that are disguised without their frame, where a publisher's mark would tell more than
what is shown.
"""

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
        others: real pictures that are no brain MRI; each is used as it is, disguised, and `WITHOUT_FRAME` times.
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
    changes = (
        lambda image: image,
        lambda image: disguise(image, random),
        lambda image: disguise(cut_frame(image, random), random),
    )
    changes_of_others = changes + changes[-1:] * (WITHOUT_FRAME - 1)
    jobs = {
        "plain": (open_rows(validation), validation.num_rows),
        "disguised": ((disguise(image, random) for image in open_rows(validation)), validation.num_rows),
        "train": (
            (changes[i % 3](image) for i, image in enumerate(open_rows(train))),
            train.num_rows,
        ),
        "strangers": (
            itertools.chain(
                (stranger(random, to_break) for _ in range(STRANGERS)),
                (change(image) for image in real for change in changes_of_others),
            ),
            STRANGERS + len(changes_of_others) * len(real),
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
    arrays = _subspace(train[0], strangers[0])
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


def _subspace(slices: np.ndarray, strangers: np.ndarray) -> dict[str, np.ndarray]:
    """Mean of the slices' embeddings, main directions of slices and of what strangers have besides, and the slices'
    spread along each.
    """
    mean = slices.mean(axis=0)
    own = _main_directions(slices - mean, DIRECTIONS)
    beside = strangers - mean
    beside -= beside @ own.T @ own
    free = slices.shape[1] - len(own)
    directions = np.concatenate([own, _main_directions(beside - beside.mean(axis=0), min(STRANGE_DIRECTIONS, free))])
    spread = ((slices - mean) @ directions.T).std(axis=0)
    return {"mean": mean, "directions": directions, "scales": np.maximum(spread, 1e-3)}


def _main_directions(rows: np.ndarray, most: int) -> np.ndarray:
    """(m, d) unit vectors, at most so many, along which rows (n, d) of mean 0 spread most."""
    return np.linalg.svd(rows, full_matrices=False)[2][:most]


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
