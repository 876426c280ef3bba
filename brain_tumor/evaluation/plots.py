"""Plots of results: those of a training run, and the page of an evaluation."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from scipy.special import softmax
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from brain_tumor.answers.words import tenths
from brain_tumor.evaluation.metrics import calibration_bins, expected_calibration_error, risk_coverage
from brain_tumor.inference.verdict import UNCERTAIN, Thresholds, decide
from brain_tumor.labels import DISPLAY_NAMES, LABELS, NO_TUMOR, TUMOR_TYPES, kind_name


def plot_curves(history: list[dict], path: Path) -> None:
    """Training and validation accuracy and loss, by epoch."""
    axes, save = _figure(1, 2, (9, 3.6))
    for axis, name, title in zip(axes, ("accuracy", "loss"), ("Accuracy", "Loss"), strict=True):
        for part, style in (("train", "C0o-"), ("validation", "C1s-")):
            points = [(h["epoch"], h[f"{part}_{name}"]) for h in history if h.get(f"{part}_{name}") is not None]
            if points:
                axis.plot(*zip(*points, strict=True), style, markersize=3 if len(points) > 1 else 7, label=part)
        axis.set(title=title, xlabel="epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if len(history) == 1:
            axis.set_xlim(history[0]["epoch"] - 0.5, history[0]["epoch"] + 0.5)
        axis.grid(alpha=0.3)
        axis.legend()
    axes[0].set_ylabel("share of slices named correctly (training: augmented)")
    axes[0].yaxis.label.set_size(8)
    save(path)


def plot_confusion_matrix(result: dict, title: str, path: Path) -> None:
    """Counts, shaded by the share of the true class."""
    (axis,), save = _figure(1, 1, (5.6, 5))
    _confusion_matrix(axis, result, title)
    save(path)


def plot_reliability(before: np.ndarray, after: np.ndarray, labels: np.ndarray, title: str, path: Path) -> None:
    """Confidence against accuracy in 15 bins, with the network's own logits and with the fitted temperature.

    Args:
        before, after: (n, 4) logits.
        labels: (n,) class indices.
    """
    axes, save = _figure(1, 2, (9, 4.4))
    for axis, logits, name in zip(axes, (before, after), ("before", "after"), strict=True):
        _reliability(axis, softmax(logits.astype(np.float64), axis=1), labels, f"{name} temperature scaling: ")
    axes[0].figure.suptitle(f"{title}; larger dot, more slices", fontsize=10)
    save(path)


def plot_roc(probabilities: np.ndarray, labels: np.ndarray, title: str, path: Path) -> None:
    """ROC and precision-recall curves, of each class against the rest and of any tumor against none.

    A class that no slice is of, or every one, has no curve.

    Args:
        probabilities: (n, 4), calibrated.
        labels: (n,) class indices.
    """
    (roc, pr), save = _figure(1, 2, (9, 4.6))
    asked = {DISPLAY_NAMES[label]: (labels == i, probabilities[:, i], "-") for i, label in enumerate(LABELS)}
    asked["Any tumor"] = labels != NO_TUMOR, probabilities[:, list(TUMOR_TYPES)].sum(axis=1), "k--"
    for name, (is_class, score, style) in asked.items():
        if 0 < is_class.sum() < len(is_class):
            false, true, _ = roc_curve(is_class, score)
            precision, recall, _ = precision_recall_curve(is_class, score)
            roc.plot(false, true, style, label=f"{name}: area {roc_auc_score(is_class, score):.3f}")
            area = average_precision_score(is_class, score)
            pr.plot(recall, precision, style, drawstyle="steps-post", label=f"{name}: average precision {area:.3f}")
    roc.set(title="ROC", xlabel="share of the others called so", ylabel="recall", ylim=(0, 1.02))
    pr.set(title="Precision and recall", xlabel="recall", ylabel="precision", ylim=(0, 1.02))
    for axis in (roc, pr):
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(loc="lower right" if axis is roc else "lower left", fontsize=8)
    roc.figure.suptitle(f"{title}; each class against the rest", fontsize=10)
    save(path)


def plot_evaluation(
    result: dict,
    logits: np.ndarray,
    labels: np.ndarray,
    thresholds: Thresholds | None,
    title: str,
    path: Path,
    raw: np.ndarray | None = None,
    weak: np.ndarray | None = None,
) -> None:
    """One page: confusion matrix, reliability, errors against what is kept, figures by class, verdicts, sources.

    Args:
        result: of `figures.part_figures`.
        logits: (n, 4), calibrated; labels: (n,) class indices.
        raw: (n, 4), before the temperature, where it is known.
        weak: (m, 4), calibrated, of tumors of unknown type, where there are any.
    """
    probabilities = softmax(logits.astype(np.float64), axis=1)
    axes, save = _figure(2, 3, (15, 9))
    _confusion_matrix(axes[0, 0], result, "Called against labeled")
    if raw is not None:
        _reliability(axes[0, 1], softmax(raw.astype(np.float64), axis=1), labels, "before temperature scaling: ", "C7")
    _reliability(axes[0, 1], probabilities, labels, "after: " if raw is not None else "")
    _risk_coverage(axes[0, 2], probabilities, labels)
    _classes(axes[1, 0], result["per_class"])
    _verdicts(axes[1, 1], probabilities, labels, thresholds, weak)
    _sources(axes[1, 2], result.get("by_source", []))
    axes[0, 0].figure.suptitle(title, fontsize=11)
    save(path)


KIND_COLUMNS = {
    "missed": ("tumors called\n“no tumor”", 0.25, True),
    "right_type": ("right type", 0.5, False),
    "specificity": ("tumor-free called\n“no tumor”", 0.25, False),
    "uncertain": ("verdict\nuncertain", 0.3, True),
}
"""Figure of `kinds.kind_figures` -> title, how far from perfect the color is darkest, and whether less is better."""


def plot_kinds(rows: list[dict], path: Path) -> None:
    """Figures by kind of scan as a table of colors: pale is good, dark is bad, gray says nothing.

    Args:
        rows: of `kinds.kind_figures`; those of all planes are shown.
    """
    rows = [row for row in rows if not row["plane"]]
    (axis,), save = _figure(1, 1, (9, 1.4 + 0.42 * max(len(rows), 1)))
    for y, row in enumerate(rows):
        for x, (name, (_, worst, less)) in enumerate(KIND_COLUMNS.items()):
            found = row.get(name)
            far = (found["value"] if less else 1 - found["value"]) / worst if found else 0.0
            color = matplotlib.colormaps["Oranges"](0.05 + 0.75 * min(far, 1.0)) if found else "#ececec"
            axis.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, color=color, ec="white", lw=1.5))
            if found:
                low, high = (f"{100 * bound:.0f}" for bound in found["interval"])
                axis.text(x, y - 0.08, tenths(found["value"]), ha="center", va="center", fontsize=9)
                about = f"{low} to {high}; {found['slices']} of {found['patients']}"
                axis.text(x, y + 0.27, about, ha="center", va="center", fontsize=6)
    axis.set(xlim=(-0.5, len(KIND_COLUMNS) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    axis.set(xticks=range(len(KIND_COLUMNS)), yticks=range(len(rows)))
    axis.set_xticklabels([title for title, _, _ in KIND_COLUMNS.values()], fontsize=9)
    axis.set_yticklabels([kind_name(row["set"], row["sequence"]) for row in rows], fontsize=8)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_xlabel(
        "small: 95 % interval over patients; slices of patients. Gray: too few slices or patients to say anything.",
        fontsize=7,
    )
    save(path)


def _confusion_matrix(axis, result: dict, title: str) -> None:
    matrix = np.array(result["confusion_matrix"])
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    names = [DISPLAY_NAMES[label] for label in LABELS]
    axis.set(xticks=range(4), yticks=range(4), xlabel="called", ylabel="labeled", title=title)
    axis.set_xticklabels(names, rotation=20, ha="right")
    axis.set_yticklabels(names)
    for (row, column), count in np.ndenumerate(matrix):
        color = "white" if share[row, column] > 0.5 else "black"
        text = f"{count}\n{tenths(share[row, column])}"
        axis.text(column, row, text, ha="center", va="center", color=color, fontsize=9)


def _reliability(axis, probabilities: np.ndarray, labels: np.ndarray, name: str, color: str = "C0") -> None:
    bins = calibration_bins(probabilities, labels)
    ece = expected_calibration_error(probabilities, labels)
    axis.plot([0, 1], [0, 1], "k:", linewidth=1)
    axis.plot([b["confidence"] for b in bins], [b["accuracy"] for b in bins], "-", color=color, linewidth=1)
    sizes = [20 + 200 * b["count"] / len(labels) for b in bins]
    axis.scatter([b["confidence"] for b in bins], [b["accuracy"] for b in bins], s=sizes, color=color, alpha=0.7)
    axis.set(xlim=(0, 1.02), ylim=(0, 1.05), xlabel="confidence", ylabel="share that is right", aspect="equal")
    # On the page both curves are on one axis, and so are their titles.
    title = ", ".join(part for part in (axis.get_title(), f"{name}ECE {ece:.3f}") if part)
    axis.set_title(title, fontsize=10)
    axis.grid(alpha=0.3)


def _risk_coverage(axis, probabilities: np.ndarray, labels: np.ndarray) -> None:
    coverage, risk, area = risk_coverage(probabilities, labels)
    axis.plot(coverage, risk, "C0-")
    axis.set(
        xlim=(0, 1), xlabel="share of slices kept, the most confident first", ylabel="share of these that is wrong"
    )
    axis.set_ylim(0, max(1.1 * risk.max(), 0.01))
    axis.set_title(f"Errors among what is kept: AURC {area:.4f}", fontsize=10)
    axis.grid(alpha=0.3)


def _classes(axis, per_class: dict) -> None:
    for offset, name, color in ((-0.12, "recall", "C0"), (0.12, "precision", "C1")):
        shown = [(i, f) for i, f in enumerate(per_class.values()) if f[name] is not None]
        for i, figures in shown:
            low, high = (figures.get("intervals") or {}).get(name) or (figures[name], figures[name])
            axis.plot([low, high], [i + offset] * 2, color=color)
        axis.plot([f[name] for _, f in shown], [i + offset for i, _ in shown], "o", color=color, label=name)
    axis.set(yticks=range(len(LABELS)), ylim=(len(LABELS) - 0.5, -0.5))
    axis.set_yticklabels([f"{DISPLAY_NAMES[label]} ({per_class[label]['support']})" for label in LABELS])
    axis.set_title("By class, with 95 % intervals over groups", fontsize=10)
    axis.grid(alpha=0.3)
    axis.legend(loc="lower left")


def _verdicts(axis, probabilities: np.ndarray, labels: np.ndarray, thresholds: Thresholds | None, weak) -> None:
    rows = [(DISPLAY_NAMES[label], probabilities[labels == i]) for i, label in enumerate(LABELS)]
    if weak is not None and len(weak):
        rows.append(("Tumor, other or unknown", softmax(weak.astype(np.float64), axis=1)))
    for i, (_, part) in enumerate(rows):
        verdicts = part.argmax(axis=1) if thresholds is None else decide(part, thresholds)
        shares = [verdicts == NO_TUMOR, verdicts == UNCERTAIN, ~np.isin(verdicts, (NO_TUMOR, UNCERTAIN))]
        left = 0.0
        for share, color in zip(shares, ("C2", "#d0d0d0", "C3"), strict=True):
            width = share.mean() if len(share) else 0.0
            axis.barh(i, width, left=left, color=color)
            left += width
    for name, color in (("no tumor", "C2"), ("uncertain", "#d0d0d0"), ("tumor", "C3")):
        axis.barh(0, 0, color=color, label=name)
    axis.set(yticks=range(len(rows)), ylim=(len(rows) - 0.5, -0.5), xlim=(0, 1))
    axis.set_yticklabels([f"{name} ({len(part)})" for name, part in rows])
    how = "at the most probable class" if thresholds is None else "with the checkpoint's thresholds"
    axis.set_title(f"Share of slices by verdict, {how}", fontsize=10)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=3, fontsize=8)


def _sources(axis, sources: list[dict], most: int = 14) -> None:
    for i, row in enumerate(sources[:most]):
        low, high = row["interval"] or (row["accuracy"], row["accuracy"])
        axis.plot([low, high], [i, i], "C0-")
        axis.plot(row["accuracy"], i, "C0o")
    count = len(sources[:most])
    axis.set(yticks=range(count), ylim=(max(count, 1) - 0.5, -0.5))
    axis.set_yticklabels([f"{row['source']} ({row['slices']})" for row in sources[:most]], fontsize=8)
    axis.set_title("Accuracy by what the file names tell of the source", fontsize=10)
    axis.grid(alpha=0.3)


def _figure(rows: int, columns: int, size: tuple[float, float]):
    # matplotlib's object interface: no display, no global state
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = np.atleast_1d(figure.subplots(rows, columns))
    # No software or date in the file, so that the same run writes the same bytes.
    return axes, lambda path: figure.savefig(path, dpi=110, metadata={"Software": None})
