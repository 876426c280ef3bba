"""How certain a figure is: bootstrap intervals over groups of slices."""

import numpy as np

from brain_tumor.evaluation.metrics import classwise_gaps, confidence_gaps, probability_terms, rates
from brain_tumor.labels import LABELS, NO_TUMOR

BOOTSTRAP_SAMPLES = 2000

AUROC_SAMPLES = 500
"""How many of these give the intervals of an AUROC, for which each must rank the slices anew."""

INTERVAL = (2.5, 97.5)
"""Percentiles."""

ROUNDING = 1e-12
"""Bootstrap samples that differ by less are the same."""


def group_draws(groups: np.ndarray, seed: int = 0, samples: int = BOOTSTRAP_SAMPLES) -> tuple[np.ndarray, np.ndarray]:
    """Bootstrap samples of whole groups: ten copies of a slice are one piece of evidence.

    Args:
        groups: (n,) numbers of the groups of copies.

    Returns:
        (samples, groups) int64, how often each group was drawn; (n,) int64, the column of each slice's group.
    """
    names, member = np.unique(groups, return_inverse=True)
    shares = np.full(len(names), 1 / max(len(names), 1))
    return np.random.default_rng(seed).multinomial(len(names), shares, samples), member


def sums_by_group(values: np.ndarray, member: np.ndarray, groups: int) -> np.ndarray:
    """(n, ...) -> (groups, ...) float64."""
    sums = np.zeros((groups, *values.shape[1:]))
    np.add.at(sums, member, values)
    return sums


def percentile_interval(values: np.ndarray) -> list[float] | None:
    """The 95 % percentile interval of a figure's bootstrap samples, some of which may be NaN; None if all are.

    None also where all samples say the same, such as those of a single group, which do not tell how much groups differ.
    """
    known = values[~np.isnan(values)]
    if not len(known) or np.ptp(known) < ROUNDING:
        return None
    return [float(value) for value in np.percentile(known, INTERVAL)]


def share_interval(hits: np.ndarray, of: np.ndarray, groups: np.ndarray, seed: int = 0) -> list[float] | None:
    """95 % interval of a share of slices, `hits.sum() / of.sum()`, over groups of copies.

    Where every slice counts as a hit, or none does, every bootstrap sample says the same, as if the share were
    known; then it is the exact interval of Clopper and Pearson (1934) with the groups as independent trials.

    Args:
        hits, of: (n,) bool; a hit counts where `of` holds.
        groups: (n,).
    """
    draws, member = group_draws(groups, seed)
    by_group = sums_by_group(np.stack([hits & of, of], axis=1).astype(np.float64), member, draws.shape[1])
    return share_intervals(draws, by_group[:, :1], by_group[:, 1:])[0]


def share_intervals(draws: np.ndarray, hits: np.ndarray, of: np.ndarray) -> list[list[float] | None]:
    """`share_interval` of k shares with the same draws. hits, of: (groups, k) sums by group."""
    with np.errstate(invalid="ignore", divide="ignore"):
        samples = (draws @ hits) / (draws @ of)
    intervals = []
    for i in range(hits.shape[1]):
        count, total, trials = hits[:, i].sum(), of[:, i].sum(), int((of[:, i] > 0).sum())
        if total == 0:
            intervals.append(None)
        elif count in (0, total):
            exact = (INTERVAL[0] / 100) ** (1 / trials)
            intervals.append([exact, 1.0] if count else [0.0, 1 - exact])
        else:
            intervals.append(percentile_interval(samples[:, i]))
    return intervals


def rate_intervals(called: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int = 0) -> dict:
    """95 % intervals of `metrics.rates`, from bootstrap samples of whole groups.

    Accuracy, sensitivity and specificity of 0 or 100 % get the exact interval of `share_interval`.
    """
    draws, member = group_draws(groups, seed)
    n = len(LABELS)
    one_each = np.zeros((len(labels), n * n))
    one_each[np.arange(len(labels)), labels * n + called] = 1
    by_group = sums_by_group(one_each, member, draws.shape[1])
    macro_recall = rates((draws @ by_group).reshape(-1, n, n))["macro_recall"]
    healthy, every = labels == NO_TUMOR, np.ones(len(labels), bool)
    shares = {
        "accuracy": (called == labels, every),
        "sensitivity": (called != NO_TUMOR, ~healthy),
        "specificity": (called == NO_TUMOR, healthy),
    }
    hits, of = (
        sums_by_group(columns.astype(np.float64), member, draws.shape[1])
        for columns in (
            np.stack([hit & among for hit, among in shares.values()], axis=1),
            np.stack([among for _, among in shares.values()], axis=1),
        )
    )
    bounds = dict(zip(shares, share_intervals(draws, hits, of), strict=True))
    return {
        "accuracy": bounds["accuracy"],
        "macro_recall": percentile_interval(macro_recall),
        "sensitivity": bounds["sensitivity"],
        "specificity": bounds["specificity"],
    }


def probability_intervals(probabilities: np.ndarray, labels: np.ndarray, draws: np.ndarray, member: np.ndarray) -> dict:
    """95 % intervals of `probability_figures`. All are sums over groups, so every sample is computed exactly.

    A resampled calibration error is too large on average, because noise within a bin only ever adds to it: the
    samples are moved so that their mean is the figure, and end at 0.

    Args:
        draws, member: as `group_draws` returns them.
    """
    size = draws @ np.bincount(member, minlength=draws.shape[1])
    intervals = {
        name: percentile_interval(draws @ np.bincount(member, terms, draws.shape[1]) / size)
        for name, terms in probability_terms(probabilities, labels).items()
    }
    gaps = {
        "ece": (confidence_gaps(probabilities, labels), 1),
        "classwise_ece": (classwise_gaps(probabilities, labels), len(LABELS)),
    }
    for name, (values, classes) in gaps.items():
        samples = np.abs(draws @ sums_by_group(values, member, draws.shape[1])).sum(axis=1) / classes / size
        figure = np.abs(values.sum(axis=0)).sum() / classes / len(labels)
        intervals[name] = percentile_interval((samples - samples.mean() + figure).clip(0))
    return intervals


def class_intervals(probabilities: np.ndarray, labels: np.ndarray, draws: np.ndarray, member: np.ndarray) -> list[dict]:
    """95 % intervals of each class's precision, recall, F1 and AUROC; None where a figure is not defined."""
    called, groups, result = probabilities.argmax(axis=1), draws.shape[1], []
    few = draws[:AUROC_SAMPLES]
    for i in range(len(LABELS)):
        is_class, is_called = labels == i, called == i
        hits, support, calls = (
            sums_by_group(v.astype(np.float64)[:, None], member, groups)
            for v in (is_class & is_called, is_class, is_called)
        )
        areas = _weighted_auroc(is_class, probabilities[:, i], few[:, member])
        result.append(
            {
                "precision": share_intervals(draws, hits, calls)[0],
                "recall": share_intervals(draws, hits, support)[0],
                "f1": share_intervals(draws, 2 * hits, support + calls)[0],
                "auroc": percentile_interval(areas),
            }
        )
    return result


def _weighted_auroc(is_class: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(samples,) AUROC of slices that count (samples, n) times, by ranks: ties count half."""
    order = np.argsort(score, kind="stable")
    _, first = np.unique(score[order], return_index=True)
    weights = weights[:, order].astype(np.float64)
    positive = np.add.reduceat(weights * is_class[order], first, axis=1)
    negative = np.add.reduceat(weights * ~is_class[order], first, axis=1)
    below = negative.cumsum(axis=1) - negative / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return (positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1))
