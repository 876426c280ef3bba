"""One row a scan: pages are scans of their own, a volume is one, and what may not be told is not in the row."""

from PIL import Image

from brain_tumor.answers.scan_rows import counts_of, row_of_scan, scans_of
from brain_tumor.inference.judging import JudgedUpload
from brain_tumor.inference.prediction import UNFAMILIAR, Prediction
from brain_tumor.inference.verdict import TYPE_UNCLEAR, UNCERTAIN_VERDICT, Thresholds
from brain_tumor.inference.volume import judge_volume
from brain_tumor.labels import LABELS
from brain_tumor.reading.uploads import Rejected, Slice, Upload

THRESHOLDS = Thresholds(no_tumor=0.9, tumor=0.94)
PICTURE = Image.new("RGB", (32, 32))


def prediction(label: str = "glioma", share: float = 0.97, verdict: str | None = None) -> Prediction:
    others = (1 - share) / 3
    confidences = {name: share if name == label else others for name in LABELS}
    return Prediction(label, confidences, verdict or label, 1.0, thresholds=THRESHOLDS)


def judged(*predictions: Prediction, kind: str = "picture", notes: tuple[str, ...] = ()) -> JudgedUpload:
    word = {"picture": "", "pages": "page", "volume": "slice"}[kind]
    slices = [Slice(PICTURE, f"{word} {number}".strip() if word else "") for number in range(1, len(predictions) + 1)]
    volume = judge_volume(list(predictions), [True] * len(slices)) if kind == "volume" else None
    return JudgedUpload(Upload("scan.tif", kind, slices, notes=list(notes)), list(predictions), volume)


def test_a_picture_has_its_verdict_class_and_probability_and_the_rest_is_folded():
    row = row_of_scan(judged(prediction("glioma", 0.97), notes=("A note.",)))
    assert (row.name, row.group, row.verdict, row.most_probable) == ("scan.tif", "tumor", "Glioma", "Glioma")
    assert row.shown_probability == "99 %" and round(row.probability, 2) == 0.99
    assert row.more["Why"].startswith("The model puts the probability of any tumor at 99 %")
    assert row.more["Glioma"] == "97 %" and row.more["Brain MRI"] == "yes" and row.more["Notes"] == "A note."


def test_of_what_does_not_look_like_a_brain_mri_nothing_is_told():
    row = row_of_scan(judged(prediction(verdict=UNFAMILIAR)))
    assert (row.group, row.verdict) == ("unfamiliar", "Not sure that this is a brain MRI")
    assert not row.most_probable and row.probability is None and not row.shown_probability
    assert "Glioma" not in row.more


def test_a_volume_is_one_row_with_its_highest_probability_and_how_many_slices_say_its_class():
    healthy, tumor = prediction("no_tumor", 0.99), prediction("glioma", 0.97)
    scan = judged(healthy, healthy, healthy, healthy, healthy, healthy, healthy, healthy, tumor, kind="volume")
    assert list(scans_of(scan)) == [scan]
    row = row_of_scan(scan)
    assert (row.group, row.verdict, row.most_probable) == ("clear", "No tumor", "No tumor (8 of 9 slices)")
    assert row.shown_probability == "99 % (highest, slice 9)"
    assert row.more["Slices"] == "9, of which 9 count"
    assert row_of_scan(judged(*[prediction(verdict=UNFAMILIAR)] * 4, kind="volume")).most_probable == ""


def test_each_page_is_a_scan_with_a_name_and_a_verdict_of_its_own():
    pages = list(scans_of(judged(prediction("glioma"), prediction("no_tumor", 0.99), kind="pages", notes=("A note.",))))
    rows = [row_of_scan(page) for page in pages]
    assert [(row.name, row.verdict) for row in rows] == [
        ("scan.tif, page 1", "Glioma"),
        ("scan.tif, page 2", "No tumor"),
    ]
    assert [page.verdict for page in pages] == ["glioma", "no_tumor"]
    assert ["Notes" in row.more for row in rows] == [True, False]


def test_verdicts_are_counted_and_every_scan_once():
    verdicts = ("glioma", "meningioma", TYPE_UNCLEAR, "no_tumor", UNCERTAIN_VERDICT, UNFAMILIAR)
    rows = [row_of_scan(judged(prediction(verdict=verdict))) for verdict in verdicts]
    rows += [row_of_scan(Rejected("a", "It is text.")), row_of_scan(Rejected("b", "A scout.", "a scout"))]
    rows += [row_of_scan(judged(Prediction("tabby cat", {"tabby cat": 0.8, "dog": 0.2}, "tabby cat")))]
    counts = counts_of(rows)
    assert counts == {
        **{"tumor": 3, "uncertain": 1, "clear": 1, "other": 1, "unfamiliar": 1, "aside": 1, "unreadable": 1}
    }
    assert sum(counts.values()) == len(rows)
    assert [row.reason for row in rows[6:8]] == ["It is text.", "A scout."]
    assert rows[8].verdict == rows[8].most_probable == "tabby cat" and not rows[8].shown_probability
