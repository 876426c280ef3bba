"""The demo as a visitor sees it: clicks, uploads and pastes in a real browser."""

import base64
import csv
import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from brain_tumor.demo.examples import PUBLIC_SCANS
from brain_tumor.labels import DISPLAY_NAMES, LABELS
from tests.browsing import (
    CONTRAST,
    confidences,
    downloaded,
    expect,
    expect_all_four_confidences,
    look_at,
    pixels,
    put_on_clipboard,
    shown_picture,
    upload,
)
from tests.scan_files import HEAD, dicom, nifti, volume
from tests.serving import (
    EXAMPLES,
    ROOT,
    bad_files,
    deep_values,
    dicom_series,
    photograph,
    stretch_volume,
    template_volume,
    zipped_series,
)

pytestmark = pytest.mark.browser

TABS = ("One scan", "Several scans", "About")


def test_a_visitor_who_clicks_an_example_sees_a_verdict_four_confidences_and_the_note(page):
    expect(page.get_by_text("Not a medical device.").first).to_be_visible()
    page.get_by_role("button", name="Thumbnail 2").click()
    expect_all_four_confidences(page)
    assert min(shown_picture(page)) > 0
    verdict = page.locator("#verdict")
    expect(verdict.get_by_role("heading")).to_have_text(
        re.compile("^(Looks like: (glioma|meningioma|pituitary tumor)|No tumor seen|Uncertain: needs a specialist)$")
    )
    sentence, next_step, numbers = verdict.locator("p").all()
    for words in (sentence, next_step):
        expect(words).to_have_text(re.compile(r"^[^\d]+\.$"))
    expect(numbers).not_to_be_visible()
    verdict.get_by_text("The numbers").click()
    expect(numbers).to_have_text(re.compile(r"\d+ %.*\.$"))
    expect(page.locator("#glossary p")).to_have_count(3)
    share = page.get_by_role("img", name=re.compile(r"Any tumor [<>]?[\d.]+ %, no tumor [<>]?[\d.]+ %"))
    expect(share).to_be_visible()
    facts = page.locator("#facts")
    expect(facts).to_contain_text("256 x 256")
    expect(facts).to_contain_text("PNG")
    expect(page.get_by_text("Not a medical device.").first).to_be_visible()


def test_a_bad_file_shows_its_sentence_and_the_next_scan_is_classified(page, tmp_path):
    page.get_by_role("button", name="Thumbnail 1").click()
    expect_all_four_confidences(page)
    (tmp_path / "letter.jpg").write_bytes(bad_files()["text.jpg"])
    upload(page, tmp_path / "letter.jpg")
    expect(page.locator(".toast-body").first).to_contain_text("not a scan", timeout=15_000)
    expect(confidences(page)).to_have_count(0)
    expect(page.locator("#original img")).to_have_count(0)
    upload(page, EXAMPLES / "glioma.png")  # the panel is ready for another file
    expect_all_four_confidences(page)


@pytest.mark.slow
def test_a_bad_file_leaves_nothing_of_the_scan_before_it(page, tmp_path):
    page.get_by_role("button", name="Thumbnail 1").click()
    expect_all_four_confidences(page)
    (tmp_path / "empty.png").write_bytes(b"")
    upload(page, tmp_path / "empty.png")
    expect(page.locator(".toast-body").first).to_contain_text("empty", timeout=15_000)
    expect(page.locator("#verdict")).to_contain_text("No scan yet")
    expect(page.locator("#report")).not_to_be_visible()


def test_another_scan_goes_back_to_the_start_and_the_same_example_can_be_clicked_again(page):
    page.get_by_role("button", name="Thumbnail 3").click()
    expect_all_four_confidences(page)
    page.get_by_role("button", name="Another scan").click()
    expect(confidences(page)).to_have_count(0)
    expect(page.locator("#verdict")).to_contain_text("No scan yet")
    expect(page.get_by_role("button", name="Another scan")).not_to_be_visible()
    expect(page.locator("#scan").get_by_label("Click to Upload")).to_be_focused()
    expect(page.locator("#examples .selected")).to_have_count(0)
    page.get_by_role("button", name="Thumbnail 3").click()
    expect_all_four_confidences(page)
    expect(page.locator("#examples .selected")).to_have_count(1)
    upload(page, EXAMPLES / "meningioma.png")
    expect(page.locator("#examples .selected")).to_have_count(0)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_a_16_bit_picture_is_shown_as_the_model_sees_it(suffix, page, tmp_path):
    Image.fromarray(deep_values()).save(tmp_path / f"deep.{suffix}")
    upload(page, tmp_path / f"deep.{suffix}")
    expect_all_four_confidences(page)
    assert shown_picture(page) == [256, 256]
    assert "deep" not in page.locator("#original img").get_attribute("src"), "the page shows the windowed picture"
    white = (pixels(page) == 255).all(axis=-1).mean()
    assert white < 0.1, "16-bit scans must not be clipped to white"
    expect(page.locator("#facts")).to_contain_text("16")


@pytest.mark.parametrize("by", [pytest.param("button", marks=pytest.mark.slow), "keys"])
def test_a_picture_from_the_clipboard_is_classified(by, page):
    put_on_clipboard(page, EXAMPLES / "meningioma.png")
    if by == "button":
        page.get_by_role("button", name="Paste from clipboard").click()
    else:
        page.keyboard.press("Control+V")
    expect_all_four_confidences(page)


def drop(page, paths, where: str) -> None:
    """Drops files on an element."""
    files = [[path.name, base64.b64encode(path.read_bytes()).decode()] for path in paths]
    transfer = page.evaluate_handle(
        """files => {
            const transfer = new DataTransfer()
            for (const [name, content] of files) {
                const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0))
                transfer.items.add(new File([bytes], name))
            }
            return transfer
        }""",
        files,
    )
    taken = page.locator(where).evaluate(
        """(where, dataTransfer) => ["dragover", "drop"].map(
            type => !where.dispatchEvent(new DragEvent(type, {dataTransfer, bubbles: true, cancelable: true}))
        )""",
        transfer,
    )
    assert taken == [True, True], "the browser would leave the page for the file"


def scan_of_side(folder: Path, side: int) -> Path:
    """A scan that the page tells from others by its size."""
    Image.open(EXAMPLES / "glioma.png").resize((side, side)).save(folder / f"{side}.png")
    return folder / f"{side}.png"


def expect_side(page, side: int) -> None:
    expect(page.locator("#facts")).to_contain_text(f"{side} x {side}", timeout=30_000)


def test_a_scan_that_is_dropped_or_pasted_anywhere_replaces_the_one_that_is_shown(page, tmp_path):
    first, second, third, fourth = (scan_of_side(tmp_path, side) for side in (201, 202, 203, 204))
    drop(page, [first], "#scan .upload-container")
    expect_side(page, 201)
    drop(page, [second], "#picture")
    expect_side(page, 202)
    put_on_clipboard(page, third)
    page.keyboard.press("Control+V")
    expect_side(page, 203)
    drop(page, [fourth, first], "#intro")
    expect(page.get_by_role("alert").filter(has_text="One scan at a time")).to_be_visible()
    expect_side(page, 204)
    page.get_by_role("tab", name="Several scans").click()
    drop(page, [first], "#intro")  # is not for this tab, and the page stays
    page.get_by_role("tab", name="One scan").click()
    page.wait_for_timeout(500)
    expect_side(page, 204)


def test_a_scan_that_comes_while_another_is_judged_is_the_next(page, tmp_path):
    for side in (201, 202):
        drop(page, [scan_of_side(tmp_path, side)], "body")
    expect_side(page, 202)
    page.wait_for_timeout(1000)
    expect_side(page, 202)


def test_a_paste_that_fails_says_why_and_what_to_do(page):
    told, paste = page.locator("#told"), page.get_by_role("button", name="Paste from clipboard")
    page.evaluate("navigator.clipboard.writeText('no picture')")
    paste.click()
    expect(told).to_have_text("There is no picture on the clipboard. Copy one, or choose its file.")
    page.get_by_role("button", name="Thumbnail 2").click()
    expect_all_four_confidences(page)
    expect(told).not_to_be_visible()
    page.keyboard.press("Control+V")
    expect(told).to_contain_text("There is no picture on the clipboard.")
    page.context.clear_permissions()
    paste.click()
    expect(told).to_contain_text("did not let this page read the clipboard. Press Ctrl+V")
    expect(told).to_be_in_viewport()


def test_a_photograph_gets_a_warning_and_no_label_until_its_visitor_wants_one(page, tmp_path):
    page.get_by_role("button", name="Thumbnail 2").click()
    expect_all_four_confidences(page)
    photograph().save(tmp_path / "flower.jpg")
    upload(page, tmp_path / "flower.jpg")
    expect(page.locator("#verdict")).to_contain_text("Not sure that this is a brain MRI", timeout=15_000)
    expect(confidences(page)).to_have_count(0)
    expect(page.locator("#map")).not_to_be_visible()
    expect(page.locator("#share")).not_to_be_visible()
    colors = pixels(page)
    assert (colors.max(axis=-1) - colors.min(axis=-1)).mean() > 20, "the picture stays what it is"
    expect(page.locator("#verdict")).to_contain_text("crop it to the scan")
    assert "Confidence" not in downloaded(page, "Download the report")
    page.get_by_role("button", name="Show it anyway").click()
    expect_all_four_confidences(page)
    warning, answer = page.locator("#verdict .verdict").all()
    expect(warning).to_contain_text("Not sure that this is a brain MRI")
    expect(answer).to_contain_text("its answer is shown all the same, and may mean nothing")
    expect(page.locator("#share")).to_be_visible()
    expect(page.locator("#map")).to_be_visible()
    expect(page.get_by_role("button", name="Show it anyway")).not_to_be_visible()
    expect(page.get_by_role("button", name="Another scan")).to_be_focused()
    report = downloaded(page, "Download the report")
    assert "its answer is shown all the same" in report and "Confidence" in report
    page.get_by_role("button", name="Thumbnail 2").click()
    expect_all_four_confidences(page)
    expect(page.locator("#map")).to_be_visible()


def test_the_heat_map_stands_beside_the_scan_and_a_row_of_the_confidences_shows_that_of_its_class(page):
    upload(page, EXAMPLES / "glioma.png")
    expect_all_four_confidences(page)
    expect(page.locator("#map")).to_contain_text("not where a tumor ends")
    picture, scan = page.locator("#picture img"), np.asarray(Image.open(EXAMPLES / "glioma.png").convert("RGB"))
    np.testing.assert_array_equal(pixels(page), scan)
    first = pixels(page, "#picture")
    assert (first != scan).any()
    assert (first[scan.max(axis=-1) == 0] == 0).mean() > 0.97, "nothing glows beside the head"
    rows = page.locator("#confidence button")
    expect(rows.first).to_have_attribute("aria-pressed", "true")
    expect(rows.last).to_have_attribute("aria-pressed", "false")
    other = rows.last.inner_text()
    rows.last.focus()
    page.keyboard.press("Enter")
    expect(picture).to_have_attribute("alt", re.compile(f"heat map for {other}"), timeout=10_000)
    expect(rows.last).to_have_attribute("aria-pressed", "true")
    expect(rows.last).to_be_focused()
    assert (pixels(page, "#picture") != first).any()
    page.get_by_label("Show the heat map").uncheck()
    expect(page.locator("#picture")).not_to_be_visible()
    expect(page.locator("#original")).to_be_visible()
    expect(page.locator("#confidence [aria-pressed=true]")).to_have_count(0)
    page.locator("#confidence dl > div").first.click()  # anywhere on the row
    expect(picture).to_have_attribute("alt", re.compile(f"heat map for {rows.first.inner_text()}"), timeout=10_000)
    expect(page.locator("#picture")).to_be_visible()
    np.testing.assert_array_equal(pixels(page, "#picture"), first)


def test_no_map_is_shown_on_no_tumor_until_it_is_asked_for_and_none_is_in_the_report(page):
    page.get_by_role("button", name="Thumbnail 1").click()
    expect(page.locator("#verdict h2")).to_have_text("No tumor seen", timeout=15_000)
    expect(page.locator("#original")).to_be_visible()
    expect(page.locator("#picture")).not_to_be_visible()
    assert "heat map" not in downloaded(page, "Download the report")
    with page.expect_response("**/queue/data*"):
        page.get_by_label("Show the heat map").check()
    expect(page.locator("#picture")).to_be_visible()
    assert "heat map" in downloaded(page, "Download the report")


@pytest.mark.parametrize("page", [{"viewport": {"width": 1440, "height": 900}}], indirect=True)
def test_the_pictures_stand_above_the_fold_with_a_thumbnail_of_what_was_given(page):
    upload(page, EXAMPLES / "glioma.png")
    expect_all_four_confidences(page)
    for picture in ("#original img", "#picture img"):
        expect(page.locator(picture)).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("img", name="Given: glioma.png")).to_be_in_viewport()
    assert page.evaluate("scrollY") == 0


@pytest.mark.slow
def test_a_dicom_file_is_shown_with_what_matters_and_without_its_patient(page, tmp_path):
    paths = dicom_series(tmp_path, slices=4)
    upload(page, paths[2])
    expect(page.locator("#facts")).to_contain_text("MR", timeout=15_000)
    assert min(shown_picture(page)) > 0
    for text in (page.locator("body").inner_text(), downloaded(page, "Download the report")):
        assert "MUSTERMANN" not in text.upper()
        assert "19700101" not in text


def move_to(page, slice_: int) -> None:
    """Moves the slider to a slice, and waits until its words are there."""
    page.locator("#slice input[type=range]").fill(str(slice_))
    expect(page.locator("#slice-words h3")).to_contain_text(f"Slice {slice_} of", timeout=15_000)


def test_a_volume_is_judged_as_a_whole_and_the_slider_shows_what_each_slice_says(page, tmp_path):
    upload(page, stretch_volume(tmp_path / "MUSTERMANN.nii"))
    verdict, words, picture = page.locator("#verdict"), page.locator("#slice-words"), page.locator("#original img")
    expect(verdict.get_by_role("heading")).to_have_text("Looks like: glioma", timeout=60_000)
    expect(verdict.locator("details")).to_contain_text("neighboring slices")
    expect(page.locator("#curve .dot")).to_have_count(14)
    expect(page.locator("#curve-words")).to_contain_text("along 14 slices")
    expect(words).to_contain_text("of 14, the one with the highest tumor probability")
    peak = int(page.locator("#slice input[type=range]").input_value())
    assert 10 <= peak <= 14
    expect_all_four_confidences(page)

    before = picture.get_attribute("src")
    move_to(page, 7)
    expect(words).to_contain_text("By itself: No tumor seen")
    expect(words).not_to_contain_text("highest")
    expect(picture).not_to_have_attribute("src", before)
    expect(picture).to_have_attribute("alt", "Slice 7, as it was read")
    expect(page.locator("#confidence")).to_contain_text("Confidence of slice 7 alone")
    expect(page.locator("#share h3")).to_have_text("Any tumor or none, slice 7 alone")
    expect(verdict.get_by_role("heading")).to_have_text("Looks like: glioma")
    expect(page.locator(".verdict:visible")).to_have_count(1)  # that on the whole
    report = downloaded(page, "Download the report")
    assert report.index("Looks like: glioma") < report.index("Slice 7 of 14")
    assert "all 14 slices together; what follows shows one of them, slice 7. By itself: No tumor seen." in report
    assert "MUSTERMANN" not in report and 'class="verdict tumor"' in report

    move_to(page, peak)
    report = downloaded(page, "Download the report")
    assert f"Slice {peak} of 14, the one with the highest tumor probability" in report
    page.get_by_role("button", name="Thumbnail 2").click()
    expect(page.locator("#slices")).not_to_be_visible(timeout=15_000)
    expect(page.locator("#confidence")).not_to_contain_text("alone")


def test_a_zip_of_a_dicom_series_in_one_scan_is_judged_as_a_whole_with_its_sides_marked(page, tmp_path):
    upload(page, zipped_series(tmp_path))
    expect(page.locator("#verdict").get_by_role("heading")).not_to_have_text("No scan yet", timeout=60_000)
    expect(page.locator("#verdict .caution")).to_contain_text("The file says T1, and nothing of contrast.")
    expect(page.locator("#slice-words")).to_contain_text("of 12, the one with the highest tumor probability")
    move_to(page, 6)
    expect(page.locator("#original img")).to_have_attribute("alt", "Slice 6, as it was read", timeout=15_000)
    shown = pixels(page)
    height, width, _ = shown.shape
    middle = slice(round(0.45 * height), round(0.55 * height))
    assert (shown[middle, : width // 10] > 200).any() and (shown[middle, -width // 10 :] > 200).any(), "R and L"
    for text in (page.locator("body").inner_text(), downloaded(page, "Download the report")):
        assert "MUSTERMANN" not in text.upper()


def test_report_and_picture_are_named_by_date_and_verdict_and_the_file_only_if_its_visitor_wants_it(page, tmp_path):
    scan = Image.open(EXAMPLES / "glioma.png").convert("L")
    scan.save(tmp_path / "MUSTERMANN.tif", save_all=True, append_images=[scan.rotate(3)])
    upload(page, tmp_path / "MUSTERMANN.tif")
    expect_all_four_confidences(page)
    report, name = page.locator("#report"), re.compile(r"^brain-mri-\d{4}-\d\d-\d\d-pages\.(html|png)$")

    def saved(button) -> Path:
        with page.expect_download() as download:
            button.click()
        assert name.match(download.value.suggested_filename)
        return Path(download.value.path())

    text = saved(report).read_text()
    assert "A file of 2 pages: each page is a scan of its own." in text and "MUSTERMANN" not in text
    assert (np.asarray(Image.open(saved(page.locator("#saved")))) == pixels(page, "#picture")).all()
    page.get_by_label("Show the heat map").uncheck()
    page.get_by_label("Name the file in the report").check()
    assert "MUSTERMANN.tif" in saved(report).read_text()
    assert (np.asarray(Image.open(saved(page.locator("#saved"))).convert("RGB")) == pixels(page)).all()


@pytest.mark.slow
def test_the_report_is_one_page_that_needs_nothing_else_and_names_no_file(page, browser, tmp_path):
    shutil.copy(EXAMPLES / "glioma.png", tmp_path / "MUSTERMANN.png")
    upload(page, tmp_path / "MUSTERMANN.png")
    expect_all_four_confidences(page)
    headline = page.locator("#verdict h2").inner_text()
    html = downloaded(page, "Download the report")
    assert "MUSTERMANN" not in html
    (tmp_path / "report.html").write_text(html)
    context = browser.new_context(offline=True)
    report = context.new_page()
    asked = []
    report.on("request", lambda r: asked.append(r.url) if not r.url.startswith(("file:", "data:")) else None)
    report.goto((tmp_path / "report.html").as_uri())
    text = report.locator("body").inner_text()
    assert headline in text
    assert "not a medical device" in text.lower()
    for name in DISPLAY_NAMES.values():
        assert name in text
    sizes = report.locator("img").evaluate_all("images => images.map(i => [i.naturalWidth, i.alt])")
    assert sizes
    assert all(width > 0 and alt for width, alt in sizes)
    assert not asked
    context.close()


def test_scans_of_the_public_dataset_are_fetched_only_when_asked_for(page, hub):
    assert not any("brain-tumour-MRI-scan" in request.path for request in hub.requests)
    hub.stop()
    thumbnails = page.locator("#examples .thumbnail-item")
    before = thumbnails.count()
    page.get_by_role("button", name="Load scans from the public dataset").click()
    expect(page.locator("#about-examples")).to_contain_text("cannot be downloaded now", timeout=15_000)
    assert thumbnails.count() == before
    expect(page.get_by_test_id("toast-text")).to_have_count(0)  # nothing lies over the gallery

    hub.start()
    page.get_by_role("button", name="Load scans from the public dataset").click()
    expect(thumbnails).to_have_count(before + len(PUBLIC_SCANS), timeout=15_000)
    expect(page.get_by_text("Meningioma, says the dataset")).to_be_visible()
    thumbnails.last.click()
    expect_all_four_confidences(page)
    assert min(shown_picture(page)) > 0


def test_several_files_get_a_gallery_a_table_and_a_download_and_a_bad_file_its_reason(page, tmp_path):
    (tmp_path / "letter.jpg").write_bytes(bad_files()["text.jpg"])
    photograph().save(tmp_path / "flower.jpg")
    Image.fromarray(deep_values()).save(tmp_path / "deep.png")
    scans = [EXAMPLES / "no_tumor.png", EXAMPLES / "pituitary.png", tmp_path / "deep.png", tmp_path / "flower.jpg"]
    look_at(page, [tmp_path / "letter.jpg", *scans])
    expect(page.locator("#summary")).to_contain_text("4 of 5 uploads were read")
    expect(page.locator("#gallery .thumbnail-item")).to_have_count(4)
    captions = page.locator("#gallery .caption-label").all_inner_texts()
    assert any("flower.jpg" in caption and "Not sure that this is a brain MRI" in caption for caption in captions)
    assert all(any(path.name in caption for caption in captions) for path in scans)
    expect(page.locator("#volume")).not_to_be_visible()
    table = page.locator("#table")
    expect(table).to_contain_text("letter.jpg")
    expect(table).to_contain_text("not a scan")

    rows = list(csv.reader(io.StringIO(downloaded(page, "Download the table"))))
    text = "\n".join(",".join(row) for row in rows)
    assert len(rows) == 1 + 5
    assert all(path.name in text for path in (tmp_path / "letter.jpg", *scans))
    assert "not a scan" in text


@pytest.mark.slow
def test_what_there_is_to_know_about_a_file_stands_in_the_table_and_in_the_download(page, tmp_path):
    scan = Image.open(EXAMPLES / "glioma.png").convert("L")
    scan.save(tmp_path / "pages.tif", save_all=True, append_images=[scan.rotate(3)])
    look_at(page, [tmp_path / "pages.tif"])
    note = "A file of 2 pages: each page is a scan of its own."
    folded = page.locator("#table dd").filter(has_text=note)
    expect(folded).to_have_count(1)
    expect(folded).not_to_be_visible()
    page.get_by_role("button", name="More about pages.tif, page 1").click()
    expect(folded).to_be_visible()
    assert note in downloaded(page, "Download the table")


@pytest.mark.slow
def test_a_full_queue_is_a_sentence_on_the_page_and_the_next_click_works(demo, browser):
    page = browser.new_page()  # not the fixture's: the browser logs the refusal as an error
    page.goto(demo.url)
    full = {"status": 503, "json": {"detail": "Queue is full."}}
    page.route("**/queue/join*", lambda route: route.fulfill(**full))
    page.get_by_role("button", name="Thumbnail 2").click(timeout=20_000)
    expect(page.locator(".toast-body").first).to_contain_text("busy. Please try again.", timeout=15_000)
    page.unroute("**/queue/join*")
    page.get_by_role("button", name="Thumbnail 3").click()
    expect_all_four_confidences(page)
    page.close()


def test_a_dicom_series_in_a_zip_is_one_volume_with_its_plot_its_peak_and_the_rule(page, tmp_path):
    with zipfile.ZipFile(tmp_path / "series.zip", "w") as archive:
        for path in dicom_series(tmp_path / "series", slices=12):
            archive.write(path, path.name)
    look_at(page, [tmp_path / "series.zip"])
    expect(page.locator("#volume-verdict").get_by_role("heading")).not_to_be_empty()
    expect(page.get_by_role("img", name=re.compile("along 12 slices"))).to_be_visible()
    expect(page.locator("#rule")).to_contain_text("R and L are the patient's right and left")
    expect(page.locator("#rule")).to_contain_text("slice")
    expect(page.locator("#gallery .thumbnail-item")).to_have_count(12)
    assert "MUSTERMANN" not in page.locator("body").inner_text().upper()
    assert "MUSTERMANN" not in downloaded(page, "Download the table").upper()


def zip_of_a_study(folder: Path) -> Path:
    """A zip of more than 50 MB: three series, a scout, a report, the index of their disc, and a hidden file."""
    brain = [pydicom.dcmread(path) for path in dicom_series(folder / "brain", slices=8)]
    kinds = {"t1 tra": "NONE", "t1 tra gd": "", "flair tra MUSTERMANN": ""}
    with zipfile.ZipFile(folder / "study.zip", "w") as archive:
        for number, (description, agent) in enumerate(kinds.items(), 2):
            for place, data in enumerate(brain):
                data.SeriesNumber, data.SeriesDescription, data.SeriesInstanceUID = number, description, f"1.2.{number}"
                data.SOPInstanceUID = f"1.2.{number}.{place}"
                data.ContrastBolusAgent = agent
                pydicom.dcmwrite(out := io.BytesIO(), data)
                archive.writestr(f"DICOM/{number}/{place}", out.getvalue())
        scout = {"SeriesInstanceUID": "1.2.1", "SeriesNumber": 1, "SeriesDescription": "localizer"}
        for place in range(2):
            archive.writestr(f"DICOM/1/{place}", dicom(HEAD + np.uint16(place), **scout))
        archive.writestr("DICOM/report", dicom(None, Modality="SR"))
        archive.writestr("DICOMDIR", dicom(None, SOPClassUID="1.2.840.10008.1.3.10"))
        archive.writestr(".padding", bytes(51 * 2**20))
    return folder / "study.zip"


def test_a_zip_of_a_whole_study_has_a_verdict_on_each_series_and_counts_what_is_no_scan(page, tmp_path):
    look_at(page, [zip_of_a_study(tmp_path)], seconds=180)
    summary = "3 scans were read, with 24 slices. Beside them: 1 scout, 1 report."
    expect(page.locator("#summary")).to_have_text(re.compile(re.escape(summary)))
    series = [f"study.zip/DICOM series {words}, 8 slices" for words in ("2 (t1 tra)", "3 (t1 tra gd)", "4 (flair tra)")]
    which, facts = page.locator("#which-volume input"), page.locator("#volume .facts")
    for number, (name, sequence, agent) in enumerate(
        zip(series, ("T1", "T1", "FLAIR"), ("no", "yes", "not stated"), strict=True)
    ):
        which.click()
        page.get_by_role("option").nth(number).click()
        expect(which).to_have_value(f"{number + 1}. {name}")
        for term, value in (("Series", f"{number + 2}, "), ("Sequence", sequence), ("Contrast agent", agent)):
            expect(facts.locator(f"dt:text-is('{term}') + dd")).to_contain_text(value, timeout=15_000)
        expect(facts.locator("dt:text-is('Plane') + dd")).to_have_text("axial")
    rows = list(csv.DictReader(io.StringIO(downloaded(page, "Download the table"))))
    assert [row["File"] for row in rows if row["Slice"] == "all"] == series
    aside = {row["File"]: row["Reason"] for row in rows if row["Verdict"] == "Not judged" and not row["Slice"]}
    assert set(aside) == {"study.zip/DICOM series 1 (localizer), 2 slices", "study.zip/DICOM/report"}
    assert "is a scout" in aside["study.zip/DICOM series 1 (localizer), 2 slices"]
    captions = page.locator("#gallery .caption-label").all_inner_texts()
    assert len(captions) == 24 and all(caption.startswith(tuple(series)) for caption in captions)
    assert "MUSTERMANN" not in page.locator("body").inner_text().upper()


def test_an_upload_that_is_too_large_is_refused_with_a_sentence_by_browser_and_server(browser, demo, tmp_path):
    from brain_tumor.demo.page import TOO_LARGE
    from brain_tumor.reading.uploads import MAX_TOTAL_BYTES

    with open(tmp_path / "huge.zip", "wb") as file:
        file.truncate(MAX_TOTAL_BYTES + 1)
    context = browser.new_context()
    page = context.new_page()
    page.goto(demo.url)
    page.get_by_role("tab", name="Several scans").click(timeout=20_000)
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/upload?" in request.url else None)
    page.locator("#files input[type=file]").set_input_files(tmp_path / "huge.zip")
    expect(page.get_by_test_id("toast-text")).to_have_text(TOO_LARGE, timeout=15_000)
    assert not asked, "the browser need not send what the server would refuse"
    page.get_by_test_id("toast-close").click()
    page.route("**/upload?*", lambda route: route.fulfill(status=413, json={"detail": TOO_LARGE}))
    page.locator("#files input[type=file]").set_input_files(EXAMPLES / "glioma.png")
    expect(page.get_by_test_id("toast-text")).to_have_text(TOO_LARGE, timeout=15_000)
    context.close()


@pytest.mark.slow
def test_a_nifti_volume_is_shown_in_the_plane_that_the_visitor_chooses(page, tmp_path):
    path = template_volume(tmp_path / "volume.nii.gz")
    look_at(page, [path, EXAMPLES / "glioma.png"], seconds=120)
    expect(page.locator("#volume")).to_contain_text(re.compile("axial|coronal|sagittal", re.IGNORECASE))
    page.locator("#plane").get_by_label("Coronal").check()
    page.get_by_role("button", name="Classify").click()
    expect(page.locator("#volume .facts")).to_contain_text(re.compile("coronal", re.IGNORECASE), timeout=120_000)
    if page.locator("#peak img").count():
        height, width, _ = pixels(page, "#peak").shape
        assert min(height, width) > 50
    assert page.locator("#gallery .thumbnail-item").count() <= 25


@pytest.mark.slow
def test_the_progress_of_a_batch_is_shown(page, tmp_path):
    page.get_by_role("tab", name="Several scans").click()
    paths = [template_volume(tmp_path / "volume.nii.gz")]
    for slices in (12, 8):  # three that differ, or their plots would not
        paths.append(tmp_path / f"series_{slices}.zip")
        with zipfile.ZipFile(paths[-1], "w") as archive:
            for path in dicom_series(tmp_path / f"series_{slices}", slices):
                archive.write(path, path.name)
    page.locator("#files input[type=file]").set_input_files([str(path) for path in paths])
    expect(page.locator("#files tr.file")).to_have_count(3, timeout=30_000)
    # Every change is noted: it may be gone before somebody looks again.
    page.evaluate(
        """() => {
            const look = () => window.shown.push(document.querySelector("#summary").textContent)
            window.shown = []
            new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true})
        }"""
    )
    page.get_by_role("button", name="Classify").click()
    expect(page.locator("#summary")).to_contain_text("3 scans were read", timeout=180_000)
    assert any(re.search(r"Upload \d, slice \d+ of \d+", words) for words in page.evaluate("window.shown"))
    which = page.locator("#which-volume input")
    expect(which).to_be_visible()
    plot, path = page.locator("#plot"), re.compile('class="line" d="([^"]*)')

    def line() -> str:
        return path.search(plot.inner_html())[1]

    first = line()
    which.click()
    page.get_by_role("option").nth(1).click()
    expect(which).to_have_value(re.compile("^2. "))
    expect(plot.locator("path.line").first).not_to_have_attribute("d", first, timeout=15_000)
    second = line()
    which.press("ArrowDown")
    which.press("ArrowDown")
    which.press("Enter")
    expect(which).not_to_have_value(re.compile("^2. "))
    expect(plot.locator("path.line").first).not_to_have_attribute("d", second, timeout=15_000)


def test_html_in_a_file_name_or_a_dicom_tag_stays_text(page, tmp_path):
    evil = "<img src=x onerror=window.ran=1><script>window.ran=2<"
    name = f"{evil}b>bold.png"
    shutil.copy(EXAMPLES / "glioma.png", tmp_path / name)
    (tmp_path / f"bad{name}").write_bytes(b"no picture")
    (tmp_path / f"{evil}i>.nii").write_bytes(nifti(volume((64, 64, 12))))
    tags = {"SeriesDescription": f"t1{evil}", "PatientName": evil, "ScanningSequence": evil, "Modality": "MR"}
    (tmp_path / f"{evil}.dcm").write_bytes(dicom(np.asarray(Image.open(EXAMPLES / "glioma.png").convert("L")), **tags))
    with zipfile.ZipFile(tmp_path / "names.zip", "w") as archive:
        for path in (tmp_path / name, tmp_path / f"bad{name}"):
            archive.write(path, path.name)
    names = [name, f"bad{name}", f"{evil}i>.nii", f"{evil}.dcm"]
    look_at(page, [*(tmp_path / name for name in names), tmp_path / "names.zip"], seconds=180)
    expect(page.locator("#files")).to_contain_text(evil)
    expect(page.locator("#table")).to_contain_text("window.ran=1")  # gradio leaves < and > out of an upload's name
    expect(page.locator("#gallery")).to_contain_text(evil)  # a name in a zip is shown whole
    page.get_by_role("tab", name="One scan").click()
    upload(page, tmp_path / f"{evil}.dcm")
    expect(page.locator("#facts")).to_contain_text("T1")
    page.wait_for_timeout(500)
    assert page.evaluate("window.ran") is None
    assert page.locator("img[src=x]").count() == 0
    assert page.locator("script", has_text="window.ran").count() == 0
    assert evil not in page.locator("#facts").inner_html()


def test_the_page_about_the_model_shows_figures_with_intervals_plots_and_limits(page, demo):
    page.get_by_role("tab", name="About").click()
    about = page.locator("#about")
    expect(about.get_by_role("heading", name="How well it does")).to_be_visible()
    expect(about.get_by_role("heading", name="Where it fails first")).to_be_visible()
    for fold in ("On the test part", "Plots"):
        about.get_by_role("button", name=fold).click()
    expect(about.get_by_role("cell", name="Accuracy", exact=True).first).to_be_visible()
    expect(about).to_contain_text("95 % interval")
    plots = about.locator("img")
    expect(plots).to_have_count(5)
    for plot in plots.all():
        plot.scroll_into_view_if_needed()
        assert plot.evaluate("i => i.decode().then(() => i.naturalWidth)") > 300
        assert plot.get_attribute("alt")


def test_the_documented_javascript_gets_answers(page, demo):
    pages = "".join(path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))))
    (script,) = (text for text in re.findall(r"```js\n(.*?)```", pages, flags=re.DOTALL) if "predictBatch" in text)
    script = script.replace("http://127.0.0.1:7860", demo.url)
    png = base64.b64encode((EXAMPLES / "glioma.png").read_bytes()).decode()
    answer, batch = page.evaluate(
        f"""async png => {{
            {script}
            const scan = new Blob([Uint8Array.from(atob(png), letter => letter.charCodeAt(0))])
            return [await predict(scan), await predictBatch([scan, new File(["no scan"], "letter.txt")])]
        }}""",
        png,
    )
    assert set(answer["confidences"]) == set(LABELS)
    assert answer["sentence"].endswith(".")
    assert [bool(result["error"]) for result in batch["results"]] == [False, True]


def test_the_warning_stays_in_sight_on_every_tab_and_however_far_the_page_is_scrolled(page):
    page.get_by_role("button", name="Thumbnail 2").click()
    expect_all_four_confidences(page)
    for tab in TABS:
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(300)
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(300)
        assert page.locator("#warning").evaluate(
            """element => {
                const box = element.getBoundingClientRect()
                const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2)
                return box.top >= 0 && box.bottom <= innerHeight && element.contains(top)
            }"""
        ), tab
        page.evaluate("window.scrollTo(0, 0)")


@pytest.mark.parametrize("page", [{"viewport": {"width": 375, "height": 800}}], indirect=True)
def test_on_a_phone_nothing_is_wider_than_the_screen(page, tmp_path):
    page.get_by_role("button", name="Thumbnail 2").click()
    expect_all_four_confidences(page)
    expect(page.locator("#verdict h2")).to_be_in_viewport()
    widths = {"One scan": page.evaluate("document.documentElement.scrollWidth")}
    look_at(page, [EXAMPLES / "glioma.png", template_volume(tmp_path / "volume.nii.gz")], seconds=120)
    widths["Several scans"] = page.evaluate("document.documentElement.scrollWidth")
    page.get_by_role("tab", name="About").click()
    page.wait_for_timeout(500)
    widths["About"] = page.evaluate("document.documentElement.scrollWidth")
    assert max(widths.values()) <= 375, widths
    hidden = page.locator("#about").evaluate(
        """about => [...about.querySelectorAll('p, li, h2, img')].filter(e => {
            const box = e.getBoundingClientRect()
            return box.width && (box.left < 0 || box.right > 376)
        }).length"""
    )
    assert hidden == 0, "nothing is cut off at the edge"
    broken = page.locator("#about").evaluate(
        """about => [...about.querySelectorAll('th, td')].filter(cell => {
            const line = parseFloat(getComputedStyle(cell).lineHeight), text = document.createRange()
            text.selectNodeContents(cell)
            const words = cell.innerText.trim().split(/[\\s-]+/).length
            return text.getBoundingClientRect().height > (words + 0.5) * line
        }).map(cell => cell.innerText)"""
    )
    assert not broken, "words are broken into letters"


MARKS = {
    "#map-switch input": "borderTopColor",
    "#confidence .bar": "backgroundColor",
    "#share .any": "backgroundColor",
    "#share .none": "backgroundColor",
}
"""What shows a value or where a control is -> the color that does it."""


@pytest.mark.slow
@pytest.mark.parametrize("page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=str)
def test_what_shows_a_value_or_a_control_stands_out_by_3_to_1(page):
    """WCAG 2.2, 1.4.11."""
    page.get_by_role("button", name="Thumbnail 2").click()
    expect_all_four_confidences(page)
    page.wait_for_timeout(700)
    weak = {}
    for selector, color in MARKS.items():
        mark = page.locator(selector).first
        ratio = mark.evaluate(
            """(mark, color) => {
                const numbers = text => text.match(/[\\d.]+/g).map(Number)
                const light = ([r, g, b]) => [r, g, b].map(
                    v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4
                ).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0)
                let ground = mark.parentElement
                while (!/^rgb\\(/.test(getComputedStyle(ground).backgroundColor)) ground = ground.parentElement
                const found = getComputedStyle(mark), below = getComputedStyle(ground).backgroundColor
                if (color.startsWith("border") && found.borderTopWidth === "0px") return 1
                const both = [found[color], below].map(c => light(numbers(c)) + 0.05)
                return Math.max(...both) / Math.min(...both)
            }""",
            color,
        )
        if ratio < 3:
            weak[selector] = round(ratio, 2)
    assert not weak


@pytest.mark.parametrize(
    "page",
    [pytest.param({"color_scheme": "light"}, marks=pytest.mark.slow), {"color_scheme": "dark"}],
    indirect=True,
    ids=str,
)
def test_every_text_stands_out_from_its_ground(page, tmp_path, request):
    scheme = request.node.callspec.params["page"]["color_scheme"]
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    lightness = sum(map(int, re.findall(r"\d+", background)[:3])) / 3
    assert lightness > 200 if scheme == "light" else lightness < 60
    measured = []

    def measure() -> None:
        page.mouse.move(0, 0)
        page.wait_for_timeout(700)  # colors have finished their transitions
        measured.extend(page.evaluate(CONTRAST))

    measure()
    page.get_by_role("button", name="Thumbnail 2").click()
    expect_all_four_confidences(page)
    measure()
    photograph().save(tmp_path / "flower.jpg")
    upload(page, tmp_path / "flower.jpg")
    expect(page.locator("#verdict")).to_contain_text("Not sure that this is a brain MRI", timeout=15_000)
    measure()
    (tmp_path / "letter.jpg").write_bytes(bad_files()["text.jpg"])
    upload(page, tmp_path / "letter.jpg")
    expect(page.locator(".toast-body").first).to_be_visible(timeout=15_000)
    measure()
    look_at(
        page, [EXAMPLES / "glioma.png", tmp_path / "letter.jpg", template_volume(tmp_path / "v.nii.gz")], seconds=120
    )
    measure()
    page.get_by_role("tab", name="About").click()
    measure()
    assert len(measured) > 200
    weak = {f"{m['id']} {m['where']}: {m['text']}: {m['ratio']:.2f}" for m in measured if m["ratio"] < m["needed"]}
    assert not weak, "\n".join(sorted(weak))


def test_pictures_have_words_and_controls_have_names(page, tmp_path):
    page.get_by_role("button", name="Thumbnail 2").click()
    expect_all_four_confidences(page)
    nameless = """() => {
        const seen = e => e.checkVisibility({visibilityProperty: true}) && !e.closest('[aria-hidden=true]')
        const name = e => e.getAttribute('aria-label') || e.innerText?.trim() || e.title || e.placeholder ||
            e.labels?.[0]?.innerText || e.querySelector('img[alt]:not([alt=""])')?.alt ||
            document.getElementById(e.getAttribute('aria-labelledby'))?.innerText
        return [
            ...[...document.querySelectorAll('img')].filter(e => seen(e) && !e.alt),
            ...[...document.querySelectorAll('button, a[href], input, select, [role=slider]')]
                .filter(e => seen(e) && e.type !== 'file' && (!name(e) ||
                    // A translation's key, and no file's name.
                    !e.matches('[data-open]') && /^[a-z]+\\.[a-z]+$/.test(name(e)))),
        ].map(e => e.outerHTML.slice(0, 200))
    }"""
    assert page.evaluate(nameless) == []
    listing = json.loads((EXAMPLES / "examples.json").read_text(encoding="utf-8"))
    expect(page.get_by_role("button", name=f"Thumbnail 2 of {len(listing)}: {listing[1]['caption']}")).to_be_visible()
    expect(page.get_by_role("status").filter(has=page.locator(".verdict"))).to_have_count(1)
    look_at(page, [EXAMPLES / "glioma.png", template_volume(tmp_path / "volume.nii.gz")], seconds=120)
    assert page.evaluate(nameless) == []
    expect(page.get_by_role("button", name="Thumbnail 1 of 25: glioma.png: ")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="2 scans were read")).to_be_visible()
    page.get_by_role("tab", name="About").click()
    assert page.evaluate(nameless) == []
    assert page.evaluate("document.documentElement.lang")
    assert page.get_by_role("heading", level=1).count() == 1


def test_the_keyboard_is_enough(page):
    def focus_on(wanted, most: int = 60, key: str = "Tab") -> None:
        for _ in range(most):
            page.keyboard.press(key)
            if wanted.evaluate("e => e === document.activeElement"):
                outline = page.evaluate(
                    """() => {
                        const style = getComputedStyle(document.activeElement)
                        return style.outlineStyle !== 'none' || style.boxShadow !== 'none'
                    }"""
                )
                assert outline, "where the focus is can be seen"
                return
        raise AssertionError("the Tab key does not get there")

    drop = page.locator("#scan").get_by_label("Click to Upload")
    focus_on(drop)
    choosers = []
    page.on("filechooser", lambda chooser: choosers.append(chooser))
    for _ in range(10):  # the panel is drawn a moment before it listens to keys; a person would press again
        page.keyboard.press("Enter")
        page.wait_for_timeout(500)
        if choosers:
            break
    assert choosers, "Enter opens the file dialog"
    choosers[0].set_files(EXAMPLES / "glioma.png")
    expect_all_four_confidences(page)

    page.reload()
    expect(page.get_by_role("button", name="Thumbnail 1")).to_be_visible(timeout=20_000)
    focus_on(page.get_by_role("button", name="Thumbnail 2"))
    page.keyboard.press("Enter")
    expect_all_four_confidences(page)
    row, picture = page.locator("#confidence button").nth(1), page.locator("#picture img").get_attribute("src")
    focus_on(page.get_by_label("Show the heat map"))
    focus_on(row)
    page.keyboard.press("Enter")
    expect(page.locator("#picture img")).not_to_have_attribute("src", picture)
    focus_on(page.get_by_role("button", name="Download the report"))
    with page.expect_download():
        page.keyboard.press("Enter")
    focus_on(page.get_by_role("tab", name="Several scans"), key="Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Classify")).to_be_visible()


SWITCHED_OFF = {"/monitoring/summary", "/gradio_api/mcp/schema"}
"""What gradio's page about the API asks this server for, and is refused here."""


def test_the_documentation_of_the_api_loads_nothing_from_elsewhere(demo, browser):
    page = browser.new_page()  # not the fixture's, for which what is switched off would be an error
    asked, refused, errors = [], set(), []
    page.on("request", lambda request: asked.append(request.url))
    page.on("response", lambda r: refused.add(r.url.removeprefix(demo.url)) if r.status >= 400 else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(demo.url)
    page.get_by_role("button", name="Use via API").click(timeout=20_000)
    expect(page.get_by_text("/predict_batch").first).to_be_visible()
    page.wait_for_timeout(1000)
    page.close()
    assert asked
    assert not [url for url in asked if not url.startswith((demo.url, "data:", "blob:"))]
    assert refused <= SWITCHED_OFF
    assert not errors


def test_the_browser_keeps_nothing(page):
    page.get_by_role("button", name="Thumbnail 2").click()
    expect_all_four_confidences(page)
    kept = page.evaluate(
        """async () => JSON.stringify([
            {...localStorage}, {...sessionStorage}, document.cookie, (await indexedDB.databases()).map(d => d.name),
        ])"""
    )
    assert json.loads(kept) == [{}, {}, "", []]
    page.reload()
    expect(page.get_by_role("button", name="Thumbnail 1")).to_be_visible(timeout=20_000)
    expect(page.locator("#verdict")).to_contain_text("No scan yet")


def test_the_upload_form_states_its_limits_and_that_burnt_in_text_stays(page):
    from brain_tumor.reading.pictures import MAX_FILE_BYTES, MAX_PIXELS
    from brain_tumor.reading.uploads import MAX_FILES, MAX_SECONDS, MAX_SLICES, MAX_TOTAL_BYTES, MAX_VOLUME_BYTES

    volume = f"a volume (NIfTI, MGH) {MAX_VOLUME_BYTES // 1024**2} MB"
    each = f"{MAX_FILE_BYTES // 1024**2} MB and {MAX_PIXELS // 10**6} megapixels"
    together = f"{MAX_TOTAL_BYTES // 1024**2} MB together"
    for tab, limits in (
        ("One scan", (each, volume)),
        (
            "Several scans",
            (
                each,
                volume,
                f"{MAX_FILES:,} files",
                together,
                f"more than {MAX_SLICES} slices",
                f"after {MAX_SECONDS} seconds",
            ),
        ),
    ):
        page.get_by_role("tab", name=tab).click()
        panel = page.get_by_role("tabpanel").filter(visible=True)
        expect(panel).to_contain_text("burned into the picture cannot be removed")
        for limit in limits:
            expect(panel).to_contain_text(limit)
