"""The thresholds of the verdict, and which of several checkpoints is best: both from validation alone."""

from collections.abc import Sequence

import numpy as np
from scipy.special import expit, logit

from brain_tumor.inference.verdict import Thresholds, decide
from brain_tumor.labels import NO_TUMOR, TUMOR, TUMOR_TYPES

SENSITIVITY, SPECIFICITY, UNCERTAIN_SHARE = 0.993, 0.975, 0.08
"""The targets: least share of tumors not called "no tumor", least share of healthy slices not called a tumor, and
largest share of slices without a verdict."""

TYPE_RIGHT, TYPES_GIVEN_UP = 0.95, 0.15
"""Share of the named types that are to be right, and the largest share of the tumors of a known type whose type may be
called unclear for it."""

TYPE_RANGE = np.linspace(0.4, 0.95, 56)

NO_TUMOR_RANGE = (0.9, 0.999)
"""Bounds of the threshold of "no tumor". Lower, a tumor probability of more than one in ten would pass for none,
however well validation went; higher, the fit of the temperature to a handful of slices would decide."""

TUMOR_RANGE = (0.5, 0.999)

TAIL_SHARE, TAIL_GROUPS = 0.1, 10
"""What the tail of a class is fitted to: a tenth of its groups of copies, or ten if that is more (but half at most)."""

LEAST_SCALE = 0.1

SAFETY = 4
"""The choice may be this many times safer than the targets demand; beyond that the fitted tail says nothing."""

BUDGET_USED = 0.8
"""Share of the allowed uncertainty that is spent on validation: on other slices there will be some more."""

ACCURACY_WORTH_RECALL = 0.005
"""A checkpoint that misses fewer tumors wins unless it is less accurate than the best one by more than this."""


def recall_first(accuracy: Sequence[float], missed: Sequence[float], nll: Sequence[float]) -> int:
    """Which of several checkpoints is the best, by their figures on the same validation slices.

    Args:
        accuracy: of each, in [0, 1].
        missed: tumors that each calls "no tumor", weakly labeled ones included: their number or share.
        nll: of each; decides between those that miss equally many.

    Returns:
        Its index.

    >>> recall_first(accuracy=[0.990, 0.986, 0.980], missed=[3, 1, 0], nll=[0.07, 0.09, 0.08])
    1
    """
    enough = max(accuracy) - ACCURACY_WORTH_RECALL
    in_question = [number for number, value in enumerate(accuracy) if value >= enough]
    return min(in_question, key=lambda number: (missed[number], nll[number]))


def choose_thresholds(
    probabilities: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    cells: np.ndarray | None = None,
    sensitivity: float = SENSITIVITY,
    specificity: float = SPECIFICITY,
    uncertain: float = UNCERTAIN_SHARE,
) -> Thresholds:
    """Thresholds for the targets, from slices that did not train the network.

    A validation part of some 300 tumors holds none or one of the 0.2 % that may be missed. A threshold at the worst
    of them would depend on one picture, and no count of observed misses can tell 99.8 % from 99 %. So the score
    log(p(no tumor) / p(any tumor)) of the tumors is extrapolated: beyond its 90 % quantile the tail is taken to be
    exponential, with the mean excess of the tenth that lies there (the first term of any light tail; see Coles 2001,
    "An Introduction to Statistical Modeling of Extreme Values", ch. 4). One group of slices that lies far out, such as
    a wrong label, moves that mean only a little; two are a pattern, so the threshold is also one mean excess beyond
    what all groups but one (or all but the allowed share) reach. The healthy slices' lower tail gives the other
    threshold in the same way. Slices of one patient, or copies, are one piece of evidence and count once
    in their class, set and sequence; such a cell weighs the square root of its groups, so that none rules by its size.

    The uncertain share on validation stays within `BUDGET_USED` of what is allowed. Within that budget, both tails are
    cut at the allowed rate of errors divided by one factor, up to `SAFETY`. Where the budget is too small to meet both
    targets, specificity gives way first, down to the end of `TUMOR_RANGE`, then sensitivity, down to the end of
    `NO_TUMOR_RANGE`, and at last less and less probable tumors count as tumors.

    Args:
        probabilities: (n, 4), calibrated; of validation, or out-of-fold ones of several runs together.
        labels: (n,) class indices, or `labels.TUMOR`.
        groups: (n,) groups of patients and copies.
        cells: (n,) class, set and sequence of each slice (`split.cells`); by default all are of one.
        sensitivity, specificity: least shares, in (0, 1).
        uncertain: largest share of slices with no verdict, in (0, 1).

    Raises:
        ValueError: there is no tumor, or no healthy slice.
    """
    healthy = labels == NO_TUMOR
    if healthy.all() or not healthy.any():
        raise ValueError(
            "Decision thresholds need tumors and healthy slices; there are "
            f"{(~healthy).sum()} tumors and {healthy.sum()} healthy slices."
        )
    score = no_tumor_score(probabilities)
    weights = evidence(np.zeros(len(labels), int) if cells is None else cells, groups)
    missed = _Tail(score[~healthy], weights[~healthy])
    alarmed = _Tail(-score[healthy], weights[healthy])
    budget = BUDGET_USED * uncertain

    def cuts(factor: float) -> tuple[float, float]:
        low = alarmed.beyond((1 - specificity) / factor)
        high = missed.beyond((1 - sensitivity) / factor)
        return -float(np.clip(low, *logit(TUMOR_RANGE))), float(np.clip(high, *logit(NO_TUMOR_RANGE)))

    # Pairs of scores, what lies between being uncertain: from the safest to that which leaves nothing there.
    pairs = [cuts(factor) for factor in np.geomspace(SAFETY, 1, 50)]
    low, high = pairs[-1]
    last_low, last_high = -logit(TUMOR_RANGE[0]), logit(NO_TUMOR_RANGE[0])
    pairs += [(value, high) for value in np.linspace(low, last_low, 100)]
    pairs += [(last_low, value) for value in np.linspace(high, last_high, 100)]
    pairs += [(value, last_high) for value in np.linspace(last_low, last_high, 100)]
    shares = weights / weights.sum()
    low, high = next((low, high) for low, high in pairs if shares[(score > low) & (score < high)].sum() <= budget)
    no_tumor = round(float(expit(high)), 4)
    # Rounding must not make them overlap.
    tumor = max(round(float(expit(-low)), 4), round(1 - no_tumor + 1e-4, 4))
    return Thresholds(no_tumor, tumor, _choose_type(probabilities, labels, weights, Thresholds(no_tumor, tumor)))


def evidence(cells: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(n,) how much each slice counts: a group once in its cell, and a cell the square root of its groups.

    They sum to the number of groups, counted anew in each cell.

    Args:
        cells, groups: (n,) numbers.
    """
    pairs, member, size = np.unique(np.stack([cells, groups]), axis=1, return_inverse=True, return_counts=True)
    _, of_cell, groups_of_cell = np.unique(pairs[0], return_inverse=True, return_counts=True)
    weights = (1 / size / np.sqrt(groups_of_cell[of_cell]))[member.ravel()]
    return weights * len(size) / weights.sum()


def _choose_type(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray, thresholds: Thresholds) -> float:
    """The least share of a type in p(any tumor) at which `TYPE_RIGHT` of the named types are right.

    A name for a tumor of unknown or another type counts as wrong. At most `TYPES_GIVEN_UP` of the tumors of a known
    type get no name for it.
    """
    typed = (labels != NO_TUMOR) & (labels != TUMOR)
    best = float(TYPE_RANGE[0])
    for least in TYPE_RANGE:
        verdicts = decide(probabilities, Thresholds(thresholds.no_tumor, thresholds.tumor, float(least)))
        named = np.isin(verdicts, TUMOR_TYPES) & (labels != NO_TUMOR)
        called = typed & np.isin(verdicts, (*TUMOR_TYPES, TUMOR))
        unclear = weights[called & (verdicts == TUMOR)].sum() / max(weights[called].sum(), 1e-9)
        if unclear > TYPES_GIVEN_UP:
            break
        best = float(least)
        if weights[named & (verdicts == labels)].sum() >= TYPE_RIGHT * weights[named].sum():
            break
    return round(best, 4)


def no_tumor_score(probabilities: np.ndarray) -> np.ndarray:
    """log(p(no_tumor) / p(any tumor)) in nats, (n, 4) -> (n,) float64 between about -28 and 28."""
    rows = probabilities.astype(np.float64)
    return np.log(rows[:, NO_TUMOR].clip(1e-12)) - np.log(rows[:, list(TUMOR_TYPES)].sum(axis=1).clip(1e-12))


class _Tail:
    """The upper tail of values: counted in their bulk, exponential beyond.

    Args:
        values: (n,).
        weights: (n,) positive, 1 for each group of copies.
    """

    def __init__(self, values: np.ndarray, weights: np.ndarray):
        order = np.argsort(values)
        self.values = values[order]
        # The share of the weight at or above each value.
        self.shares = weights[order][::-1].cumsum()[::-1] / weights.sum()
        self.one_group = 1 / weights.sum()
        self.share = min(max(TAIL_SHARE, TAIL_GROUPS * self.one_group), 0.5)
        self.start = self._quantile(self.share)
        excess, weight = (values - self.start).clip(0), weights * (values >= self.start)
        self.scale = max(float((excess * weight).sum() / weight.sum()), LEAST_SCALE)

    def beyond(self, rate: float) -> float:
        """The value that a share `rate` of the distribution exceeds."""
        if rate >= self.share:
            return self._quantile(rate)
        fitted = self.start + self.scale * float(np.log(self.share / rate))
        return max(fitted, self._quantile(max(rate, self.one_group)) + self.scale)

    def _quantile(self, rate: float) -> float:
        """The largest value that more than a share `rate` reaches."""
        return float(self.values[max(int((self.shares > rate + 1e-9).sum()) - 1, 0)])
