"""The demo over HTTP, as a program sees it: `python app.py` in its own process, asked with `gradio_client`."""

import base64
import concurrent.futures
import csv
import datetime
import hashlib
import http.server
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import types
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from gradio_client.utils import QueueError
from PIL import Image
from transformers import MobileNetV2ImageProcessor, pipeline

from brain_tumor.demo import page
from brain_tumor.demo import uploads as upload
from brain_tumor.demo.uploads import sweep
from brain_tumor.labels import LABELS
from brain_tumor.network.baseline_cnn import BaselineCnnConfig, BaselineCnnForImageClassification
from brain_tumor.reading import pictures as scans
from brain_tumor.reading.readers import read_picture
from tests.serving import (
    EXAMPLES,
    ROOT,
    bad_files,
    checkpoint,
    comes_true,
    deep_values,
    demo_environment,
    demo_hub,
    dicom_series,
    free_port,
    good_pictures,
    photograph,
    running_demo,
    template_volume,
)

FILE_META = {"_type": "gradio.FileData"}
GOOD = EXAMPLES / "meningioma.png"


@pytest.fixture(scope="module")
def model_id(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def hub():
    with demo_hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def demo(model_id, hub, tmp_path_factory):
    with running_demo(tmp_path_factory.mktemp("demo"), MODEL_ID=str(model_id), HF_ENDPOINT=hub.url) as demo:
        yield demo


@pytest.fixture(scope="module")
def client(demo, tmp_path_factory):
    return Client(demo.url, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))


@pytest.fixture
def holdable(model_id, tmp_path):
    """A demo, and two files: a call that finds `hold` makes it `held` and waits until that is gone, or a minute."""
    hold, held = tmp_path / "hold", tmp_path / "held"
    holding = f"""
import contextlib, pathlib, time
from brain_tumor.classifier import Classifier
hold, held, predict = pathlib.Path({str(hold)!r}), pathlib.Path({str(held)!r}), Classifier.predict
def when_let_go(self, slices):
    with contextlib.suppress(FileNotFoundError):
        hold.rename(held)
        until = time.monotonic() + 60
        while held.exists() and time.monotonic() < until:
            time.sleep(0.05)
        held.unlink(missing_ok=True)
    return predict(self, slices)
Classifier.predict = when_let_go
"""
    with running_demo(tmp_path / "demo", before=holding, MODEL_ID=str(model_id)) as demo:
        yield demo, hold, held


@pytest.fixture(scope="module")
def credulous_client(model_id, tmp_path_factory):
    """Of a demo whose checkpoint cannot tell what is no brain MRI, and comes without results."""
    folder = tmp_path_factory.mktemp("credulous")
    left_out = shutil.ignore_patterns("familiarity.safetensors", "results.json", "*.png", "README.md", "examples")
    shutil.copytree(model_id, folder / "model", ignore=left_out)
    with running_demo(folder / "demo", MODEL_ID=str(folder / "model")) as demo:
        yield Client(demo.url, verbose=False, download_files=str(folder / "downloads"))


@pytest.fixture(scope="module")
def plain_pipeline(model_id):
    return pipeline("image-classification", model=str(model_id), top_k=None)


def ask(client, path) -> dict[str, float]:
    return client.predict(handle_file(path), api_name="/predict")["confidences"]


def ask_batch(client, paths, **options) -> list[dict]:
    answer = client.predict([handle_file(path) for path in paths], api_name="/predict_batch", **options)
    return answer["results"]


def by_pipeline(plain_pipeline, path) -> dict[str, float]:
    return {entry["label"]: entry["score"] for entry in plain_pipeline(str(path))}


def ask_with_payload(demo, payload, endpoint: str = "predict") -> str:
    """The server's last event for a hand-made request; `gradio_client` would upload or fetch the file itself."""
    data = [payload] if endpoint == "predict" else [[payload], ""]
    call = httpx.post(f"{demo.url}/gradio_api/call/{endpoint}", json={"data": data}, timeout=30)
    return httpx.get(f"{demo.url}/gradio_api/call/{endpoint}/{call.json()['event_id']}", timeout=30).text


def config_of(demo) -> dict:
    with urllib.request.urlopen(demo.url + "/config") as answer:
        return json.load(answer)


def event_of(demo, elem_id: str, event: str) -> int:
    """Number of the page's event, as its own script would ask for it."""
    config = config_of(demo)
    (component,) = (c["id"] for c in config["components"] if c["props"].get("elem_id") == elem_id)
    return next(d["id"] for d in config["dependencies"] if [component, event] in [list(t) for t in d["targets"]])


def ask_as_page(demo, elem_id: str, event: str, data: list, session: str) -> dict:
    """What the page's script gets for one of the page's own events."""
    body = {"fn_index": event_of(demo, elem_id, event), "data": data, "session_hash": session}
    httpx.post(demo.url + "/gradio_api/queue/join", json=body, timeout=30).raise_for_status()
    stream = httpx.get(demo.url + "/gradio_api/queue/data", params={"session_hash": session}, timeout=60).text
    messages = [json.loads(line.removeprefix("data: ")) for line in stream.splitlines() if line.startswith("data: ")]
    return next(message for message in messages if message["msg"] == "process_completed")


def uploaded(demo, path: Path) -> dict:
    """A file's payload after its upload, as the page's script sends it."""
    answer = httpx.post(demo.url + "/gradio_api/upload", files={"files": (path.name, path.read_bytes())}, timeout=30)
    return {"path": answer.json()[0], "orig_name": path.name, "meta": FILE_META}


def served_files(answer: dict) -> list[dict]:
    """Files in an answer to the page."""
    found = []

    def walk(value):
        if isinstance(value, dict):
            if value.get("meta") == FILE_META:
                found.append(value)
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(answer)
    return found


def files_of_the_repository() -> set[Path]:
    hidden = (".", "__pycache__")
    return {path for path in ROOT.rglob("*") if not any(p.startswith(hidden) for p in path.relative_to(ROOT).parts)}


def sentence_of(path: Path) -> str:
    with pytest.raises(scans.ScanError) as error:
        read_picture(path)
    return str(error.value)


def test_the_api_has_two_endpoints_and_they_are_typed(demo):
    with urllib.request.urlopen(demo.url + "/gradio_api/info?all_endpoints=true") as answer:
        info = json.load(answer)
    assert list(info["named_endpoints"]) == ["/predict", "/predict_batch"]
    assert not info["unnamed_endpoints"]
    endpoint, batch = info["named_endpoints"].values()
    assert "slice of a brain MRI" in endpoint["description"]
    (scan,) = endpoint["parameters"]
    assert scan["parameter_name"] == "scan"
    assert scan["component"] == "File"
    assert scan["python_type"]["type"] == "filepath"
    assert "://" not in json.dumps(scan["example_input"]), "the documented example must be one that works"
    (result,) = endpoint["returns"]
    for name in ("verdict: str", "no_tumor: float", "familiar: bool | None"):
        assert name in result["python_type"]["type"]

    assert "DICOM series" in batch["description"]
    files, plane = batch["parameters"]
    assert (files["parameter_name"], files["python_type"]["type"]) == ("files", "list[filepath]")
    assert "://" not in json.dumps(files["example_input"])
    assert plane["parameter_name"] == "plane"
    assert plane["parameter_has_default"]
    assert "coronal" in plane["python_type"]["type"]
    (results,) = batch["returns"]
    assert "results: list[dict(name: str" in results["python_type"]["type"]


@pytest.mark.parametrize("kind", good_pictures())
def test_an_8_bit_picture_gets_the_confidences_of_the_plain_pipeline(kind, credulous_client, plain_pipeline, tmp_path):
    picture, suffix, options = good_pictures()[kind]
    path = tmp_path / f"scan.{suffix}"
    picture.save(path, **options)
    answer, expected = ask(credulous_client, path), by_pipeline(plain_pipeline, path)
    assert set(answer) == set(LABELS)
    assert answer == pytest.approx(expected, abs=1e-4)
    assert sum(answer.values()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_16_bit_picture_is_windowed_and_not_white(suffix, client, plain_pipeline, tmp_path):
    Image.fromarray(deep_values()).save(tmp_path / f"deep.{suffix}")
    scans.window(deep_values()).save(tmp_path / "windowed.png")
    Image.new("RGB", (320, 320), "white").save(tmp_path / "white.png")
    answer = ask(client, tmp_path / f"deep.{suffix}")
    assert answer == pytest.approx(by_pipeline(plain_pipeline, tmp_path / "windowed.png"), abs=1e-4)
    assert answer != pytest.approx(by_pipeline(plain_pipeline, tmp_path / "white.png"), abs=1e-3)


@pytest.mark.parametrize("name", bad_files())
def test_a_bad_file_is_answered_with_its_sentence_and_the_next_scan_is_classified(name, client, demo, tmp_path):
    (tmp_path / name).write_bytes(bad_files()[name])
    with pytest.raises(AppError) as error:
        ask(client, tmp_path / name)
    assert error.value.message == sentence_of(tmp_path / name)
    assert set(ask(client, GOOD)) == set(LABELS)
    assert "Traceback" not in demo.log


def test_a_file_above_the_limit_is_refused_at_the_door(client, demo):
    too_much = b"\0" * (scans.MAX_FILE_BYTES + 1)
    answer = httpx.post(demo.url + "/gradio_api/upload", files={"files": ("huge.png", too_much)}, timeout=30)
    assert answer.status_code == 413
    assert "maximum allowed size" in answer.text
    assert not list(demo.cache.rglob("huge.png"))
    assert ask(client, GOOD)


def test_a_sentence_stays_on_the_page_until_it_is_closed(demo):
    assert '"duration": null' in ask_with_payload(demo, {"url": "data:image/png;base64,", "meta": FILE_META})


def test_the_answer_is_a_verdict_with_its_reason_and_its_figures(client):
    answer = client.predict(handle_file(GOOD), api_name="/predict")
    assert answer["verdict"] in (*LABELS, "uncertain")
    assert answer["headline"] and answer["sentence"].endswith(".")
    assert answer["label"] == max(answer["confidences"], key=answer["confidences"].get)
    assert answer["any_tumor"] == pytest.approx(1 - answer["confidences"]["no_tumor"], abs=1e-5)
    assert answer["familiar"] is True
    assert "320" in answer["facts"]["Size"]
    assert answer["model"]


def test_a_photograph_gets_no_label_and_no_confidences(client, tmp_path):
    photograph().save(tmp_path / "flower.jpg")
    answer = client.predict(handle_file(tmp_path / "flower.jpg"), api_name="/predict")
    assert answer["verdict"] == "unfamiliar"
    assert answer["familiar"] is False
    assert answer["label"] is answer["confidences"] is answer["any_tumor"] is None
    assert "not look like a brain MRI" in answer["headline"]


def test_a_checkpoint_without_a_familiarity_score_judges_everything(credulous_client, tmp_path):
    photograph().save(tmp_path / "flower.jpg")
    answer = credulous_client.predict(handle_file(tmp_path / "flower.jpg"), api_name="/predict")
    assert answer["familiar"] is None
    assert set(answer["confidences"]) == set(LABELS)


def test_a_batch_is_judged_file_by_file_and_a_bad_file_is_a_result_with_its_reason(client, tmp_path):
    names = [*bad_files(), "good.png"]
    for name, content in bad_files().items():
        (tmp_path / name).write_bytes(content)
    shutil.copy(GOOD, tmp_path / "good.png")
    results = {result["name"]: result for result in ask_batch(client, [tmp_path / name for name in names])}
    assert set(results) == set(names)
    for name in bad_files():
        assert results[name]["error"].endswith(".")
        assert results[name]["verdict"] is None
        assert results[name]["slices"] == []
    good = results["good.png"]
    assert good["error"] is None
    assert good["slices"][0]["confidences"] == pytest.approx(ask(client, GOOD), abs=1e-5)


def test_dicom_files_of_one_series_are_one_volume_and_no_tag_of_the_patient_comes_out(client, demo, tmp_path):
    (series,) = ask_batch(client, dicom_series(tmp_path, slices=10))
    assert series["kind"] == "series"
    assert len(series["slices"]) == 10
    assert series["headline"] and series["sentence"]
    assert series["facts"]["Modality"].startswith("MR")
    one = client.predict(handle_file(sorted(tmp_path.glob("*.dcm"))[5]), api_name="/predict")
    assert one["verdict"]
    for text in (json.dumps(series), json.dumps(one), demo.log):
        assert "MUSTERMANN" not in text.upper()
        assert "19700101" not in text


def test_a_nifti_volume_is_cut_in_the_plane_that_was_asked_for(client, tmp_path):
    path = template_volume(tmp_path / "volume.nii.gz")
    slices = {}
    for plane in ("", "axial", "coronal", "sagittal"):
        (result,) = ask_batch(client, [path], plane=plane)
        assert result["kind"] == "volume"
        assert result["peak"] is None or result["peak"] in [slice_["name"] for slice_ in result["slices"]]
        slices[plane] = len(result["slices"])
        if plane:
            assert result["facts"]["Plane"].lower().startswith(plane)
    assert len(set(slices.values())) > 1, "the planes of this volume have different numbers of slices"
    with pytest.raises(AppError, match="axial, coronal or sagittal"):
        ask_batch(client, [path], plane="oblique")


def test_a_batch_does_not_block_a_scan_of_its_own(holdable, tmp_path):
    demo, hold, held = holdable
    client = Client(demo.url, verbose=False, download_files=str(tmp_path))
    volume = template_volume(tmp_path / "volume.nii.gz")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        hold.touch()
        batch = pool.submit(ask_batch, client, [volume] * 4)
        assert comes_true(held.exists, 60), "the batch has begun"
        ask(client, GOOD)
        assert held.exists(), "the answer came while the batch was held"
        assert not batch.done()
        held.unlink()
        assert len(batch.result(300)) == 4


def readme_block(language: str, containing: str) -> str:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", (ROOT / "README.md").read_text(), flags=re.DOTALL | re.MULTILINE)
    (block,) = (text for name, text in blocks if name == language and containing in text)
    return block


def test_the_readmes_python_gets_answers(demo, tmp_path):
    shutil.copy(GOOD, tmp_path / "slice.png")
    shutil.copy(GOOD, tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "series.zip", "w") as archive:
        for path in dicom_series(tmp_path / "series", slices=5):
            archive.write(path, path.name)
    script = readme_block("python", "predict_batch").replace("http://127.0.0.1:7860", demo.url)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env=demo_environment(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    assert "'no_tumor':" in done.stdout
    assert "a.png" in done.stdout
    assert "None" not in done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_readmes_curl_gets_answers(demo, tmp_path):
    for name in ("slice.png", "a.png"):
        shutil.copy(GOOD, tmp_path / name)
    with zipfile.ZipFile(tmp_path / "series.zip", "w") as archive:
        for path in dicom_series(tmp_path / "series", slices=5):
            archive.write(path, path.name)
    script = readme_block("", "curl -s").replace("http://127.0.0.1:7860", demo.url)
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    one, several = (json.loads(text.split("\n")[0])[0] for text in done.stdout.split("event: complete\ndata: ")[1:])
    assert set(one["confidences"]) == set(LABELS)
    assert [result["name"] for result in several["results"]] == ["a.png", "DICOM series, 5 slices"]
    assert not any(result["error"] for result in several["results"])


def test_a_file_name_is_escaped_wherever_the_page_shows_html():
    evil = "<img src=x onerror=alert(1)>"
    for html in (
        page.verdict_html("glioma", evil, evil),
        page.facts_html({evil: evil}, [evil]),
    ):
        assert "<img" not in html
        assert "&lt;img" in html


def test_the_sides_are_marked_with_the_patients_right_on_the_left():
    plain = Image.new("RGB", (200, 200))
    marked = page.with_sides(plain)
    assert not np.asarray(plain).any(), "the slice itself is left alone"
    light = np.asarray(marked.convert("L")) > 128
    left, right = light[:, :100], light[:, 100:]
    assert left.any() and right.any()
    # The strokes of an R reach further up to the right than those of an L, whose upper right is empty.
    rows, columns = np.nonzero(right)
    upper_half = right[rows.min() : (rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2 + 1 :]
    assert not upper_half.any()
    rows, columns = np.nonzero(left)
    upper_half = left[rows.min() : (rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2 + 1 :]
    assert upper_half.any()


def test_a_checkpoint_without_heat_map_familiarity_and_thresholds_has_no_panels_for_them(tmp_path):
    labels = dict(enumerate(LABELS))
    network = BaselineCnnForImageClassification(BaselineCnnConfig(id2label=labels, hidden_sizes=(4, 4), dense_size=8))
    network.save_pretrained(tmp_path / "baseline")
    MobileNetV2ImageProcessor().save_pretrained(tmp_path / "baseline")
    with running_demo(tmp_path / "demo", MODEL_ID=str(tmp_path / "baseline")) as demo:
        answer = ask_as_page(demo, "scan", "upload", [uploaded(demo, GOOD), 0.5], "visitor")
        assert answer["success"], answer
        config = config_of(demo)
        outputs = next(d["outputs"] for d in config["dependencies"] if d["id"] == event_of(demo, "scan", "upload"))
        names = {c["id"]: c["props"].get("elem_id") for c in config["components"]}
        shown = {names[number]: value for number, value in zip(outputs, answer["output"]["data"], strict=True)}
        assert shown["map"]["visible"] is False
        assert len(shown["confidence"]["value"]["confidences"]) == 4
        assert "the verdict is a tumor" not in shown["share"]["value"]
        assert "heat map" not in shown["picture"]["alt_text"]


def test_the_page_about_a_checkpoint_without_results_says_so(credulous_client):
    assert "without a `results.json`" in json.dumps(credulous_client.config["components"])


def test_the_page_about_the_checkpoint_shows_its_own_figures(demo, model_id):
    results = json.loads((model_id / "results.json").read_text())
    page_text = json.dumps(config_of(demo)["components"], ensure_ascii=False)
    low, high = results["test"]["intervals"]["accuracy"]
    figure = f"| Accuracy | {100 * results['test']['accuracy']:.1f} % | {100 * low:.1f} to {100 * high:.1f} |"
    assert figure in page_text
    assert "What it cannot do" in page_text
    assert "have a copy in training" in page_text or "a copy in training" in page_text


def test_the_table_for_download_cannot_run_formulas(demo, tmp_path):
    path = tmp_path / "=1+1.png"
    shutil.copy(GOOD, path)
    payload = uploaded(demo, path)
    answer = ask_as_page(demo, "look", "click", [[payload], "Best resolution"], "table")
    (table,) = (file for file in served_files(answer) if file["path"].endswith(".csv"))
    rows = list(csv.reader(io.StringIO(Path(table["path"]).read_text())))
    assert len(rows) >= 2
    assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row)


def test_without_a_scan_the_answer_is_a_sentence(client):
    with pytest.raises(AppError, match="Choose or paste a scan first"):
        client.predict(None, api_name="/predict")


def test_a_data_uri_is_classified_like_the_file(client, demo):
    uri = "data:image/png;base64," + base64.b64encode(GOOD.read_bytes()).decode()
    expected = ask(client, GOOD)
    for endpoint in ("predict", "predict_batch"):
        event, data = ask_with_payload(demo, {"url": uri, "meta": FILE_META}, endpoint).strip().split("\n", 1)
        assert event == "event: complete"
        (answer,) = json.loads(data.removeprefix("data: "))
        if endpoint == "predict_batch":
            ((answer,),) = (result["slices"] for result in answer["results"])
        assert answer["confidences"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("endpoint", ["predict", "predict_batch"])
@pytest.mark.parametrize("key", ["path", "url"])
def test_an_address_is_never_fetched(key, endpoint, demo, hub):
    answer = ask_with_payload(demo, {key: hub.url + "/somebody/elses/scan.jpg", "meta": FILE_META}, endpoint)
    assert answer.startswith("event: error")
    assert "not fetched" in answer
    assert not any("somebody" in request.path for request in hub.requests)


@pytest.mark.parametrize("path", ["data:image/png;base64," + "iVBORw0K" * 60, "x" * 300, "a\0b"])
def test_what_comes_as_a_path_and_is_none_is_refused_in_words_and_not_logged(path, demo):
    for endpoint in ("predict", "predict_batch"):
        error = ask_with_payload(demo, {"path": path, "meta": FILE_META}, endpoint)
        assert "No file of yours came with this request" in error
        assert path[-40:] not in error
    assert path[-40:] not in demo.log


@pytest.mark.parametrize(
    "elem_id, event, count", [("opacity", "input", 3), ("plane", None, 2), ("which-volume", "input", 2)]
)
def test_an_address_in_the_place_of_any_other_value_is_not_fetched_either(elem_id, event, count, demo, hub):
    address = {"path": hub.url + "/somebody/elses/scan.jpg", "meta": FILE_META}
    target = (elem_id, event) if event else ("look", "click")
    answer = ask_as_page(demo, *target, [address] * count, f"address-{elem_id}")
    assert not answer["success"]
    assert "not fetched" in answer["output"]["error"]
    assert not any("somebody" in request.path for request in hub.requests)


@pytest.mark.parametrize("endpoint", ["predict", "predict_batch"])
@pytest.mark.parametrize("mark", [{"meta": FILE_META}, {"meta": {"_type": "other"}}, {}])
def test_a_file_of_the_server_that_was_not_uploaded_is_refused(mark, endpoint, demo, tmp_path):
    Image.open(GOOD).save(tmp_path / "private.png")
    answer = ask_with_payload(demo, {"path": str(tmp_path / "private.png")} | mark, endpoint)
    assert answer.startswith("event: error")
    assert "not uploaded by a user" in answer or "upload the file" in answer


def test_a_path_sent_as_a_plain_string_is_refused(demo, tmp_path):
    Image.open(GOOD).save(tmp_path / "private.png")
    answer = ask_with_payload(demo, str(tmp_path / "private.png"), "predict_batch")
    assert answer.startswith("event: error")
    assert "upload the file" in answer


@pytest.fixture
def listener():
    """A server of this machine that nobody may be made to ask; what it was asked is in `requests`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.requests.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(GOOD.read_bytes())

        do_HEAD = do_POST = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.mark.parametrize("endpoint", ["predict", "predict_batch"])
def test_paths_and_addresses_tell_neither_what_is_there_nor_whether(endpoint, demo, tmp_path, listener):
    there, nowhere = tmp_path / "secret.png", tmp_path / "nowhere.png"
    shutil.copy(GOOD, there)
    address = f"127.0.0.1:{listener.server_port}/scan.png"
    for key in ("path", "url"):
        for mark in ({"meta": FILE_META}, {"meta": {"_type": "other"}}, {}):
            said = set()
            for prefix in ("", "file://"):
                for path in (there, nowhere, tmp_path, Path("/etc/passwd"), Path("/etc/nowhere")):
                    answer = ask_with_payload(demo, {key: f"{prefix}{path}", "orig_name": "a.png"} | mark, endpoint)
                    assert answer.startswith("event: error"), (prefix, path, answer)
                    assert "root:" not in answer and "confidences" not in answer
                    said.add(answer.replace(f"{prefix}{path}", "").replace(str(path), ""))
                assert len(said) == 1, "what is there is told from what is not"
                said.clear()
            for url in (f"http://{address}", f"HTTP://{address}", f"https://{address}", f"//{address}"):
                answer = ask_with_payload(demo, {key: url, "orig_name": "a.png"} | mark, endpoint)
                assert answer.startswith("event: error") and "confidences" not in answer, (url, answer)
    for plain in (str(there), f"file://{there}", f"http://{address}"):
        assert ask_with_payload(demo, plain, endpoint).startswith("event: error")
    assert not listener.requests


def test_no_route_of_gradios_reads_a_file_or_fetches_an_address(demo, tmp_path, listener):
    (tmp_path / "secret.txt").write_text("a secret")
    address = f"127.0.0.1:{listener.server_port}/scan.png"
    for prefix in ("/gradio_api", ""):
        said = set()
        for path in (tmp_path / "secret.txt", tmp_path / "nowhere.txt", tmp_path, demo.cache, demo.folder / "log.txt"):
            for form in (f"/file={path}", f"/file=/..{path}", f"/file={demo.cache}/../../..{path}", f"/file/{path}"):
                answer = httpx.get(demo.url + prefix + form, timeout=30)
                assert answer.status_code >= 400, form
                assert "a secret" not in answer.text
                said.add((answer.status_code, answer.text.replace(str(path), "")) if form == f"/file={path}" else None)
        assert len(said - {None}) == 1, "what is there is told from what is not"
        for route in ("file=http://", "file=HTTP://", "file=https://", "file=//", "proxy=http://", "proxy=https://"):
            answer = httpx.get(f"{demo.url}{prefix}/{route}{address}", timeout=30)
            assert answer.status_code >= 400 and "PNG" not in answer.text, route
        public = httpx.get(f"{demo.url}{prefix}/file=http://example.com/", timeout=30)
        assert public.status_code == 404 and "Example" not in public.text, "this is no proxy"
    files = {"file": ("a.txt", b"anything")}
    assert httpx.post(demo.url + "/gradio_api/process_recording", files=files, timeout=30).status_code == 404
    assert not listener.requests


def test_the_uploads_of_a_visitor_are_neither_listed_nor_guessed(demo, tmp_path):
    name = "MUSTERMANN.png"
    Image.open(GOOD).rotate(7).save(tmp_path / name)
    path = Path(uploaded(demo, tmp_path / name)["path"])
    content = path.read_bytes()
    assert httpx.get(f"{demo.url}/gradio_api/file={path}", timeout=30).content == content, "its visitor sees it"
    for folder in (path.parent, path.parent.parent, demo.cache):
        for form in (folder, f"{folder}/", f"{folder}/.", f"{folder}/*"):
            answer = httpx.get(f"{demo.url}/gradio_api/file={form}", timeout=30)
            assert answer.status_code >= 400 and path.name not in answer.text.replace(str(form), "")
    # Gradio names folders by a hash of the content; without the server's own seed nobody can tell it, content or not.
    for digest in (hashlib.sha256(content), hashlib.sha256(content + name.encode()), hashlib.md5(content)):
        assert digest.hexdigest() not in str(path)
    assert re.fullmatch(r"[0-9a-f]{32,}", path.parent.name)
    for listing in ("/queue/status", "/info", "/startup-events", "/upload_progress?upload_id=a", "/heartbeats"):
        answer = httpx.get(f"{demo.url}/gradio_api{listing}", timeout=30)
        assert name not in answer.text and path.parent.name not in answer.text
    assert name not in json.dumps(config_of(demo)) and path.parent.name not in json.dumps(config_of(demo))


def test_a_request_too_large_to_be_held_is_refused_with_a_sentence(demo, client):
    def refused(answer: httpx.Response) -> bool:
        return answer.status_code == 413 and answer.json()["detail"].endswith(".")

    address = demo.url + "/gradio_api/call/predict"
    headers = {"Content-Type": "application/json"}
    piece = b'{"data": ["' + b"A" * 2**20
    most = upload.MAX_REQUEST_BYTES // 2**20
    assert refused(httpx.post(address, headers=headers, content=piece * (most + 1), timeout=60))
    # Without a length: as many pieces as fit, and one more.
    hidden = (piece for _ in range(most + 1))
    assert refused(httpx.post(address, headers=headers, content=hidden, timeout=60))
    uri = {"url": "data:image/png;base64," + base64.b64encode(GOOD.read_bytes()).decode(), "meta": FILE_META}
    assert ask_with_payload(demo, uri).startswith("event: complete")


def test_what_takes_too_long_ends_with_a_sentence_that_says_how_far_it_came(model_id, tmp_path):
    """The same demo with a second for a request instead of two minutes."""
    volume = template_volume(tmp_path / "volume.nii.gz")
    before = "from brain_tumor import slices; slices.MAX_SECONDS = 1"
    with running_demo(tmp_path / "demo", before=before, MODEL_ID=str(model_id)) as demo:
        client = Client(demo.url, verbose=False, download_files=str(tmp_path / "downloads"))
        results = ask_batch(client, [volume] * 40)
        *_, last = results
        assert 1 <= len(results) < 40
        assert re.match(r"This request took longer than 1 seconds, the most there are: \d+ (uploads|of)", last["error"])
        assert re.search(rf"{len(results) - 1} uploads were read, {41 - len(results)} were left out", last["error"])
        assert last["verdict"] is None and last["slices"] == []
        assert ask(client, GOOD), "the next request has a time of its own"


def test_uploads_stay_in_gradios_cache_and_the_repository_is_left_alone(client, demo, tmp_path):
    before = files_of_the_repository()
    Image.open(GOOD).rotate(5).save(tmp_path / "an_upload_to_find.png")
    ask(client, tmp_path / "an_upload_to_find.png")
    found = [path for path in demo.folder.rglob("*an_upload_to_find*") if path.is_file()]
    assert found
    assert all(path.is_relative_to(demo.cache) for path in found)
    assert files_of_the_repository() == before


def test_analytics_flagging_and_histories_are_off(demo):
    config = config_of(demo)
    assert config["analytics_enabled"] is False
    assert config["max_file_size"] == scans.MAX_FILE_BYTES
    assert config["footer_links"] == ["api"]
    assert not any("flag" in str(dependency).lower() for dependency in config["dependencies"])
    for address in ("/monitoring", "/monitoring/summary"):
        assert httpx.get(demo.url + address, timeout=30).status_code >= 400


@pytest.mark.parametrize("command", ["from brain_tumor import onnx_backend", "import benchmarks, onnxruntime"])
def test_onnx_runtime_reports_nothing_to_its_maker(command, tmp_path):
    environment = demo_environment(tmp_path, HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path))
    command += "; import time; time.sleep(1)"
    subprocess.run([sys.executable, "-c", command], cwd=ROOT, env=environment, timeout=60, check=True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "what is to be sent waits in files"


def test_the_examples_are_served_byte_for_byte(demo):
    config = config_of(demo)
    (gallery,) = (c for c in config["components"] if c["props"].get("elem_id") == "examples")
    listing = json.loads((EXAMPLES / "examples.json").read_text())
    shown = gallery["props"]["value"]
    assert shown
    for item in shown:
        url = urllib.parse.urljoin(demo.url, item["image"]["url"])
        with urllib.request.urlopen(url) as answer:
            assert answer.headers["Content-Type"].startswith("image/")
            assert answer.read() == Path(item["image"]["path"]).read_bytes()
    if Path(shown[0]["image"]["path"]).parent == EXAMPLES:
        assert [item["caption"] for item in shown] == [entry["caption"] for entry in listing]


def test_it_listens_on_this_machine_only_and_prints_its_address(demo):
    assert f"Running on local URL:  {demo.url}" in demo.log


def test_on_a_space_it_listens_to_everyone_and_when_it_stops_the_uploads_are_gone(model_id, tmp_path):
    port = str(free_port())
    with running_demo(
        tmp_path / "space", MODEL_ID=str(model_id), SPACE_ID="somebody/demo", GRADIO_SERVER_PORT=port
    ) as demo:
        assert f"http://0.0.0.0:{port}" in demo.log
        client = Client(demo.url, verbose=False, download_files=str(tmp_path / "downloads"))
        ask(client, GOOD)
        assert list(demo.cache.rglob("*.png"))
        demo.process.send_signal(signal.SIGINT)
        demo.process.wait(90)
        assert not list(demo.cache.rglob("*.png"))


def test_nothing_is_left_on_the_disk_after_sigterm_and_no_file_name_in_the_log(model_id, tmp_path):
    scan = tmp_path / "MUSTERMANN_ERIKA.png"
    Image.open(GOOD).rotate(3).save(scan)
    shutil.copy(scan, tmp_path / "MUSTERMANN_MAX.png")
    (tmp_path / "MUSTERMANN_BAD.jpg").write_bytes(b"no picture")
    dicom = dicom_series(tmp_path / "series", slices=8)
    with running_demo(tmp_path / "demo", MODEL_ID=str(model_id)) as demo:
        client = Client(demo.url, verbose=False, download_files=str(tmp_path / "downloads"))
        ask(client, scan)
        ask_batch(client, [scan, tmp_path / "MUSTERMANN_MAX.png", tmp_path / "MUSTERMANN_BAD.jpg", *dicom])
        uri = "data:image/png;base64," + base64.b64encode(scan.read_bytes()).decode()
        ask_with_payload(demo, {"url": uri, "meta": FILE_META})
        one = ask_as_page(demo, "scan", "upload", [uploaded(demo, scan), 0.5], "visitor")
        many = ask_as_page(demo, "look", "click", [[uploaded(demo, scan)], "Best resolution"], "visitor")
        for answer in (one, many):
            assert answer["success"], answer
            files = served_files(answer)
            assert files
            assert all(
                Path(file["path"]).is_relative_to(demo.cache) for file in files if "/examples/" not in file["path"]
            )
        (report,) = (file for file in served_files(one) if file["path"].endswith(".html"))
        assert "MUSTERMANN" not in Path(report["path"]).read_text()
        (table,) = (file for file in served_files(many) if file["path"].endswith(".csv"))
        assert "MUSTERMANN" in Path(table["path"]).read_text(), "a visitor's own table names the visitor's files"

        ours = {demo.folder / "log.txt"}
        assert {path for path in demo.folder.rglob("*") if path.is_file()} - ours
        demo.process.send_signal(signal.SIGTERM)
        # The client is still connected, so the process takes its time; the files go at once.
        assert comes_true(lambda: not demo.kept_files(), 2)
        assert demo.process.poll() is None
        assert demo.process.wait(90) == 0
        left = {
            path for path in demo.folder.rglob("*") if path.is_file() and not path.is_relative_to(demo.folder / "hub")
        }
        assert left == ours
        assert not list(demo.cache.glob("brain-tumor-demo-*")), "not even an empty folder"
        assert "MUSTERMANN" not in demo.log
        assert "Traceback" not in demo.log


def test_what_is_old_is_swept_and_what_is_new_stays(tmp_path):
    old, new = tmp_path / "old" / "scan.png", tmp_path / "new.png"
    old.parent.mkdir()
    old.write_bytes(b"scan")
    time.sleep(0.05)
    between = time.time()
    time.sleep(0.05)
    new.write_bytes(b"scan")
    last_used = {name: datetime.datetime.fromtimestamp(between + lag) for name, lag in (("gone", -1), ("here", 1))}
    holder = types.SimpleNamespace(session_data=dict.fromkeys(last_used, "results"), time_last_used=last_used)
    queue = types.SimpleNamespace(
        pending_event_ids_session=dict.fromkeys(last_used, set()),
        pending_messages_per_session=dict.fromkeys(last_used, "messages"),
    )
    files = [{str(old)}, {str(old), str(new)}]
    sweep(tmp_path, types.SimpleNamespace(state_holder=holder, _queue=queue, temp_file_sets=files), between)
    assert not old.exists()
    assert new.exists()
    memory = (holder.session_data, holder.time_last_used, queue.pending_event_ids_session)
    for kept in (*memory, queue.pending_messages_per_session):
        assert list(kept) == ["here"]
    assert files == [set(), {str(new)}]


def test_of_visitors_whose_call_is_under_way_the_queue_is_kept(tmp_path):
    last_used = {"waits": datetime.datetime.fromtimestamp(0)}
    holder = types.SimpleNamespace(session_data={"waits": "results"}, time_last_used=last_used)
    queue = types.SimpleNamespace(
        pending_event_ids_session={"waits": {"event"}}, pending_messages_per_session={"waits": "messages"}
    )
    sweep(tmp_path, types.SimpleNamespace(state_holder=holder, _queue=queue, temp_file_sets=[]), time.time())
    assert list(queue.pending_event_ids_session) == list(queue.pending_messages_per_session) == ["waits"]


def test_what_visitors_leave_is_deleted_after_its_time_and_the_page_says_so(model_id, tmp_path):
    dicom, signal_file = dicom_series(tmp_path / "series", slices=4), tmp_path / "an hour has passed"
    clock = f"""
import os, time, types
from brain_tumor import upload
upload.time = types.SimpleNamespace(
    sleep=lambda seconds: time.sleep(1), time=lambda: time.time() + 3600 * os.path.exists({str(signal_file)!r})
)
"""
    with running_demo(tmp_path / "demo", before=clock, MODEL_ID=str(model_id)) as demo:
        files = [uploaded(demo, path) for path in (GOOD, *dicom)]
        assert ask_as_page(demo, "scan", "upload", [files[0], 0.5], "visitor")["success"]
        assert ask_as_page(demo, "look", "click", [files, "Best resolution"], "visitor")["success"]
        choose = ("which-volume", "input", [None, "1. DICOM series, 4 slices"], "visitor")
        assert ask_as_page(demo, *choose)["success"]
        assert {path.name for path in demo.cache.rglob("*")} >= {GOOD.name, dicom[0].name, "brain-mri-results.csv"}
        time.sleep(3)
        assert ask_as_page(demo, *choose)["success"], "what is new is kept"

        signal_file.touch()
        assert comes_true(lambda: not demo.kept_files(), 60)
        time.sleep(3)  # what is in memory goes after the files
        for asked in (
            choose,
            ("opacity", "input", [None, "glioma", 0.3], "visitor"),
            ("look", "click", [files, "Best resolution"], "visitor"),
            ("scan", "upload", [files[0], 0.5], "visitor"),
        ):
            answer = ask_as_page(demo, *asked)
            assert not answer["success"]
            assert "nothing is kept for longer than" in answer["output"]["error"], asked
        assert GOOD.name not in demo.log


def test_a_full_queue_is_answered_with_a_sentence_and_has_room_again_later(holdable, tmp_path):
    demo, hold, held = holdable
    client = Client(demo.url, verbose=False, download_files=str(tmp_path))
    endpoint = demo.url + "/gradio_api/call/predict_batch"
    hold.touch()
    first = httpx.post(endpoint, json={"data": [[uploaded(demo, GOOD)], ""]}, timeout=60)
    assert comes_true(held.exists, 60), "the first call has begun"
    for _ in range(60):  # they wait for the first one
        assert httpx.post(endpoint, json={"data": [[], ""]}, timeout=60).status_code == 200
    answer = httpx.post(endpoint, json={"data": [[], ""]}, timeout=60)
    assert answer.status_code == 503
    assert answer.json()["detail"].startswith("Queue is full.")
    with pytest.raises(QueueError, match="try again"):
        ask(client, GOOD)
    held.unlink()
    assert "event: complete" in httpx.get(f"{endpoint}/{first.json()['event_id']}", timeout=300).text
    assert ask(client, GOOD)


def test_the_scan_of_one_visitor_cannot_be_had_by_another(demo):
    assert ask_as_page(demo, "scan", "upload", [uploaded(demo, GOOD), 0.5], "first")["success"]
    redraw = ("opacity", "input", [None, "glioma", 0.3])
    assert ask_as_page(demo, *redraw, "first")["success"]
    for stranger in ("second", "null"):
        answer = ask_as_page(demo, *redraw, stranger)
        assert not answer["success"]
        assert "Upload it again" in answer["output"]["error"], stranger
    # Gradio's deep links would write a visitor's page to the disk, for whoever has the link.
    for session in ("first", "second"):
        answer = httpx.get(demo.url + "/gradio_api/deep_link", params={"session_hash": session}, timeout=30)
        assert answer.status_code == 404
    assert not list(demo.cache.rglob("state.json"))


def test_a_checkpoint_that_does_not_exist_ends_the_start_with_one_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=demo_environment(tmp_path, MODEL_ID=str(tmp_path / "nowhere")),
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 1
    assert done.stderr.strip().startswith("The checkpoint")
    assert "set MODEL_ID to one" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().count("\n") == 0


def test_a_port_that_is_no_number_ends_the_start_with_one_sentence(model_id, tmp_path):
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=demo_environment(tmp_path, MODEL_ID=str(model_id), PORT="http"),
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 1
    assert "PORT must be a number, not 'http'." in done.stderr
    assert "Traceback" not in done.stderr
