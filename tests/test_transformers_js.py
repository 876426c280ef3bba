"""The checkpoint in JavaScript, by transformers.js: in Node on test slices, in a browser by the page of the docs."""

import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageClassification, pipeline

from brain_tumor.data.pixels import open_picture
from brain_tumor.data.split import split_scans
from brain_tumor.publishing.export import FILE, export_onnx
from tests.npm import JS
from tests.serving import EXAMPLES, ROOT

SLICES, TENSORS = 200, 32

pytestmark = pytest.mark.slow  # npm installs a package of its own


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """The bundled checkpoint with its onnx/ folder."""
    folder = tmp_path_factory.mktemp("js") / "model"
    shutil.copytree(ROOT / "model", folder)
    if not (folder / FILE).is_file():
        export_onnx(AutoModelForImageClassification.from_pretrained(folder), folder / FILE)
    return folder


@dataclass(frozen=True)
class Answers:
    """Of Python and of JavaScript: file -> label -> probability for pictures, (n, 4) logits for tensors."""

    python: dict[str, dict[str, float]]
    javascript: dict[str, dict[str, float]]
    python_logits: np.ndarray
    javascript_logits: np.ndarray


@pytest.fixture(scope="module")
def answers(node_modules, checkpoint, public_set, tmp_path_factory) -> Answers:
    """On slices of the test part by patient, their files as they are."""
    work = tmp_path_factory.mktemp("work")
    (work / "pictures").mkdir()
    test = split_scans(public_set("brain-tumour-MRI-scan").scans, "patients", 42)["test"]
    rows = test.select(np.linspace(0, len(test) - 1, SLICES).astype(int))["image"]
    pictures = [open_picture(row) for row in rows]
    names = []
    for number, row in enumerate(rows):
        names.append(f"{number:03}{Path(row['path']).suffix}")
        shutil.copy(row["path"], work / "pictures" / names[-1])
    classify = pipeline("image-classification", model=str(checkpoint))
    python = dict(zip(names, map(by_label, classify(pictures, batch_size=32, top_k=None)), strict=True))
    pixels = classify.image_processor(images=pictures[:TENSORS], return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        logits = classify.model(pixel_values=pixels).logits.numpy()
    pixels.numpy().astype("<f4").tofile(work / "pixels.bin")
    command = ["node", JS / "compare.mjs", checkpoint, work]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return Answers(python, found["pictures"], logits, np.array(found["logits"]))


def by_label(predictions: list[dict]) -> dict[str, float]:
    return {prediction["label"]: prediction["score"] for prediction in predictions}


def most_probable(confidences: dict[str, float]) -> str:
    return max(confidences, key=confidences.get)


@pytest.mark.data
def test_the_label_is_pythons_on_98_of_100_test_slices(answers):
    assert answers.javascript.keys() == answers.python.keys() and len(answers.python) == SLICES
    same = [most_probable(answers.javascript[name]) == most_probable(answers.python[name]) for name in answers.python]
    assert np.mean(same) >= 0.98
    assert len({most_probable(confidences) for confidences in answers.javascript.values()}) == 4


@pytest.mark.data
def test_the_same_pixel_tensors_give_the_same_scores(answers):
    assert answers.javascript_logits.shape == (TENSORS, 4)
    assert np.abs(answers.javascript_logits - answers.python_logits).max() < 1e-3


@pytest.mark.browser
def test_the_page_of_the_docs_classifies_in_a_browser_and_asks_nobody_else(node_modules, checkpoint, browser, tmp_path):
    (page_source,) = re.findall(
        r"^```html\n(.*?)^```", (ROOT / "docs/browser.md").read_text(), re.DOTALL | re.MULTILINE
    )
    (tmp_path / "index.html").write_text(page_source)
    (tmp_path / "model").symlink_to(checkpoint)
    (tmp_path / "node_modules").symlink_to(node_modules)
    classify = pipeline("image-classification", model=str(checkpoint))
    side = classify.image_processor.size["height"]
    requests, errors = [], []
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.set_default_timeout(240_000)
        page.on("request", lambda request: requests.append(request))
        page.on("pageerror", lambda error: errors.append(str(error)))
        address = f"http://127.0.0.1:{server.server_port}/"
        page.goto(address)
        page.wait_for_selector("input:enabled")
        before = len(requests)
        for path in sorted(EXAMPLES.glob("*.png")):
            page.evaluate("document.querySelector('pre').textContent = ''")
            Image.open(path).resize((side, side)).save(tmp_path / path.name)  # what needs no resizing, which differs
            page.set_input_files("input", tmp_path / path.name)
            page.wait_for_function("document.querySelector('pre').textContent")
            found = by_label(json.loads(page.text_content("pre")))
            assert found == pytest.approx(by_label(classify(str(tmp_path / path.name), top_k=None)), abs=1e-3)
        page.close()
        server.shutdown()
    assert not errors
    assert all(request.url.startswith((address, "blob:", "data:")) for request in requests)
    # The pictures stay in the page: what is asked for after loading is never sent to anybody.
    assert all(request.method == "GET" and request.url.startswith("blob:") for request in requests[before:])
