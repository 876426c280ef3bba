"""Predictions in words: a headline, and one sentence with the numbers that decided."""

from brain_tumor.inference.prediction import UNFAMILIAR, Prediction
from brain_tumor.inference.verdict import UNCERTAIN_VERDICT, limit
from brain_tumor.labels import LABELS, NO_TUMOR, display_name


def verdict_words(prediction: Prediction) -> tuple[str, str]:
    """A verdict for a reader who is not an engineer: a headline, and one sentence of why with the numbers that decided.

    >>> thresholds = Thresholds(no_tumor=0.9, tumor=0.94)
    >>> confidences = {"glioma": 0.02, "meningioma": 0.95, "no_tumor": 0.03, "pituitary": 0.0}
    >>> headline, sentence = verdict_words(Prediction("meningioma", confidences, "meningioma", thresholds=thresholds))
    >>> print(headline)
    Looks like: meningioma
    >>> print(sentence)
    The model gives 97 % to a tumor of any kind, and from 94 % on it says so; the most probable kind is meningioma.
    """
    verdict, thresholds, tumor = prediction.verdict, prediction.thresholds, prediction.tumor_probability
    name = display_name(verdict).lower() if verdict in LABELS else verdict
    if verdict == UNFAMILIAR:
        return (
            "This does not look like a brain MRI slice",
            f"It scores {prediction.familiarity:.1f} on likeness to the slices that the model has learned from, and "
            "below 0 nothing that the model says about a picture can be believed.",
        )
    if tumor is None or thresholds is None:
        headline = "No tumor seen" if verdict == LABELS[NO_TUMOR] else f"Looks like: {name}"
        share = percent(prediction.confidences[prediction.label])
        missing = "other classes than tumors" if tumor is None else "no thresholds"
        return headline, (
            f"Of {len(prediction.confidences)} classes this one is the most probable, with {share}; the checkpoint has "
            f"{missing}, so this is no more than its best guess."
        )
    if verdict == UNCERTAIN_VERDICT:
        low, high = 1 - thresholds.no_tumor, thresholds.tumor
        return "Uncertain: needs a specialist", (
            f"The model gives {percent(tumor, low, high)} to a tumor of any kind, between the {limit(low)} up to "
            f"which it says no tumor and the {limit(high)} from which on it says tumor."
        )
    if verdict == LABELS[NO_TUMOR]:
        return "No tumor seen", (
            f"The model gives {percent(1 - tumor, thresholds.no_tumor)} to no tumor, and from "
            f"{limit(thresholds.no_tumor)} on it says so; it can still miss one, above all a small one."
        )
    return f"Looks like: {name}", (
        f"The model gives {percent(tumor, thresholds.tumor)} to a tumor of any kind, and from "
        f"{limit(thresholds.tumor)} on it says so; the most probable kind is {name}."
    )


def percent(share: float, *limits: float) -> str:
    """A share in [0, 1] as per cent, with as few decimals as keep it on its side of each limit.

    >>> [percent(0.97), percent(0.9982), percent(0.99999), percent(0.00001), percent(1.0)]
    ['97 %', '99.82 %', 'more than 99.99 %', 'less than 0.01 %', 'more than 99.99 %']
    >>> [percent(0.9981, 0.9982), percent(0.8996, 0.9), percent(0.9004, 0.9), percent(0.9, 0.9)]
    ['99.81 %', '89.96 %', '90 %', '90 %']
    """
    if share > 0.9999 and not any(share < limit for limit in limits):
        return "more than 99.99 %"
    if share < 0.0001:
        return "less than 0.01 %"
    value = 100 * share
    least = 0 if 0.01 <= share <= 0.99 else 2
    for decimals in range(least, 5):
        shown = round(value, decimals)
        if all(_side(shown, 100 * limit) == _side(value, 100 * limit) for limit in limits):
            break
    return f"{shown:.{decimals}f}".rstrip("0").rstrip(".") + " %" if decimals else f"{shown:.0f} %"


def _side(value: float, limit: float) -> bool:
    return value >= limit - 1e-9
