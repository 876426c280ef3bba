"""The button "Ask it again": what a session keeps of a slice that was asked again, and how it is shown."""

from dataclasses import dataclass

from brain_tumor.answers.asked_again import chart
from brain_tumor.demo.kept import KeptScan
from brain_tumor.inference.asking import Asked, ask_again
from brain_tumor.inference.classifier import Classifier
from brain_tumor.inference.judging import JudgedUpload


@dataclass(frozen=True)
class AskedSlice:
    """A slice that was asked again.

    Attributes:
        judged: the scan that it is of.
        place: its index.
        asked: the answers.
    """

    judged: JudgedUpload
    place: int
    asked: Asked


def can_be_asked(judged: JudgedUpload, place: int) -> bool:
    """Whether a slice may be asked again: what is said of it may be told, and says how probable a tumor is."""
    return judged.may_be_told(place) and judged.predictions[place].tumor_probability is not None


def ask_slice(classifier: Classifier, kept: KeptScan, place: int) -> AskedSlice | None:
    """Asks a slice again; None if it may not be."""
    if not can_be_asked(kept.judged, place):
        return None
    asked = ask_again(classifier.predict, kept.pictures[place], kept.judged.predictions[place])
    return AskedSlice(kept.judged, place, asked)


def asked_of(kept: KeptScan, place: int, last: AskedSlice | None) -> Asked | None:
    """The answers on the slice that is shown; None if it was another one that was asked last."""
    return last.asked if last and last.judged is kept.judged and last.place == place else None


def asked_html(kept: KeptScan, place: int, asked: Asked | None) -> str:
    """The chart; nothing before the slice was asked."""
    several = len(kept.judged.predictions) > 1
    thresholds = kept.judged.predictions[place].thresholds
    return chart(asked, thresholds, kept.judged.upload.slices[place].name if several else "") if asked else ""
