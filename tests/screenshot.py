"""Write docs/screenshot.png: the demo with an example classified, 1280 px wide.

    python -m tests.screenshot

Needs playwright (pip install playwright) and Debian's chromium (apt-get install chromium).
"""

import shutil
import sys
import tempfile
from pathlib import Path

from tests.serving import CHROMIUM_FLAGS, ROOT, checkpoint, running_demo

OUT = ROOT / "docs" / "screenshot.png"


def main(out: Path = OUT, width: int = 1280, color_scheme: str = "light") -> None:
    from playwright.sync_api import expect, sync_playwright  # only this command needs it

    if shutil.which("chromium") is None:
        sys.exit("The screenshot needs Debian's browser: apt-get install chromium")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        folder = Path(folder)
        with running_demo(folder / "demo", MODEL_ID=str(checkpoint(folder / "checkpoint"))) as demo:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=color_scheme)
            page.goto(demo.url)
            page.get_by_role("button", name="Thumbnail 2").click(timeout=20_000)
            expect(page.locator("#confidence dt")).to_have_count(4, timeout=15_000)
            page.mouse.move(0, 0)
            page.wait_for_timeout(1000)  # bars and panels finish their transitions
            page.screenshot(path=out, full_page=True)
            browser.close()


if __name__ == "__main__":
    main()
