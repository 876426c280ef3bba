"""Fit `Familiarity` to a checkpoint: slices against drawn pictures."""

import numpy as np

from brain_tumor.inference.familiarity import Familiarity
from brain_tumor.inference.picture_statistics import picture_statistics
from brain_tumor.network.embedding import embeddings

SLICES = 1200
"""Training slices that are used: a third as they are, the others disguised. More take longer and change little."""

STRANGERS = 1000

_BATCH = 32


def fit_familiarity(model, processor, parts, seed: int = 0) -> Familiarity | None:
    """Fit `Familiarity` to a checkpoint, from its training and validation slices and drawn strangers.

    Args:
        model: the finished network, on any device.
        processor: its image processor.
        parts: name -> part, with the column image of `dataset.load_scans`. Used are train and validation, and
            tumor_train and tumor_validation where they are there.
        seed: of the choice of slices, of the drawn pictures and of the fit.

    Returns:
        None if the network has no embedding (see `embeddings`).
    """
    from tqdm.auto import tqdm

    from brain_tumor.data.pixels import open_picture
    from brain_tumor.training.strangers import disguise, stranger

    random = np.random.default_rng(seed)

    def slices(name: str, most: int | None = None):
        """(part, row) of all slices of a part and its weak one, or of a random choice of them."""
        rows = [(parts[n], i) for n in (name, f"tumor_{name}") if n in parts for i in range(parts[n].num_rows)]
        return [rows[i] for i in np.sort(random.permutation(len(rows))[:most])]

    def opened(rows):
        return (open_picture(part[i]["image"]) for part, i in rows)

    chosen = slices("train", SLICES)
    torn = list(opened(chosen[:: max(1, len(chosen) // 200)]))
    jobs = {
        "plain": (opened(rows := slices("validation")), len(rows)),
        "disguised": ((disguise(image, random) for image in opened(rows)), len(rows)),
        "train": (
            (disguise(image, random) if i % 3 else image for i, image in enumerate(opened(chosen))),
            len(chosen),
        ),
        "strangers": ((stranger(random, torn) for _ in range(STRANGERS)), STRANGERS),
    }
    found = {}
    with tqdm(total=sum(count for _, count in jobs.values()), desc="Learning what is no slice", unit="picture") as bar:
        for name, (pictures, _) in jobs.items():
            measured = _measure(model, processor, pictures, bar)
            if measured is None:
                return None
            found[name] = measured
    return Familiarity.fit(**found, seed=seed)


def _measure(model, processor, pictures, bar) -> tuple[np.ndarray, np.ndarray] | None:
    """Embeddings and statistics of pictures, in batches."""
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


def _batches(pictures):
    batch = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
