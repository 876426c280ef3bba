"""Write the README's pictures of the demo, docs/*.png:

    python -m tests.screenshot

`one_scan.png` (an example with its verdict and heat map), `several_scans.png` (a DICOM series among pictures, dark),
`phone.png` (375 px wide). Needs playwright (pip install playwright) and Debian's chromium (apt-get install chromium).
"""

import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from tests.serving import CHROMIUM_FLAGS, EXAMPLES, ROOT, checkpoint, dicom_series, running_demo

OUT = ROOT / "docs"


def main(out: Path = OUT) -> None:
    from playwright.sync_api import sync_playwright  # only this command needs it

    if shutil.which("chromium") is None:
        sys.exit("The screenshots need Debian's browser: apt-get install chromium")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        folder = Path(folder)
        with running_demo(folder / "demo", MODEL_ID=str(checkpoint(folder / "checkpoint"))) as demo:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
            for name, width, scheme, act in (
                ("one_scan", 1280, "light", show_an_example),
                ("several_scans", 1280, "dark", show_several),
                ("phone", 375, "light", show_an_example),
            ):
                page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
                page.goto(demo.url)
                act(page, folder)
                page.mouse.move(0, 0)
                for picture in page.locator("img:visible").all():  # the browser loads what comes into sight
                    picture.scroll_into_view_if_needed()
                page.evaluate("window.scrollTo(0, 0)")  # the warning stays where it is in sight
                page.wait_for_timeout(1000)  # bars and panels finish their transitions
                page.screenshot(path=out / f"{name}.png", full_page=True)
                page.close()
            browser.close()


def show_an_example(page, folder: Path) -> None:
    from playwright.sync_api import expect

    page.get_by_role("button", name="Thumbnail 3").click(timeout=20_000)
    expect(page.locator("#confidence dt")).to_have_count(4, timeout=15_000)


def show_several(page, folder: Path) -> None:
    from playwright.sync_api import expect

    with zipfile.ZipFile(folder / "series.zip", "w") as archive:
        for path in dicom_series(folder / "series", slices=16):
            archive.write(path, path.name)
    page.get_by_role("tab", name="Several scans").click(timeout=20_000)
    files = [folder / "series.zip", EXAMPLES / "no_tumor.png", EXAMPLES / "glioma.png"]
    page.locator("#files input[type=file]").set_input_files([str(path) for path in files])
    expect(page.locator("#files tr.file")).to_have_count(len(files), timeout=30_000)
    page.get_by_role("button", name="Classify").click()
    expect(page.locator("#summary")).to_contain_text("scans were read", timeout=60_000)
    for picture in page.locator("#gallery img").all():
        picture.scroll_into_view_if_needed()  # pictures load when they come into sight


if __name__ == "__main__":
    main()
