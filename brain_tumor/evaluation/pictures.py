"""The pictures of an evaluation: a page of plots, and the worst mistakes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from datasets import Dataset
from PIL import Image

from brain_tumor.answers.words import tenths
from brain_tumor.data.pixels import open_picture
from brain_tumor.data.sheets import PLAIN, Tile, write_sheet
from brain_tumor.data.split import of_main_set
from brain_tumor.evaluation.figures import probabilities_of
from brain_tumor.evaluation.metrics import DANGEROUS_CONFIDENCE
from brain_tumor.evaluation.plots import plot_evaluation
from brain_tumor.inference.verdict import Thresholds
from brain_tumor.labels import DISPLAY_NAMES, LABELS, NO_TUMOR, TUMOR

FAILURES_SHOWN = 40

_ALARM, _WARNING = "#c00000", "#e07000"


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
        part: whose pictures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows, calibrated = parts[part], raw_logits[part] / (temperature or 1.0)
    labels = np.array(rows["label"])
    if "accuracy" in results[part]:
        main = of_main_set(rows)
        plot_evaluation(
            results[part],
            calibrated[main],
            labels[main],
            thresholds,
            f"{title}, {part} part",
            folder / "evaluation.png",
            raw=raw_logits[part][main] if temperature else None,
            weak=calibrated[labels == TUMOR],
        )
    found = failures(probabilities_of(calibrated), labels)
    groups, sources = rows["group"], rows["source"]
    shown: dict[tuple, dict] = {}
    for row in found:
        mistake = groups[row["index"]], row["label"], row["called"]
        if mistake in shown:
            shown[mistake]["copies"] += 1
        else:
            shown[mistake] = row | {"source": sources[row["index"]], "copies": 0}
    tiles = list(shown.values())[:FAILURES_SHOWN]

    def open_row(number: int) -> Image.Image:
        return open_picture(rows[tiles[number]["index"]]["image"])

    dangerous_ones = sum(row["dangerous"] for row in found)
    sheet_title = (
        f"{len(found)} mistakes among {len(labels)} slices, {dangerous_ones} of them dangerous; "
        f"{len(tiles)} of {len(shown)} shown, one of each mistake of a patient or group of copies"
        if found
        else f"No mistakes among {len(labels)} slices."
    )
    write_sheet(failure_tiles(tiles, open_row), sheet_title, folder / "failures.png")


def failure_tiles(rows: list[dict], open_row: Callable[[int], Image.Image]) -> list[Tile]:
    """Tiles of `failures`.

    Args:
        rows: with label, called (class indices), confidence, dangerous, source and copies, how many more of its group
            of copies are mistaken for the same.
        open_row: index of a row -> its picture.
    """
    tiles = []
    for number, row in enumerate(rows):
        label = "a tumor" if row["label"] == TUMOR else DISPLAY_NAMES[LABELS[row["label"]]].lower()
        called = DISPLAY_NAMES[LABELS[row["called"]]].lower()
        missed = row["called"] == NO_TUMOR
        color = _ALARM if row["dangerous"] else _WARNING if missed else PLAIN
        again = f", {row['copies']} more" if row["copies"] else ""
        caption = (f"labeled {label}", f"called {called}", f"{tenths(row['confidence'])}{again}", row["source"])
        tiles.append(Tile((open_row(number),), caption, color))
    return tiles
