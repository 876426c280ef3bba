"""Does it look at the tumor? The class activation map against the boxes around tumors, and the answer without them.

    python -m benchmarks.quality.tumor_boxes model --data FOLDER

Of figshare's slices in the test part, by patient: how often the map's peak lies in the tumor's box (with one cell of
tolerance), which share of the positive map lies inside, and for comparison the box's share of the head and how often
the middle of the head lies in the box. Then the box is filled with its surroundings, and the probability of a tumor
asked again: where the answer stays, it was not the tumor. Writes `benchmarks/results/tumor_boxes/NAME.json`, and a
picture of some slices to `runs/tumor_boxes/`.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from benchmarks.arguments import add_data_argument
from benchmarks.quality.checkpoints import ROOT, load_parts, share
from benchmarks.quality.probes import find_head
from brain_tumor.data.pixels import open_picture
from brain_tumor.data.sheets import Tile, write_sheet
from brain_tumor.inference.classifier import Classifier
from brain_tumor.labels import LABELS, TUMOR_TYPES
from brain_tumor.provenance import command_line, public_name, versions

RESULTS = ROOT / "benchmarks/results/tumor_boxes"

SET = "figshare"

BATCH = 32

MARGIN = 0.15
"""Share of its size by which a box is widened before it is filled: the rim of a tumor often lies on it."""

TILES = 32


def box_mask(box: tuple[float, float, float, float], height: int, width: int, widened: float = 0.0) -> np.ndarray:
    """(height, width) bool: the pixels whose centers are in a box.

    Args:
        box: center x and y, width and height, as shares of the picture.
        widened: by this share of the picture on every side.
    """
    x, y, w, h = box
    columns, rows = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    inside_x = abs(columns - x) <= w / 2 + widened
    inside_y = abs(rows - y) <= h / 2 + widened
    return inside_y[:, None] & inside_x[None, :]


def fill_box(gray: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """A slice whose box is filled with its surroundings, (height, width) float64 -> the same.

    A mean of what is around, weighted by distance (normalized convolution, Knutsson and Westin 1993), and in it the
    grain of the slice.
    """
    x, y, w, h = box
    hole = box_mask((x, y, w * (1 + 2 * MARGIN), h * (1 + 2 * MARGIN)), *gray.shape)
    if hole.all():
        return np.full_like(gray, gray.mean())
    sigma = max(2.0, 0.25 * max(w * gray.shape[1], h * gray.shape[0]))
    tissue = ~hole & (gray > 0.06 * gray.max())  # air is not what a tumor grows in
    known = (tissue if tissue.any() else ~hole).astype(np.float64)
    filled = ndimage.gaussian_filter(gray * known, sigma) / np.maximum(ndimage.gaussian_filter(known, sigma), 1e-6)
    grain = (gray - ndimage.gaussian_filter(gray, 2.0))[tissue]
    noise = np.random.default_rng(0).choice(grain, gray.shape) if len(grain) else 0.0
    return np.where(hole, np.clip(filled + noise, 0, 255), gray)


def look(map_: np.ndarray, box: tuple[float, float, float, float], gray: np.ndarray) -> dict[str, float]:
    """Where a class activation map (h, w) points to, against a box and the head."""
    cells = np.array(map_.shape)
    tolerance = 1 / cells.min()
    near = box_mask(box, *map_.shape, widened=tolerance)
    peak = np.unravel_index(int(map_.argmax()), map_.shape)
    fine = np.asarray(
        Image.fromarray(np.maximum(map_, 0).astype(np.float32)).resize((96, 96), Image.Resampling.BILINEAR)
    )
    head = find_head(gray)
    inside = box_mask(box, *gray.shape) & head.mask
    middle = head.center / gray.shape
    x, y, w, h = box
    return {
        "peak_in_box": bool(near[peak]),
        "positive_map_in_box": float(fine[box_mask(box, 96, 96)].sum() / max(fine.sum(), 1e-6)),
        "box_share_of_head": float(inside.sum() / max(head.mask.sum(), 1)),
        "middle_in_box": bool(abs(middle[1] - x) <= w / 2 + tolerance and abs(middle[0] - y) <= h / 2 + tolerance),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="folder written by train.py")
    add_data_argument(parser)
    parser.add_argument("--part", default="test", choices=["validation", "test"], help="of the split by patients")
    parser.add_argument("--name", default="shipped", help="of the result")
    arguments = parser.parse_args()
    part = load_parts(arguments.data, main_only=False)[arguments.part]
    number = part.features["set"].names.index(SET)
    part = part.select([i for i, own in enumerate(part["set"]) if own == number])
    classifier = Classifier(arguments.checkpoint)
    rows, tiles = [], []
    for start in range(0, part.num_rows, BATCH):
        batch = part.select(range(start, min(start + BATCH, part.num_rows)))
        boxes = [
            tuple(float(value) for value in values)
            for values in zip(batch["box_x"], batch["box_y"], batch["box_width"], batch["box_height"], strict=True)
        ]
        pictures = [open_picture(image) for image in batch["image"]]
        grays = [np.asarray(picture.convert("L"), np.float64) for picture in pictures]
        without = [
            Image.fromarray(fill_box(g, b).astype(np.uint8)).convert("RGB") for g, b in zip(grays, boxes, strict=True)
        ]
        before, after = classifier.predict(pictures), classifier.predict(without)
        for i, (was, now) in enumerate(zip(before, after, strict=True)):
            kind = max((LABELS[t] for t in TUMOR_TYPES), key=was.confidences.get)
            rows.append(
                look(was.heatmaps[kind], boxes[i], grays[i])
                | {
                    "group": batch["group"][i],
                    "tumor_before": was.tumor_probability >= 0.5,
                    "tumor_after": now.tumor_probability >= 0.5,
                    "probability_before": was.tumor_probability,
                    "probability_after": now.tumor_probability,
                }
            )
            if len(tiles) < TILES and (start + i) % max(1, part.num_rows // TILES) == 0:
                caption = f"p(tumor) {was.tumor_probability:.3f}, without {now.tumor_probability:.3f}"
                tiles.append(Tile((pictures[i], without[i]), (batch["source"][i], caption)))
    groups = np.array([row["group"] for row in rows])
    columns = {name: np.array([row[name] for row in rows], float) for name in rows[0] if name != "group"}
    seen = columns["tumor_before"] > 0
    result = {
        "checkpoint": public_name(arguments.checkpoint),
        "set": SET,
        "part": arguments.part,
        **{name: share(values, groups) for name, values in columns.items()},
        "tumor_after_of_those_before": share(columns["tumor_after"][seen], groups[seen]),
        "command": command_line(),
        "versions": versions(),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{arguments.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    folder = ROOT / "runs/tumor_boxes"
    folder.mkdir(parents=True, exist_ok=True)
    write_sheet(tiles, "Slices, and the same with the tumor's box filled", Path(folder, f"{arguments.name}.png"), 4)
    for name, figure in result.items():
        if isinstance(figure, dict) and "share" in figure:
            low, high = figure["interval"]
            print(f"{name:<28} {figure['share']:.3f} ({low:.3f} to {high:.3f}), {figure['pictures']} slices")


if __name__ == "__main__":
    main()
