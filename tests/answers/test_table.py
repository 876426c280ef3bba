"""Results as rows: a row for each slice, the same columns everywhere, and no cell that a spreadsheet would run."""

import csv
import io

import pytest
from PIL import Image

from brain_tumor.answers.table import COLUMNS, row_of, rows_of, to_csv
from brain_tumor.answers.words import volume_words
from brain_tumor.inference.judging import JudgedUpload
from brain_tumor.inference.prediction import UNFAMILIAR, Prediction
from brain_tumor.inference.verdict import Thresholds
from brain_tumor.inference.volume import judge_volume
from brain_tumor.inference.weaknesses import Weakness
from brain_tumor.reading.uploads import Rejected, Slice, Upload

CONFIDENCES = {"glioma": 0.01, "meningioma": 0.95, "no_tumor": 0.03, "pituitary": 0.01}
THRESHOLDS = Thresholds(no_tumor=0.9, tumor=0.94)
MENINGIOMA = Prediction("meningioma", CONFIDENCES, "meningioma", 2.0, thresholds=THRESHOLDS)
STRANGE = Prediction("meningioma", CONFIDENCES, UNFAMILIAR, -2.0, thresholds=THRESHOLDS)
PICTURE = Image.new("RGB", (32, 32))


def upload(
    *names: str, kind: str = "picture", counts: bool = True, name: str = "scan.png", notes: tuple[str, ...] = ()
) -> Upload:
    return Upload(name, kind, [Slice(PICTURE, slice_, counts) for slice_ in names], notes=list(notes))


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_a_slice_has_its_verdict_its_class_and_all_probabilities():
    (row,) = rows_of(JudgedUpload(upload(""), [MENINGIOMA], None))
    assert tuple(row) == COLUMNS
    assert list(row.values()) == [
        *("scan.png", "", "Meningioma", "", "Meningioma", 0.01, 0.95, 0.03, 0.01, 0.97, "yes", "")
    ]


def test_a_picture_that_is_no_brain_mri_has_no_class_and_no_probabilities():
    (row,) = rows_of(JudgedUpload(upload(""), [STRANGE], None))
    assert row["Verdict"] == "Not sure that this is a brain MRI"
    assert row["Brain MRI"] == "not sure"
    assert row["Reason"]
    assert not any(row[column] for column in COLUMNS if column.startswith("P(") or column == "Most probable class")


def test_a_slice_that_does_not_count_is_not_judged():
    (row,) = rows_of(JudgedUpload(upload("slice 1", counts=False), [MENINGIOMA], None))
    assert row["Verdict"] == "Not judged"
    assert "too little of the head" in row["Reason"]
    assert row["P(any tumor)"] == ""


def test_a_volume_has_a_row_for_the_whole_before_its_slices():
    names = [f"slice {number}" for number in range(1, 5)]
    volume = judge_volume([MENINGIOMA] * 4, [True] * 4)
    rows = rows_of(JudgedUpload(upload(*names, kind="volume"), [MENINGIOMA] * 4, volume))
    assert [row["Slice"] for row in rows] == ["all", *names]
    assert rows[0]["Verdict"] == "Meningioma"
    assert rows[0]["Reason"] == volume_words(volume).numbers
    assert all(tuple(row) == COLUMNS for row in rows)


@pytest.mark.parametrize("kind", ["pages", "volume"])
def test_what_there_is_to_know_about_a_file_stands_in_the_first_of_its_rows(kind):
    file = upload("page 1", "page 2", kind=kind, notes=("A file of 3 pages.", "Page 3 cannot be read."))
    volume = judge_volume([MENINGIOMA] * 2, [True] * 2) if kind == "volume" else None
    first, *others = rows_of(JudgedUpload(file, [MENINGIOMA] * 2, volume))
    assert first["Notes"] == "A file of 3 pages. Page 3 cannot be read."
    assert not any(row["Notes"] for row in others)


def test_why_a_verdict_is_worth_less_stands_in_the_notes():
    (row,) = rows_of(JudgedUpload(upload("", notes=("A note.",)), [MENINGIOMA], None, [Weakness("CT", "modality")]))
    assert row["Notes"] == "A note. The file says CT, and the model was trained on MRI alone."


def test_a_file_that_cannot_be_read_is_a_row_with_its_reason():
    row = row_of(Rejected("letter.jpg", "This file is text, not a scan."))
    assert tuple(row) == COLUMNS
    assert (row["File"], row["Reason"]) == ("letter.jpg", "This file is text, not a scan.")


def test_what_is_no_scan_is_not_judged():
    row = row_of(Rejected("scout.dcm", "This is a scout.", "a scout"))
    assert row["File"] == "scout.dcm" and row["Verdict"] == "Not judged" and row["Reason"] == "This is a scout."
    assert row["P(any tumor)"] == "" and row_of(Rejected("a.dcm", "It is damaged."))["Verdict"] == "Unreadable"


def test_other_classes_than_the_four_leave_their_columns_empty():
    (row,) = rows_of(
        JudgedUpload(upload(""), [Prediction("tabby cat", {"tabby cat": 0.8, "dog": 0.2}, "tabby cat")], None)
    )
    assert row["Verdict"] == row["Most probable class"] == "tabby cat"
    assert row["P(any tumor)"] == row["P(glioma)"] == row["Brain MRI"] == ""


def test_classes_by_other_names_and_in_another_order_stand_in_their_columns():
    confidences = {"notumor": 0.03, "Pituitary": 0.01, "meningioma_tumor": 0.95, "glioma": 0.01}
    (row,) = rows_of(JudgedUpload(upload(""), [Prediction("meningioma_tumor", confidences, "meningioma")], None))
    assert row["P(meningioma)"] == 0.95
    assert row["P(no tumor)"] == 0.03
    assert row["Most probable class"] == "Meningioma"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", "\n=", " =", "＝"])
def test_no_cell_is_a_formula_to_a_spreadsheet(start):
    name = f'{start}HYPERLINK("http://example.org";"x")'
    rows = rows_of(JudgedUpload(upload(start + "1", name=name), [MENINGIOMA], None)) + [
        row_of(Rejected(name, start + "2"))
    ]
    for row in read(to_csv(rows)):
        assert not any(cell.lstrip().startswith(("=", "+", "-", "@", "＝")) for cell in row)
    assert read(to_csv(rows))[1][0] == "'" + name.replace("\r", " ")


def test_names_come_through_csv_whatever_is_in_them():
    names = ['two\nlines, and a "quote".png', "Müller 髄膜腫.png", "plain.png"]
    table = read(to_csv([row_of(Rejected(name, "x")) for name in names]))
    assert table[0] == list(COLUMNS)
    assert [row[0] for row in table[1:]] == names


def test_probabilities_are_numbers_in_the_table_and_in_csv():
    rows = rows_of(JudgedUpload(upload(""), [MENINGIOMA], None))
    assert all(isinstance(rows[0][column], float) for column in COLUMNS if column.startswith("P("))
    assert float(read(to_csv(rows, header=False))[0][COLUMNS.index("P(any tumor)")]) == 0.97
