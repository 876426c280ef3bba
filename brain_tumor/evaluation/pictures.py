"""The pictures of an evaluation: a page of plots, and the worst mistakes."""

from pathlib import Path

import numpy as np
from datasets import Dataset
from PIL import Image

from brain_tumor.data.pixels import open_picture
from brain_tumor.evaluation.figures import probabilities_of
from brain_tumor.evaluation.metrics import DANGEROUS_CONFIDENCE
from brain_tumor.evaluation.plots import plot_evaluation
from brain_tumor.evaluation.sheets import failure_tiles, write_sheet
from brain_tumor.inference.verdict import Thresholds
from brain_tumor.labels import NO_TUMOR, TUMOR

FAILURES_SHOWN = 40


def failures(probabilities: np.ndarray, labels: np.ndarray) -> list[dict]:
    """All mistakes, the worst first: dangerous misses, other tumors called "no tumor", then the surest of the rest.

    Args:
        probabilities: (n, 4).
        labels: (n,) class indices, or `labels.TUMOR`, for which any of the three types is right.

    Returns:
        {"index", "label", "called", "confidence", "dangerous"} each; label and called are class indices.
    """
    called, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    missed = (called == NO_TUMOR) & (labels != NO_TUMOR)
    rank = np.where(missed & (confidence > DANGEROUS_CONFIDENCE), 0, np.where(missed, 1, 2))
    wrong = np.flatnonzero(np.where(labels == TUMOR, missed, called != labels))
    return [
        {
            "index": int(i),
            "label": int(labels[i]),
            "called": int(called[i]),
            "confidence": float(confidence[i]),
            "dangerous": bool(rank[i] == 0),
        }
        for i in wrong[np.lexsort((-confidence[wrong], rank[wrong]))]
    ]


def write_pictures(
    folder: Path,
    raw_logits: dict[str, np.ndarray],
    parts: dict[str, Dataset],
    results: dict,
    title: str,
    temperature: float | None = None,
    thresholds: Thresholds | None = None,
    part: str = "test",
) -> None:
    """Write `evaluation.png`, a page of plots, and `failures.png`, the worst mistakes as pictures.

    Of a group of copies with the same mistake, only the one with the highest confidence is shown. The second picture
    holds slices of the dataset: do not publish it.

    Args:
        folder: is made if need be.
        raw_logits, parts, temperature, thresholds: as for `evaluate_parts`.
        results: what that returned, or more.
        title: names the dataset and the split.
        part: whose pictures; the weak part tumor_<part> goes with it where there are logits of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in (part, f"tumor_{part}") if name in raw_logits]
    calibrated = {name: raw_logits[name] / (temperature or 1.0) for name in names}
    plot_evaluation(
        results[part],
        calibrated[part],
        np.array(parts[part]["label"]),
        thresholds,
        f"{title}, {part} part",
        folder / "evaluation.png",
        raw=raw_logits[part] if temperature else None,
        weak=calibrated.get(f"tumor_{part}"),
    )
    labels = np.concatenate([np.array(parts[name]["label"]) for name in names])
    found = failures(probabilities_of(np.concatenate([calibrated[name] for name in names])), labels)
    place = [(name, i) for name in names for i in range(parts[name].num_rows)]
    columns = {name: {key: parts[name][key] for key in ("group", "source")} for name in names}
    shown: dict[tuple, dict] = {}
    for row in found:
        name, i = place[row["index"]]
        mistake = name, columns[name]["group"][i], row["label"], row["called"]
        if mistake in shown:
            shown[mistake]["copies"] += 1
        else:
            shown[mistake] = row | {"source": columns[name]["source"][i], "copies": 0}
    tiles = list(shown.values())[:FAILURES_SHOWN]

    def open_row(number: int) -> Image.Image:
        name, row = place[tiles[number]["index"]]
        return open_picture(parts[name][row]["image"])

    dangerous_ones = sum(row["dangerous"] for row in found)
    sheet_title = (
        f"{len(found)} mistakes among {len(labels)} slices, {dangerous_ones} of them dangerous; "
        f"{len(tiles)} of {len(shown)} shown, one of each group of copies"
        if found
        else f"No mistakes among {len(labels)} slices."
    )
    write_sheet(failure_tiles(tiles, open_row), sheet_title, folder / "failures.png")
