"""What a classifier says about one slice."""

from dataclasses import dataclass

import numpy as np

from brain_tumor.inference.verdict import Thresholds, judge_slice
from brain_tumor.labels import LABELS, NO_TUMOR, canonical_label

UNFAMILIAR = "unfamiliar"
"""The verdict on a picture that is not of the kind the checkpoint has learned from."""


@dataclass(frozen=True)
class Prediction:
    """What the classifier says about one slice.

    Attributes:
        label: the most probable class, as the checkpoint's config names it.
        confidences: every class of the checkpoint -> calibrated probability in [0, 1]; they sum to 1.
        verdict: a label of `labels.LABELS`, "tumor" (of unclear type), "uncertain" or "unfamiliar"; of a checkpoint
            with other classes, `label`.
        familiarity: log-odds above the checkpoint's threshold, 0 or more is familiar; None if it has no such score.
        heatmaps: class -> class activation map (height, width) float32: what each place of the picture, from the top
            left, adds to the class's logit. Their mean and the class's bias are the logit (Zhou et al. 2016, "Learning
            Deep Features for Discriminative Localization"). None if the network is not built for it.
        thresholds: what the verdict was given by; None if the checkpoint has none.
    """

    label: str
    confidences: dict[str, float]
    verdict: str
    familiarity: float | None = None
    heatmaps: dict[str, np.ndarray] | None = None
    thresholds: Thresholds | None = None

    @property
    def tumor_probability(self) -> float | None:
        """Probability of any of the three tumors, in [0, 1]; None where the checkpoint has not the four classes."""
        named = by_canonical_label(self.confidences)
        return None if named is None else 1 - named[LABELS[NO_TUMOR]]


def by_canonical_label(confidences: dict[str, float]) -> dict[str, float] | None:
    """Confidences by the labels of `labels.LABELS`, in their order; None if they are not of exactly the four classes.

    >>> by_canonical_label({"notumor": 0.7, "glioma": 0.1, "Pituitary tumor": 0.0, "meningioma": 0.2})
    {'glioma': 0.1, 'meningioma': 0.2, 'no_tumor': 0.7, 'pituitary': 0.0}
    """
    named = {canonical_label(name): confidence for name, confidence in confidences.items()}
    if len(confidences) != len(LABELS) or set(named) != set(LABELS):
        return None
    return {label: named[label] for label in LABELS}


def verdict_of(label: str, confidences: dict[str, float], thresholds: Thresholds | None) -> str:
    """The verdict that confidences alone give, as `Prediction.verdict`, whatever the picture is of.

    >>> verdict_of("yes", {"yes": 0.9, "no": 0.1}, None)
    'yes'
    """
    named = by_canonical_label(confidences)
    if named is None:
        return label
    return judge_slice(list(named.values()), thresholds) if thresholds else canonical_label(label)
