"""Results as rows: what the demo's table and its download show, and what `brain_tumor.predict` writes."""

import csv
import io
from collections.abc import Iterable

from brain_tumor.answers.words import notes_of, verdict_words, volume_words
from brain_tumor.inference.judging import JudgedUpload
from brain_tumor.inference.prediction import UNFAMILIAR, Prediction, by_canonical_label
from brain_tumor.inference.verdict import TYPE_UNCLEAR, UNCERTAIN_VERDICT
from brain_tumor.labels import DISPLAY_NAMES, LABELS, display_name
from brain_tumor.reading.uploads import Rejected, Slice

COLUMNS = (
    "File",
    "Slice",
    "Verdict",
    "Reason",
    "Most probable class",
    *(f"P({name.lower()})" for name in DISPLAY_NAMES.values()),
    "P(any tumor)",
    "Brain MRI",
    "Notes",
)
"""Headings. "Reason" says what was wrong with a file, or why the verdict on the whole is what it is; P(...) are
calibrated probabilities from 0 to 1; "Brain MRI" says whether the picture looks like one to the model; "Notes" says
what else there is to know about a file, in the first of its rows."""

PROBABILITIES = tuple(column for column in COLUMNS if column.startswith("P("))

WHOLE = "all"
"""What stands under "Slice" in the row of a whole series or volume."""

VERDICTS = DISPLAY_NAMES | {
    TYPE_UNCLEAR: "Tumor, type unclear",
    UNCERTAIN_VERDICT: "Uncertain",
    UNFAMILIAR: "Not sure that this is a brain MRI",
}

NOT_JUDGED = "Not judged"

UNREADABLE = "Unreadable"

TOO_LITTLE = "Shows too little of the head to be judged."
"""Why a slice is not judged."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the beginning of a formula, or skips before one (OWASP, "CSV Injection")."""


def row_of(rejected: Rejected) -> dict[str, str | float]:
    """The row of a file that could not be read, or is no scan: its name and the reason."""
    return _row(File=rejected.name, Verdict=NOT_JUDGED if rejected.what else UNREADABLE, Reason=rejected.reason)


def rows_of(judged: JudgedUpload) -> list[dict[str, str | float]]:
    """One row for each slice of an upload; of a series or volume one for the whole before them.

    Returns:
        `COLUMNS` -> text or number; an empty text where there is nothing to say. A picture that is no brain MRI has no
        class and no probabilities, nor has a slice that does not count.
    """
    upload, rows = judged.upload, []
    if judged.volume:
        said = volume_words(judged.volume)
        reason = said.numbers or said.sentence
        rows.append(_row(File=upload.name, Slice=WHOLE, Verdict=verdict_name(judged.volume.verdict), Reason=reason))
    rows += [
        _slice_row(upload.name, slice_, prediction)
        for slice_, prediction in zip(upload.slices, judged.predictions, strict=True)
    ]
    rows[0]["Notes"] = " ".join(notes_of(judged))
    return rows


def rows_of_item(item: JudgedUpload | Rejected) -> list[dict[str, str | float]]:
    """The rows of what `judging.judge_files` yields."""
    return [row_of(item)] if isinstance(item, Rejected) else rows_of(item)


def to_csv(rows: Iterable[dict[str, str | float]], header: bool = True) -> str:
    """Rows as CSV (RFC 4180 with line feeds), to be encoded in UTF-8.

    A text that a spreadsheet would take for a formula, such as a file called "=1+1.png", gets an apostrophe before it.

    Args:
        header: whether the first line holds `COLUMNS`.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if header:
        writer.writerow(COLUMNS)
    writer.writerows([_guarded(row[column]) for column in COLUMNS] for row in rows)
    return out.getvalue()


def _guarded(cell: str | float) -> str | float:
    if not isinstance(cell, str):
        return cell
    guard = "'" if cell.lstrip(" ").startswith(_FORMULA) else ""
    return guard + cell.replace("\r", " ")  # a carriage return alone ends the line for some readers, quoted or not


def _row(**cells: str | float) -> dict[str, str | float]:
    return dict.fromkeys(COLUMNS, "") | cells


def verdict_name(verdict: str) -> str:
    """A verdict in a few words; a class of another project's checkpoint as it is."""
    return VERDICTS.get(verdict, verdict)


def brain_mri(prediction: Prediction) -> str:
    """Whether a picture looks like a brain MRI to the model, in words; empty if the checkpoint has no such check."""
    return {None: "", True: "yes", False: "not sure"}[prediction.familiarity and prediction.familiarity >= 0]


def _slice_row(file: str, slice_: Slice, prediction: Prediction) -> dict[str, str | float]:
    row = _row(File=file, Slice=slice_.name) | {"Brain MRI": brain_mri(prediction)}
    if not slice_.counts:
        return row | {"Verdict": NOT_JUDGED, "Reason": TOO_LITTLE}
    row["Verdict"] = verdict_name(prediction.verdict)
    if prediction.verdict == UNFAMILIAR:
        return row | {"Reason": verdict_words(prediction).sentence}
    row["Most probable class"] = display_name(prediction.label)
    named = by_canonical_label(prediction.confidences)
    if named:
        shares = [*(named[label] for label in LABELS), prediction.tumor_probability]
        row |= dict(zip(PROBABILITIES, [round(share, 4) for share in shares], strict=True))
    return row
