"""One verdict on a series or volume from the verdicts on its slices, by a rule that fits into a few sentences.

Not by the slice with the highest probability: one of many slices is nearly always wrong. With a specificity of 97 % on
each slice, 60 of 100 healthy heads would be called a tumor because of one of 30 slices, and 99 of 100 because of one
of 150. `answers.words` says rule and verdict in words.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import ceil

import numpy as np

from brain_tumor.inference.prediction import UNFAMILIAR, Prediction, by_canonical_label
from brain_tumor.inference.verdict import TYPE_UNCLEAR, UNCERTAIN_VERDICT, Thresholds
from brain_tumor.labels import LABELS, NO_TUMOR, TUMOR_TYPES

LEAST_SLICES = 3
"""Counted slices without which there is no verdict, and slices that a stretch has at least."""

STRETCH_SHARE = 0.04
"""Share of the counted slices that a stretch has at least: 6 of 150. Thin slices are alike, so they err together."""

GAP = 1
"""Slices within a stretch that may say something else."""

CLEAR_SHARE = 0.8
"""Share of the counted slices that must say "no tumor" before the volume does."""


class Reason(StrEnum):
    """Which part of the rule decided."""

    MOSTLY_UNFAMILIAR = "more than half of the slices that show enough of the head are unfamiliar"
    OTHER_CLASSES = "the checkpoint has other classes than the four"
    TOO_FEW = "fewer than LEAST_SLICES slices count"
    TUMOR_STRETCH = "a stretch of slices says tumor"
    FEW_CLEAR = "less than CLEAR_SHARE of the slices say no tumor"
    SHORT_TUMOR_STRETCH = "a stretch says tumor that is too short to report and too long to ignore"
    UNCLEAR_STRETCH = "a stretch of slices does not say no tumor"
    CLEAR = "nearly all slices say no tumor, and no stretch of the others is long enough to matter"


@dataclass(frozen=True)
class VolumeVerdict:
    """What the classifier says about a series or volume.

    Attributes:
        verdict: a label of `labels.LABELS`, "tumor" (of unclear type), "uncertain" or "unfamiliar".
        reason: which part of the rule decided.
        probabilities: tumor probability of each slice in [0, 1]; None where there is none to trust.
        counted: whether each slice counts: it shows enough of the head and is familiar.
        thresholds: of the verdicts on slices; None if the checkpoint has none.
        peak: index of the counted slice with the highest tumor probability; None if no slice counts.
        stretch: first and last index of the slices for which a tumor is reported; None without one.
        shown, unfamiliar: slices that show enough of the head, and how many of these are unfamiliar.
        clear: counted slices that say no tumor.
        needed: slices that a stretch must have.
        longest_tumor, longest_unclear: slices, in the longest stretch, that say tumor, and that do not say no tumor.
    """

    verdict: str
    reason: Reason
    probabilities: list[float | None]
    counted: list[bool]
    thresholds: Thresholds | None = None
    peak: int | None = None
    stretch: tuple[int, int] | None = None
    shown: int = 0
    unfamiliar: int = 0
    clear: int = 0
    needed: int = LEAST_SLICES
    longest_tumor: int = 0
    longest_unclear: int = 0


def judge_volume(predictions: list[Prediction], counts: list[bool]) -> VolumeVerdict:
    """Judge a series or volume as `answers.words.RULE` says.

    Args:
        predictions: of its slices, in their order from one end of the head to the other.
        counts: of the same slices, `Slice.counts`.
    """
    familiar = [prediction.verdict != UNFAMILIAR for prediction in predictions]
    probabilities = [p.tumor_probability if known else None for p, known in zip(predictions, familiar, strict=True)]
    counted = [count and probability is not None for count, probability in zip(counts, probabilities, strict=True)]
    places = [place for place, count in enumerate(counted) if count]
    said = [predictions[place].verdict for place in places]
    clear = [name == LABELS[NO_TUMOR] for name in said]
    tumor = [name in (*LABELS, TYPE_UNCLEAR) and not none for name, none in zip(said, clear, strict=True)]
    run = longest_stretch(tumor, [probabilities[place] for place in places])
    facts = {
        "probabilities": probabilities,
        "counted": counted,
        "thresholds": predictions[0].thresholds if predictions else None,
        "peak": max(places, key=lambda place: probabilities[place], default=None),
        "shown": sum(counts),
        "unfamiliar": sum(count and not known for count, known in zip(counts, familiar, strict=True)),
        "clear": sum(clear),
        "needed": max(LEAST_SLICES, ceil(round(STRETCH_SHARE * len(places), 6))),
        "longest_tumor": _hits(tumor, run),
    }
    unclear = [not none for none in clear]
    facts["longest_unclear"] = _hits(unclear, longest_stretch(unclear))
    if 2 * facts["unfamiliar"] > facts["shown"]:
        return VolumeVerdict(UNFAMILIAR, Reason.MOSTLY_UNFAMILIAR, **facts)
    if predictions and all(p.tumor_probability is None for p in predictions):
        return VolumeVerdict(UNCERTAIN_VERDICT, Reason.OTHER_CLASSES, **facts)
    if len(places) < LEAST_SLICES:
        return VolumeVerdict(UNCERTAIN_VERDICT, Reason.TOO_FEW, **facts)
    if facts["longest_tumor"] >= facts["needed"]:
        first, last = run
        kind = _most_probable_type([predictions[place] for place in places[first : last + 1]])
        return VolumeVerdict(kind, Reason.TUMOR_STRETCH, stretch=(places[first], places[last]), **facts)
    if sum(clear) / len(clear) < CLEAR_SHARE:
        return VolumeVerdict(UNCERTAIN_VERDICT, Reason.FEW_CLEAR, **facts)
    if facts["longest_tumor"] >= max(2, ceil(facts["needed"] / 2)):
        return VolumeVerdict(UNCERTAIN_VERDICT, Reason.SHORT_TUMOR_STRETCH, **facts)
    if facts["longest_unclear"] >= facts["needed"]:
        return VolumeVerdict(UNCERTAIN_VERDICT, Reason.UNCLEAR_STRETCH, **facts)
    return VolumeVerdict(LABELS[NO_TUMOR], Reason.CLEAR, **facts)


def _hits(hits: list[bool], stretch: tuple[int, int] | None) -> int:
    return sum(hits[stretch[0] : stretch[1] + 1]) if stretch else 0


def longest_stretch(hits: list[bool], weights: list[float] | None = None) -> tuple[int, int] | None:
    """First and last index of the stretch with most hits in which at most `GAP` others lie; None without a hit.

    Args:
        hits: of slices in their order.
        weights: of each slice; of stretches with as many hits the one whose hits weigh most is taken, so that it does
            not matter from which end the slices come.

    >>> longest_stretch([True, False, False, True, True, False, True])
    (3, 6)
    >>> longest_stretch([True, False, False, True], [0.1, 0, 0, 0.2])
    (3, 3)
    >>> longest_stretch([False]) is None
    True
    """
    places = [place for place, hit in enumerate(hits) if hit]
    best, found = (0, 0.0), None
    start = 0
    for end, place in enumerate(places):
        while place - places[start] - (end - start) > GAP:
            start += 1
        inside = places[start : end + 1]
        size = len(inside), sum(weights[p] for p in inside) if weights else 0.0
        if size > best:
            best, found = size, (inside[0], inside[-1])
    return found


def _most_probable_type(predictions: list[Prediction]) -> str:
    """The tumor with the largest summed probability, or "tumor" where that is not clear by the threshold of slices."""
    rows = [list(by_canonical_label(p.confidences).values()) for p in predictions]
    sums = np.sum(rows, axis=0)[list(TUMOR_TYPES)]
    least = predictions[0].thresholds.type if predictions[0].thresholds else 0.0
    if sums.max() < least * sums.sum():
        return TYPE_UNCLEAR
    return LABELS[TUMOR_TYPES[int(sums.argmax())]]
