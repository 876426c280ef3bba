"""What all tests share. Caches go to a temporary folder, and no test asks the real Hub."""

import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.stopwatch import Stopwatch

# Before `datasets`, `transformers` and matplotlib are imported: each reads its folders once.
CACHES = tempfile.mkdtemp(prefix="brain-tumor-tests-")
for name in list(os.environ):
    if name.startswith(("HF_", "HUGGINGFACE_", "HUGGING_FACE_", "TRANSFORMERS_")):
        del os.environ[name]
os.environ |= {"HF_HOME": f"{CACHES}/huggingface", "MPLCONFIGDIR": f"{CACHES}/matplotlib", "HF_HUB_OFFLINE": "1"}
# One thread in each test process and what it starts: on shared cores, threads that spin while they wait for one another
# make torch and OpenBLAS up to a hundred times slower.
os.environ |= {name: os.environ.get(name, "1") for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


def pytest_unconfigure(config):
    shutil.rmtree(CACHES, ignore_errors=True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The checkpoint and the public sets of slices that the project was built on, where they lie beside it."""
    if not SHARED.is_dir():
        pytest.skip("needs the checkpoint and the public slices in ../shared, which a clone does not have")
    return SHARED


@dataclass(frozen=True)
class PublicSet:
    """One of the public sets, and how long it took to load it with nothing in the cache."""

    scans: Any
    time: Stopwatch


@pytest.fixture(scope="session")
def public_set(shared) -> Callable[[str], PublicSet]:
    """Loads `public_set("labeled-mri-brain-tumor")` from ../shared, once for all tests."""

    @functools.cache
    def load(name: str) -> PublicSet:
        from brain_tumor.data.dataset import load_scans

        with Stopwatch() as stopwatch:
            scans = load_scans(shared / "data" / name)
        return PublicSet(scans, stopwatch)

    return load


@pytest.fixture
def slice_folder(tmp_path_factory) -> Callable[..., Path]:
    """Makes a small data set of drawn slices: `slice_folder({"Training/2-glioma": 3, ...}, suffix=".jpg", side=96)`.

    Slices are learnable (each class looks like something) and no two are copies of each other.
    """

    def make(counts: Mapping[str, int], **options) -> Path:
        from tests.slices import write_slices

        return write_slices(tmp_path_factory.mktemp("slices"), counts, **options)

    return make


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory) -> Path:
    """A MobileNetV2 of width 0.35 for 10 classes at 96 px, as if pretrained. Read only."""
    import torch
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification, MobileNetV2ImageProcessorPil

    from tests.slices import draw_slice

    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    model = MobileNetV2ForImageClassification(MobileNetV2Config(depth_multiplier=0.35, image_size=96, num_labels=10))
    processor = MobileNetV2ImageProcessorPil(image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.4])
    slices = processor(images=[draw_slice(i, side=96).convert("RGB") for i in range(16)], return_tensors="pt")
    with torch.no_grad():
        model.train()(**slices)  # sets the statistics of the batch norms, or all slices would look alike to it
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window. One for all tests of a process: playwright can be started only once at a time."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    if shutil.which("chromium") is None:
        pytest.skip("needs Debian's browser: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(demo, browser, request):
    """The demo's page, loaded; at the end it must have asked nobody else for anything and logged no error.

    Options of the browser's context, such as its color scheme, come as the fixture's parameter.
    """
    options = {"viewport": {"width": 1280, "height": 900}} | getattr(request, "param", {})
    context = browser.new_context(**options)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    elsewhere, errors = [], []
    page.on(
        "request", lambda r: elsewhere.append(r.url) if not r.url.startswith((demo.url, "data:", "blob:")) else None
    )
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(demo.url)
    expect = pytest.importorskip("playwright.sync_api").expect
    expect(page.get_by_role("button", name="Thumbnail 1")).to_be_visible(timeout=20_000)
    yield page
    context.close()
    assert not elsewhere, "the page must load nothing from third parties"
    assert not errors


from tests.npm import node_modules  # noqa: E402, F401  fixture
from tests.serving import CHROMIUM_FLAGS, puppet, shared_checkpoint, shared_demo, shared_hub  # noqa: E402, F401  fixtures
