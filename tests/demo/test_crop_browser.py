"""A scan in a photograph is cropped in the page, by mouse, finger or keyboard, and the part is judged."""

import re

import numpy as np
import pytest
from PIL import Image

from tests.browsing import CONTRAST, expect, expect_all_four_confidences, pixels, upload
from tests.serving import EXAMPLES, dicom_series, photograph, template_volume

pytestmark = pytest.mark.browser

SCAN = (600, 260)
"""Where the scan lies in the photograph, in pixels."""


@pytest.fixture
def photo(tmp_path):
    """A photograph of a flower with a scan in it, which the demo is not sure about."""
    picture = photograph().resize((1280, 854))
    picture.paste(Image.open(EXAMPLES / "glioma.png").convert("RGB"), SCAN)
    picture.save(tmp_path / "photo.of.a.screen.png")
    return tmp_path / "photo.of.a.screen.png"


def give(page, path):
    upload(page, path)
    expect(page.locator("#verdict")).to_contain_text("Not sure that this is a brain MRI", timeout=60_000)


def open_crop(page):
    button = page.get_by_role("button", name="Crop the picture")
    button.click()
    dialog = page.get_by_role("dialog", name="Crop the picture to the scan")
    expect(dialog).to_be_visible()
    return dialog


def frame_of(dialog) -> list[int]:
    """Left, top, width and height of the frame, in the picture's pixels."""
    return [int(dialog.get_by_label(name).input_value()) for name in ("Left", "Top", "Width", "Height")]


def on_screen(dialog, x: int, y: int) -> tuple[float, float]:
    """A pixel of the photograph on the screen."""
    box = dialog.locator(".stage").bounding_box()
    return box["x"] + x / 1280 * box["width"], box["y"] + y / 854 * box["height"]


def drag(page, start, end) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=5)
    page.mouse.up()


def expect_the_part_to_be_judged(page) -> None:
    expect(page.locator("#verdict")).not_to_contain_text("Not sure", timeout=60_000)
    expect_all_four_confidences(page)


def test_the_advice_names_the_tool_and_what_is_dragged_over_is_judged(page, photo):
    assert page.locator("#crop").count() == 0, "made when it is asked for"
    give(page, photo)
    expect(page.locator("#verdict")).to_contain_text("“Crop the picture”")
    dialog = open_crop(page)
    size = dialog.locator("img").evaluate("i => [i.naturalWidth, i.naturalHeight]")
    assert size == [1280, 854], "in full resolution"
    x, y = SCAN
    drag(page, on_screen(dialog, 20, 20), on_screen(dialog, x, y))  # outside of the frame: a new one
    drag(page, on_screen(dialog, x + 256, y + 256), on_screen(dialog, x, y))
    expect(dialog.locator(".part")).to_be_visible()
    left, top, width, height = frame_of(dialog)
    assert np.allclose([left, top, width, height], [x, y, 256, 256], atol=6)
    dialog.get_by_role("button", name="Use this part").click()
    expect_the_part_to_be_judged(page)
    expect(page.locator("#facts")).to_contain_text(f"{width} x {height}")
    expect(page.get_by_role("button", name="Crop the picture")).to_be_focused()


def test_the_frame_moves_and_its_corners_size_it_but_never_beyond_the_picture(page, photo):
    give(page, photo)
    dialog = open_crop(page)
    left, top, width, height = frame_of(dialog)
    drag(page, on_screen(dialog, left + 50, top + 50), on_screen(dialog, left + 50 + 60, top + 50 + 40))
    moved = frame_of(dialog)
    assert np.allclose(moved, [left + 60, top + 40, width, height], atol=4)
    drag(page, on_screen(dialog, moved[0], moved[1]), on_screen(dialog, moved[0] + 100, moved[1] + 80))
    sized = frame_of(dialog)
    assert np.allclose(sized, [moved[0] + 100, moved[1] + 80, width - 100, height - 80], atol=6)
    x, y = on_screen(dialog, sized[0] + 30, sized[1] + 30)
    drag(page, (x, y), (x + 3000, y + 3000))
    assert frame_of(dialog) == [1280 - sized[2], 854 - sized[3], *sized[2:]]


def test_the_keyboard_is_enough_and_the_part_keeps_every_pixel(page, photo):
    give(page, photo)
    button = page.get_by_role("button", name="Crop the picture")
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("group", name="Frame")).to_be_focused()
    left, top, width, height = frame_of(dialog)
    for key in ("ArrowRight", "ArrowDown", "Shift+ArrowLeft", "Shift+ArrowUp"):
        page.keyboard.press(key)
    assert frame_of(dialog) == [left + 13, top + 13, width - 13, height - 13], "in steps of a hundredth"
    ways = {"Tab Tab Tab": 256, "Tab": 256, "Shift+Tab Shift+Tab Shift+Tab": SCAN[0], "Tab ": SCAN[1]}
    for way, value in ways.items():  # width, height, left, top
        for key in (*way.split(), "Control+A"):
            page.keyboard.press(key)
        page.keyboard.type(str(value))
    page.keyboard.press("Enter")
    expect(dialog).not_to_be_visible()
    expect_the_part_to_be_judged(page)
    expect(page.locator("#facts")).to_contain_text("256 x 256")
    scan = np.asarray(Image.open(EXAMPLES / "glioma.png").convert("RGB"))
    assert np.array_equal(pixels(page), scan)
    expect(page.locator("#given img")).to_have_attribute("alt", "Given: part of photo.of.a.screen.png")


def test_escape_and_cancel_change_nothing_and_give_the_focus_back(page, photo):
    give(page, photo)
    for leave in (lambda dialog: page.keyboard.press("Escape"), lambda dialog: dialog.get_by_text("Cancel").click()):
        dialog = open_crop(page)
        leave(dialog)
        expect(dialog).not_to_be_visible()
        expect(page.get_by_role("button", name="Crop the picture")).to_be_focused()
    page.wait_for_timeout(1000)
    expect(page.locator("#facts")).to_contain_text("1280 x 854")


def test_no_part_is_smaller_than_what_can_be_judged(page, photo):
    give(page, photo)
    dialog = open_crop(page)
    for name, value in (("Width", "1"), ("Height", ""), ("Left", "-5"), ("Top", "99999")):
        dialog.get_by_label(name).fill(value)
        dialog.get_by_label(name).blur()
    assert frame_of(dialog) == [0, 854 - 32, 32, 32]


PHONE = {"viewport": {"width": 375, "height": 720}, "has_touch": True, "is_mobile": True}


@pytest.mark.parametrize("page", [PHONE], indirect=True, ids=["375"])
def test_on_a_phone_a_finger_is_enough_and_nothing_is_cut_off(page, photo):
    give(page, photo)
    dialog = open_crop(page)
    box = dialog.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 375 and box["height"] <= 720
    expect(dialog.get_by_role("button", name="Use this part")).to_be_in_viewport()
    touch, (x, y) = page.context.new_cdp_session(page), SCAN
    path = [on_screen(dialog, *point) for point in ((x + 256, y + 256), (x + 100, y + 100), (x, y))]
    # The first finger's way begins within the frame, which it would move: the frame is made small in a corner before.
    for name in ("Width", "Height", "Left", "Top"):
        dialog.get_by_label(name).fill("40")
        dialog.get_by_label(name).blur()
    for type_, points in (
        ("touchStart", path[:1]),
        ("touchMove", path[1:2]),
        ("touchMove", path[2:]),
        ("touchEnd", []),
    ):
        touch.send(
            "Input.dispatchTouchEvent", {"type": type_, "touchPoints": [{"x": left, "y": top} for left, top in points]}
        )
    assert np.allclose(frame_of(dialog), [x, y, 256, 256], atol=12)
    dialog.get_by_role("button", name="Use this part").click()
    expect_the_part_to_be_judged(page)


@pytest.mark.parametrize("page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=str)
def test_the_words_of_the_dialog_stand_out(page, photo):
    give(page, photo)
    dialog = open_crop(page)
    page.wait_for_timeout(700)
    measured = [m for m in page.evaluate(CONTRAST) if m["id"] in ("crop", "crop-title", "crop-help")]
    assert len(measured) >= 7 and [m for m in measured if m["ratio"] < m["needed"]] == []
    for name in ("Left", "Top", "Width", "Height"):
        expect(dialog.get_by_label(name)).to_be_visible()


def test_what_is_no_plain_picture_cannot_be_cropped(page, tmp_path):
    page.get_by_role("button", name="Thumbnail 2").click()
    expect_all_four_confidences(page)
    button = page.get_by_role("button", name="Crop the picture")
    expect(button).to_be_visible()
    upload(page, template_volume(tmp_path / "volume.nii.gz"))
    expect(page.locator("#slices")).to_be_visible(timeout=60_000)
    expect(button).not_to_be_visible()
    page.get_by_role("button", name="Another scan").click()
    expect(page.locator("#verdict")).to_contain_text(re.compile("No scan yet"))
    expect(button).not_to_be_visible()
    upload(page, dicom_series(tmp_path, slices=1)[0])  # the letters R and L are drawn into its picture
    expect(page.locator("#facts")).to_contain_text("DICOM", timeout=60_000)
    expect(button).not_to_be_visible()
