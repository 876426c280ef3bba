"""The tab "About" in a real browser: sentences first, everything else folded, at every width."""

import json
import re

import pytest

from tests.browsing import CONTRAST, expect
from tests.serving import ROOT

pytestmark = pytest.mark.browser

WIDTHS = [{"viewport": {"width": width, "height": 900}} for width in (375, 768, 1440)]


def open_about(page):
    page.get_by_role("tab", name="About").click()
    about = page.locator("#about")
    expect(about.get_by_role("heading", name="How well it does")).to_be_visible()
    return about


def open_folds(about):
    """Opens them all; what is folded is drawn only then."""
    for fold in about.locator("button[aria-expanded], button.label-wrap").all():
        fold.click()
    expect(about.get_by_role("columnheader", name="right type")).to_be_visible()
    expect(about.locator("img")).to_have_count(5)


def test_about_begins_with_five_sentences_of_what_they_rest_on_then_makers_citation_and_contact(page):
    about = open_about(page)
    titles = about.get_by_role("heading", level=2).all_inner_texts()
    assert titles[:4] == ["How well it does", "What it is, and who made it from what", "How to cite", "Contact"]
    lines = about.locator("#scorecard li")
    expect(lines).to_have_count(5)
    for line in lines.all():
        expect(line.get_by_role("heading", level=3)).to_be_visible()
        expect(line.locator("small")).to_have_text(re.compile(r"\d+ slices of (up to )?\d+ patients"))
    results = json.loads((ROOT / "model" / "results.json").read_text())
    for name in results["datasets"]:
        expect(about.get_by_role("cell", name=name, exact=True)).to_be_visible()
    expect(about.locator("pre")).to_contain_text("@software{")


def test_headings_go_down_one_level_at_a_time_with_all_folds_open(page):
    about = open_about(page)
    open_folds(about)
    page.wait_for_timeout(500)
    levels = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3, h4, h5')].filter(h => h.checkVisibility()).map(h => +h.tagName[1])"
    )
    assert levels[0] == 1 and max(levels) <= 3
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False)), levels


@pytest.mark.parametrize("page", WIDTHS, indirect=True, ids=lambda options: str(options["viewport"]["width"]))
def test_nothing_is_wider_than_the_screen_and_the_figures_are_folded_until_asked_for(page):
    about, width = open_about(page), page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    kinds = about.get_by_role("columnheader", name="right type")
    expect(kinds).not_to_be_visible()
    expect(about.locator("img")).to_have_count(0)
    open_folds(about)
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    outside = about.evaluate(
        """about => [...about.querySelectorAll("h2, h3, p, li, img, button")].filter(e => {
            const box = e.getBoundingClientRect()
            return e.checkVisibility() && !e.closest("table, pre") && (box.left < 0 || box.right > innerWidth + 1)
        }).map(e => e.outerHTML.slice(0, 100))"""
    )
    assert outside == []


@pytest.mark.parametrize("page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=str)
def test_text_of_about_stands_out_with_all_folds_open(page):
    about = open_about(page)
    open_folds(about)
    page.mouse.move(0, 0)
    page.wait_for_timeout(700)
    measured = page.evaluate(CONTRAST)
    assert len(measured) > 200
    assert [m for m in measured if m["ratio"] < m["needed"]] == []
