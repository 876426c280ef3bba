"""The demo as a visitor sees it: clicks, uploads and pastes in a real browser."""

import base64
import shutil
from pathlib import Path

import pytest
from PIL import Image

from brain_tumor.examples import PUBLIC_SCANS
from brain_tumor.labels import DISPLAY_NAMES
from tests.serving import CHROMIUM_FLAGS, EXAMPLES, bad_files, checkpoint, deep_values, demo_hub, running_demo

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
if shutil.which("chromium") is None:
    pytest.skip("needs Debian's browser: apt-get install chromium", allow_module_level=True)

expect = sync_api.expect


@pytest.fixture(scope="module")
def hub():
    with demo_hub() as hub:
        hub.stop()  # until a test starts it
        yield hub


@pytest.fixture(scope="module")
def demo(hub, tmp_path_factory):
    model_id = checkpoint(tmp_path_factory.mktemp("checkpoint"))
    with running_demo(tmp_path_factory.mktemp("demo"), MODEL_ID=str(model_id), HF_ENDPOINT=hub.url) as demo:
        yield demo


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(demo, browser):
    """The demo's page, loaded; at the end it must have asked nobody else for anything and logged no error."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    elsewhere, errors = [], []
    page.on(
        "request", lambda r: elsewhere.append(r.url) if not r.url.startswith((demo.url, "data:", "blob:")) else None
    )
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(demo.url)
    expect(page.get_by_role("button", name="Thumbnail 1")).to_be_visible(timeout=20_000)
    yield page
    context.close()
    assert not elsewhere, "the page must load nothing from third parties"
    assert not errors


def confidences(page):
    return page.locator("#confidence dt")


def expect_all_four_confidences(page) -> None:
    expect(confidences(page)).to_have_count(4, timeout=15_000)
    assert set(confidences(page).all_inner_texts()) == set(DISPLAY_NAMES.values())


def upload(page, path: Path) -> None:
    page.locator("input[type=file]").set_input_files(str(path))


def shown_picture(page) -> list[int]:
    """Width and height of the picture in the upload panel, as the browser decoded it; zeros if it could not."""
    return page.locator("#scan img").evaluate(
        "i => i.decode().catch(() => {}).then(() => [i.naturalWidth, i.naturalHeight])"
    )


def test_a_visitor_who_clicks_an_example_sees_four_confidences_and_the_note(page):
    expect(page.get_by_text("Not a medical device.")).to_be_visible()
    page.get_by_role("button", name="Thumbnail 2").click()
    expect_all_four_confidences(page)
    assert min(shown_picture(page)) > 0
    expect(page.get_by_text("Not a medical device.")).to_be_visible()


def test_a_bad_file_shows_its_sentence_and_the_next_scan_is_classified(page, tmp_path):
    page.get_by_role("button", name="Thumbnail 1").click()
    expect_all_four_confidences(page)
    page.get_by_label("Remove Image").click()
    (tmp_path / "letter.jpg").write_bytes(bad_files()["text.jpg"])
    upload(page, tmp_path / "letter.jpg")
    sentence = page.get_by_text("This file is not a picture that can be read here")
    expect(sentence.first).to_be_visible()
    expect(confidences(page)).to_have_count(0)
    expect(page.locator("#scan img")).to_have_count(0)  # the panel is ready for another file
    upload(page, EXAMPLES / "glioma.png")
    expect_all_four_confidences(page)


def test_removing_the_scan_removes_the_result_and_the_same_example_can_be_clicked_again(page):
    page.get_by_role("button", name="Thumbnail 3").click()
    expect_all_four_confidences(page)
    page.get_by_label("Remove Image").click()
    expect(confidences(page)).to_have_count(0)
    page.get_by_role("button", name="Thumbnail 3").click()
    expect_all_four_confidences(page)


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_a_16_bit_picture_is_shown_as_the_model_sees_it(suffix, page, tmp_path):
    Image.fromarray(deep_values()).save(tmp_path / f"deep.{suffix}")
    upload(page, tmp_path / f"deep.{suffix}")
    expect_all_four_confidences(page)
    assert shown_picture(page) == [320, 320]
    assert "deep" not in page.locator("#scan img").get_attribute("src"), "the page shows the windowed picture"


def test_a_picture_from_the_clipboard_is_classified(page):
    page.evaluate(
        """async png => {
            const bytes = Uint8Array.from(atob(png), letter => letter.charCodeAt(0))
            await navigator.clipboard.write([new ClipboardItem({'image/png': new Blob([bytes], {type: 'image/png'})})])
        }""",
        base64.b64encode((EXAMPLES / "meningioma.png").read_bytes()).decode(),
    )
    page.get_by_label("Paste from clipboard").click()
    expect_all_four_confidences(page)


def test_scans_of_the_public_dataset_are_fetched_only_when_asked_for(page, hub):
    assert not any("brain-tumour-MRI-scan" in request.path for request in hub.requests)
    thumbnails = page.locator("#examples .thumbnail-item")
    before = thumbnails.count()
    page.get_by_role("button", name="Load scans from the public dataset").click()
    expect(page.get_by_text("cannot be downloaded now").first).to_be_visible(timeout=15_000)
    assert thumbnails.count() == before

    hub.start()
    page.get_by_role("button", name="Load scans from the public dataset").click()
    expect(thumbnails).to_have_count(before + len(PUBLIC_SCANS), timeout=15_000)
    expect(page.get_by_text("Meningioma, says the dataset")).to_be_visible()
    thumbnails.last.click()
    expect_all_four_confidences(page)
    assert min(shown_picture(page)) > 0


def test_on_a_phone_nothing_is_wider_than_the_screen(page):
    page.set_viewport_size({"width": 375, "height": 800})
    page.get_by_role("button", name="Thumbnail 2").click()
    expect_all_four_confidences(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
