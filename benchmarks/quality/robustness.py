"""How much accuracy a checkpoint loses when slices get worse: ten corruptions in five strengths each.

    python -m benchmarks.quality.robustness CHECKPOINT [CHECKPOINT ...] --data FOLDER --part validation
    python -m benchmarks.quality.robustness model --data FOLDER --part test --slices 1194    # every slice, an hour

By default on a subset of 300 slices of the part: as many of each class, spread over as many groups of copies as
possible (`checkpoints.fair_subset`), so its clean accuracy is not that of the whole part, and is given as well.
Writes `benchmarks/results/robustness/<NAME or the checkpoint's name>_<part>.json` and a plot beside it.
"""

import argparse
from pathlib import Path

import numpy as np
from datasets import Dataset
from tqdm.auto import tqdm

from benchmarks.quality.checkpoints import ROOT, Checkpoint, fair_subset, open_slices, run_on_checkpoints, share
from benchmarks.quality.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from brain_tumor.evaluation.intervals import group_draws, percentile_interval
from brain_tumor.labels import LABELS, NO_TUMOR

RESULTS = ROOT / "benchmarks/results/robustness"


def robustness(checkpoint: Checkpoint, part: Dataset) -> dict:
    """Accuracy on every slice of a part, clean and with each of `CORRUPTIONS` in each of `STRENGTHS`.

    Returns:
        slices: label -> number.
        clean: accuracy, sensitivity (tumors not called "no tumor") and specificity of the slices as they are.
        corruptions: name -> five accuracies, by strength; and the same of sensitivity and specificity.
        mean: accuracy over all 50, sensitivity and specificity alike, with intervals over groups of copies.
        points_lost: clean accuracy minus `mean`, in percentage points, with its interval (the slices are paired).
    """
    images, labels = open_slices(part), np.array(part["label"])
    groups, hashes = np.array(part["group"]), part["sha256"]
    tumor = labels != NO_TUMOR

    def figures(called: np.ndarray) -> dict:
        """Of verdicts (..., slices): the share over all of the leading dimensions too."""
        correct = (called == labels).reshape(-1, len(labels)).mean(axis=0)
        missed = (called == NO_TUMOR).reshape(-1, len(labels)).mean(axis=0)
        return {
            "accuracy": share(correct, groups),
            "sensitivity": share(1 - missed[tumor], groups[tumor]),
            "specificity": share(missed[~tumor], groups[~tumor]),
        }

    clean = checkpoint.probabilities(images).argmax(axis=1)
    called = np.empty((len(CORRUPTIONS), len(STRENGTHS), len(labels)), np.int64)
    for row, column in tqdm(list(np.ndindex(called.shape[:2])), desc="Corruptions", unit="of 50"):
        name = list(CORRUPTIONS)[row]
        pictures = (
            corrupt(image, name, STRENGTHS[column], sha256) for image, sha256 in zip(images, hashes, strict=True)
        )
        called[row, column] = checkpoint.probabilities(pictures).argmax(axis=1)
    draws, member = group_draws(groups)
    lost = (clean == labels) - (called == labels).mean(axis=(0, 1))
    lost_by_draw = draws @ np.bincount(member, lost) / (draws @ np.bincount(member))
    by_strength = {}
    for name, verdicts in zip(CORRUPTIONS, called, strict=True):
        of_each = [figures(of_strength) for of_strength in verdicts]
        by_strength[name] = {figure: [of[figure]["share"] for of in of_each] for figure in of_each[0]}
    return {
        "slices": dict(zip(LABELS, np.bincount(labels, minlength=len(LABELS)).tolist(), strict=True)),
        "clean": figures(clean),
        "corruptions": by_strength,
        "mean": figures(called),
        "points_lost": {"points": 100 * lost.mean(), "interval": percentile_interval(100 * lost_by_draw)},
    }


def plot(results: dict, path: Path) -> None:
    """Accuracies of one checkpoint: a row for each corruption, a column for each strength, the clean one first."""
    # matplotlib's object interface: no display, no global state
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    clean = results["clean"]["accuracy"]["share"]
    cells = 100 * np.array([[clean, *figures["accuracy"]] for figures in results["corruptions"].values()])
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    axis.imshow(cells, cmap="RdYlGn", vmin=25, vmax=100, aspect="auto")  # 25 % is chance
    axis.set_xticks(range(1 + len(STRENGTHS)), ["clean", *STRENGTHS])
    axis.set_yticks(range(len(cells)), [name.replace("_", " ") for name in results["corruptions"]])
    axis.set(xlabel="strength", title=f"Accuracy in % on {sum(results['slices'].values())} {results['part']} slices")
    for (row, column), value in np.ndenumerate(cells):
        axis.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=9)
    # No software or date in the file, so that the same run writes the same bytes.
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    def measure(checkpoint: Checkpoint, part: Dataset, arguments: argparse.Namespace) -> dict:
        return robustness(checkpoint, fair_subset(part, arguments.slices) if arguments.slices < len(part) else part)

    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--slices", type=int, default=300, help="of the subset; a quarter of each class if possible"
        )

    run_on_checkpoints(__doc__, RESULTS, measure, summary, add_arguments, plot)


def summary(results: dict) -> str:
    """The accuracies as a table, in percent."""
    lines = [f"  {'':<16}" + "".join(f"{strength:>7}" for strength in STRENGTHS)]
    for name, figures in results["corruptions"].items():
        lines.append(f"  {name:<16}" + "".join(f"{100 * value:7.1f}" for value in figures["accuracy"]))
    for name in ("clean", "mean"):
        accuracy = results[name]["accuracy"]
        low, high = (100 * value for value in accuracy["interval"])
        lines.append(f"  {name:<16}{100 * accuracy['share']:7.1f}  ({low:.1f} to {high:.1f})")
    low, high = results["points_lost"]["interval"]
    return "\n".join(
        [*lines, f"  {'points lost':<16}{results['points_lost']['points']:7.1f}  ({low:.1f} to {high:.1f})"]
    )


if __name__ == "__main__":
    main()
