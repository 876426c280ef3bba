"""The demo over HTTP, as a program sees it: `python app.py` in its own process, asked with `gradio_client`."""

import base64
import json
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from transformers import pipeline

from brain_tumor import scans
from brain_tumor.labels import DISPLAY_NAMES, display_name
from tests.serving import (
    EXAMPLES,
    ROOT,
    bad_files,
    checkpoint,
    deep_values,
    demo_environment,
    demo_hub,
    free_port,
    good_pictures,
    running_demo,
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


@pytest.fixture(scope="module")
def plain_pipeline(model_id):
    return pipeline("image-classification", model=str(model_id), top_k=None)


def confidences(answer) -> dict[str, float]:
    return {entry["label"]: entry["confidence"] for entry in answer["confidences"]}


def ask(client, path) -> dict[str, float]:
    return confidences(client.predict(handle_file(path), api_name="/predict"))


def by_pipeline(plain_pipeline, path) -> dict[str, float]:
    return {display_name(entry["label"]): entry["score"] for entry in plain_pipeline(str(path))}


def ask_with_payload(demo, payload) -> str:
    """The server's last event for a hand-made request; `gradio_client` would upload or fetch the file itself."""
    call = httpx.post(demo.url + "/gradio_api/call/predict", json={"data": [payload]}, timeout=30)
    return httpx.get(f"{demo.url}/gradio_api/call/predict/{call.json()['event_id']}", timeout=30).text


def files_of_the_repository() -> set[Path]:
    hidden = (".", "__pycache__")
    return {path for path in ROOT.rglob("*") if not any(p.startswith(hidden) for p in path.relative_to(ROOT).parts)}


def sentence_of(path: Path) -> str:
    with pytest.raises(scans.ScanError) as error:
        scans.open_scan(path)
    return str(error.value)


def test_the_api_has_one_endpoint_and_it_is_typed(demo):
    with urllib.request.urlopen(demo.url + "/gradio_api/info?all_endpoints=true") as answer:
        info = json.load(answer)
    assert list(info["named_endpoints"]) == ["/predict"]
    assert not info["unnamed_endpoints"]
    endpoint = info["named_endpoints"]["/predict"]
    assert "slice of a brain MRI" in endpoint["description"]
    (scan,) = endpoint["parameters"]
    assert scan["parameter_name"] == "scan"
    assert scan["component"] == "Image"
    assert scan["python_type"]["type"] == "filepath"
    assert "://" not in json.dumps(scan["example_input"]), "the documented example must be one that works"
    (result,) = endpoint["returns"]
    assert result["component"] == "Label"
    assert "confidence" in json.dumps(result["type"])


@pytest.mark.parametrize("kind", good_pictures())
def test_an_8_bit_picture_gets_the_confidences_of_the_plain_pipeline(kind, client, plain_pipeline, tmp_path):
    picture, suffix, options = good_pictures()[kind]
    path = tmp_path / f"scan.{suffix}"
    picture.save(path, **options)
    answer, expected = ask(client, path), by_pipeline(plain_pipeline, path)
    assert set(answer) == set(DISPLAY_NAMES.values())
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
    assert set(ask(client, GOOD)) == set(DISPLAY_NAMES.values())
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


def test_without_a_scan_the_answer_is_a_sentence(client):
    with pytest.raises(AppError, match="Choose or paste a scan first"):
        client.predict(None, api_name="/predict")


def test_a_data_uri_is_classified_like_the_file(client, demo):
    uri = "data:image/png;base64," + base64.b64encode(GOOD.read_bytes()).decode()
    event, data = ask_with_payload(demo, {"url": uri, "meta": FILE_META}).strip().split("\n", 1)
    assert event == "event: complete"
    (answer,) = json.loads(data.removeprefix("data: "))
    assert confidences(answer) == pytest.approx(ask(client, GOOD), abs=1e-6)


@pytest.mark.parametrize("key", ["path", "url"])
def test_an_address_is_never_fetched(key, demo, hub):
    answer = ask_with_payload(demo, {key: hub.url + "/somebody/elses/scan.jpg", "meta": FILE_META})
    assert answer.startswith("event: error")
    assert "upload the picture's file" in answer
    assert not any("somebody" in request.path for request in hub.requests)


@pytest.mark.parametrize("mark", [{"meta": FILE_META}, {"meta": {"_type": "other"}}, {}])
def test_a_file_of_the_server_that_was_not_uploaded_is_refused(mark, demo, tmp_path):
    Image.open(GOOD).save(tmp_path / "private.png")
    answer = ask_with_payload(demo, {"path": str(tmp_path / "private.png")} | mark)
    assert answer.startswith("event: error")
    assert "not uploaded by a user" in answer or "upload the picture's file" in answer


def test_uploads_stay_in_gradios_cache_and_the_repository_is_left_alone(client, demo, tmp_path):
    before = files_of_the_repository()
    Image.open(GOOD).rotate(5).save(tmp_path / "an_upload_to_find.png")
    ask(client, tmp_path / "an_upload_to_find.png")
    found = [path for path in demo.folder.rglob("*an_upload_to_find*") if path.is_file()]
    assert found
    assert all(path.is_relative_to(demo.cache) for path in found)
    assert files_of_the_repository() == before


def test_analytics_flagging_and_histories_are_off(demo):
    with urllib.request.urlopen(demo.url + "/config") as answer:
        config = json.load(answer)
    assert config["analytics_enabled"] is False
    assert config["max_file_size"] == scans.MAX_FILE_BYTES
    assert config["footer_links"] == ["api"]
    assert not any("flag" in str(dependency).lower() for dependency in config["dependencies"])


def test_the_examples_are_served_byte_for_byte(demo):
    with urllib.request.urlopen(demo.url + "/config") as answer:
        config = json.load(answer)
    (gallery,) = (component for component in config["components"] if component["type"] == "gallery")
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
        demo.process.wait(20)
        assert not list(demo.cache.rglob("*.png"))


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
