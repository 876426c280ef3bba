"""A request's files are judged in their order, a few at a time, in bounded memory and time."""

import re
import shutil
import time

import pytest
from PIL import Image

from brain_tumor.inference import judging
from brain_tumor.inference.judging import JudgedUpload, judge_anyway, judge_file, judge_files
from brain_tumor.inference.prediction import UNFAMILIAR, Prediction
from brain_tumor.inference.weaknesses import Weaknesses
from brain_tumor.reading.pictures import ScanError
from brain_tumor.reading.uploads import Rejected, Slice, Upload
from tests.scan_files import dicom
from tests.serving import EXAMPLES, bad_files, dicom_series, template_volume
from tests.volumes import judge, prediction


class Stub:
    """A classifier that finds no tumor, after a while, and notes how many slices it got each time."""

    weaknesses = Weaknesses({})

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


def test_of_one_picture_there_are_a_verdict_facts_and_notes_or_a_sentence():
    judged = judge_file(Stub(), EXAMPLES / "glioma.png", progress=lambda *told: pytest.fail("nothing to wait for"))
    assert (judged.verdict, judged.volume, judged.place, judged.peak) == ("no_tumor", None, 0, 0)
    assert judged.upload.slices[0].image.size == (256, 256) and "256" in judged.upload.facts["Size"]
    with pytest.raises(ScanError, match="empty"):
        judge_file(Stub(), b"")


class Stretch(Stub):
    """Finds a glioma in the slices from `first` to `last`, counted from 0."""

    def __init__(self, first: int, last: int, verdict: str = "glioma"):
        super().__init__()
        self.tumor, self.verdict, self.seen = range(first, last + 1), verdict, 0

    def predict(self, slices):
        predictions = super().predict(slices)
        for place in range(len(slices)):
            if self.seen + place in self.tumor:
                high = 0.9 + (self.seen + place) / 1000
                shares = {"glioma": high, "meningioma": 0.0, "no_tumor": 1 - high, "pituitary": 0.0}
                predictions[place] = Prediction("glioma", shares, self.verdict)
        self.seen += len(slices)
        return predictions


def test_a_volume_is_judged_as_a_whole_and_not_by_its_middle_slice(tmp_path):
    told = []
    path = template_volume(tmp_path / "volume.nii.gz")
    judged = judge_file(Stretch(55, 62), path, progress=lambda *one: told.append(one))
    assert judged.predictions[len(judged.predictions) // 2].verdict == "no_tumor"
    assert judged.verdict == judged.volume.verdict == "glioma"
    assert judged.place == judged.peak == 62
    assert told[0] == (0, "Slice 0 of 95") and told[-1] == (1, "Slice 95 of 95") and len(told) == 4


def test_one_slice_is_judged_alone_where_it_is_asked_for_by_its_number(tmp_path):
    path = template_volume(tmp_path / "volume.nii.gz")
    whole = judge_file(Stub(), path)
    judged = judge_file(stub := Stub(), path, 34)
    assert stub.portions == [1]
    assert (judged.verdict, judged.volume) == ("no_tumor", None)
    (slice_,) = judged.upload.slices
    assert slice_.image.tobytes() == whole.upload.slices[33].image.tobytes()
    assert judged.upload.facts["Slice"] == "slice 34"
    assert judged.upload.notes[-1] == "One slice of 95; the others were not judged."
    assert judge_file(Stub(), EXAMPLES / "glioma.png", 1).upload.notes == []
    for source, number, there_are in (
        (path, 96, "numbers 1 to 95"),
        (path, 0, "numbers 1 to 95"),
        (EXAMPLES / "glioma.png", 2, "number 1 alone"),
    ):
        with pytest.raises(ScanError, match=f"There is no slice {number} in this file, which has {there_are}"):
            judge_file(Stub(), source, number)
    with pytest.raises(ScanError, match="There is no slice of that number in this file, which has number 1 alone"):
        judge_file(Stub(), EXAMPLES / "glioma.png", int(1e300))


def test_of_pages_there_is_no_verdict_on_the_whole_and_the_most_suspicious_comes_first(tmp_path):
    scan = Image.open(EXAMPLES / "glioma.png").convert("L")
    scan.save(tmp_path / "pages.tif", save_all=True, append_images=[scan.rotate(3 * i) for i in range(1, 6)])
    judged = judge_file(Stretch(2, 4), tmp_path / "pages.tif")
    assert judged.verdict is judged.volume is None
    assert judged.place == judged.peak == 4
    unfamiliar = judge_file(Stretch(2, 4, UNFAMILIAR), tmp_path / "pages.tif")
    assert unfamiliar.peak == 0, "what is no brain MRI has no probability to trust"
    assert judge_file(Stretch(0, 9, UNFAMILIAR), tmp_path / "pages.tif").place == 3
    assert judge_file(Stub(), tmp_path / "pages.tif", 2).upload.facts["Slice"] == "page 2"


def test_a_file_that_takes_too_long_is_a_sentence(tmp_path):
    with pytest.raises(ScanError, match=r"took longer.*\d+ of the 95 slices were judged, too few for a verdict"):
        judge_file(Stub(1.5), template_volume(tmp_path / "volume.nii.gz"), seconds=1.4)


def test_what_the_header_says_is_told_with_the_verdict(tmp_path):
    (tmp_path / "ct.dcm").write_bytes(dicom(Modality="CT"))
    assert [w.says for w in judge_file(Stub(), tmp_path / "ct.dcm").weaknesses] == ["CT"]
    (item,) = judge_files(Stub(), [tmp_path / "ct.dcm"])
    assert [w.says for w in item.weaknesses] == ["CT"]


def test_what_is_no_brain_mri_to_the_model_is_judged_as_if_it_were_one_for_whoever_wants_that():
    slices = [Slice(None, f"slice {number}") for number in range(1, 6)]
    judged = JudgedUpload(Upload("a", "series", slices), [prediction("x")] * 5, judge("xxxxx"))
    answer = judge_anyway(judged)
    assert (judged.verdict, answer.verdict) == (UNFAMILIAR, "glioma")
    assert [(weakness.about, answer.peak) for weakness in answer.weaknesses] == [("familiarity", 0)]
    cat = Prediction("cat", {"cat": 0.9, "dog": 0.1}, UNFAMILIAR, -1.0)
    assert judge_anyway(JudgedUpload(Upload("a", "picture", slices[:1]), [cat], None)).verdict == "cat"
