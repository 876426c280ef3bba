"""Volumes spelled out in letters, one a slice, for tests of the verdict on a series or volume."""

from functools import cache

from brain_tumor.inference.prediction import UNFAMILIAR, Prediction
from brain_tumor.inference.verdict import TYPE_UNCLEAR, Thresholds
from brain_tumor.inference.volume import VolumeVerdict, judge_volume
from brain_tumor.labels import LABELS

THRESHOLDS = Thresholds(no_tumor=0.9, tumor=0.94, type=0.6)
KINDS = {"g": "glioma", "m": "meningioma", "p": "pituitary"}


@cache
def prediction(letter: str) -> Prediction:
    """Of a slice: "." no tumor, "?" uncertain, "x" unfamiliar (though sure of a glioma), "u" a tumor of unclear type,
    else a kind of tumor."""
    tumor = {".": 0.04, "?": 0.5}.get(letter, 0.97)
    kind = KINDS.get(letter, "glioma")
    confidences = dict.fromkeys(LABELS, 0.05 * tumor) | {kind: 0.9 * tumor, "no_tumor": 1 - tumor}
    if letter == "u":
        confidences |= {"glioma": 0.45 * tumor, "meningioma": 0.5 * tumor}
    verdict = {".": "no_tumor", "?": "uncertain", "x": UNFAMILIAR, "u": TYPE_UNCLEAR}.get(letter, kind)
    return Prediction(kind, confidences, verdict, -1.0 if letter == "x" else 1.0, thresholds=THRESHOLDS)


def judge(slices: str) -> VolumeVerdict:
    """Verdict on a volume of these slices; a slice in capitals or "," is one that does not count."""
    return judge_volume(
        [prediction("." if letter == "," else letter.lower()) for letter in slices],
        [letter != "," and not letter.isupper() for letter in slices],
    )
