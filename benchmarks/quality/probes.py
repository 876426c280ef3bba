"""Does a checkpoint look at the tumor? Three probes of the shortcuts that these data offer.

    python -m benchmarks.quality.probes CHECKPOINT [CHECKPOINT ...] --data ../shared/data --part validation
    python -m benchmarks.quality.probes model --data ../shared/data --part validation --only lesions

lesions: simulated lesions in healthy slices (`probe_lesions`). How many are noticed, and how many of the same slices
are called a tumor without one? masks: how much does the checkpoint know from the frame of a scan alone, and from the
middle alone? contrast: does a healthy slice become a tumor when its gray levels change, and a tumor none?

The validation part is for choosing between checkpoints, the test part for reporting once. Writes
`benchmarks/results/probes/<NAME or the checkpoint's name>_<part>.json`.
"""

import argparse
import functools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from datasets import Dataset
from PIL import Image, ImageDraw, ImageOps
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from benchmarks.quality.checkpoints import SPLIT, SPLIT_SEED, Checkpoint, fair_subset, load_parts, open_slices, share
from benchmarks.quality.probe_lesions import KINDS, PROBE_VERSION, SHAPES, SIZES, Head, draw_lesion, find_head
from brain_tumor.labels import LABELS, NO_TUMOR, TUMOR_TYPES
from brain_tumor.provenance import command_line, public_name, versions
from brain_tumor.training.trainer import keep_freed_memory

ROOT = Path(__file__).parents[2]

RESULTS = ROOT / "benchmarks/results/probes"

SUBSET = 120
"""Slices of the probes that need all classes, a quarter of each: 30 slices give a share to about +-15 points."""

MASK_SCALES = (0.5, 0.7, 0.9)
"""Half-axes of the mask as shares of the head's: 0.9 covers all of the brain, and what is left is skull and scalp."""

CONTRASTS = ("gamma 0.5", "gamma 2", "inverted", "histogram of a tumor scan")

# --- simulated lesions ------------------------------------------------------------------------------------------


def lesion_pictures(part: Dataset) -> list[tuple[Image.Image, dict]]:
    """Three pictures of every healthy slice of a part, one lesion of each size in each, the shapes taking turns.

    Place, form and texture come from the file's sha256 and the size, so a picture does not depend on the others.

    Returns:
        Pictures, RGB at the slice's own size, and what they show: slice (index of the slice in the part), sha256,
        group, and the fields of `probe_lesions.Lesion`.
    """
    return _lesion_pictures(_Part(part))


class _Part:
    """A part as a key of a cache: equal if it holds the same files in the same order."""

    def __init__(self, part: Dataset):
        self.part, self.files = part, tuple(part["sha256"])

    def __hash__(self):
        return hash(self.files)

    def __eq__(self, other):
        return self.files == other.files


@functools.cache
def _lesion_pictures(key: _Part) -> list[tuple[Image.Image, dict]]:
    healthy = _of_class(key.part, [NO_TUMOR])
    pictures = []
    for row, image in zip(healthy, open_slices(key.part.select(healthy)), strict=True):
        sha256, group = key.files[row], key.part[int(row)]["group"]
        head = find_head(np.asarray(image.convert("L")))
        for number, size in enumerate(SIZES):
            seed = int(sha256[:15], 16) * len(SIZES) + number
            shape = SHAPES[(int(sha256[15:20], 16) + number) % len(SHAPES)]
            picture, lesion = draw_lesion(image, shape, size, seed, head)
            pictures.append((picture, {"slice": int(row), "sha256": sha256, "group": group, **lesion.as_dict()}))
    return pictures


def contact_sheet(pictures: list[tuple[Image.Image, dict]], columns: int = 9, side: int = 200) -> Image.Image:
    """All three pictures of the first slice of every group of copies, with what they show written on them."""
    first = {}
    for _, meta in pictures:
        first.setdefault(meta["group"], meta["slice"])
    shown = [(picture, meta) for picture, meta in pictures if first[meta["group"]] == meta["slice"]]
    sheet = Image.new("RGB", (columns * side, -(-len(shown) // columns) * side))
    draw = ImageDraw.Draw(sheet)
    for number, (picture, meta) in enumerate(shown):
        corner = (number % columns * side, number // columns * side)
        sheet.paste(ImageOps.contain(picture, (side, side)), corner)
        draw.text(corner, f"{meta['kind']} {meta['shape']} {meta['size']}", fill=(255, 255, 0))
    return sheet


def probe_lesions(checkpoint: Checkpoint, part: Dataset) -> dict:
    """How many simulated lesions are noticed, and how many of the same slices without one are called a tumor.

    Returns:
        noticed: share of pictures with a lesion that are called a tumor, overall ("all") and by shape, size, kind.
        false_alarms: the same of the slices as they are, overall and by kind.
        added: noticed by this lesion alone: share of pictures called a tumor whose slice is not.
        auroc: of 1 - p(no tumor) for pictures with against slices without a lesion: threshold-free.
        tumor_confidence: mean of 1 - p(no tumor), with and without a lesion.
    """
    pictures = lesion_pictures(part)
    metas = [meta for _, meta in pictures]
    rows = sorted({meta["slice"] for meta in metas})
    place = {row: i for i, row in enumerate(rows)}
    slice_of = np.array([place[meta["slice"]] for meta in metas])
    with_lesion = 1 - checkpoint.probabilities(picture for picture, _ in pictures)
    without = 1 - checkpoint.probabilities(open_slices(part.select(rows)))
    noticed, alarm = (1 - with_lesion).argmax(axis=1) != NO_TUMOR, (1 - without).argmax(axis=1) != NO_TUMOR
    groups = np.array([meta["group"] for meta in metas])
    of_slice = np.array(part["group"])[rows]
    kinds = np.array([next(m["kind"] for m in metas if m["slice"] == row) for row in rows])

    def by(name: str, values) -> dict:
        chosen = {value: np.array([meta[name] == value for meta in metas]) for value in values}
        return {value: share(noticed[at], groups[at]) for value, at in chosen.items()}

    scores = np.concatenate([with_lesion[:, NO_TUMOR], without[:, NO_TUMOR]])
    return {
        "probe_version": PROBE_VERSION,
        "noticed": {
            "all": share(noticed, groups),
            "shape": by("shape", SHAPES),
            "size": by("size", SIZES),
            "kind": by("kind", KINDS),
        },
        "false_alarms": {
            "all": share(alarm, of_slice),
            "kind": {kind: share(alarm[kinds == kind], of_slice[kinds == kind]) for kind in KINDS},
        },
        "added": share(noticed & ~alarm[slice_of], groups),
        "auroc": float(roc_auc_score(np.arange(len(scores)) < len(with_lesion), scores)),
        "tumor_confidence": {
            "with_lesion": float(with_lesion[:, NO_TUMOR].mean()),
            "without": float(without[:, NO_TUMOR].mean()),
        },
    }


# --- the frame and the middle -----------------------------------------------------------------------------------


def masked(image: Image.Image, head: Head, visible: str, scale: float, fill: str) -> Image.Image:
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
        pictures = (masked(image, head, *view) for image, head in zip(images, heads, strict=True))
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


def recontrasted(image: Image.Image, how: str, donor: Image.Image | None = None) -> Image.Image:
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
        yield image if how == "intact" else recontrasted(image, name, donors[number * 7 % len(donors)])


def _of_class(part: Dataset, labels: list[int]) -> np.ndarray:
    return np.flatnonzero(np.isin(part["label"], labels))


# --- the command ------------------------------------------------------------------------------------------------

PROBES = {"lesions": probe_lesions, "masks": probe_masks, "contrast": probe_contrast}


def probe(folder: str | Path, part: Dataset, only: tuple[str, ...] = tuple(PROBES)) -> dict:
    """All figures of one checkpoint on one part: name of the probe -> what its function returns."""
    checkpoint = Checkpoint(folder)
    return {name: PROBES[name](checkpoint, part) for name in only}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT", help="folders written by train.py, or Hub ids")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data", help="folder that holds the sets")
    parser.add_argument("--part", default="validation", choices=["validation", "test"], help="of the copy-free split")
    parser.add_argument("--only", nargs="+", default=list(PROBES), choices=list(PROBES), help="probes to make")
    parser.add_argument("--name", help="of the result, for a single checkpoint; default: the folder's name")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument(
        "--sheet", type=Path, help="also write a sheet of simulated lesions, e.g. runs/probes/sheet.png"
    )
    arguments = parser.parse_args()
    names = [arguments.name] if arguments.name else [Path(public_name(c)).name for c in arguments.checkpoints]
    if len(set(names)) != len(arguments.checkpoints):
        parser.error(f"Results would overwrite each other: {', '.join(names)}. Give one checkpoint at a time a --name.")
    keep_freed_memory()  # without it the kernel clears pages for as long as the network computes
    part = load_parts(arguments.data)[arguments.part]
    if arguments.sheet:
        arguments.sheet.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(lesion_pictures(part)).save(arguments.sheet)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for folder, name in zip(arguments.checkpoints, names, strict=True):
        started = time.time()
        results = {
            "checkpoint": public_name(folder),
            "split": SPLIT,
            "split_seed": SPLIT_SEED,
            "part": arguments.part,
            "command": command_line(),
            "versions": versions(),
            **probe(folder, part, tuple(arguments.only)),
        }
        results["seconds"] = round(time.time() - started, 1)
        path = arguments.output / f"{name}_{arguments.part}.json"
        path.write_text(json.dumps(results, indent=1) + "\n")
        print(f"\n{name}, {arguments.part} part ({results['seconds']:.0f} s)\n{summary(results)}")


def summary(results: dict) -> str:
    """The main figures of `probe`, one to a line."""

    def line(name: str, figure: dict) -> str:
        if figure["share"] is None:
            return f"  {name:<52} none of these"
        low, high = (100 * value for value in figure["interval"])
        by_group = f"by group {100 * figure['by_group']:5.1f} %"
        return f"  {name:<52}{100 * figure['share']:5.1f} %  ({low:.1f} to {high:.1f})  {by_group}"

    lines = []
    if lesions := results.get("lesions"):
        noticed = lesions["noticed"]
        lines += [line("simulated lesions noticed", noticed["all"])]
        lines += [
            line(f"  {value}", noticed[name][value]) for name in ("shape", "size", "kind") for value in noticed[name]
        ]
        lines += [line("same slices without lesion called a tumor", lesions["false_alarms"]["all"])]
        lines += [line("noticed by the lesion alone", lesions["added"]), f"  AUROC {lesions['auroc']:.3f}"]
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
