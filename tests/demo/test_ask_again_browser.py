"""The button "Ask it again" as a visitor sees it: a chart on request, of the slice that is shown, in the report too."""

import re
import shutil
from pathlib import Path

import pytest

from brain_tumor.answers.asked_again import NAMES
from brain_tumor.inference.asking import Guise
from brain_tumor.inference.classifier import Classifier
from tests.serving import EXAMPLES, page_in_this_process, photograph, stretch_volume

pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
if shutil.which("chromium") is None:
    pytest.skip("needs Debian's browser: apt-get install chromium", allow_module_level=True)

expect = sync_api.expect
WAIT = 60_000  # milliseconds


@pytest.fixture
def open_page(browser):
    """Opens a page of a demo; at the end it is closed, and has logged no error."""
    contexts, errors = [], []

    def open_one(url: str, **options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        expect(page.get_by_role("tab", name="One scan")).to_be_visible(timeout=WAIT)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not errors


def give(page, path: Path) -> None:
    page.locator("#scan input[type=file]").set_input_files(str(path))


def button(page):
    return page.get_by_role("button", name="Ask it again")


def chart(page):
    return page.locator("#asked .asked")


def report(page) -> str:
    name = re.compile("Download the report")
    with page.expect_download() as download:
        page.get_by_role("link", name=name).or_(page.get_by_role("button", name=name)).first.click()
    return Path(download.value.path()).read_text()


@pytest.mark.parametrize(("width", "scheme"), [(375, "dark"), (1440, "light")])
def test_one_click_shows_the_chart_and_puts_it_into_the_report(width, scheme, demo, open_page):
    page = open_page(demo.url, viewport={"width": width, "height": 900}, color_scheme=scheme)
    give(page, EXAMPLES / "meningioma.png")
    expect(button(page)).to_be_visible(timeout=WAIT)
    expect(chart(page)).to_have_count(0)
    assert "Asked again" not in report(page)
    button(page).click()
    expect(chart(page).locator("li")).to_have_count(len(Guise), timeout=WAIT)
    expect(chart(page)).to_be_in_viewport()
    for name, row in zip(NAMES.values(), chart(page).locator("li").all(), strict=True):
        expect(row).to_contain_text(re.compile(rf"{re.escape(name)}\s*[<>]?\d+(\.\d+)? %"))
        expect(row.get_by_role("img")).to_have_accessible_name(re.compile("^The slice: "))
    share = page.locator("#share .ends b").first.inner_text()
    expect(chart(page).locator("li").first.locator("b")).to_have_text(share)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#asked").get_attribute("role") == "status", "it is read out"
    asked = report(page)
    assert "Asked again" in asked and asked.count('alt="The slice: ') == len(Guise)
    page.get_by_label("Show the heat map").click()
    expect(page.locator("#picture")).not_to_be_visible()
    expect(chart(page).locator("li")).to_have_count(len(Guise))
    page.get_by_role("button", name="Another scan").click()
    expect(chart(page)).to_have_count(0)
    give(page, EXAMPLES / "no_tumor.png")
    expect(button(page)).to_be_visible(timeout=WAIT)
    expect(chart(page)).to_have_count(0)
    button(page).click()
    expect(chart(page).locator("li")).to_have_count(len(Guise) - 2, timeout=WAIT)  # there is nothing to be covered


def test_of_a_volume_the_slice_that_is_shown_is_asked_and_its_chart_goes_with_it(demo, open_page, tmp_path):
    page = open_page(demo.url)
    give(page, stretch_volume(tmp_path / "volume.nii"))
    number = page.locator("#slice input[type=number]")
    expect(number).to_be_visible(timeout=WAIT)
    shown = int(number.input_value())
    button(page).click()
    expect(chart(page)).to_contain_text(f"Asked again: slice {shown}", timeout=WAIT)
    assert f"Asked again: slice {shown}" in report(page)
    number.fill(str(shown - 1))
    number.press("Enter")
    expect(chart(page)).to_have_count(0, timeout=WAIT)
    expect(page.locator("#slice-words")).to_contain_text(f"Slice {shown - 1}")
    assert "Asked again" not in report(page)
    button(page).click()
    expect(chart(page)).to_contain_text(f"Asked again: slice {shown - 1}", timeout=WAIT)


def test_what_is_no_brain_mri_is_asked_only_where_it_is_shown_anyway(demo, open_page, tmp_path):
    page = open_page(demo.url)
    photograph().save(tmp_path / "flower.png")
    give(page, tmp_path / "flower.png")
    expect(page.get_by_role("button", name="Show it anyway")).to_be_visible(timeout=WAIT)
    expect(button(page)).not_to_be_visible()
    page.get_by_role("button", name="Show it anyway").click()
    button(page).click(timeout=WAIT)
    expect(chart(page)).to_be_visible(timeout=WAIT)


def test_a_scan_that_is_cleared_while_it_is_asked_leaves_no_chart_and_no_error(demo, open_page):
    page = open_page(demo.url)
    give(page, EXAMPLES / "glioma.png")
    button(page).click(timeout=WAIT)
    page.get_by_role("button", name="Another scan").click()
    page.wait_for_timeout(3000)
    expect(page.get_by_test_id("toast-text")).to_have_count(0)
    expect(page.locator("#verdict h2")).to_have_text("No scan yet")


def test_nothing_is_asked_before_the_click_and_then_all_in_one_call(model_id, browser, tmp_path, monkeypatch):
    calls, predict = [], Classifier.predict
    monkeypatch.setattr(Classifier, "predict", lambda self, slices: calls.append(len(slices)) or predict(self, slices))
    with page_in_this_process(model_id, tmp_path / "cache") as demo:
        page = browser.new_page()
        page.goto(demo.url)
        expect(page.locator("#scan input[type=file]")).to_be_attached(timeout=WAIT)
        calls.clear()
        give(page, EXAMPLES / "glioma.png")
        expect(button(page)).to_be_visible(timeout=WAIT)
        assert calls == [1]
        button(page).click()
        expect(chart(page).locator("li")).to_have_count(len(Guise), timeout=WAIT)
        assert calls == [1, len(Guise) - 1]
        page.close()
