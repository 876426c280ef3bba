"""The chart of a slice that was asked again says by text what it shows by bars, and needs nothing else."""

import dataclasses
import html
import re

import numpy as np
import pytest
from PIL import Image

from brain_tumor.answers.asked_again import NAMES, chart
from brain_tumor.inference.asking import Asked, Guise
from brain_tumor.inference.verdict import Thresholds
from brain_tumor.inference.weaknesses import Weakness
from tests.answers.test_report import MENINGIOMA, SCAN, STRANGE, WEAK, report, series_report, words

PICTURES = {guise: Image.new("RGB", (96, 128), (20 * place,) * 3) for place, guise in enumerate(Guise)}
PROBABILITIES = dict(zip(Guise, np.linspace(0.995, 0.05, len(Guise)).tolist(), strict=True))
OF_KIND = {guise: probability / 2 for guise, probability in PROBABILITIES.items()}
ASKED = Asked(PROBABILITIES, PICTURES, "meningioma", OF_KIND, True)


def test_each_guise_has_a_name_a_number_a_bar_and_a_picture():
    drawn = chart(ASKED, Thresholds(0.9, 0.4), "slice 7")
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", drawn)).split())
    for name, shown in zip(
        NAMES.values(), (">99 %", "86 %", "73 %", "59 %", "46 %", "32 %", "19 %", "5 %"), strict=True
    ):
        assert f"{name} {shown}" in text
    assert "Asked again: slice 7" in text and "the heat map for Meningioma" in text
    assert "no tumor at 10 % or less, a tumor at 40 % or more" in text
    widths = [float(width) for width in re.findall(r'<span style="width: ([\d.]+)%">', drawn)]
    for share, (own, others) in zip(PROBABILITIES.values(), zip(widths[::2], widths[1::2], strict=True), strict=True):
        assert own == others == pytest.approx(50 * share, abs=0.06), "the tumor in question, and the others"
    assert "Mirrored 86 % Meningioma 43 %" in text
    assert re.findall(r'<i style="left: ([\d.]+)%">', drawn) == ["10.00", "40.00"] * len(Guise)
    alts = re.findall(r'<img src="data:image/jpeg;base64,[^"]+" alt="([^"]+)"', drawn)
    assert len(set(alts)) == len(Guise) and "The slice: marked region covered" in alts


@pytest.mark.parametrize(
    ("rests", "said"),
    [
        (True, "The answer rests on the marked region. Meningioma: 50 % as it is, 9 % with the region covered."),
        (False, "The answer hardly depends on the marked region: distrust it. Meningioma: 50 % as it is, 9 %"),
        (None, ""),
    ],
)
def test_what_the_answer_rests_on_is_said_with_its_numbers(rests, said):
    drawn = chart(dataclasses.replace(ASKED, rests=rests), Thresholds(0.9, 0.4))
    assert said in " ".join(html.unescape(re.sub(r"<[^>]+>", " ", drawn)).split()).replace("  ", " ")
    assert ("marked region" in drawn.partition("<ul")[0]) == (rests is not None)


def test_where_nothing_is_covered_or_nothing_is_known_of_thresholds_nothing_is_said_of_them():
    some = list(Guise)[:6]
    few = Asked({g: PROBABILITIES[g] for g in some}, {g: PICTURES[g] for g in some}, None, {})
    drawn = chart(few, None)
    assert drawn.count("<li>") == 6 and "marked region" not in drawn.lower() and "Marks in the bars" not in drawn


def test_the_report_holds_the_chart_of_a_slice_that_was_asked_again_and_of_no_other():
    assert "Asked again" not in words(report())
    page = report(asked=ASKED)
    assert page.count('alt="The slice: ') == len(Guise)
    assert "Mirrored 86 %" in words(page) and "<h2>Asked again</h2>" in page
    assert "Asked again" not in words(report(STRANGE, asked=ASKED))


@pytest.mark.browser
def test_the_report_with_the_chart_is_one_page_and_fits_a_phone(browser):
    page = browser.new_page(viewport={"width": 375, "height": 800})
    facts = {f"A rather long name {i}": "long words " * 30 for i in range(40)}
    longest = dataclasses.replace(ASKED, kind="pituitary", rests=False)
    page.set_content(report(MENINGIOMA, SCAN, facts, asked=longest))
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    printed = page.pdf(prefer_css_page_size=True, print_background=True)
    page.set_content(
        series_report("." * 60 + "g" * 20, 70, weaknesses=[WEAK, Weakness("CT", "modality")], asked=longest)
    )
    of_series = page.pdf(prefer_css_page_size=True, print_background=True)
    page.close()
    assert [len(re.findall(rb"/Type\s*/Page\b", one)) for one in (printed, of_series)] == [1, 1]
