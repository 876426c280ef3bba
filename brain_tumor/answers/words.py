"""Predictions in words: a headline and a sentence with the numbers that decided; and shares in per cent."""

from collections import Counter

from brain_tumor.inference.judging import JudgedUpload
from brain_tumor.inference.prediction import UNFAMILIAR, Prediction
from brain_tumor.inference.verdict import TYPE_UNCLEAR, UNCERTAIN_VERDICT
from brain_tumor.inference.volume import CLEAR_SHARE, LEAST_SLICES, STRETCH_SHARE, Reason, VolumeVerdict
from brain_tumor.inference.weaknesses import Weakness
from brain_tumor.labels import LABELS, NO_TUMOR, canonical_label, display_name

RULE = (
    "A series or volume is judged by all its slices together and never by the single most suspicious one, since one "
    "of many is often wrong. Slices count if they show enough of the head and look like a brain MRI. A tumor is "
    f"reported if {LEAST_SLICES} or more neighboring slices (in a long series, {100 * STRETCH_SHARE:.0f} % of those "
    "that count) say tumor; one slice among them may say something else. Its type is the one most probable over these "
    "slices, and unclear if the others are nearly as probable. No tumor is reported if at least "
    f"{100 * CLEAR_SHARE:.0f} % of the slices say so, no such stretch says anything else, and no stretch half as "
    "long (at least 2 slices) says tumor. Everything else is uncertain and needs a specialist; so is a series in "
    f"which fewer than {LEAST_SLICES} slices count."
)
"""The rule of `volume.judge_volume` in words."""

_NONE_SEEN, _UNCERTAIN = "No tumor seen", "Uncertain: needs a specialist"
_TYPE_UNCLEAR = "Looks like: a tumor, type unclear"


def verdict_kind(verdict: str) -> str:
    """What a verdict is to the eye: "tumor", "clear", "uncertain" or "unfamiliar"; a CSS class, or a key of colors.

    A class that is none of the four, of another project's checkpoint, is "unfamiliar": no color speaks for it.

    >>> [verdict_kind(verdict) for verdict in ("glioma", "no_tumor", "uncertain", "unfamiliar", "tabby cat")]
    ['tumor', 'clear', 'uncertain', 'unfamiliar', 'unfamiliar']
    """
    if verdict == TYPE_UNCLEAR:
        return "tumor"
    if verdict in LABELS:
        return "clear" if verdict == LABELS[NO_TUMOR] else "tumor"
    return "uncertain" if verdict == UNCERTAIN_VERDICT else "unfamiliar"


def judged_words(judged: JudgedUpload) -> tuple[str, str]:
    """The verdict on the whole of an upload: a headline, and why; of several pages that there is none."""
    if judged.volume:
        return volume_words(judged.volume)
    if judged.verdict:
        return verdict_words(judged.predictions[0])
    said = Counter(_PAGE_SAYS.get(prediction.verdict, prediction.verdict) for prediction in judged.predictions)
    what = judged.upload.slices[0].name.partition(" ")[0]
    return (
        f"{len(judged.predictions)} {what}s, each judged by itself: "
        + ", ".join(f"{count} {verdict}" for verdict, count in said.most_common()),
        f"They are no neighboring slices of one head, so there is no verdict on the whole, and no {what} stands for "
        "the others.",
    )


_PAGE_SAYS = {name: "no tumor" if number == NO_TUMOR else "a tumor" for number, name in enumerate(LABELS)} | {
    TYPE_UNCLEAR: "a tumor",
    UNCERTAIN_VERDICT: "uncertain",
    UNFAMILIAR: "not like a brain MRI",
}


def slice_words(judged: JudgedUpload, place: int) -> tuple[str, str]:
    """The verdict on one slice of several, as `verdict_words`, or why it has none."""
    if judged.upload.slices[place].counts:
        return verdict_words(judged.predictions[place])
    return "Not judged", "It shows too little of the head."


def slice_name(judged: JudgedUpload, place: int) -> str:
    """Which slice of several it is, such as "slice 34 of 189, the one with the highest tumor probability"."""
    slices = judged.upload.slices
    last = slices[-1].number == len(slices)
    name = slices[place].name + (f" of {len(slices)}" if last else f" ({len(slices)} were read)")
    return name + (", the one with the highest tumor probability" if place == judged.peak else "")


def cautions(judged: JudgedUpload) -> list[str]:
    """A sentence for each thing about a file for which its verdict is worth less, with figures where they are known."""
    return [_caution(weakness) for weakness in judged.weaknesses]


def notes_of(judged: JudgedUpload) -> list[str]:
    """All that there is to know about an upload beside its verdict, in sentences."""
    return judged.upload.notes + cautions(judged)


def _caution(weakness: Weakness) -> str:
    if weakness.about == "sequence":
        says, such = weakness.says, "On such slices"
        if says == "T1":
            says, such = (
                ("T1 without contrast", such) if weakness.agent else ("T1, and nothing of contrast", "Without it")
            )
        people = "of people it had not seen" if weakness.other_people else "of its test part"
        such += f" {people}" if such == "On such slices" else f", on slices {people}"
        worse = [
            _WORSE[name].format(tenths(here.value), here.slices, tenths(there.value))
            for name, (here, there) in weakness.worse.items()
        ]
        return f"The file says {says}. {such}, the model {', and '.join(worse)} in T1 with contrast."
    learned = "MRI" if weakness.about == "modality" else "the head"
    says = f"The file says {weakness.says}, and the model was trained on {learned} alone."
    if weakness.caught:
        share, slices = tenths(weakness.caught.value), weakness.caught.slices
        says += f" Its check of uploads turned away {share} of such pictures ({slices} slices), and judged the others."
    return says


_WORSE = {
    "missed": 'called {} of the tumors "no tumor" ({} slices), against {}',
    "right_type": "named the right type of {} of the tumors ({} slices), against {}",
    "specificity": 'called {} of the slices without a tumor "no tumor" ({} slices), against {}',
}


def verdict_words(prediction: Prediction) -> tuple[str, str]:
    """The verdict on a slice for a reader who is not an engineer: a headline, and why, with the numbers that decided.

    >>> from brain_tumor.inference.verdict import Thresholds
    >>> thresholds = Thresholds(no_tumor=0.9, tumor=0.94)
    >>> confidences = {"glioma": 0.02, "meningioma": 0.95, "no_tumor": 0.03, "pituitary": 0.0}
    >>> headline, sentence = verdict_words(Prediction("meningioma", confidences, "meningioma", thresholds=thresholds))
    >>> print(headline)
    Looks like: meningioma
    >>> print(sentence)
    The model puts the probability of any tumor at 97 % (threshold: 94 %); the most probable type is meningioma.
    """
    verdict, thresholds, tumor = prediction.verdict, prediction.thresholds, prediction.tumor_probability
    if verdict == UNFAMILIAR:
        return (
            "This does not look like a brain MRI slice",
            f"Its likeness to the slices that the model has learned from is {prediction.familiarity:.1f}; below 0, "
            "nothing that the model says about a picture can be trusted.",
        )
    if tumor is None or thresholds is None:
        share = percent(prediction.confidences[prediction.label])
        missing = "other classes than tumors" if tumor is None else "no thresholds"
        return _NONE_SEEN if verdict == LABELS[NO_TUMOR] else _looks_like(verdict), (
            f"This is the most probable of {len(prediction.confidences)} classes, with {share}; the checkpoint has "
            f"{missing}, so this is only its best guess."
        )
    if verdict == UNCERTAIN_VERDICT:
        low, high = 1 - thresholds.no_tumor, thresholds.tumor
        return _UNCERTAIN, (
            f"The model puts the probability of any tumor at {percent(tumor, low, high)}; it says no tumor only at "
            f"{limit(low)} or less, and tumor only at {limit(high)} or more."
        )
    if verdict == LABELS[NO_TUMOR]:
        return _NONE_SEEN, (
            f"The model puts the probability of no tumor at {percent(1 - tumor, thresholds.no_tumor)} (threshold: "
            f"{limit(thresholds.no_tumor)}); it can still miss one, especially a small one."
        )
    any_tumor = f"The model puts the probability of any tumor at {percent(tumor, thresholds.tumor)} (threshold: "
    if verdict == TYPE_UNCLEAR:
        kinds = {name: share for name, share in prediction.confidences.items() if canonical_label(name) != "no_tumor"}
        best = max(kinds, key=kinds.get)
        share = kinds[best] / sum(kinds.values())
        return _TYPE_UNCLEAR, (
            f"{any_tumor}{limit(thresholds.tumor)}); {display_name(best).lower()} is the most probable type, with "
            f"{percent(share, thresholds.type)} of that, and a type is named from {limit(thresholds.type)} on. It may "
            "be a tumor that the model has no name for."
        )
    return _looks_like(verdict), (
        f"{any_tumor}{limit(thresholds.tumor)}); the most probable type is {display_name(verdict).lower()}."
    )


def volume_words(volume: VolumeVerdict) -> tuple[str, str]:
    """The verdict on a series or volume: a headline, and one sentence of why."""
    counted, needed = sum(volume.counted), volume.needed
    clear = f"{volume.clear} of the {counted} slices that count say no tumor"
    match volume.reason:
        case Reason.MOSTLY_UNFAMILIAR:
            return "These do not look like brain MRI slices", (
                f"{volume.unfamiliar} of the {volume.shown} slices that show enough of the head are unlike those that "
                "the model has learned from; that is more than half, so there is no verdict on the whole."
            )
        case Reason.OTHER_CLASSES:
            return "No verdict on the whole", (
                "The checkpoint has other classes than the four, so nothing can be said about tumors."
            )
        case Reason.TOO_FEW:
            return "Too few slices to judge the whole", (
                f"Only {counted} of {len(volume.counted)} slices count (a brain MRI with enough of the head in it), "
                f"and a verdict on the whole needs {LEAST_SLICES}."
            )
        case Reason.TUMOR_STRETCH:
            unclear = volume.verdict == TYPE_UNCLEAR
            kind = "no type" if unclear else display_name(volume.verdict).lower()
            return _looks_like(volume.verdict), (
                f"{volume.longest_tumor} neighboring slices of the {counted} that count say tumor, and {needed} are "
                f"enough; over these slices {kind} is {'clear' if unclear else 'the most probable type'}."
            )
        case Reason.FEW_CLEAR:
            return _UNCERTAIN, (
                f"{clear}, fewer than the required {100 * CLEAR_SHARE:.0f} %, and there are no {needed} neighboring "
                "slices that say tumor."
            )
        case Reason.SHORT_TUMOR_STRETCH:
            return _UNCERTAIN, (
                f"{volume.longest_tumor} neighboring slices say tumor: too few to report one, which takes {needed}, "
                "and too many to say no tumor."
            )
        case Reason.UNCLEAR_STRETCH:
            return _UNCERTAIN, (
                f"{clear}, but {volume.longest_unclear} neighboring slices do not, and {needed} or more are too many."
            )
        case Reason.CLEAR:
            return _NONE_SEEN, (
                f"{clear}, at least {100 * CLEAR_SHARE:.0f} %, and no stretch of the others is long enough to matter; "
                "a small tumor can still be missed."
            )


def _looks_like(verdict: str) -> str:
    """Of one of the four by its display name; another checkpoint's class keeps its own."""
    if verdict == TYPE_UNCLEAR:
        return _TYPE_UNCLEAR
    return f"Looks like: {display_name(verdict).lower() if verdict in LABELS else verdict}"


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
        if all(_reaches(shown, 100 * limit) == _reaches(value, 100 * limit) for limit in limits):
            break
    return f"{shown:.{decimals}f}".rstrip("0").rstrip(".") + " %" if decimals else f"{shown:.0f} %"


def _reaches(value: float, limit: float) -> bool:
    return value >= limit - 1e-9


def limit(threshold: float) -> str:
    """A threshold in [0, 1] as per cent, the same number wherever it is named.

    >>> [limit(0.9861), limit(1 - 0.9), limit(0.5)]
    ['98.61 %', '10 %', '50 %']
    """
    return f"{100 * threshold:.4g} %"


def tenths(share: float) -> str:
    """A share in [0, 1] as per cent with one decimal, for tables and bars.

    >>> [tenths(0.9691), tenths(1)]
    ['96.9 %', '100.0 %']
    """
    return f"{100 * share:.1f} %"
