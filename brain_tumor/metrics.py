"""The figures of a set of predictions, as an `evaluate.Metric` that needs no network."""

import datasets
import evaluate
import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

from brain_tumor.labels import LABELS, NO_TUMOR

ECE_BINS = 15

_DESCRIPTION = """Accuracy, macro recall, per-class precision, recall, F1 and one-vs-rest AUROC, confusion matrix,
negative log-likelihood, expected calibration error, tumour sensitivity and "no tumor" specificity."""

_INPUTS = """
Args:
    predictions: (n, 4) probabilities of glioma, meningioma, no_tumor, pituitary; rows sum to 1.
    references: (n,) class indices.
Returns:
    a dict; sensitivity is the share of tumours not called "no_tumor", specificity that of healthy slices called so.
    Where a figure is not defined (no slice of a class) it is None.
Examples:
    >>> metric = ScanMetrics(keep_in_memory=True)
    >>> certain = [[0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.7, 0.1]]
    >>> figures = metric.compute(predictions=certain, references=[0, 2])
    >>> figures["accuracy"], figures["sensitivity"], figures["specificity"], round(figures["ece"], 3)
    (1.0, 1.0, 1.0, 0.3)
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _INPUTS)
class ScanMetrics(evaluate.Metric):
    def _info(self):
        features = datasets.Features(
            {"predictions": datasets.Sequence(datasets.Value("float64")), "references": datasets.Value("int64")}
        )
        return evaluate.MetricInfo(description=_DESCRIPTION, citation="", inputs_description=_INPUTS, features=features)

    def _compute(self, predictions, references):
        probabilities, labels = np.asarray(predictions, np.float64), np.asarray(references)
        called = probabilities.argmax(axis=1)
        matrix = confusion_matrix(labels, called, labels=range(len(LABELS)))
        precision, recall, f1, support = precision_recall_fscore_support(
            labels, called, labels=range(len(LABELS)), zero_division=np.nan
        )
        per_class = {
            label: {
                "precision": _number(precision[i]),
                "recall": _number(recall[i]),
                "f1": _number(f1[i]),
                "auroc": _auroc(labels == i, probabilities[:, i]),
                "support": int(support[i]),
            }
            for i, label in enumerate(LABELS)
        }
        chosen = probabilities[np.arange(len(labels)), labels].clip(1e-12)
        return {
            **{name: _number(value) for name, value in rates(matrix).items()},
            "nll": float(-np.log(chosen).mean()),
            "ece": expected_calibration_error(probabilities, labels),
            "per_class": per_class,
            "confusion_matrix": matrix.tolist(),
        }


def rates(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Figures that a confusion matrix determines; also for a stack of matrices (bootstrap samples).

    Args:
        matrix: (..., 4, 4) counts, rows are the true classes.

    Returns:
        accuracy, macro_recall, sensitivity and specificity, each of shape (...); NaN where not defined.
    """
    matrix = matrix.astype(np.float64)
    tumours = [i for i in range(len(LABELS)) if i != NO_TUMOR]
    with np.errstate(invalid="ignore", divide="ignore"):
        correct, support = np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(axis=-1)
        missed, of = matrix[..., tumours, NO_TUMOR].sum(axis=-1), support[..., tumours].sum(axis=-1)
        return {
            "accuracy": correct.sum(axis=-1) / support.sum(axis=-1),
            "macro_recall": np.nanmean(np.where(support > 0, correct / support, np.nan), axis=-1),
            "sensitivity": 1 - missed / of,
            "specificity": correct[..., NO_TUMOR] / support[..., NO_TUMOR],
        }


def calibration_bins(probabilities: np.ndarray, labels: np.ndarray, bins: int = ECE_BINS) -> list[dict]:
    """Equal-width bins of the highest confidence: {"confidence", "accuracy", "count"} of each that is not empty."""
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    # Confidence 1.0 belongs to the last bin; the bins are open on the left, as in Guo et al. 2017.
    number = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return [
        {
            "confidence": float(confidence[number == b].mean()),
            "accuracy": float(correct[number == b].mean()),
            "count": int((number == b).sum()),
        }
        for b in range(bins)
        if (number == b).any()
    ]


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = ECE_BINS) -> float:
    """ECE: the mean distance between confidence and accuracy over `calibration_bins`, weighted by their counts."""
    filled = calibration_bins(probabilities, labels, bins)
    return sum(b["count"] * abs(b["confidence"] - b["accuracy"]) for b in filled) / len(labels)


def _auroc(is_class: np.ndarray, score: np.ndarray) -> float | None:
    return float(roc_auc_score(is_class, score)) if 0 < is_class.sum() < len(is_class) else None


def _number(value) -> float | None:
    return None if np.isnan(value) else float(value)
