"""The overview of many scans: what is put aside comes back as it was, and a table of thousands stays bearable."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brain_tumor.answers.scan_rows import ScanRow
from brain_tumor.demo import several_scans
from brain_tumor.demo.kept import put_aside, take_out
from brain_tumor.demo.scan_table import TableRow, table_html, thumbnail_uri
from brain_tumor.demo.several_scans import LONGEST_SIDE, Overview, gallery_items
from brain_tumor.inference.judging import JudgedUpload
from brain_tumor.inference.prediction import Prediction
from brain_tumor.labels import LABELS
from brain_tumor.reading.uploads import MAX_FILES, Rejected, Slice, Upload
from tests.serving import EXAMPLES


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def judged(image: Image.Image, name: str = "scan.png", pages: int = 1) -> JudgedUpload:
    confidences = dict(zip(LABELS, (0.91, 0.03, 0.03, 0.03), strict=True))
    prediction = Prediction("glioma", confidences, "glioma", heatmaps={"glioma": np.ones((7, 7), np.float32)})
    slices = [Slice(image, f"page {number}" if pages > 1 else "") for number in range(1, pages + 1)]
    return JudgedUpload(Upload(name, "pages" if pages > 1 else "picture", slices), [prediction] * pages, None)


def scan() -> Image.Image:
    return Image.open(EXAMPLES / "glioma.png").convert("RGB")


def test_a_scan_that_was_put_aside_comes_back_with_its_answer_and_its_picture():
    before = judged(scan())
    kept = take_out(put_aside(before))
    assert kept.judged.predictions[0].confidences == before.predictions[0].confidences
    assert (kept.judged.predictions[0].heatmaps["glioma"] == 1).all()
    assert (np.asarray(kept.pictures[0].convert("RGB")) == np.asarray(scan())).all()
    color = Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8))
    assert (np.asarray(take_out(put_aside(judged(color))).pictures[0]) == np.asarray(color)).all()


def test_what_was_put_aside_and_swept_is_gone():
    path = put_aside(judged(scan()))
    path.unlink()
    assert take_out(path) is None


def test_each_row_has_its_scan_and_pages_have_each_their_own():
    overview = Overview()
    for item in (judged(scan(), pages=2), Rejected("letter.txt", "It is text."), judged(scan(), "last.png")):
        overview.add(item)
    assert [row.row.name for row in overview.rows] == ["scan.png, page 1", "scan.png, page 2", "letter.txt", "last.png"]
    assert [row.opens for row in overview.rows] == [True, True, False, True]
    names = [path and take_out(path).judged.upload.name for path in overview.aside]
    assert names == ["scan.png, page 1", "scan.png, page 2", None, "last.png"]


def test_scans_beyond_the_room_on_the_disk_are_listed_and_cannot_be_opened(monkeypatch):
    monkeypatch.setattr(several_scans, "MOST_ON_DISK", 1)
    overview = Overview()
    for _ in range(2):
        overview.add(judged(scan()))
    assert [row.opens for row in overview.rows] == [True, False]
    assert table_html(overview.rows).count("data-open") == 1


def test_the_table_of_as_many_files_as_are_taken_is_bearable():
    picture = thumbnail_uri(scan())
    assert len(picture) < 1500
    more = {"Why": "x" * 100, **dict.fromkeys(("Glioma", "Meningioma", "No tumor", "Pituitary tumor"), "12 %")}
    row = ScanRow("study.zip/IM0001.dcm", "tumor", "Glioma", "", "Glioma", 0.9, "90 %", more)
    assert len(table_html([TableRow(row, picture, "The scan", True)] * MAX_FILES)) < 9 * 2**20


def test_thumbnails_have_a_bound_together(monkeypatch):
    monkeypatch.setattr(several_scans, "MOST_THUMBNAIL_BYTES", 1)
    overview = Overview()
    for _ in range(2):
        overview.add(judged(scan()))
    assert [bool(row.picture) for row in overview.rows] == [True, False]


def test_there_is_no_empty_column():
    known = TableRow(ScanRow("a", "tumor", "Glioma", "", "Glioma", 0.9, "90 %"))
    strange = TableRow(ScanRow("b", "other", "tabby cat", "", "tabby cat"))
    letter = TableRow(ScanRow("c", "unreadable", "Unreadable", "It is text."))
    assert "Tumor probability" in table_html([known, letter])
    assert "Tumor probability" not in table_html([strange, letter]) and "Most probable" in table_html([strange])
    assert "Most probable" not in table_html([letter]) and "It is text." in table_html([letter])


def test_nothing_from_outside_is_html():
    evil = "<img src=x onerror=alert(1)>\"'"
    row = ScanRow(evil, "tumor", evil, evil, evil, 0.9, evil, {evil: evil})
    html = table_html([TableRow(row, "", evil, True)])
    assert "<img" not in html and "&lt;img" in html
    assert "\"'" not in html


@pytest.mark.parametrize("side", [512, LONGEST_SIDE + 52])
def test_pictures_of_the_gallery_are_files_at_full_size_within_a_bound(side):
    ((path, caption),) = gallery_items(judged(scan().resize((side, side))), 5)
    assert isinstance(path, Path) and caption.startswith("scan.png: ")
    assert Image.open(io.BytesIO(path.read_bytes())).size == (min(side, LONGEST_SIDE),) * 2
