"""What a checkpoint says about pictures, and shares with intervals: what all benchmarks share that train nothing."""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import onnxruntime
from datasets import Dataset, DatasetDict
from PIL import Image
from scipy.special import softmax

from benchmarks.arguments import add_data_argument
from brain_tumor.allocator import keep_freed_memory
from brain_tumor.data.dataset import load_scans
from brain_tumor.data.pixels import open_picture
from brain_tumor.data.split import of_main_set, split_scans
from brain_tumor.evaluation.intervals import group_draws, share_intervals, sums_by_group
from brain_tumor.labels import LABELS
from brain_tumor.network.checkpoint import load_checkpoint
from brain_tumor.network.pretrained import drop_needless_padding
from brain_tumor.provenance import command_line, public_name, versions
from brain_tumor.publishing.export import export_onnx

ROOT = Path(__file__).resolve().parents[2]
BATCH = 32

SPLIT, SPLIT_SEED = "patients", 42  # of every result here; the defaults of train.py

RECIPE = ROOT / "recipes/bundled.json"


def recipe_sets(recipe: Path = RECIPE, argument: str = "dataset_name") -> list[str]:
    """Names of the sets of a recipe, the main set first; or of the folders that another of its arguments lists."""
    names = json.loads(recipe.read_text(encoding="utf-8"))[argument]
    return [name if isinstance(name, str) else name["name"] for name in names]


def load_parts(data: Path, main_only: bool = True) -> DatasetDict:
    """The parts of the bundled recipe's sets that lie in the folder `data`.

    Args:
        main_only: only the slices of the main set; the parts are those of all sets together all the same.
    """
    parts = split_scans(load_scans(recipe_sets(), data), SPLIT, SPLIT_SEED)
    return DatasetDict({name: part.select(of_main_set(part)) for name, part in parts.items()}) if main_only else parts


def open_slices(part: Dataset) -> list[Image.Image]:
    """Every slice of a part, 8-bit RGB at its own size."""
    return [open_picture(image) for image in part["image"]]


class Checkpoint:
    """A checkpoint with its own processor behind one call, in batches.

    Args:
        folder: written by `train.py`, or the id of an image-classification model on the Hub, of the four classes.
    """

    def __init__(self, folder: str | Path):
        self.model, self.processor, self._order = load_checkpoint(folder)
        drop_needless_padding(self.model)
        self._session = None
        # A checkpoint whose last layer is not linear keeps its temperature in the config; others have it folded in.
        self._temperature = float(getattr(self.model.config, "confidence_temperature", 1.0))

    def probabilities(self, pictures: Iterable[Image.Image]) -> np.ndarray:
        """8-bit pictures of any size, or a generator of them -> (n, 4) float64 in the order of `LABELS`."""
        rows, batch = [np.empty((0, len(LABELS)))], []
        for picture in pictures:
            batch.append(picture.convert("RGB"))
            if len(batch) == BATCH:
                rows.append(self._forward(batch))
                batch = []
        if batch:
            rows.append(self._forward(batch))
        return np.concatenate(rows)

    def _forward(self, pictures: list[Image.Image]) -> np.ndarray:
        """By ONNX Runtime, five times faster than torch and the same to 1e-3 in the logits."""
        pixels = self.processor(images=pictures, return_tensors="np")["pixel_values"]
        if self._session is None:
            with tempfile.TemporaryDirectory() as scratch:
                path = export_onnx(self.model, Path(scratch, "model.onnx"), pixels.shape[-1])
                self._session = onnxruntime.InferenceSession(path.read_bytes())
        logits = self._session.run(["logits"], {"pixel_values": pixels})[0].astype(np.float64)
        return softmax(logits / self._temperature, axis=1)[:, self._order]


def share(hits: np.ndarray, groups: np.ndarray, seed: int = 0) -> dict:
    """The mean of `hits` with its 95 % interval over groups of copies, as `intervals.share_interval` makes it.

    Args:
        hits: (n,) bool, or in [0, 1] such as the accuracy on several pictures of one slice.
        groups: (n,) groups of copies.
        seed: of the bootstrap.

    Returns:
        share, interval [low, high], by_group (the mean of the groups' own means, for which thirty copies of one
        scan count as much as a scan without a copy), and the number of pictures and groups.
    """
    hits = np.asarray(hits, np.float64)
    if not len(hits):
        return {"share": None, "interval": None, "by_group": None, "pictures": 0, "groups": 0}
    draws, member = group_draws(groups, seed)
    sums, counts = (sums_by_group(of[:, None], member, draws.shape[1]) for of in (hits, np.ones(len(hits))))
    return {
        "share": float(hits.mean()),
        "interval": share_intervals(draws, sums, counts)[0],
        "by_group": float((sums / counts).mean()),
        "pictures": len(hits),
        "groups": len(sums),
    }


def fair_subset(part: Dataset, slices: int, labels: Iterable[int] = range(len(LABELS))) -> Dataset:
    """As many slices of each class, spread over as many groups of copies as there are.

    Of every group the slice with the smallest hash is taken, then of every group the next one, until a class has its
    share of `slices` or no more. Nothing is random: the same part gives the same subset.
    """
    every_label, groups = np.array(part["label"]), np.array(part["group"])
    hashes = np.array(part["sha256"])
    labels, chosen = list(labels), []
    for label in labels:
        rows = np.flatnonzero(every_label == label)
        rows = rows[np.argsort(hashes[rows], kind="stable")]
        _, member = np.unique(groups[rows], return_inverse=True)
        turn = np.array([np.sum(member[:i] == g) for i, g in enumerate(member)], dtype=int)  # its place in its group
        chosen.extend(rows[np.argsort(turn, kind="stable")][: slices // len(labels)])
    return part.select(sorted(chosen))


def compare(right: np.ndarray, base: np.ndarray, groups: np.ndarray, seed: int = 0) -> dict:
    """Difference in accuracy on the same slices, with a 95 % interval from 2,000 bootstrap samples of groups.

    Returns:
        difference, interval, and how many slices only one of the two named correctly.
    """
    names, member = np.unique(groups, return_inverse=True)
    gain = np.bincount(member, right.astype(float) - base.astype(float))
    size = np.bincount(member)
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), 2000)
    low, high = np.percentile(draws @ gain / (draws @ size), (2.5, 97.5))
    return {
        "difference": float(right.mean() - base.mean()),
        "interval": [float(low), float(high)],
        "only_first_right": int((right & ~base).sum()),
        "only_base_right": int((~right & base).sum()),
    }


def run_on_checkpoints(
    description: str,
    results_folder: Path,
    measure: Callable[[Checkpoint, Dataset, argparse.Namespace], dict],
    summary: Callable[[dict], str],
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
    plot: Callable[[dict, Path], None] | None = None,
) -> None:
    """The command of a benchmark that measures finished checkpoints: arguments, results files, and what it prints.

    Args:
        description: the module's docstring.
        results_folder: where results go by default.
        measure: a checkpoint, a part of the split by patients and the command's arguments -> figures.
        summary: figures -> lines to print.
        add_arguments: for what only this benchmark can be told.
        plot: draws the figures into a PNG beside the results.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT", help="folders written by train.py, or Hub ids")
    add_data_argument(parser)
    parser.add_argument("--part", default="validation", choices=["validation", "test"], help="of the split by patients")
    parser.add_argument("--name", help="of the result, for a single checkpoint; default: the folder's name")
    parser.add_argument("--output", type=Path, default=results_folder, help="folder of the results")
    add_arguments(parser)
    arguments = parser.parse_args()
    names = [arguments.name] if arguments.name else [Path(public_name(c)).name for c in arguments.checkpoints]
    if len(set(names)) != len(arguments.checkpoints):
        parser.error(f"Results would overwrite each other: {', '.join(names)}. Give one checkpoint at a time a --name.")
    keep_freed_memory()  # without it the kernel clears pages for as long as the network computes
    part = load_parts(arguments.data)[arguments.part]
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
            **measure(Checkpoint(folder), part, arguments),
        }
        results["seconds"] = round(time.time() - started, 1)
        path = arguments.output / f"{name}_{arguments.part}.json"
        path.write_text(json.dumps(results, indent=1) + "\n")
        if plot:
            plot(results, path.with_suffix(".png"))
        print(f"\n{name}, {arguments.part} part ({results['seconds']:.0f} s)\n{summary(results)}")
