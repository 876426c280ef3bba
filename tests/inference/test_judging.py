"""A request's files are judged in their order, a few at a time, in bounded memory and time."""

import re
import shutil
import time

import pytest
from PIL import Image

from brain_tumor.inference import judging
from brain_tumor.inference.judging import JudgedUpload, judge_files, judge_picture
from brain_tumor.inference.prediction import Prediction
from brain_tumor.reading.pictures import ScanError
from brain_tumor.reading.uploads import Rejected
from tests.serving import EXAMPLES, bad_files, dicom_series, template_volume


class Stub:
    """A classifier that finds no tumor, after a while, and notes how many slices it got each time."""

    def __init__(self, seconds: float = 0):
        self.seconds, self.portions = seconds, []

    def predict(self, slices: list[Image.Image]) -> list[Prediction]:
        time.sleep(self.seconds)
        self.portions.append(len(slices))
        shares = {"glioma": 0.0, "meningioma": 0.0, "no_tumor": 1.0, "pituitary": 0.0}
        return [Prediction("no_tumor", shares, "no_tumor") for _ in slices]


def copies(folder, count: int) -> list:
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        shutil.copy(EXAMPLES / "glioma.png", path)
    return paths


def test_uploads_come_in_their_order_and_only_what_belongs_together_has_a_verdict_on_the_whole(tmp_path):
    series, (picture,) = dicom_series(tmp_path / "series", slices=4), copies(tmp_path, 1)
    (tmp_path / "letter.jpg").write_bytes(bad_files()["text.jpg"])
    items = list(judge_files(Stub(), [picture, tmp_path / "letter.jpg", *series, EXAMPLES / "no_tumor.png"]))
    assert [type(item) for item in items] == [JudgedUpload, Rejected, JudgedUpload, JudgedUpload]
    assert [item.upload.name for item in items if isinstance(item, JudgedUpload)] == [
        "0.png",
        "DICOM series (t1), 4 slices",
        "no_tumor.png",
    ]
    first, _, whole, last = items
    assert first.volume is last.volume is None
    assert whole.volume.verdict == "no_tumor" and len(whole.predictions) == 4


def test_single_pictures_are_classified_together_but_not_too_many_and_not_too_large(tmp_path, monkeypatch):
    paths = copies(tmp_path, 7)
    monkeypatch.setattr(judging, "AT_ONCE", 3)
    list(judge_files(stub := Stub(), paths))
    assert stub.portions == [3, 3, 1]
    monkeypatch.setattr(judging, "MOST_PIXELS", 320 * 320)
    list(judge_files(stub := Stub(), paths))
    assert stub.portions == [2, 2, 2, 1]


def test_progress_tells_the_share_of_the_files_and_the_slice(tmp_path):
    told = []
    paths = [EXAMPLES / "glioma.png", template_volume(tmp_path / "volume.nii.gz")]
    list(judge_files(Stub(), paths, progress=lambda share, words: told.append((share, words))))
    shares, words = zip(*told, strict=True)
    assert list(shares) == sorted(shares) and shares[-1] == 1
    assert words[:2] == ("Reading the files", "Upload 1")
    assert all(re.fullmatch(r"Upload 2, slice \d+ of \d+", what) for what in words[2:])


def test_what_takes_too_long_ends_with_a_sentence_that_says_how_far_it_came(tmp_path):
    volume = template_volume(tmp_path / "volume.nii.gz")
    items = list(judge_files(Stub(0.2), [volume] * 20, seconds=1.5))
    *judged, last = items
    assert judged and len(items) < 20
    assert isinstance(last, Rejected)
    assert re.search(
        rf"took longer than .* seconds.*({len(judged)} uploads were read, {20 - len(judged)} were left out)",
        last.reason,
    )


def test_a_volume_that_is_not_done_in_time_has_no_verdict(tmp_path):
    volume = template_volume(tmp_path / "volume.nii.gz")
    (item, *_) = judge_files(Stub(0.7), [volume], seconds=0.6)
    assert isinstance(item, Rejected)
    assert re.search(r"(\d+) of the \d+ slices were judged, too few for a verdict", item.reason)


def test_of_one_picture_there_are_prediction_facts_and_notes_or_a_sentence(tmp_path):
    judged = judge_picture(Stub(), EXAMPLES / "glioma.png")
    assert judged.prediction.verdict == "no_tumor"
    assert judged.image.size == (320, 320) and "320" in judged.facts["Size"]
    middle = judge_picture(Stub(), template_volume(tmp_path / "volume.nii.gz"))
    assert any("slice" in note for note in middle.notes)
    with pytest.raises(ScanError, match="empty"):
        judge_picture(Stub(), b"")
