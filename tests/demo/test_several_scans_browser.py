"""The overview of several scans in a real browser: it sorts, filters, opens scans, and says what is old."""

import csv
import io
import re
import zipfile

import numpy as np
import pytest
from PIL import Image

from brain_tumor.answers.scan_rows import ScanRow
from brain_tumor.demo.scan_table import FIRST_ROWS, TableRow, table_html
from brain_tumor.reading.uploads import MAX_FILES
from tests.browsing import (
    downloaded,
    expect,
    expect_all_four_confidences,
    look_at,
    shown_picture,
)
from tests.serving import EXAMPLES, bad_files, photograph, template_volume, zipped_series

pytestmark = pytest.mark.browser

NAMES = ("pituitary", "glioma", "no_tumor", "meningioma")


def names(page) -> list[str]:
    """Of the rows that are seen, from the top."""
    return page.locator("#table tbody:visible th").all_inner_texts()


def heading(page, name: str):
    return page.get_by_role("columnheader", name=name)


def probabilities(page) -> list[float]:
    keys = page.locator("#table td[data-name='Tumor probability']").evaluate_all(
        "cells => cells.map(c => c.dataset.key)"
    )
    return [float(key) for key in keys]


def test_the_table_sorts_by_a_click_on_a_heading_and_by_keyboard(page):
    look_at(page, [EXAMPLES / f"{name}.png" for name in NAMES])
    expect(page.locator("#table tbody")).to_have_count(4)
    assert names(page) == [f"{name}.png" for name in NAMES], "as they came"
    name = heading(page, "Name")
    expect(name).to_have_attribute("aria-sort", "none")
    name.get_by_role("button").click()
    assert names(page) == ["glioma.png", "meningioma.png", "no_tumor.png", "pituitary.png"]
    expect(name).to_have_attribute("aria-sort", "ascending")
    page.keyboard.press("Enter")  # the focus is on the heading
    assert names(page) == ["pituitary.png", "no_tumor.png", "meningioma.png", "glioma.png"]
    expect(name).to_have_attribute("aria-sort", "descending")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(heading(page, "Tumor probability").get_by_role("button")).to_be_focused()
    page.keyboard.press("Space")
    shown = probabilities(page)
    assert shown == sorted(shown, reverse=True), "the highest first"
    expect(heading(page, "Tumor probability")).to_have_attribute("aria-sort", "descending")
    expect(name).to_have_attribute("aria-sort", "none")
    page.get_by_role("button", name="More about glioma.png").click()
    name.get_by_role("button").click()
    more = page.locator("#table tbody", has=page.get_by_text("glioma.png", exact=True)).locator("dl")
    expect(more).to_be_visible()
    expect(more).to_contain_text("The model puts the probability of any tumor at")


def test_verdicts_are_counted_and_a_count_or_a_name_chooses_rows(page, tmp_path):
    (tmp_path / "letter.jpg").write_bytes(bad_files()["text.jpg"])
    photograph().save(tmp_path / "flower.jpg")
    look_at(page, [tmp_path / "letter.jpg", tmp_path / "flower.jpg", *(EXAMPLES / f"{name}.png" for name in NAMES)])
    counts = page.get_by_role("group", name="Verdicts").get_by_role("button")
    expect(counts).to_have_text(["3 tumor", "1 no tumor", "1 not sure that it is a brain MRI", "1 unreadable"])
    counts.first.focus()
    page.keyboard.press("Enter")
    expect(counts.first).to_have_attribute("aria-pressed", "true")
    assert names(page) == ["pituitary.png", "glioma.png", "meningioma.png"]
    find = page.get_by_label("Find a name")
    find.fill("GLIO")
    assert names(page) == ["glioma.png"]
    counts.nth(1).click()
    assert names(page) == []
    expect(page.get_by_role("status").filter(has_text="No scan of the table is like this.")).to_be_visible()
    counts.nth(1).click()
    find.fill("")
    assert len(names(page)) == 6
    reason = page.locator("#table tbody", has_text="letter.jpg").locator("small")
    expect(reason).to_contain_text("not a scan")
    table = list(csv.DictReader(io.StringIO(downloaded(page, "Download the table"))))
    verdicts = {row["File"]: row["Verdict"] for row in table}
    assert verdicts["flower.jpg"] == "Not sure that this is a brain MRI"
    assert page.locator("#table tbody", has_text="flower.jpg").locator("b").inner_text() == verdicts["flower.jpg"]


def test_of_thousands_of_rows_the_first_are_shown_and_all_are_sorted_and_found(page):
    rows = [TableRow(ScanRow(f"IM{place:04d}.dcm", "tumor", "Glioma")) for place in range(MAX_FILES)]
    # A table as it would come; to upload and judge as many files would take minutes.
    page.evaluate(
        "html => document.body.insertAdjacentHTML('afterbegin', `<div id=table>${html}</div>`)", table_html(rows)
    )
    assert names(page) == [row.row.name for row in rows[:FIRST_ROWS]]
    heading(page, "Name").get_by_role("button").click()
    heading(page, "Name").get_by_role("button").click()
    assert names(page) == [row.row.name for row in rows[: -FIRST_ROWS - 1 : -1]]
    page.get_by_label("Find a name").fill("0042")
    assert names(page) == ["IM0042.dcm"]
    every = page.get_by_role("button", name="Show all")
    expect(every).not_to_be_visible()
    page.get_by_label("Find a name").fill("")
    every.click()
    expect(page.locator("#table tbody:visible")).to_have_count(MAX_FILES)
    expect(every).to_have_count(0)


def test_a_row_opens_its_scan_with_its_answer_by_click_and_by_key_and_there_is_a_way_back(page, tmp_path):
    look_at(page, [zipped_series(tmp_path), EXAMPLES / "glioma.png"])
    verdict, back = page.locator("#verdict h2"), page.get_by_role("button", name="Back to the table")
    glioma = page.get_by_role("button", name="glioma.png", exact=True)
    page.locator("#table tr", has_text="glioma.png").locator("td").nth(1).click()  # anywhere on the row
    expect(verdict).to_have_text("Looks like: glioma", timeout=15_000)
    expect_all_four_confidences(page)
    assert shown_picture(page) == list(Image.open(EXAMPLES / "glioma.png").size)
    expect(page.locator("#map")).to_be_visible()
    expect(back).to_be_focused()
    page.keyboard.press("Enter")
    expect(glioma).to_be_focused()
    assert len(names(page)) == 2
    series = page.get_by_role("button", name=re.compile("^series.zip"))
    series.focus()
    page.keyboard.press("Enter")
    expect(verdict).to_have_text(page.locator("#volume-verdict h2").inner_text(), timeout=15_000)
    expect(page.locator("#slice-words")).to_contain_text("of 12, the one with the highest tumor probability")
    page.locator("#slice input[type=range]").fill("3")
    expect(page.locator("#slice-words h3")).to_contain_text("Slice 3 of", timeout=15_000)
    page.wait_for_timeout(1500)
    assert "Slice 3 of 12" in downloaded(page, "Download the report")
    page.get_by_role("button", name="Thumbnail 2").click()
    expect(verdict).to_have_text("Looks like: glioma", timeout=15_000)
    expect(back).not_to_be_visible()


def test_results_of_other_files_or_another_plane_are_marked_as_old(page, demo, tmp_path):
    look_at(page, [zipped_series(tmp_path), EXAMPLES / "glioma.png"])
    old = page.get_by_role("status").filter(has_text="Old results.")
    headline = page.locator("#volume-verdict h2")
    seen = "heading => getComputedStyle(heading, '::before').content"
    expect(old).to_have_count(0)
    plane = page.locator("#plane")
    plane.get_by_label("Coronal").check()
    expect(old).to_be_visible()
    expect(old).to_contain_text("Press “Classify” for new results.")
    assert headline.evaluate(seen) == '"Old: "'
    for part in ("#table", "#volume"):
        assert page.locator(part).evaluate(
            """part => {
                while (part && getComputedStyle(part).filter === "none") part = part.parentElement
                return !!part
            }"""
        ), part
    plane.get_by_label("Best resolution").check()
    expect(old).to_have_count(0)
    assert headline.evaluate(seen) == "none"
    page.locator("#files input[type=file]").set_input_files(str(EXAMPLES / "no_tumor.png"))
    expect(page.locator("#files tr.file")).to_have_count(3, timeout=15_000)
    expect(old).to_be_visible()
    (uploaded,) = demo.cache.rglob("no_tumor.png")
    uploaded.rename(tmp_path / "elsewhere.png")
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_test_id("toast-text")).to_contain_text("was deleted", timeout=15_000)
    page.wait_for_timeout(500)
    expect(old).to_be_visible()  # there are no new ones
    (tmp_path / "elsewhere.png").rename(uploaded)
    page.get_by_role("button", name="Classify").click()
    expect(page.locator("#table tbody")).to_have_count(3, timeout=60_000)
    expect(old).to_have_count(0)
    page.locator("#files").get_by_label("Remove this file").last.click()
    expect(page.locator("#files tr.file")).to_have_count(2)
    expect(old).to_be_visible()


def test_of_two_batches_that_wait_each_is_held_against_what_it_was_asked_of(page, tmp_path):
    page.get_by_role("tab", name="Several scans").click()
    page.locator("#files input[type=file]").set_input_files([EXAMPLES / f"{name}.png" for name in NAMES])
    expect(page.locator("#files tr.file")).to_have_count(4, timeout=15_000)
    page.get_by_role("button", name="Classify").click()
    page.get_by_role("button", name="Try an example volume").locator("visible=true").click()
    expect(page.locator("#summary")).to_contain_text("1 scan was read", timeout=60_000)
    page.wait_for_timeout(500)
    expect(page.get_by_role("status").filter(has_text="Old results.")).to_have_count(0)


def test_what_is_cropped_from_a_scan_of_a_zip_is_called_a_part_of_it(page, tmp_path):
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.write(EXAMPLES / "glioma.png", "a/glioma.png")
        archive.write(EXAMPLES / "no_tumor.png", "a/no_tumor.png")
    look_at(page, [tmp_path / "two.zip"])
    page.locator("#table [data-open]").first.click()
    page.get_by_role("button", name="Crop the picture").click()
    page.get_by_role("button", name="Use this part").click()
    expect(page.locator("#given img")).to_have_attribute("title", "part of glioma.png", timeout=15_000)


@pytest.mark.parametrize("tab", ["Several scans", "One scan"])
def test_an_example_volume_is_one_click_away(tab, page):
    page.get_by_role("tab", name=tab).click()
    page.get_by_role("button", name="Try an example volume").filter(visible=True).click()
    verdict = page.locator("#volume-verdict h2" if tab == "Several scans" else "#verdict h2")
    expect(verdict).to_have_text("No tumor seen", timeout=60_000)
    if tab == "One scan":
        expect(page.locator("#slice-words")).to_contain_text("of 32")
    else:
        assert names(page) == ["average_brain.nii.gz"]
        expect(page.get_by_text("Old results.")).to_have_count(0)


def test_a_picture_of_the_gallery_opens_at_full_size_within_the_screen(page, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (900, 1300), np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    look_at(page, [EXAMPLES / "glioma.png", tmp_path / "large.png"])
    thumbnail = page.get_by_role("button", name="Thumbnail 2 of 2: large.png: ")
    thumbnail.focus()
    page.keyboard.press("Enter")
    opened, preview = page.get_by_test_id("detailed-image"), page.get_by_role("dialog")
    expect(opened).to_be_in_viewport(ratio=1)
    assert opened.evaluate("i => i.decode().then(() => [i.naturalWidth, i.naturalHeight])") == [1300, 900]
    file = page.request.get(opened.get_attribute("src")).body()
    assert (np.asarray(Image.open(io.BytesIO(file)).convert("L")) == noise).all()
    box = preview.bounding_box()
    assert (box["x"], box["y"], box["width"], box["height"]) == (0, 0, 1280, 900)
    for _ in range(12):
        page.keyboard.press("Tab")
        assert preview.evaluate("preview => preview.contains(document.activeElement)"), "the keyboard stays in it"
    preview.get_by_role("button", name="Thumbnail 2").focus()
    page.keyboard.press("ArrowLeft")
    expect(opened).to_have_attribute("alt", re.compile("^glioma.png"))
    page.keyboard.press("Escape")
    expect(preview).to_have_count(0)
    expect(page.get_by_role("button", name="Thumbnail 1 of 2: glioma.png: ")).to_be_focused()


@pytest.mark.parametrize(
    "page", [{"viewport": {"width": w, "height": 900}} for w in (375, 768, 1440)], indirect=True, ids=str
)
def test_nothing_of_the_table_is_cut_and_no_word_is_broken(page, tmp_path):
    (tmp_path / "letter.jpg").write_bytes(bad_files()["text.jpg"])
    look_at(page, [template_volume(tmp_path / "volume.nii.gz"), EXAMPLES / "glioma.png", tmp_path / "letter.jpg"], 120)
    page.get_by_role("button", name="More about glioma.png").click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    cut = page.locator("#table").evaluate(
        """table => [...table.querySelectorAll("th, td, button, dd, input")].filter(part => {
            const box = part.getBoundingClientRect()
            return box.width && (box.left < 0 || box.right > innerWidth || part.scrollWidth > part.clientWidth + 1)
                && !part.matches(".unseen, :has(> .unseen)")
        }).map(part => part.outerHTML.slice(0, 120))"""
    )
    assert cut == []
    broken = page.locator("#table").evaluate(
        """table => [...table.querySelectorAll("thead button, td b, td[data-name]")].filter(part => {
            const text = document.createRange(), line = parseFloat(getComputedStyle(part).lineHeight)
            text.selectNodeContents(part)
            const words = part.innerText.trim().split(/[\\s-]+/).length + 2
            return text.getBoundingClientRect().height > (words + 0.5) * line
        }).map(part => part.innerText)"""
    )
    assert broken == []
