"""A checkpoint on a split -> results: figures with intervals, and the plots of a run."""

from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from scipy.special import softmax
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from brain_tumor.augment import EvalTransform
from brain_tumor.labels import DISPLAY_NAMES, LABELS
from brain_tumor.metrics import ScanMetrics, calibration_bins, expected_calibration_error, rates

BOOTSTRAP_SAMPLES = 2000
INTERVAL = (2.5, 97.5)


@torch.inference_mode()
def predict_logits(model: PreTrainedModel, part: Dataset, processor, description: str, batch_size=64) -> np.ndarray:
    """Logits of every slice of a part, in float32 (training may have run in bfloat16).

    Args:
        part: with the columns pixels and label of `dataset.pixels_for`.

    Returns:
        (slices, classes) float32, divided by `config.confidence_temperature` where the checkpoint keeps one.
    """
    transform, device = EvalTransform(processor), next(model.parameters()).device
    model.eval()
    logits = []
    for start in tqdm(range(0, part.num_rows, batch_size), desc=description, unit="batch"):
        rows = transform(part[start : start + batch_size])
        logits.append(model(pixel_values=rows["pixel_values"].to(device)).logits.float().cpu())
    return torch.cat(logits).numpy() / getattr(model.config, "confidence_temperature", 1.0)


def figures(logits: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int = 0) -> dict:
    """All figures of one part, each rate with its 95 % interval.

    Args:
        logits: (n, 4), calibrated.
        labels: (n,) class indices.
        groups: (n,) groups of copies. The bootstrap draws groups, not slices: ten copies of a slice are one
            piece of evidence.
        seed: of the bootstrap.

    Returns:
        The figures of `metrics.ScanMetrics`, with "slices", "groups" and "intervals": name -> [low, high].
    """
    probabilities = softmax(logits.astype(np.float64), axis=1)
    result = ScanMetrics(keep_in_memory=True).compute(predictions=probabilities, references=labels)
    intervals = bootstrap_intervals(probabilities.argmax(axis=1), labels, groups, seed)
    return {"slices": len(labels), "groups": len(np.unique(groups)), **result, "intervals": intervals}


def bootstrap_intervals(called: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int = 0) -> dict:
    """95 % percentile intervals of `metrics.rates`, from bootstrap samples of whole groups."""
    names, member = np.unique(groups, return_inverse=True)
    n = len(LABELS)
    by_group = np.zeros((len(names), n * n))
    np.add.at(by_group, (member, labels * n + called), 1)
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), BOOTSTRAP_SAMPLES)
    samples = rates((draws @ by_group).reshape(-1, n, n))
    return {
        name: [float(v) for v in np.nanpercentile(values, INTERVAL)] if not np.isnan(values).all() else None
        for name, values in samples.items()
    }


def part_figures(logits: np.ndarray, part: Dataset) -> dict:
    """`figures` of a part, and where it has copies of training slices, also of those with and those without."""
    labels, groups = np.array(part["label"]), np.array(part["group"])
    copied = np.array(part["copy_in_train"])
    result = figures(logits, labels, groups)
    result["slices_with_copy_in_train"] = int(copied.sum())
    if copied.any():
        for name, chosen in (("with_copy_in_train", copied), ("without_copy_in_train", ~copied)):
            if chosen.any():
                result[name] = figures(logits[chosen], labels[chosen], groups[chosen])
    return result


# --- pictures of a run ------------------------------------------------------------------------------------------


def plot_curves(history: list[dict], path: Path) -> None:
    """Training and validation accuracy and loss, by epoch."""
    axes, save = _figure(1, 2, (9, 3.6))
    for axis, name, title in zip(axes, ("accuracy", "loss"), ("Accuracy", "Loss"), strict=True):
        for part, style in (("train", "C0o-"), ("validation", "C1s-")):
            points = [(h["epoch"], h[f"{part}_{name}"]) for h in history if h.get(f"{part}_{name}") is not None]
            if points:
                axis.plot(*zip(*points, strict=True), style, markersize=3, label=part)
        axis.set(title=title, xlabel="epoch")
        axis.grid(alpha=0.3)
        axis.legend()
    axes[0].set_ylabel("share of slices named correctly (training: augmented)")
    axes[0].yaxis.label.set_size(8)
    save(path)


def plot_confusion_matrix(result: dict, title: str, path: Path) -> None:
    """Counts, shaded by the share of the true class."""
    matrix = np.array(result["confusion_matrix"])
    (axis,), save = _figure(1, 1, (5.6, 5))
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    names = [DISPLAY_NAMES[label] for label in LABELS]
    axis.set(xticks=range(4), yticks=range(4), xlabel="called", ylabel="labelled", title=title)
    axis.set_xticklabels(names, rotation=20, ha="right")
    axis.set_yticklabels(names)
    for (row, column), count in np.ndenumerate(matrix):
        colour = "white" if share[row, column] > 0.5 else "black"
        text = f"{count}\n{share[row, column]:.1%}"
        axis.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    save(path)


def plot_reliability(before: np.ndarray, after: np.ndarray, labels: np.ndarray, title: str, path: Path) -> None:
    """Confidence against accuracy in 15 bins, with the network's own logits and with the fitted temperature.

    Args:
        before, after: (n, 4) logits.
        labels: (n,) class indices.
    """
    axes, save = _figure(1, 2, (9, 4.4))
    for axis, logits, name in zip(axes, (before, after), ("before", "after"), strict=True):
        probabilities = softmax(logits.astype(np.float64), axis=1)
        bins = calibration_bins(probabilities, labels)
        ece = expected_calibration_error(probabilities, labels)
        axis.plot([0, 1], [0, 1], "k:", linewidth=1)
        axis.plot([b["confidence"] for b in bins], [b["accuracy"] for b in bins], "C0-", linewidth=1)
        sizes = [20 + 200 * b["count"] / len(labels) for b in bins]
        axis.scatter([b["confidence"] for b in bins], [b["accuracy"] for b in bins], s=sizes, color="C0", alpha=0.7)
        axis.set(xlim=(0, 1.02), ylim=(0, 1.05), xlabel="confidence", ylabel="share that is right", aspect="equal")
        axis.set_title(f"{name} temperature scaling: ECE {ece:.3f}", fontsize=10)
        axis.grid(alpha=0.3)
    axes[0].figure.suptitle(f"{title}; larger dot, more slices", fontsize=10)
    save(path)


def _figure(rows: int, columns: int, size: tuple[float, float]):
    # matplotlib's object interface: no display, no global state
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = np.atleast_1d(figure.subplots(rows, columns))
    # No software or date in the file, so that the same run writes the same bytes.
    return axes, lambda path: figure.savefig(path, dpi=110, metadata={"Software": None})
