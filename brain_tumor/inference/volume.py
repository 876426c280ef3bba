"""One verdict on a series or volume from the verdicts on its slices, by a rule that can be said in a few sentences.

Not by the slice with the highest probability: one of many slices is nearly always wrong. With a specificity of 97 % on
each, 60 of 100 healthy heads would be called a tumor for one of 30 slices, 99 of 100 for one of 150.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np

from brain_tumor.inference.prediction import UNFAMILIAR, Prediction, by_canonical_label
from brain_tumor.inference.verdict import UNCERTAIN_VERDICT, Thresholds
from brain_tumor.labels import LABELS, NO_TUMOR, TUMOR_TYPES, display_name

LEAST_SLICES = 3
"""Counted slices without which there is no verdict, and slices that a stretch has at least."""

STRETCH_SHARE = 0.04
"""Share of the counted slices that a stretch has at least: 6 of 150. Thin slices are wrong together, being alike."""

GAP = 1
"""Slices within a stretch that may say something else."""

CLEAR_SHARE = 0.8
"""Share of the counted slices that must say "no tumor" before the volume does."""

RULE = (
    "A series or volume is judged by its slices together and never by the highest of them, since one of many is often "
    "wrong. Counted are slices that show enough of the head and look like a brain MRI. A tumor is reported if "
    f"{LEAST_SLICES} or more neighboring slices (of a long series {100 * STRETCH_SHARE:.0f} % of those that count) say "
    "tumor; one slice among them may say something else. Its kind is the one that is most probable over these slices. "
    f"No tumor is reported if at least {100 * CLEAR_SHARE:.0f} % of the slices say so, no such stretch says anything "
    "else, and no stretch half as long (at least 2 slices) says tumor. All else is uncertain and needs a specialist; "
    f"so is a series of which fewer than {LEAST_SLICES} slices count."
)
"""The rule of `judge_volume` in words, for page and README."""


@dataclass(frozen=True)
class VolumeVerdict:
    """What the classifier says about a series or volume.

    Attributes:
        verdict: a label of `labels.LABELS`, "uncertain" or "unfamiliar".
        headline, sentence: the same for a reader, as `classifier.verdict_words` does for a slice.
        peak: index of the counted slice with the highest tumor probability; None if no slice counts.
        probabilities: tumor probability of each slice in [0, 1]; None where there is none to be believed.
        counted: whether each slice counts.
        stretch: first and last index of the slices for which a tumor is reported; None without one.
        thresholds: of the verdicts on slices; None if the checkpoint has none.
    """

    verdict: str
    headline: str
    sentence: str
    peak: int | None
    probabilities: list[float | None]
    counted: list[bool]
    stretch: tuple[int, int] | None = None
    thresholds: Thresholds | None = None


def judge_volume(predictions: list[Prediction], counts: list[bool]) -> VolumeVerdict:
    """Judge a series or volume as `RULE` says.

    Args:
        predictions: of its slices, in their order from one end of the head to the other.
        counts: of the same slices, `Slice.counts`.
    """
    familiar = [prediction.verdict != UNFAMILIAR for prediction in predictions]
    probabilities = [p.tumor_probability if known else None for p, known in zip(predictions, familiar, strict=True)]
    shown = sum(counts)
    counted = [count and probability is not None for count, probability in zip(counts, probabilities, strict=True)]
    places = [place for place, count in enumerate(counted) if count]
    peak = max(places, key=lambda place: probabilities[place], default=None)
    thresholds = predictions[0].thresholds if predictions else None

    def verdict(name: str, headline: str, sentence: str, stretch: tuple[int, int] | None = None) -> VolumeVerdict:
        return VolumeVerdict(name, headline, sentence, peak, probabilities, counted, stretch, thresholds)

    strange = sum(count and not known for count, known in zip(counts, familiar, strict=True))
    if 2 * strange > shown:
        return verdict(
            UNFAMILIAR,
            "These do not look like brain MRI slices",
            f"{strange} of the {shown} slices that show enough are unlike what the model has learned from, more than "
            "half of them, so there is no verdict on the whole.",
        )
    if predictions and all(p.tumor_probability is None for p in predictions):
        return verdict(
            UNCERTAIN_VERDICT,
            "No verdict on the whole",
            "The checkpoint has other classes than the four, so nothing can be said about tumors.",
        )
    if len(places) < LEAST_SLICES:
        return verdict(
            UNCERTAIN_VERDICT,
            "Too few slices to judge the whole",
            f"Only {len(places)} of {len(predictions)} slices count (a brain MRI with enough of the head in it), and a "
            f"verdict on the whole needs {LEAST_SLICES}.",
        )

    said = [predictions[place].verdict for place in places]
    clear = [name == LABELS[NO_TUMOR] for name in said]
    tumor = [name in LABELS and not none for name, none in zip(said, clear, strict=True)]
    needed = max(LEAST_SLICES, ceil(round(STRETCH_SHARE * len(places), 6)))
    found = longest_stretch(tumor, [probabilities[place] for place in places])
    if found and sum(tumor[found[0] : found[1] + 1]) >= needed:
        first, last = found
        kind = _kind([predictions[place] for place in places[first : last + 1]])
        name = display_name(kind).lower()
        return verdict(
            kind,
            f"Looks like: {name}",
            f"{sum(tumor[first : last + 1])} neighboring slices of the {len(places)} that count say tumor, and from "
            f"{needed} on the whole is called so; over these slices {name} is the most probable kind.",
            (places[first], places[last]),
        )
    share = sum(clear) / len(clear)
    other = longest_stretch([not none for none in clear])
    longest_other = other[1] - other[0] + 1 - sum(clear[other[0] : other[1] + 1]) if other else 0
    longest_tumor = sum(tumor[found[0] : found[1] + 1]) if found else 0
    counts_in_words = f"{sum(clear)} of the {len(clear)} slices that count"
    if share < CLEAR_SHARE:
        why = (
            f"{counts_in_words} say no tumor, fewer than the {100 * CLEAR_SHARE:.0f} % that it takes, and there are no "
            f"{needed} neighboring slices that say tumor."
        )
    elif longest_tumor >= max(2, ceil(needed / 2)):
        why = (
            f"{longest_tumor} neighboring slices say tumor: too few to report one, which takes {needed}, and too many "
            "to say no tumor."
        )
    elif longest_other >= needed:
        why = (
            f"{counts_in_words} say no tumor, but {longest_other} neighbors among the others do not, and from {needed} "
            "on that is too many."
        )
    else:
        return verdict(
            LABELS[NO_TUMOR],
            "No tumor seen",
            f"{counts_in_words} say no tumor, at least {100 * CLEAR_SHARE:.0f} %, and no stretch of the others is "
            "long enough to count; a small tumor can still be missed.",
        )
    return verdict(UNCERTAIN_VERDICT, "Uncertain: needs a specialist", why)


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


def _kind(predictions: list[Prediction]) -> str:
    """The tumor with the largest summed probability, as a label of `labels.LABELS`."""
    rows = [list(by_canonical_label(p.confidences).values()) for p in predictions]
    sums = np.sum(rows, axis=0)
    return LABELS[max(TUMOR_TYPES, key=lambda kind: sums[kind])]
