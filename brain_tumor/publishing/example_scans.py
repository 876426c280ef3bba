"""Example scans that are published with a checkpoint."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from brain_tumor.data.pixels import open_picture
from brain_tumor.inference.checkpoint import LISTING
from brain_tumor.labels import LABELS, display_name


def export_examples(slices: Iterable[dict], dataset: str, folder: Path) -> None:
    """Write slices of a test part, with their sources, as a checkpoint's own example scans.

    Args:
        slices: rows of a part of `split.split_scans`; those of each class become LABEL_1.png, LABEL_2.png, ...
        dataset: name of the dataset, for the source.
        folder: where the pictures and their listing go; it is created if need be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    listing, numbers = [], Counter()
    for row in slices:
        label = LABELS[row["label"]]
        numbers[label] += 1
        file = f"{label}_{numbers[label]}.png"
        open_picture(row["image"]).save(folder / file)
        caption = f"{display_name(label)} by the dataset's label; test part, not trained on"
        entry = {"file": file, "label": label, "caption": caption, "source": f"{dataset}: {row['source']}"}
        listing.append(entry)
    (folder / LISTING).write_text(json.dumps(listing, indent=1) + "\n", encoding="utf-8")
