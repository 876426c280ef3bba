"""One row a scan: what an overview of many scans says of each, with the rest of what there is to know folded."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from brain_tumor.answers.table import NOT_JUDGED, TOO_LITTLE, UNREADABLE, brain_mri, verdict_name
from brain_tumor.answers.words import notes_of, percent, tumor_percent, verdict_kind, verdict_words, volume_words
from brain_tumor.inference.judging import JudgedUpload
from brain_tumor.inference.prediction import UNFAMILIAR
from brain_tumor.labels import display_name
from brain_tumor.reading.uploads import Rejected

GROUPS = {
    "tumor": "tumor",
    "uncertain": "uncertain",
    "clear": "no tumor",
    "other": "other",
    "unfamiliar": "not sure that it is a brain MRI",
    "aside": "not judged",
    "unreadable": "unreadable",
}
"""What verdicts are counted as, in the order in which somebody wants to look at them -> what they are called."""


@dataclass(frozen=True)
class ScanRow:
    """What the overview says of one scan.

    Attributes:
        name: of the scan; of a page also which one.
        group: a key of `GROUPS`.
        verdict: in a few words.
        reason: a sentence where there is no verdict; else empty.
        most_probable: class, and of several slices in how many of those that count; empty if none may be told.
        probability: of any tumor, in [0, 1], of several slices the highest; None if none may be told.
        shown_probability: the same in words; empty if there is none.
        more: term -> what else there is to know.
    """

    name: str
    group: str
    verdict: str
    reason: str = ""
    most_probable: str = ""
    probability: float | None = None
    shown_probability: str = ""
    more: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Of its verdict, as `verdict_kind` calls it."""
        return self.group if self.group in ("tumor", "clear", "uncertain") else "unfamiliar"


def scans_of(judged: JudgedUpload) -> Iterator[JudgedUpload]:
    """The scans of an upload: itself, or each of its pages, as if it had come alone."""
    upload = judged.upload
    if judged.volume or len(upload.slices) == 1:
        yield judged
        return
    for place, (slice_, prediction) in enumerate(zip(upload.slices, judged.predictions, strict=True)):
        page = replace(
            upload,
            name=f"{upload.name}, {slice_.name}",
            kind="picture",
            slices=[slice_],
            facts=upload.facts | {"Slice": slice_.name},
            notes=[] if place else upload.notes,
        )
        yield JudgedUpload(page, [prediction], None, judged.weaknesses)


def row_of_scan(scan: JudgedUpload | Rejected) -> ScanRow:
    """The row of one scan, as `scans_of` yields them, or of what is none."""
    if isinstance(scan, Rejected):
        group, verdict = ("aside", NOT_JUDGED) if scan.what else ("unreadable", UNREADABLE)
        return ScanRow(scan.name, group, verdict, scan.reason)
    notes = {"Notes": " ".join(notes_of(scan))}
    row = _volume_row(scan) if scan.volume else _slice_row(scan)
    return replace(row, more={term: words for term, words in (row.more | notes).items() if words})


def counts_of(rows: Iterable[ScanRow]) -> dict[str, int]:
    """Group -> how many rows are in it, in the order of `GROUPS`; of those that there are.

    >>> counts_of([ScanRow("a", "clear", "No tumor"), ScanRow("b", "tumor", "Glioma"), ScanRow("c", "clear", "")])
    {'tumor': 1, 'clear': 2}
    """
    found = Counter(row.group for row in rows)
    return {group: found[group] for group in GROUPS if found[group]}


def _slice_row(scan: JudgedUpload) -> ScanRow:
    name, prediction = scan.upload.name, scan.predictions[0]
    if not scan.upload.slices[0].counts:
        return ScanRow(name, "aside", NOT_JUDGED, TOO_LITTLE)
    why, known = {"Why": verdict_words(prediction).numbers}, {"Brain MRI": brain_mri(prediction)}
    row = ScanRow(name, _group(prediction.verdict), verdict_name(prediction.verdict), more=why | known)
    if prediction.verdict == UNFAMILIAR:
        return row
    shares = {display_name(label): percent(share) for label, share in prediction.confidences.items()}
    tumor = prediction.tumor_probability
    return replace(
        row,
        most_probable=display_name(prediction.label),
        probability=tumor,
        shown_probability="" if tumor is None else tumor_percent(tumor, prediction.thresholds),
        more=why | shares | known,
    )


def _volume_row(scan: JudgedUpload) -> ScanRow:
    volume, slices = scan.volume, scan.upload.slices
    said = volume_words(volume)
    counted = [prediction for prediction, counts in zip(scan.predictions, volume.counted, strict=True) if counts]
    more = {"Why": said.numbers or said.sentence, "Slices": f"{len(slices)}, of which {len(counted)} count"}
    row = ScanRow(scan.upload.name, _group(volume.verdict), verdict_name(volume.verdict), more=more)
    if volume.verdict == UNFAMILIAR or not counted:
        return row
    label, times = Counter(prediction.label for prediction in counted).most_common(1)[0]
    row = replace(row, most_probable=f"{display_name(label)} ({times} of {len(counted)} slices)")
    if volume.peak is None or volume.probabilities[volume.peak] is None:
        return row
    highest = volume.probabilities[volume.peak]
    where = f" (highest, {slices[volume.peak].name})"
    return replace(row, probability=highest, shown_probability=tumor_percent(highest, volume.thresholds) + where)


def _group(verdict: str) -> str:
    kind = verdict_kind(verdict)
    return "other" if kind == "unfamiliar" and verdict != UNFAMILIAR else kind
