"""Does a checkpoint look at the tumor? Two probes of the shortcuts that these data offer.

    python -m benchmarks.quality.probes CHECKPOINT [CHECKPOINT ...] --data FOLDER --part validation

masks: how much does the checkpoint know from the frame of a scan alone, and from the middle alone? contrast: does a
healthy slice become a tumor when its gray levels change, and a tumor none?

The validation part is for choosing between checkpoints, the test part for reporting once. Writes
`benchmarks/results/probes/<NAME or the checkpoint's name>_<part>.json`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from datasets import Dataset
from PIL import Image
from scipy import ndimage
from scipy.stats import rankdata

from benchmarks.quality.checkpoints import ROOT, Checkpoint, fair_subset, open_slices, run_on_checkpoints, share
from brain_tumor.labels import LABELS, NO_TUMOR, TUMOR_TYPES

RESULTS = ROOT / "benchmarks/results/probes"

SUBSET = 120
"""Slices of the probes that need all classes, a quarter of each: 30 slices give a share to about +-15 points."""

MASK_SCALES = (0.5, 0.7, 0.9)
"""Half-axes of the mask as shares of the head's: 0.9 covers all of the brain, and what is left is skull and scalp."""

CONTRASTS = ("gamma 0.5", "gamma 2", "inverted", "histogram of a tumor scan")


@dataclass(frozen=True)
class Head:
    """Where the head lies in a slice.

    Attributes:
        mask: (height, width) bool, the head with all that is inside it.
        center: (2,) float, row and column of the head's center of mass.
        axes: (2, 2) float, the half-axes of the ellipse with the head's second moments, as vectors (row, column),
            longer one first.
    """

    mask: np.ndarray
    center: np.ndarray
    axes: np.ndarray


def find_head(gray: np.ndarray) -> Head:
    """The head in a slice, by a threshold and the largest component: no atlas, no network.

    Args:
        gray: (height, width), values 0 to 255, any real dtype.

    Returns:
        The head. In a flat or empty picture it is an ellipse that fills the picture.
    """
    gray = gray.astype(np.float64)
    height, width = gray.shape
    smooth = ndimage.gaussian_filter(gray, 0.008 * min(gray.shape))
    margin = max(2, round(0.02 * min(gray.shape)))
    border = np.concatenate([smooth[:margin].ravel(), smooth[-margin:].ravel(), smooth[:, [0, -1]].ravel()])
    # The 10th percentile: a head may touch the border, and some exports have gray air.
    air = np.percentile(border, 10)
    mask = smooth > air + 0.13 * (np.percentile(smooth, 99) - air)
    mask = ndimage.binary_closing(np.pad(mask, 8), iterations=4)[8:-8, 8:-8]
    mask = ndimage.binary_fill_holes(mask)
    mask = ndimage.binary_opening(mask, iterations=max(1, round(0.02 * min(gray.shape))))  # text, rulers
    parts, count = ndimage.label(mask)
    if count:
        mask = parts == 1 + np.argmax(ndimage.sum_labels(mask, parts, range(1, count + 1)))
    if mask.mean() < 0.1:
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        mask = np.hypot(y, x) < 1
    rows, columns = np.nonzero(mask)
    points = np.stack([rows, columns])
    values, vectors = np.linalg.eigh(np.cov(points))
    axes = (2 * np.sqrt(values) * vectors).T[::-1]
    return Head(mask, points.mean(axis=1), axes)


# --- the frame and the middle -----------------------------------------------------------------------------------


def mask_slice(image: Image.Image, head: Head, visible: str, scale: float, fill: str) -> Image.Image:
    """A slice of which only a part can be seen.

    Args:
        head: as `find_head` finds it in the slice.
        visible: "outside" or "middle" of the head's ellipse, scaled by `scale`.
        fill: of the rest: "black", or "gray", the mean of the head's gray levels.
    """
    pixels = np.asarray(image.convert("RGB")).copy()
    gray = np.asarray(image.convert("L")).astype(np.float64)
    offset = np.stack(np.indices(gray.shape)) - head.center[:, None, None]
    middle = sum((np.tensordot(axis, offset, 1) / (scale * axis @ axis)) ** 2 for axis in head.axes) < 1
    pixels[middle if visible == "outside" else ~middle] = 0 if fill == "black" else round(gray[head.mask].mean())
    return Image.fromarray(pixels)


def probe_masks(checkpoint: Checkpoint, part: Dataset) -> dict:
    """What is known from a part of each slice, on a subset with as many slices of each class (`fair_subset`).

    Returns:
        name of what is visible -> accuracy (chance: 0.25), sensitivity, specificity, tumor_or_none (mean of the two,
        chance: 0.5), and called: label -> how often.
    """
    subset = fair_subset(part, SUBSET)
    images, labels, groups = open_slices(subset), np.array(subset["label"]), np.array(subset["group"])
    heads = [find_head(np.asarray(image.convert("L"))) for image in images]
    views = {
        f"{visible} of {scale}, {fill}": (visible, scale, fill)
        for visible in ("outside", "middle")
        for scale in MASK_SCALES
        for fill in ("black", "gray")
    }
    results = {"intact": _figures(checkpoint.probabilities(images).argmax(axis=1), labels, groups)}
    for name, view in views.items():
        pictures = (mask_slice(image, head, *view) for image, head in zip(images, heads, strict=True))
        results[name] = _figures(checkpoint.probabilities(pictures).argmax(axis=1), labels, groups)
    return results


def _figures(called: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> dict:
    tumor = labels != NO_TUMOR
    sensitivity = share(called[tumor] != NO_TUMOR, groups[tumor])
    specificity = share(called[~tumor] == NO_TUMOR, groups[~tumor])
    return {
        "accuracy": share(called == labels, groups),
        "tumor_or_none": (sensitivity["share"] + specificity["share"]) / 2,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "called": dict(zip(LABELS, np.bincount(called, minlength=len(LABELS)).tolist(), strict=True)),
    }


# --- gray levels ------------------------------------------------------------------------------------------------


def change_contrast(image: Image.Image, how: str, donor: Image.Image | None = None) -> Image.Image:
    """A slice with other gray levels within the head and the same anatomy. What is outside stays as it is.

    Args:
        how: "gamma G" raises levels, as shares of 255, to the power G; "inverted" swaps the head's 1st and 99th
            percentile and what is between; "histogram" gives the head the gray levels of the donor's.
        donor: slice whose histogram is taken.
    """
    gray = np.asarray(image.convert("L")).astype(np.float64)
    mask = find_head(gray).mask
    levels = gray[mask]
    if how.startswith("gamma"):
        changed = 255 * (levels / 255) ** float(how.split()[1])
    elif how == "inverted":
        low, high = np.percentile(levels, (1, 99))
        changed = low + high - levels
    else:
        other = np.asarray(donor.convert("L")).astype(np.float64)
        other = other[find_head(other).mask]
        changed = np.quantile(other, (rankdata(levels) - 0.5) / len(levels))
    gray[mask] = changed
    return Image.fromarray(gray.round().clip(0, 255).astype(np.uint8)).convert("RGB")


def probe_contrast(checkpoint: Checkpoint, part: Dataset) -> dict:
    """Called a tumor for its contrast, called none for its contrast.

    Returns:
        healthy_called_tumor: "intact" and each of `CONTRASTS` -> share of the healthy slices.
        tumor_called_none: "intact" and "histogram of a healthy scan" -> share of the tumors of a `fair_subset`.
        Donors are slices of the same part, taken in turn.
    """
    healthy, tumors = fair_subset(part, SUBSET, [NO_TUMOR]), fair_subset(part, SUBSET, TUMOR_TYPES)
    sides = [(open_slices(rows), np.array(rows["group"])) for rows in (healthy, tumors)]
    (of_healthy, groups), (of_tumors, tumor_groups) = sides
    called: dict[str, dict] = {"healthy_called_tumor": {}, "tumor_called_none": {}}
    for how in ("intact", *CONTRASTS):
        pictures = list(_with_contrast(of_healthy, how, of_tumors))
        verdicts = checkpoint.probabilities(pictures).argmax(axis=1)
        called["healthy_called_tumor"][how] = share(verdicts != NO_TUMOR, groups)
    for how in ("intact", "histogram of a healthy scan"):
        verdicts = checkpoint.probabilities(_with_contrast(of_tumors, how, of_healthy)).argmax(axis=1)
        called["tumor_called_none"][how] = share(verdicts == NO_TUMOR, tumor_groups)
    return called


def _with_contrast(images: list[Image.Image], how: str, donors: list[Image.Image]) -> Iterator[Image.Image]:
    for number, image in enumerate(images):
        name = "histogram" if how.startswith("histogram") else how
        yield image if how == "intact" else change_contrast(image, name, donors[number * 7 % len(donors)])


# --- the command ------------------------------------------------------------------------------------------------

PROBES = {"masks": probe_masks, "contrast": probe_contrast}


def probe(checkpoint: Checkpoint, part: Dataset) -> dict:
    """All figures of one checkpoint on one part: name of the probe -> what its function returns."""
    return {name: function(checkpoint, part) for name, function in PROBES.items()}


def main() -> None:
    run_on_checkpoints(__doc__, RESULTS, lambda checkpoint, part, arguments: probe(checkpoint, part), summary)


def summary(results: dict) -> str:
    """The main figures of `probe`, one to a line."""

    def line(name: str, figure: dict) -> str:
        if figure["share"] is None:
            return f"  {name:<52} none of these"
        low, high = (100 * value for value in figure["interval"])
        by_group = f"by group {100 * figure['by_group']:5.1f} %"
        return f"  {name:<52}{100 * figure['share']:5.1f} %  ({low:.1f} to {high:.1f})  {by_group}"

    lines = []
    for name, figures in results.get("masks", {}).items():
        lines.append(
            f"  {'visible: ' + name:<52}{100 * figures['accuracy']['share']:5.1f} %  "
            f"(chance 25)  tumor or none {100 * figures['tumor_or_none']:.1f} % (chance 50)"
        )
    for name, figures in results.get("contrast", {}).items():
        lines += [line(f"{name.replace('_', ' ')}: {how}", figure) for how, figure in figures.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
