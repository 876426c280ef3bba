"""How certain a figure is: bootstrap intervals over groups of slices."""

import numpy as np

BOOTSTRAP_SAMPLES = 2000

INTERVAL = (2.5, 97.5)


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
    """The 95 % percentile interval of a figure's bootstrap samples, some of which may be NaN; None if all are."""
    return None if np.isnan(values).all() else [float(v) for v in np.nanpercentile(values, INTERVAL)]


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
