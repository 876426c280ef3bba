"""What tests in a real browser share: how a visitor uploads, looks and downloads. Skips them without a browser."""

import base64
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from brain_tumor.labels import DISPLAY_NAMES

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
if shutil.which("chromium") is None:
    pytest.skip("needs Debian's browser: apt-get install chromium", allow_module_level=True)

expect = sync_api.expect

CONTRAST = """
() => {
    // WCAG 2.2, 1.4.3: contrast of each visible text with the colors beneath it, composed from the page down.
    const parse = text => {
        const c = document.createElement('canvas'), g = c.getContext('2d', {willReadFrequently: true})
        c.width = c.height = 1
        g.fillStyle = text
        g.fillRect(0, 0, 1, 1)
        const [r, gr, b, a] = g.getImageData(0, 0, 1, 1).data
        return [r, gr, b, a / 255]
    }
    const over = (top, below) => [0, 1, 2].map(i => top[3] * top[i] + (1 - top[3]) * below[i])
    const luminance = color => {
        const [r, g, b] = color.map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b
    }
    const ground = element => {
        const layers = []
        for (let e = element; e; e = e.parentElement) {
            const color = parse(getComputedStyle(e).backgroundColor)
            layers.push(color)
            if (color[3] === 1) break
        }
        return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255])
    }
    const found = []
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    while (walker.nextNode()) {
        const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement
        if (!text || !element.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue
        const box = element.getBoundingClientRect(), style = getComputedStyle(element)
        if (!box.width || !box.height || element.closest('[disabled], script, style, svg, [aria-hidden=true]')) continue
        let opacity = 1
        for (let e = element; e; e = e.parentElement) opacity *= getComputedStyle(e).opacity
        const below = ground(element), color = parse(style.color)
        const [a, b] = [over([...color.slice(0, 3), color[3] * opacity], below), below].map(luminance)
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
        const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700)
        const where = element.className, id = element.closest('[id]')?.id
        found.push({text: text.slice(0, 40), ratio, needed: large ? 3 : 4.5, where, id})
    }
    return found
}
"""


def confidences(page):
    return page.locator("#confidence dt")


def expect_all_four_confidences(page) -> None:
    expect(confidences(page)).to_have_count(4, timeout=15_000)
    assert set(confidences(page).all_inner_texts()) == set(DISPLAY_NAMES.values())


def upload(page, path: Path) -> None:
    page.locator("#scan input[type=file]").set_input_files(str(path))


def look_at(page, paths, seconds: int = 60) -> None:
    """Opens the tab for several scans and has these files judged."""
    page.get_by_role("tab", name="Several scans").click()
    page.locator("#files input[type=file]").set_input_files([str(path) for path in paths])
    expect(page.locator("#files tr.file")).to_have_count(len(paths), timeout=30_000)
    page.get_by_role("button", name="Classify").click()
    read = re.compile("(uploads|scans) were read|scan was read")
    expect(page.locator("#summary")).to_contain_text(read, timeout=1000 * seconds)


def shown_picture(page, where: str = "#original") -> list[int]:
    """Width and height of the picture in a panel, as the browser decoded it; zeros if it could not."""
    return page.locator(f"{where} img").evaluate(
        "i => i.decode().catch(() => {}).then(() => [i.naturalWidth, i.naturalHeight])"
    )


def pixels(page, where: str = "#original") -> np.ndarray:
    """The picture in a panel, (height, width, 3) uint8."""
    file = page.request.get(page.locator(f"{where} img").get_attribute("src")).body()
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def put_on_clipboard(page, path: Path) -> None:
    page.evaluate(
        """async png => {
            const bytes = Uint8Array.from(atob(png), letter => letter.charCodeAt(0))
            await navigator.clipboard.write([new ClipboardItem({'image/png': new Blob([bytes], {type: 'image/png'})})])
        }""",
        base64.b64encode(path.read_bytes()).decode(),
    )


def downloaded(page, name: str) -> str:
    with page.expect_download() as download:
        page.get_by_role("link", name=name).or_(page.get_by_role("button", name=name)).first.click()
    return Path(download.value.path()).read_text()
