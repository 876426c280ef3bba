"""The report is one page that needs nothing else, says what was found and how sure, and names no file."""

import base64
import dataclasses
import datetime
import html
import io
import re

import numpy as np
import pytest
from PIL import Image

from brain_tumor.answers.heatmap import overlay
from brain_tumor.answers.report import LONGEST_SIDE, file_name, html_report
from brain_tumor.answers.words import verdict_words, volume_words
from brain_tumor.inference.judging import JudgedUpload
from brain_tumor.inference.prediction import UNFAMILIAR, Prediction
from brain_tumor.inference.verdict import Thresholds
from brain_tumor.inference.weaknesses import Share, Weakness
from brain_tumor.labels import DISPLAY_NAMES, LABELS
from brain_tumor.reading.uploads import Slice, Upload
from tests.slices import draw_slice
from tests.volumes import judge, prediction

THRESHOLDS = Thresholds(no_tumor=0.9, tumor=0.94)
CONFIDENCES = {"glioma": 0.0213, "meningioma": 0.9456, "no_tumor": 0.0331, "pituitary": 0.0}
MAPS = {label: np.eye(7, dtype=np.float32) * 10 * (i + 1) for i, label in enumerate(LABELS)}
MENINGIOMA = Prediction("meningioma", CONFIDENCES, "meningioma", 2.0, MAPS, THRESHOLDS)
STRANGE = Prediction("meningioma", CONFIDENCES, UNFAMILIAR, -2.0, MAPS, THRESHOLDS)
SCAN = draw_slice(5, side=256).convert("RGB")
FACTS = {"Format": "DICOM", "Size": "256 x 256 pixels", "Plane": "axial"}


def report(
    prediction=MENINGIOMA,
    image=SCAN,
    facts=FACTS,
    shown_class="meningioma",
    version="model, 3f2a9c1",
    weaknesses=None,
    asked=None,
) -> str:
    date = datetime.date(2031, 2, 3)
    judged = JudgedUpload(Upload("", "picture", [Slice(image, "")], facts), [prediction], None, weaknesses or [])
    return html_report(judged, 0, image, version=version, date=date, shown_class=shown_class, asked=asked)


def series_report(letters: str, place: int, kind: str = "series", weaknesses=(), asked=None) -> str:
    """On a series whose slices say what `tests.volumes` spells, with one of them shown."""
    slices = [Slice(SCAN, f"slice {i + 1}", not letter.isupper()) for i, letter in enumerate(letters)]
    predictions = [dataclasses.replace(prediction(letter.lower()), heatmaps=MAPS) for letter in letters]
    volume = judge(letters) if kind == "series" else None
    judged = JudgedUpload(Upload("", kind, slices, FACTS), predictions, volume, list(weaknesses))
    date = datetime.date(2031, 2, 3)
    return html_report(judged, place, SCAN, version="m", date=date, shown_class="glioma", asked=asked)


def words(page: str) -> str:
    """What a reader sees, without tags and styles."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def pictures(page: str) -> list[Image.Image]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in found]


def test_it_holds_verdict_confidences_facts_model_date_and_warning():
    text = words(report())
    for part in (*verdict_words(MENINGIOMA), *DISPLAY_NAMES.values(), "95 %", "2 %", "3 %", "<1 %", "Any tumor 97 %"):
        assert part in text
    for part in ("DICOM", "256 x 256 pixels", "axial", "model, 3f2a9c1", "3 February 2031", "Not a medical device"):
        assert part in text
    assert "burned into the picture cannot be removed" in text


WEAK = Weakness(
    "T1", "sequence", False, dict.fromkeys(("missed", "right_type"), (Share(0.135, 74), Share(0.012, 1500))), None, True
)


def test_of_a_series_the_whole_comes_first_and_one_slice_is_shown_as_one():
    letters = "........gggg."
    page = series_report(letters, 9, weaknesses=[WEAK])
    text = words(page)
    headline, *said = volume_words(judge(letters))
    assert headline == "Looks like: glioma"
    for part in (headline, *said, "Slice 10 of 13", "Confidence of slice 10 alone"):
        assert part in text, part
    assert "all 13 slices together; what follows shows one of them, slice 10. By itself: Looks like: glioma." in text
    assert text.index(headline) < text.index("slice 10") and 'class="verdict tumor"' in page
    assert "The file says T1, and nothing of contrast." in text
    peak = series_report(letters, 8)
    assert "Slice 9 of 13, the one with the highest tumor probability" in words(peak)


def test_a_slice_that_says_no_tumor_does_not_speak_for_a_series_in_which_others_say_tumor():
    page = series_report("........gggg.", 2)
    assert 'class="verdict tumor"' in page and 'class="verdict clear"' not in page
    assert words(page).index("Looks like: glioma") < words(page).index("By itself: No tumor seen.")


def test_of_pages_the_report_has_no_color_and_no_verdict_on_the_whole():
    page = series_report("g..", 0, kind="pages")
    assert 'class="verdict unfamiliar"' in page
    assert "3 slices, each judged by itself: 2 no tumor, 1 a tumor" in words(page)


def test_a_slice_that_does_not_count_has_a_picture_and_no_confidences():
    page = series_report("G........", 0)
    assert len(pictures(page)) == 1 and "Confidence of" not in words(page)
    assert "By itself: Not judged." in words(page)


def test_it_holds_the_scan_and_the_heat_map_of_the_class_that_it_names():
    page = report(shown_class="glioma")
    scan, mapped = pictures(page)
    assert scan.tobytes() == SCAN.tobytes()
    assert mapped.tobytes() == overlay(SCAN, MAPS["glioma"]).tobytes()
    assert mapped.tobytes() != pictures(report())[1].tobytes()
    assert "the score for “Glioma” comes from" in words(page)
    assert "linear-gradient(90deg, #0d0887" in page
    assert all(alt for alt in re.findall(r'<img [^>]*alt="([^"]*)"', page))


def test_a_picture_that_is_no_brain_mri_gets_no_class_no_confidence_and_no_heat_map():
    page = report(STRANGE)
    text = words(page)
    assert verdict_words(STRANGE)[0] in text
    assert len(pictures(page)) == 1
    assert "95 %" not in text and "Any tumor" not in text
    assert not any(name in text for name in ("Glioma", "Meningioma", "Pituitary", "No tumor"))


@pytest.mark.parametrize("maps", [None, {}])
def test_without_a_heat_map_the_scan_stands_alone(maps):
    page = report(Prediction("meningioma", CONFIDENCES, "meningioma", 2.0, maps, THRESHOLDS))
    assert len(pictures(page)) == 1
    assert "Adds little" not in page
    assert "95 %" in words(page)


def test_a_checkpoint_of_many_classes_shows_the_most_probable_ones():
    confidences = {f"class {i}": 2 * (i + 1) / (1000 * 1001) for i in range(1000)}
    text = words(report(Prediction("class 999", confidences, "class 999"), shown_class="class 999"))
    assert "8 most probable classes" in text
    assert "class 999" in text and "class 3 " not in text
    assert "Any tumor" not in text


def test_whatever_comes_from_outside_is_escaped():
    bad = '<script>alert("x")</script>&<img src=http://example.org/x.png>'
    prediction = Prediction(bad, {bad: 0.9, "b": 0.1}, bad, 1.0, {bad: MAPS["glioma"]})
    page = report(prediction, facts={bad: bad}, shown_class=bad, version=bad)
    assert "<script" not in page and "<img src=http" not in page
    assert html.escape(bad) in page


def test_it_asks_for_nothing_and_runs_nothing():
    page = report()
    assert not re.search(r"<(script|link|iframe|object|form)|javascript:|\bon\w+=|@import|url\(|https?://", page)
    assert "default-src 'none'" in page
    assert all(source.startswith("data:") for source in re.findall(r'src="([^"]+)', page))


def test_a_large_picture_is_reduced_and_the_callers_stays_as_it_is():
    image = Image.new("RGB", (4000, 1000), (90, 90, 90))
    page = report(image=image)
    assert image.size == (4000, 1000)
    assert all(picture.size == (LONGEST_SIDE, LONGEST_SIDE // 4) for picture in pictures(page))


def long_names() -> Prediction:
    confidences = {f"{i} of the many kinds of {'long ' * 20}": 0.1 for i in range(10)}
    return Prediction(next(iter(confidences)), confidences, next(iter(confidences)), 1.0)


@pytest.mark.browser
@pytest.mark.parametrize(
    "prediction, facts, size",
    [
        (MENINGIOMA, FACTS, (256, 256)),
        (MENINGIOMA, {f"A rather long name {i}": "long words " * 30 for i in range(40)}, (200, 600)),
        (MENINGIOMA, {f"Fact {i}": "x" * 33 for i in range(40)}, (600, 200)),
        (long_names(), {"Sequence": "W" * 500}, (256, 256)),
        (STRANGE, {}, (256, 256)),
    ],
)
def test_it_is_one_page_of_a4_whatever_is_in_it(browser, prediction, facts, size):
    page = browser.new_page()
    version = "somebody-with-a-long-name/" + "a-model-with-a-long-name-" * 3 + ", 3f2a9c1"
    page.set_content(report(prediction, SCAN.resize(size), facts, prediction.label, version))
    printed = page.pdf(prefer_css_page_size=True, print_background=True)
    page.close()
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1
    width, height = (float(n) for n in re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", printed).groups())
    assert (width, height) == pytest.approx((595, 842), abs=1)


@pytest.mark.browser
def test_the_report_on_a_series_with_all_that_can_be_said_is_one_page(browser):
    page = browser.new_page()
    page.set_content(series_report("." * 60 + "g" * 20, 70, weaknesses=[WEAK, Weakness("CT", "modality")]))
    printed = page.pdf(prefer_css_page_size=True, print_background=True)
    page.close()
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1


@pytest.mark.browser
@pytest.mark.parametrize("width", [375, 794, 1440])
def test_nothing_sticks_out_of_the_page_on_any_screen(browser, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.set_content(report(facts=FACTS | {"Sequence": "t1_" * 30}))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = page.evaluate(
        "[...document.querySelectorAll('td, th, dd, p')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
    )
    page.close()
    assert cut == 0


def test_it_is_called_by_date_and_verdict_and_holds_the_notes_and_no_name_unless_that_is_wanted():
    upload = Upload("ERIKA.nii", "picture", [Slice(SCAN, "")], FACTS, ["One slice of 189; the others were not judged."])
    judged, date = JudgedUpload(upload, [MENINGIOMA], None), datetime.date(2031, 2, 3)
    assert file_name(judged, date, "html") == "brain-mri-2031-02-03-meningioma.html"
    odd = dataclasses.replace(MENINGIOMA, verdict="../a b")
    assert file_name(JudgedUpload(upload, [odd], None), date, "png") == "brain-mri-2031-02-03----a-b.png"
    for named in (False, True):
        text = words(html_report(judged, 0, SCAN, version="m", date=date, shown_class=None, named=named))
        assert "One slice of 189; the others were not judged." in text
        assert ("ERIKA.nii" in text) == named == ("This page names neither file nor patient." not in text)
