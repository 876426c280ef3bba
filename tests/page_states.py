"""Every state of the demo's page that a visitor can bring about, as a table: how one gets there from the state before.

The verdicts are staged, so that none depends on what a checkpoint says of a picture.
"""

import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tests.serving import EXAMPLES, bad_files, dicom_series, stretch_volume

VERDICTS = {
    "no_tumor": ("No tumor seen", 301),
    "glioma": ("Looks like: glioma", 302),
    "tumor": ("Looks like: a tumor, type unclear", 303),
    "uncertain": ("Uncertain: needs a specialist", 304),
    "unfamiliar": ("Not sure that this is a brain MRI", 305),
}
"""The five verdicts -> their headline, and the width of the picture that gets them from a demo that runs `STAGE`."""

STAGE = f"""
from dataclasses import replace
from brain_tumor.inference.classifier import Classifier
from brain_tumor.labels import LABELS, canonical_label
predict = Classifier.predict
verdicts = {{width: verdict for verdict, (_, width) in {VERDICTS}.items()}}
shares = {{"no_tumor": (0, 0, 1, 0), "glioma": (0.9, 0.06, 0.03, 0.01), "tumor": (0.5, 0.45, 0.03, 0.02)}}
def staged(self, images):
    return [stage(image, prediction) for image, prediction in zip(images, predict(self, images))]
def stage(image, prediction):
    verdict = verdicts.get(image.width)
    if verdict is None:
        return prediction
    by_label = dict(zip(LABELS, shares.get(verdict, (0.2, 0.05, 0.7, 0.05))))
    confidences = {{name: by_label[canonical_label(name)] for name in prediction.confidences}}
    label = max(confidences, key=confidences.get)
    familiarity = -1.0 if verdict == "unfamiliar" else 1.0
    return replace(prediction, label=label, confidences=confidences, verdict=verdict, familiarity=familiarity)
Classifier.predict = staged
"""
"""What `running_demo` runs first."""


def write_files(folder: Path) -> dict[str, Path]:
    """What the states give to the page, name -> file."""
    files = {}
    for verdict, (_, width) in VERDICTS.items():
        files[verdict] = folder / f"{verdict}.png"
        Image.open(EXAMPLES / "glioma.png").resize((width, width)).save(files[verdict])
    files["bad"] = folder / "letter.jpg"
    files["bad"].write_bytes(bad_files()["text.jpg"])
    files["volume"] = stretch_volume(folder / "volume.nii")
    files["series"] = folder / "series.zip"
    with zipfile.ZipFile(files["series"], "w") as archive:
        for path in dicom_series(folder / "series", slices=8):
            archive.write(path, path.name)
    files["example"] = folder / "example.png"
    shutil.copy(EXAMPLES / "glioma.png", files["example"])
    return files


def expect(locator, **options):
    from playwright.sync_api import expect  # only where there is a browser

    return expect(locator, **options)


def load(page) -> None:
    expect(page.get_by_role("button", name="Thumbnail 1")).to_be_visible(timeout=30_000)


def tab(page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def give(page, path: Path, headline: str | re.Pattern) -> None:
    """Has a scan judged, and waits for the verdict on it."""
    tab(page, "One scan")
    page.locator("#scan input[type=file]").set_input_files(path)
    expect(page.locator("#given img")).to_have_attribute("title", path.name, timeout=60_000)
    expect(page.locator("#verdict h2").last).to_have_text(headline, timeout=60_000)
    expect(page.locator("#results")).to_be_visible()


def give_verdict(verdict: str) -> Callable:
    return lambda page, files: give(page, files[verdict], VERDICTS[verdict][0])


def open_crop(page, files) -> None:
    page.get_by_role("button", name="Crop the picture").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def show_anyway(page, files) -> None:
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Show it anyway").click()
    expect(page.locator("#verdict .verdict")).to_have_count(2, timeout=15_000)
    expect(page.locator("#confidence dt")).to_have_count(4)


def open_numbers(page, files) -> None:
    page.locator("#verdict summary").last.click()


def show_map(page, files) -> None:
    page.get_by_label("Show the heat map").check()
    expect(page.locator("#picture img")).to_be_visible()


def hide_map(page, files) -> None:
    page.get_by_label("Show the heat map").uncheck()
    expect(page.locator("#picture")).not_to_be_visible()


def give_volume(page, files) -> None:
    give(page, files["volume"], re.compile("^(Looks like|No tumor|Uncertain)"))
    expect(page.locator("#slice-words h3")).to_be_visible()


def move_slider(page, files) -> None:
    page.locator("#slice input[type=range]").fill("3")
    expect(page.locator("#slice-words h3")).to_contain_text("Slice 3 of", timeout=15_000)


def show_planes(page, files) -> None:
    page.get_by_label("Show three planes").check()
    expect(page.locator("#cut-coronal img")).to_be_visible(timeout=15_000)


def ask_again(page, files) -> None:
    page.get_by_role("button", name="Ask it again").click()
    expect(page.locator("#asked li").first).to_be_visible(timeout=30_000)


def give_bad_file(page, files) -> None:
    page.locator("#scan input[type=file]").set_input_files(files["bad"])
    expect(page.locator(".toast-body").first).to_contain_text("not a scan", timeout=15_000)


def close_toasts(page) -> None:
    for close in page.get_by_test_id("toast-close").all():
        close.click()
    expect(page.locator(".toast-body")).to_have_count(0)


def be_denied_the_clipboard(page, files) -> None:
    close_toasts(page)
    page.context.clear_permissions()
    page.get_by_role("button", name="Paste from clipboard").click()
    expect(page.locator("#told")).to_contain_text("did not let this page read the clipboard")


def miss_the_public_examples(page, files) -> None:
    page.get_by_role("button", name="Load scans from the public dataset").click()
    expect(page.locator("#about-examples")).to_contain_text("cannot be downloaded now", timeout=30_000)


def open_full_screen(page, files) -> None:
    page.locator("#original").get_by_role("button", name=re.compile("fullscreen", re.IGNORECASE)).click()
    page.wait_for_timeout(500)


def open_several(page, files) -> None:
    tab(page, "Several scans")
    expect(page.locator("#look")).to_be_visible()


def choose_several(*names: str) -> Callable:
    def choose(page, files) -> None:
        page.locator("#files input[type=file]").set_input_files([files[name] for name in names])
        expect(page.locator("#files tr.file")).to_have_count(len(names), timeout=30_000)

    return choose


def judge_several(page, files) -> None:
    page.locator("#look").click()
    expect(page.locator("#summary")).to_contain_text(re.compile("were read|was read"), timeout=120_000)
    expect(page.locator("#gallery .thumbnail-item").first).to_be_visible()


def choose_a_count(page, files) -> None:
    page.locator("#table .counts button").first.click()


def open_more_of_a_row(page, files) -> None:
    page.locator("#table .counts button").first.click()  # all rows again
    page.locator("#table [data-more]").first.click()


def open_a_row(page, files) -> None:
    page.locator("#table [data-open]").first.click()
    expect(page.get_by_role("button", name="Back to the table")).to_be_visible(timeout=15_000)


def change_the_plane(page, files) -> None:
    page.get_by_role("button", name="Back to the table").click()
    page.get_by_label("Coronal").check()
    expect(page.locator("#old")).to_contain_text("Old results")


def open_list_of_volumes(page, files) -> None:
    page.get_by_label("Best resolution").check()
    page.locator("#which-volume input").click()
    expect(page.get_by_role("option")).to_have_count(2)


def open_gallery_picture(page, files) -> None:
    page.keyboard.press("Escape")
    page.locator("#gallery .thumbnail-item").first.click()
    page.wait_for_timeout(500)


def open_about(page, files) -> None:
    page.keyboard.press("Escape")
    tab(page, "About")
    expect(page.locator("#about h2").first).to_be_visible()


def open_the_folds(page, files) -> None:
    for fold in page.locator("#about button.label-wrap").all():
        fold.click()
    expect(page.locator("#about .plot img").first).to_be_attached(timeout=15_000)


def open_the_api(page, files) -> None:
    page.get_by_role("button", name="Use via API").click()
    expect(page.get_by_text("/predict_batch").first).to_be_visible()


STATES: dict[str, Callable] = {
    "start": lambda page, files: load(page),
    **{f"verdict: {verdict}": give_verdict(verdict) for verdict in VERDICTS},
    "crop": open_crop,
    "shown anyway": show_anyway,
    "an example": lambda page, files: give(page, files["example"], re.compile("^(Looks|No|Unc)")),
    "numbers open": open_numbers,
    "map off": hide_map,
    "map on": show_map,
    "full screen": open_full_screen,
    "start again": lambda page, files: (page.reload(), load(page)),
    "volume": give_volume,
    "another slice": move_slider,
    "three planes": show_planes,
    "asked again": ask_again,
    "error toast": give_bad_file,
    "paste denied": be_denied_the_clipboard,
    "no public examples": miss_the_public_examples,
    "several scans, empty": open_several,
    "several scans, chosen": choose_several("glioma", "bad", "unfamiliar", "volume", "series"),
    "several scans, judged": judge_several,
    "a count chosen": choose_a_count,
    "more of a row": open_more_of_a_row,
    "a row opened": open_a_row,
    "old results": change_the_plane,
    "list of volumes": open_list_of_volumes,
    "gallery picture": open_gallery_picture,
    "about": open_about,
    "about, unfolded": open_the_folds,
    "API": open_the_api,
}
"""State -> what brings the page there, in this order, from the state before; a line of its own for each."""
