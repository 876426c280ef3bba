"""The figures of a set of predictions, each of them a plain function of probabilities and labels."""

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

from brain_tumor.labels import LABELS, NO_TUMOR, TUMOR, TUMOR_TYPES

ECE_BINS = 15

DANGEROUS_CONFIDENCE = 0.9
"""A tumor that is called "no tumor" with more confidence than this is a dangerous miss."""

_LEAST = 1e-12


def is_right(called: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(n,) bool: whether each slice is called what it is; of `labels.TUMOR`, any of the three."""
    return np.where(labels == TUMOR, called != NO_TUMOR, called == labels)


def share_right(called: np.ndarray, labels: np.ndarray) -> float:
    """Share of slices of which `is_right` holds.

    >>> share_right(np.array([0, 1, 2, 2]), np.array([0, 4, 4, 2]))
    0.75
    """
    return float(is_right(called, labels).mean())


def classification_figures(probabilities: np.ndarray, labels: np.ndarray) -> dict:
    """Every figure that needs nothing but probabilities and labels.

    Args:
        probabilities: (n, 4) float, rows sum to 1.
        labels: (n,) class indices.

    Returns:
        accuracy, macro_recall; sensitivity, the share of tumors not called "no_tumor"; specificity, the share of
        healthy slices called so; nll, brier, ece and classwise_ece; "per_class": label -> precision, recall, f1,
        auroc (against the rest) and support; "confusion_matrix", whose rows are the true classes. A figure that is
        not defined, because no slice is of a class, is None.

    >>> certain = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.7, 0.1]])
    >>> figures = classification_figures(certain, np.array([0, 2]))
    >>> figures["accuracy"], figures["sensitivity"], figures["specificity"], round(figures["ece"], 3)
    (1.0, 1.0, 1.0, 0.3)
    """
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
    return {
        **{name: _number(value) for name, value in rates(matrix).items()},
        **probability_figures(probabilities, labels),
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
    tumors = list(TUMOR_TYPES)
    with np.errstate(invalid="ignore", divide="ignore"):
        correct, support = np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(axis=-1)
        missed, of = matrix[..., tumors, NO_TUMOR].sum(axis=-1), support[..., tumors].sum(axis=-1)
        return {
            "accuracy": correct.sum(axis=-1) / support.sum(axis=-1),
            "macro_recall": np.nanmean(np.where(support > 0, correct / support, np.nan), axis=-1),
            "sensitivity": 1 - missed / of,
            "specificity": correct[..., NO_TUMOR] / support[..., NO_TUMOR],
        }


def calibration_bins(probabilities: np.ndarray, labels: np.ndarray, bins: int = ECE_BINS) -> list[dict]:
    """Equal-width bins of the highest confidence: {"confidence", "accuracy", "count"} of each that is not empty."""
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    number = _bin_numbers(confidence, bins)
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


def probability_figures(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """How good the probabilities are as probabilities: nll, brier, ece and classwise_ece; lower is better.

    Args:
        probabilities: (n, 4), rows sum to 1.
        labels: (n,) class indices.
    """
    terms = probability_terms(probabilities, labels)
    return {
        "nll": float(terms["nll"].mean()),
        "brier": float(terms["brier"].mean()),
        "ece": expected_calibration_error(probabilities, labels),
        "classwise_ece": classwise_calibration_error(probabilities, labels),
    }


def probability_terms(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """What each slice adds to the NLL, -log p of its class in nats, and to the Brier score.

    The Brier score of several classes is the mean over slices of sum_c (p_c - [c is the label])^2, from 0 to 2
    (Brier 1950, "Verification of Forecasts Expressed in Terms of Probability").

    Returns:
        nll and brier, each (n,) float64.
    """
    rows = np.arange(len(labels))
    distance = probabilities.astype(np.float64)
    chosen = distance[rows, labels].clip(_LEAST)
    distance[rows, labels] -= 1
    return {"nll": -np.log(chosen), "brier": (distance**2).sum(axis=1)}


def classwise_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = ECE_BINS) -> float:
    """Class-wise ECE: for each class, the ECE of its probability against its share; then the mean over the classes.

    The ECE looks at the highest probability alone; this one also sees a class that is always given a little too
    much (Kull et al. 2019, "Beyond temperature scaling"). Bins as in `calibration_bins`.
    """
    gaps = classwise_gaps(probabilities, labels, bins)
    return float(np.abs(gaps.sum(axis=0)).sum() / len(LABELS) / len(labels))


def dangerous_misses(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Indices of the tumors called "no tumor" with a confidence above `DANGEROUS_CONFIDENCE`, the surest first.

    Args:
        probabilities: (n, 4).
        labels: (n,) class indices or `labels.TUMOR`.
    """
    healthy = probabilities[:, NO_TUMOR]
    found = np.flatnonzero((labels != NO_TUMOR) & (healthy > DANGEROUS_CONFIDENCE))
    return found[np.argsort(-healthy[found], kind="stable")]


def risk_coverage(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Error rate among the most confident slices, for every number of them that could be kept.

    Slices of the same confidence share their errors evenly, so that their order does not matter.

    Args:
        probabilities: (n, 4).
        labels: (n,) class indices.

    Returns:
        coverage (n,), the share of slices kept; risk (n,), the share of these that is wrong; and the area under the
        curve (AURC), its mean, which is 0 for a network without errors (Geifman et al. 2019, "Bias-Reduced
        Uncertainty Estimation for Deep Neural Classifiers").
    """
    confidence, wrong = probabilities.max(axis=1), (probabilities.argmax(axis=1) != labels).astype(np.float64)
    _, same, count = np.unique(-confidence, return_inverse=True, return_counts=True)
    shared = np.bincount(same, weights=wrong) / count
    kept = np.arange(1, len(labels) + 1)
    risk = np.repeat(shared, count).cumsum() / kept
    return kept / len(labels), risk, float(risk.mean())


def _bin_numbers(values: np.ndarray, bins: int) -> np.ndarray:
    # 1.0 belongs to the last bin; the bins are open on the left, as in Guo et al. 2017.
    return np.clip(np.ceil(values * bins).astype(int) - 1, 0, bins - 1)


def confidence_gaps(probabilities: np.ndarray, labels: np.ndarray, bins: int = ECE_BINS) -> np.ndarray:
    """(n, bins): in each slice's bin, its confidence less 1 if it is right; the ECE is sum_b |sum_n| / n."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    gaps = np.zeros((len(labels), bins))
    gaps[np.arange(len(labels)), _bin_numbers(confidence, bins)] = confidence - right
    return gaps


def classwise_gaps(probabilities: np.ndarray, labels: np.ndarray, bins: int = ECE_BINS) -> np.ndarray:
    """(n, classes * bins): the same for the probability of every class."""
    n, classes = probabilities.shape
    gaps = np.zeros((n, classes, bins))
    number = _bin_numbers(probabilities, bins)
    gaps[np.arange(n)[:, None], np.arange(classes), number] = probabilities - (labels[:, None] == np.arange(classes))
    return gaps.reshape(n, classes * bins)


def _auroc(is_class: np.ndarray, score: np.ndarray) -> float | None:
    return float(roc_auc_score(is_class, score)) if 0 < is_class.sum() < len(is_class) else None


def _number(value) -> float | None:
    return None if np.isnan(value) else float(value)
