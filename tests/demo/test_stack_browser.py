"""The slices of a volume as a visitor goes through them: by wheel, keys and the curve; and the window of the scan."""

import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.browsing import downloaded, expect, expect_all_four_confidences, pixels, shown_picture, upload
from tests.serving import EXAMPLES, comes_true, running_demo, stretch_volume, template_volume

pytestmark = pytest.mark.browser

BOTH = [
    pytest.param({"viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce"}, id="1440 light"),
    pytest.param(
        {"viewport": {"width": 375, "height": 800}, "color_scheme": "dark", "reduced_motion": "reduce"}, id="375 dark"
    ),
]
"""Options of the page."""


def open_volume(page, folder: Path) -> None:
    """Shows an axial volume of 14 slices, at the first of its last five, which show a glioma."""
    upload(page, stretch_volume(folder / "volume.nii"))
    expect_slice(page, 10, seconds=60)
    page.wait_for_timeout(1000)  # the page has stopped to scroll to the verdict


def expect_slice(page, number: int, seconds: int = 15) -> None:
    """Slider, words, picture and curve all stand at this slice."""
    expect(page.locator("#slice-words h3")).to_contain_text(f"Slice {number} of 14", timeout=1000 * seconds)
    expect(page.locator("#slice input[type=range]")).to_have_value(str(number))
    expect(page.locator("#original img")).to_have_attribute("alt", f"Slice {number}, as it was read", timeout=15_000)
    curve = page.get_by_role("slider", name="Slice on the curve")
    expect(curve).to_have_attribute("aria-valuetext", re.compile(rf"^slice {number}: [<>]?\d+ %$"))
    expect(curve).to_have_attribute("aria-valuenow", str(number))
    dot, marker = (curve.locator(kind) for kind in (".dot", ".marker"))
    at = float(re.search(r"[\d.]+", marker.get_attribute("transform"))[0])
    assert at == pytest.approx(float(dot.nth(number - 1).get_attribute("cx")), abs=0.2), "the marker follows"


@pytest.mark.parametrize("page", BOTH, indirect=True)
def test_the_wheel_and_the_arrows_on_the_pictures_go_through_the_slices(page, tmp_path):
    open_volume(page, tmp_path)
    page.locator("#original img").hover()
    top = page.evaluate("scrollY")
    page.mouse.wheel(0, -120)
    expect_slice(page, 9)
    for _ in range(5):  # a touchpad sends a few pixels at a time
        page.mouse.wheel(0, 12)
    expect_slice(page, 10)
    assert page.evaluate("scrollY") == top, "the page stays"

    pictures = page.get_by_role("group", name="Slices: arrow keys or the mouse wheel go through them")
    pictures.focus()
    for key, number in (("ArrowUp", 9), ("ArrowLeft", 8), ("ArrowDown", 9), ("Home", 1), ("PageDown", 11), ("End", 14)):
        page.keyboard.press(key)
        expect_slice(page, number)
    expect(pictures).to_be_focused()
    page.locator("#picture img").hover()
    top = page.evaluate("scrollY")
    page.wait_for_timeout(500)  # another turn of the wheel
    page.mouse.wheel(0, 120)
    assert comes_true(lambda: page.evaluate("scrollY") > top, 5), "beyond the last slice the wheel scrolls the page"
    expect_slice(page, 14)


def test_a_page_that_is_scrolled_past_the_pictures_is_not_held_up_by_them(page, tmp_path):
    open_volume(page, tmp_path)
    taken = page.evaluate(
        """() => {
            const turn = () => new WheelEvent("wheel", {deltaY: -120, bubbles: true, cancelable: true})
            const places = ["#verdict", "#original img", "#original img"]
            return places.map(where => !document.querySelector(where).dispatchEvent(turn()))
        }"""
    )
    assert taken == [False, False, False]
    expect_slice(page, 10)


def test_the_pictures_of_one_slice_leave_wheel_and_keyboard_alone(page, tmp_path):
    open_volume(page, tmp_path)
    expect(page.locator("#pictures")).to_have_attribute("tabindex", "0")
    page.get_by_role("button", name="Thumbnail 2").click()
    expect(page.locator("#slices")).not_to_be_visible(timeout=15_000)
    expect(page.locator("#pictures")).not_to_have_attribute("tabindex", "0")
    page.wait_for_timeout(1000)
    page.locator("#original img").hover()
    top = page.evaluate("scrollY")
    page.mouse.wheel(0, 120)
    assert comes_true(lambda: page.evaluate("scrollY") > top, 5)


@pytest.mark.parametrize("page", BOTH, indirect=True)
def test_a_click_on_the_curve_goes_to_the_slice_and_its_marker_follows_the_slider(page, tmp_path):
    open_volume(page, tmp_path)
    curve = page.get_by_role("slider", name="Slice on the curve")

    def at(number: int) -> tuple[float, float]:
        box = curve.locator(".dot").nth(number - 1).bounding_box()
        return box["x"] + box["width"] / 2, box["y"] - 10

    curve.click()  # in its middle
    expect(curve).not_to_have_attribute("aria-valuenow", "10")
    expect_slice(page, int(curve.get_attribute("aria-valuenow")))
    assert int(curve.get_attribute("aria-valuenow")) in (7, 8)
    page.mouse.click(*at(4))
    expect_slice(page, 4)
    page.mouse.move(*at(4))
    page.mouse.down()
    page.mouse.move(*at(6))
    page.mouse.move(*at(12))
    page.mouse.up()
    expect_slice(page, 12)
    curve.focus()
    for key, number in (("ArrowRight", 13), ("ArrowUp", 14), ("ArrowRight", 14), ("ArrowDown", 13), ("Home", 1)):
        page.keyboard.press(key)
        expect_slice(page, number)
    page.locator("#slice input[type=range]").fill("11")
    expect_slice(page, 11)
    page.locator("#slice input[type=number]").fill("3")
    page.locator("#slice input[type=number]").press("Enter")
    expect_slice(page, 3)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


CURVE_MARKS = {".line": "stroke", ".dot": "fill", "path.peak": "fill", ".limit.tumor": "stroke"} | {
    ".limit.clear": "stroke",
    ".marker": "stroke",
}


@pytest.mark.parametrize("page", [{"color_scheme": scheme} for scheme in ("light", "dark")], indirect=True, ids=str)
def test_what_the_curve_draws_stands_out_by_3_to_1(page, tmp_path):
    """WCAG 2.2, 1.4.11."""
    open_volume(page, tmp_path)

    def light(color: str) -> float:
        channels = [int(value) / 255 for value in re.findall(r"\d+", color)[:3]]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in channels]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722])) + 0.05

    ground = light(page.locator("#curve").evaluate("e => getComputedStyle(e).backgroundColor"))
    for mark, what in CURVE_MARKS.items():
        color = light(page.locator(f"#curve {mark}").first.evaluate(f"e => getComputedStyle(e).{what}"))
        assert max(color, ground) / min(color, ground) >= 3, mark


def picture_of(page, where: str = "#original img") -> np.ndarray:
    """A picture as the browser draws it, (height, width, 3), without its edge and what may lie over it."""
    drawn = page.locator(where).screenshot(style="#warning, .icon-button-wrapper { visibility: hidden !important }")
    return np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB"), float)[3:-3, 3:-3]


def look_alike(drawn: np.ndarray, expected: np.ndarray) -> bool:
    """Whether two pictures are the same but for their edges: a scaled one may lie a part of a pixel aside."""
    difference = abs(drawn - expected)
    return difference.mean() < 0.5 and np.quantile(difference, 0.99) <= 2


@pytest.mark.parametrize("page", BOTH, indirect=True)
def test_brightness_and_contrast_window_the_scan_in_the_browser_alone_and_can_be_reset(page, tmp_path):
    upload(page, EXAMPLES / "glioma.png")
    expect_all_four_confidences(page)
    page.wait_for_timeout(1000)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    group = page.get_by_role("group", name="Brightness and contrast of the scan as it was read")
    brightness, contrast = (group.get_by_label(name) for name in ("Brightness", "Contrast"))
    reset, said = group.get_by_role("button", name="Reset"), group.get_by_role("status")
    expect(said).to_have_text("Level 128, width 256")
    expect(reset).to_be_disabled()
    scan, plain, mapped = pixels(page), picture_of(page), picture_of(page, "#picture img")

    brightness.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    expect(contrast).to_be_focused()
    for _ in range(25):
        page.keyboard.press("ArrowRight")
    expect(said).to_have_text("Level 102, width 128")
    expected = (255 * ((plain - 101.5) / 127 + 0.5)).clip(0, 255)  # DICOM PS3.3, C.11.2.1.2.1
    assert look_alike(picture_of(page), expected)
    assert look_alike(picture_of(page, "#picture img"), mapped), "the map's colors keep their meaning"
    assert (pixels(page) == scan).all()

    page.keyboard.press("Tab")
    expect(reset).to_be_focused()
    page.keyboard.press("Enter")
    assert look_alike(picture_of(page), plain) and not look_alike(expected, plain)
    expect(reset).to_be_disabled()
    expect(brightness).to_be_focused()
    expect(brightness).to_have_value("0")

    page.locator("#original img").scroll_into_view_if_needed()
    box = page.locator("#original img").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down(button="right")
    page.mouse.move(x + 50, y - 40)  # more contrast, brighter
    page.mouse.up(button="right")
    page.mouse.move(x, y)
    expect(said).to_have_text("Level 102, width 128")
    assert not [url for url in asked if "queue/join" in url], "the model is asked nothing"
    upload(page, EXAMPLES / "meningioma.png")
    expect(said).to_have_text("Level 128, width 256", timeout=15_000)


@pytest.mark.parametrize("page", BOTH, indirect=True)
def test_three_planes_are_cut_when_they_are_wanted_and_a_click_in_one_moves_all(page, tmp_path):
    upload(page, template_volume(tmp_path / "volume.nii.gz"))
    expect(page.locator("#slice-words h3")).to_contain_text("of 95", timeout=90_000)
    switch, planes = page.get_by_label("Show three planes"), page.locator("#planes img")
    expect(planes).to_have_count(0)
    switch.check()
    expect(planes).to_have_count(3, timeout=15_000)
    coronal, sagittal = (page.get_by_role("img", name=f"{name} plane") for name in ("Coronal", "Sagittal"))
    before = coronal.get_attribute("src")
    assert min(shown_picture(page, "#cut-sagittal")) > 0
    page.wait_for_timeout(500)
    box = sagittal.bounding_box()
    sagittal.click(position={"x": 0.3 * box["width"], "y": 0.6 * box["height"]})  # front to back, head to foot
    slice_ = page.locator("#slice input[type=range]")
    assert comes_true(lambda: 37 <= int(slice_.input_value()) <= 40, 15), slice_.input_value()
    expect(page.locator("#slice-words h3")).to_contain_text(f"Slice {slice_.input_value()} of", timeout=15_000)
    expect(page.locator("#original img")).to_have_attribute("alt", f"Slice {slice_.input_value()}, as it was read")
    expect(coronal).not_to_have_attribute("src", before)
    depth = page.get_by_role("slider", name="Front to back")
    assert 29 <= int(depth.input_value()) <= 31
    page.wait_for_timeout(1500)
    before = coronal.get_attribute("src")
    depth.focus()
    page.keyboard.press("ArrowRight")
    expect(coronal).not_to_have_attribute("src", before, timeout=15_000)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Thumbnail 2").click()
    expect(switch).not_to_be_visible(timeout=15_000)
    expect(planes).to_have_count(0)


def test_report_and_picture_are_written_when_they_are_asked_for_and_not_at_each_slice(model_id, browser, tmp_path):
    with running_demo(tmp_path / "demo", MODEL_ID=str(model_id)) as demo:
        page = browser.new_page()
        page.goto(demo.url)
        expect(page.get_by_role("button", name="Thumbnail 1")).to_be_visible(timeout=20_000)
        open_volume(page, tmp_path)
        page.locator("#slice input[type=range]").fill("7")
        expect_slice(page, 7)

        def written() -> list[str]:
            return sorted({path.suffix for path in demo.kept_files() if path.name.startswith("brain-mri-")})

        assert written() == []
        assert "shows one of them, slice 7." in downloaded(page, "Download the report")
        assert written() == [".html"]
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save picture").click()
        shutil.copy(saved.value.path(), tmp_path / "saved.png")
        assert (np.asarray(Image.open(tmp_path / "saved.png").convert("RGB")) == pixels(page, "#picture")).all()
        page.close()
