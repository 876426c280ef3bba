"""Predictions in words: a headline, a sentence, the next step, and the numbers that decided; and shares in per cent."""

from collections import Counter
from typing import NamedTuple

from brain_tumor.inference.judging import JudgedUpload
from brain_tumor.inference.prediction import UNFAMILIAR, Prediction
from brain_tumor.inference.verdict import TYPE_UNCLEAR, UNCERTAIN_VERDICT, Thresholds
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


class Said(NamedTuple):
    """What a reader is told of a slice or of a whole scan, in plain words; the numbers are for those who want them."""

    headline: str
    sentence: str
    next_step: str = ""
    numbers: str = ""


_NONE_SEEN = Said(
    "No tumor seen",
    "The model sees no sign of a tumor here, but it can miss one, especially a small one.",
    "This is no all-clear: have the scan read by a specialist, whatever the model says.",
)
_TYPE_UNCLEAR = Said(
    "Looks like: a tumor, type unclear",
    "The model sees what looks like a tumor, and cannot tell which type; it may be one that it has no name for.",
    "Have a specialist read the scan soon: a doctor decides whether it is a tumor, and further tests of which type.",
)
_UNCERTAIN = Said(
    "Uncertain: needs a specialist",
    "The model cannot tell whether there is a tumor.",
    "Have a specialist read the scan; if there are other slices, or a series with contrast, try those as well.",
)
_UNFAMILIAR = Said(
    "Not sure that this is a brain MRI",
    "This is unlike the slices of brain MRIs that the model has learned from, so what it says here cannot be trusted.",
    "If it is a photo of a screen, crop it to the scan; better, export the slice from the viewer as PNG, and upload "
    "that.",
)
CROP_HERE = (
    "If it is a photo of a screen, crop it to the scan: “Crop the picture” below does that; better, export the slice "
    "from the viewer as PNG, and upload that."
)
"""The next step for an unfamiliar picture where there is the tool for it."""


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


def judged_words(judged: JudgedUpload) -> Said:
    """The verdict on the whole of an upload; of several pages that there is none."""
    if judged.volume:
        return volume_words(judged.volume)
    if judged.verdict:
        return verdict_words(judged.predictions[0])
    said = Counter(_PAGE_SAYS.get(prediction.verdict, prediction.verdict) for prediction in judged.predictions)
    what = judged.upload.slices[0].name.partition(" ")[0]
    return Said(
        f"{len(judged.predictions)} {what}s, each judged by itself: "
        + ", ".join(f"{count} {verdict}" for verdict, count in said.most_common()),
        f"They are no neighboring slices of one head, so there is no verdict on the whole, and no {what} stands for "
        "the others.",
    )


_PAGE_SAYS = {name: "no tumor" if number == NO_TUMOR else "a tumor" for number, name in enumerate(LABELS)} | {
    TYPE_UNCLEAR: "a tumor",
    UNCERTAIN_VERDICT: "uncertain",
    UNFAMILIAR: "not sure that it is a brain MRI",
}


def slice_words(judged: JudgedUpload, place: int) -> Said:
    """The verdict on one slice of several, as `verdict_words`, or why it has none."""
    if judged.upload.slices[place].counts:
        return verdict_words(judged.predictions[place])
    return Said("Not judged", "It shows too little of the head.", numbers="It shows too little of the head.")


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
    if weakness.about == "familiarity":
        return "The model is not sure that this is a brain MRI: its answer is shown all the same, and may mean nothing."
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


def verdict_words(prediction: Prediction) -> Said:
    """The verdict on a slice for a reader who is not an engineer.

    >>> from brain_tumor.inference.verdict import Thresholds
    >>> thresholds = Thresholds(no_tumor=0.9, tumor=0.94)
    >>> confidences = {"glioma": 0.02, "meningioma": 0.95, "no_tumor": 0.03, "pituitary": 0.0}
    >>> said = verdict_words(Prediction("meningioma", confidences, "meningioma", thresholds=thresholds))
    >>> print(said.headline)
    Looks like: meningioma
    >>> print(said.sentence)
    The model sees what looks like a meningioma.
    >>> print(said.numbers)
    The model puts the probability of any tumor at 97 % (threshold: 94 %); the most probable type is meningioma.
    """
    verdict, thresholds, tumor = prediction.verdict, prediction.thresholds, prediction.tumor_probability
    if verdict == UNFAMILIAR:
        return _UNFAMILIAR._replace(
            numbers=f"Its likeness to the slices that the model has learned from is {prediction.familiarity:.1f}; "
            "below 0, nothing that the model says about a picture can be trusted."
        )
    if tumor is None or thresholds is None:
        share = percent(prediction.confidences[prediction.label])
        missing = "other classes than tumors" if tumor is None else "no thresholds"
        return _outcome(verdict)._replace(
            numbers=f"This is the most probable of {len(prediction.confidences)} classes, with {share}; the checkpoint "
            f"has {missing}, so this is only its best guess."
        )
    if verdict == UNCERTAIN_VERDICT:
        low, high = thresholds.of_any_tumor
        return _UNCERTAIN._replace(
            numbers=f"The model puts the probability of any tumor at {percent(tumor, low, high)}; it says no tumor "
            f"only at {limit(low)} or less, and tumor only at {limit(high)} or more."
        )
    if verdict == LABELS[NO_TUMOR]:
        return _NONE_SEEN._replace(
            numbers=f"The model puts the probability of no tumor at {percent(1 - tumor, thresholds.no_tumor)} "
            f"(threshold: {limit(thresholds.no_tumor)})."
        )
    any_tumor = f"The model puts the probability of any tumor at {percent(tumor, thresholds.tumor)} (threshold: "
    if verdict == TYPE_UNCLEAR:
        kinds = {name: share for name, share in prediction.confidences.items() if canonical_label(name) != "no_tumor"}
        best = max(kinds, key=kinds.get)
        share = kinds[best] / sum(kinds.values())
        return _TYPE_UNCLEAR._replace(
            numbers=f"{any_tumor}{limit(thresholds.tumor)}); {display_name(best).lower()} is the most probable type, "
            f"with {percent(share, thresholds.type)} of that, and a type is named from {limit(thresholds.type)} on."
        )
    return _outcome(verdict)._replace(
        numbers=f"{any_tumor}{limit(thresholds.tumor)}); the most probable type is {display_name(verdict).lower()}."
    )


def volume_words(volume: VolumeVerdict) -> Said:
    """The verdict on a series or volume."""
    counted, needed = sum(volume.counted), volume.needed
    clear = f"{volume.clear} of the {counted} slices that count say no tumor"
    match volume.reason:
        case Reason.MOSTLY_UNFAMILIAR:
            numbers = (
                f"{volume.unfamiliar} of the {volume.shown} slices that show enough of the head are unlike those that "
                "the model has learned from; that is more than half, so there is no verdict on the whole."
            )
        case Reason.OTHER_CLASSES:
            return Said(
                "No verdict on the whole",
                "The checkpoint has other classes than the four, so nothing can be said about tumors.",
            )
        case Reason.TOO_FEW:
            return Said(
                "Too few slices to judge the whole",
                f"Only {counted} of {len(volume.counted)} slices count (a brain MRI with enough of the head in it), "
                f"and a verdict on the whole needs {LEAST_SLICES}.",
                "Upload the whole series.",
            )
        case Reason.TUMOR_STRETCH:
            unclear = volume.verdict == TYPE_UNCLEAR
            kind = "no type" if unclear else display_name(volume.verdict).lower()
            numbers = (
                f"{volume.longest_tumor} neighboring slices of the {counted} that count say tumor, and {needed} are "
                f"enough; over these slices {kind} is {'clear' if unclear else 'the most probable type'}."
            )
        case Reason.FEW_CLEAR:
            numbers = (
                f"{clear}, fewer than the required {100 * CLEAR_SHARE:.0f} %, and there are no {needed} neighboring "
                "slices that say tumor."
            )
        case Reason.SHORT_TUMOR_STRETCH:
            numbers = (
                f"{volume.longest_tumor} neighboring slices say tumor: too few to report one, which takes {needed}, "
                "and too many to say no tumor."
            )
        case Reason.UNCLEAR_STRETCH:
            numbers = (
                f"{clear}, but {volume.longest_unclear} neighboring slices do not, and {needed} or more are too many."
            )
        case Reason.CLEAR:
            numbers = (
                f"{clear}, at least {100 * CLEAR_SHARE:.0f} %, and no stretch of the others is long enough to matter."
            )
    return _outcome(volume.verdict)._replace(numbers=numbers)


def _outcome(verdict: str) -> Said:
    """One of the five outcomes in words, without numbers; another checkpoint's class keeps its own name."""
    common = {
        LABELS[NO_TUMOR]: _NONE_SEEN,
        TYPE_UNCLEAR: _TYPE_UNCLEAR,
        UNCERTAIN_VERDICT: _UNCERTAIN,
        UNFAMILIAR: _UNFAMILIAR,
    }
    if verdict in common:
        return common[verdict]
    if verdict not in LABELS:
        return Said(f"Looks like: {verdict}", "This is the most probable class; the model knows nothing of tumors.")
    kind = display_name(verdict).lower()
    return Said(
        f"Looks like: {kind}",
        f"The model sees what looks like a {kind}.",
        "Have a specialist read the scan soon: a doctor decides whether it is a tumor, and of which type.",
    )


def percent(share: float, *limits: float) -> str:
    """A share in [0, 1] as per cent, never all or nothing, with as few decimals as keep it on its side of each limit.

    >>> [percent(0.97), percent(0.9982), percent(0.00001), percent(1.0)]
    ['97 %', '>99 %', '<1 %', '>99 %']
    >>> [percent(0.8996, 0.9), percent(0.9004, 0.9), percent(0.9, 0.9)]
    ['89.96 %', '90.04 %', '90 %']
    """
    if not 0.01 <= share <= 0.99:
        return ">99 %" if share > 0.5 else "<1 %"
    value = 100 * share
    for decimals in range(5):
        shown = round(value, decimals)
        if all(_side(shown, 100 * limit) == _side(value, 100 * limit) for limit in limits):
            break
    return f"{shown:.{decimals}f}".rstrip("0").rstrip(".") + " %" if decimals else f"{shown:.0f} %"


def tumor_percent(share: float, thresholds: Thresholds | None) -> str:
    """The probability of any tumor, in [0, 1], as per cent that stay on their side of a checkpoint's thresholds."""
    return percent(share, *(thresholds.of_any_tumor if thresholds else ()))


def _side(value: float, limit: float) -> int:
    """-1 below a limit, 0 at it, 1 above: one verdict is given from a limit on, another one up to it."""
    return 0 if abs(value - limit) < 1e-9 else 1 if value > limit else -1


def limit(threshold: float) -> str:
    """A threshold in [0, 1] as per cent, the same number wherever it is named.

    >>> [limit(0.9861), limit(1 - 0.9), limit(0.5)]
    ['98.61 %', '10 %', '50 %']
    """
    return f"{100 * threshold:.4g} %"


def tenths(share: float) -> str:
    """A measured share in [0, 1] as per cent with one decimal.

    >>> [tenths(0.9691), tenths(1)]
    ['96.9 %', '100.0 %']
    """
    return f"{100 * share:.1f} %"
