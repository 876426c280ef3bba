"""What the demo promises to visitors and to its machine, each tried on the running demo (see docs/gradio.md)."""

import base64
import hashlib
import http.server
import json
import re
import shutil
import signal
import threading
import time
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from brain_tumor.demo import middleware
from brain_tumor.demo.page import TOO_LARGE
from brain_tumor.reading.uploads import MAX_TOTAL_BYTES
from tests.serving import (
    EXAMPLES,
    FILE_META,
    ROOT,
    ask_as_page,
    call_endpoint,
    comes_true,
    config_of,
    dicom_series,
    free_port,
    running_demo,
    served_files,
    upload_file,
)

GOOD = EXAMPLES / "meningioma.png"
ENDPOINTS = ("predict", "predict_batch")


def data_uri(path: Path) -> dict:
    return {"url": "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode(), "meta": FILE_META}


def is_answered(demo) -> bool:
    return call_endpoint(demo, "predict", upload_file(demo, GOOD)).startswith("event: complete")


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


# Addresses are not fetched.


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("key", ["path", "url"])
def test_an_address_is_never_fetched(key, endpoint, puppet, listener):
    address = f"http://127.0.0.1:{listener.server_port}/{key}/{endpoint}/scan.png"
    answer = call_endpoint(puppet.demo, endpoint, {key: address, "meta": FILE_META})
    assert answer.startswith("event: error")
    assert "not fetched" in answer
    assert not listener.requests


@pytest.mark.parametrize(
    "elem_id, event, count",
    [("map-switch", "input", 4), ("look", "click", 2), ("which-volume", "input", 2), ("open-scan", "click", 2)],
)
def test_an_address_in_the_place_of_any_other_value_is_not_fetched_either(elem_id, event, count, puppet, listener):
    address = {"path": f"http://127.0.0.1:{listener.server_port}/{elem_id}/scan.png", "meta": FILE_META}
    answer = ask_as_page(puppet.demo, elem_id, event, [address] * count, f"address-{elem_id}")
    assert not answer["success"]
    assert "not fetched" in answer["output"]["error"]
    assert not listener.requests


# Files of this machine are not read.


@pytest.mark.parametrize("path", ["data:image/png;base64," + "iVBORw0K" * 60, "x" * 300, "a\0b"])
def test_what_comes_as_a_path_and_is_none_is_refused_in_words_and_not_logged(path, demo):
    for endpoint in ENDPOINTS:
        error = call_endpoint(demo, endpoint, {"path": path, "meta": FILE_META})
        assert "contains no file of yours" in error
        assert path[-40:] not in error
    assert path[-40:] not in demo.log


@pytest.mark.parametrize("mark", [None, "gradio.FileData", 7, []])
def test_a_mark_of_a_file_that_is_none_is_refused_in_words(mark, demo):
    for endpoint in ENDPOINTS:
        assert "contains no file of yours" in call_endpoint(demo, endpoint, {"path": "scan.png", "meta": mark})
    assert "Traceback" not in demo.log


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("mark", [{"meta": FILE_META}, {"meta": {"_type": "other"}}, {}])
def test_a_file_of_the_server_that_was_not_uploaded_is_refused(mark, endpoint, demo, tmp_path):
    Image.open(GOOD).save(tmp_path / "private.png")
    answer = call_endpoint(demo, endpoint, {"path": str(tmp_path / "private.png")} | mark)
    assert answer.startswith("event: error")
    assert "upload the file" in answer


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_path_sent_as_a_plain_string_is_refused(endpoint, demo, tmp_path):
    Image.open(GOOD).save(tmp_path / "private.png")
    answer = call_endpoint(demo, endpoint, str(tmp_path / "private.png"))
    assert answer.startswith("event: error")
    assert "upload the file" in answer


@pytest.mark.parametrize("name", ["x" * 400, "\N{BRAIN}" * 90, "..", "a/\0b", "a/b/", "", 7, ["a"]], ids=repr)
def test_a_data_uri_may_have_any_name_and_no_error_names_a_folder(name, demo):
    answer = call_endpoint(demo, "predict", data_uri(GOOD) | {"orig_name": name})
    assert "confidences" in answer, answer
    answer = call_endpoint(demo, "predict", {"url": "data:;base64,AAAA", "orig_name": name})
    assert answer.startswith("event: error") and str(demo.folder) not in answer and "Errno" not in answer


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_paths_and_addresses_tell_neither_what_is_there_nor_whether(endpoint, puppet, tmp_path, listener):
    demo = puppet.demo
    there, nowhere = tmp_path / "secret.png", tmp_path / "nowhere.png"
    shutil.copy(GOOD, there)
    address = f"127.0.0.1:{listener.server_port}/scan.png"
    for key in ("path", "url"):
        for mark in ({"meta": FILE_META}, {"meta": {"_type": "other"}}, {}):
            said = set()
            for prefix in ("", "file://"):
                for path in (there, nowhere, tmp_path, Path("/etc/passwd"), Path("/etc/nowhere")):
                    answer = call_endpoint(demo, endpoint, {key: f"{prefix}{path}", "orig_name": "a.png"} | mark)
                    assert answer.startswith("event: error"), (prefix, path, answer)
                    assert "root:" not in answer and "confidences" not in answer
                    said.add(answer.replace(f"{prefix}{path}", "").replace(str(path), ""))
                assert len(said) == 1, "what is there is told from what is not"
                said.clear()
            for url in (f"http://{address}", f"HTTP://{address}", f"https://{address}", f"//{address}"):
                answer = call_endpoint(demo, endpoint, {key: url, "orig_name": "a.png"} | mark)
                assert answer.startswith("event: error") and "confidences" not in answer, (url, answer)
    for plain in (str(there), f"file://{there}", f"http://{address}"):
        assert call_endpoint(demo, endpoint, plain).startswith("event: error")
    assert not listener.requests


def test_no_route_of_gradios_reads_a_file_or_fetches_an_address(puppet, tmp_path, listener):
    demo = puppet.demo
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


# What belongs to one visitor stays with them.


def test_the_uploads_of_a_visitor_are_neither_listed_nor_guessed(demo, tmp_path):
    name = "MUSTERMANN.png"
    Image.open(GOOD).rotate(7).save(tmp_path / name)
    path = Path(upload_file(demo, tmp_path / name)["path"])
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


def test_the_scan_of_one_visitor_cannot_be_had_by_another(demo):
    assert ask_as_page(demo, "scan", "upload", [upload_file(demo, GOOD)], "first")["success"]
    looks = [None, 1, "glioma", True]
    report = ("report", "click", [*looks, None, False])
    for asked in (("map-switch", "input", looks), report, ("saved", "click", looks)):
        assert ask_as_page(demo, *asked, "first")["success"]
        for stranger in ("second", "null"):
            answer = ask_as_page(demo, *asked, stranger)
            assert not answer["success"]
            assert "Upload it again" in answer["output"]["error"], (asked, stranger)


def test_no_link_to_what_a_visitor_sees_can_be_made(demo):
    """Gradio's deep links would write a visitor's page to the disk, for whoever has the link."""
    assert ask_as_page(demo, "scan", "upload", [upload_file(demo, GOOD)], "linked")["success"]
    for session in ("linked", "stranger"):
        for address in ("/gradio_api/deep_link", "/gradio_api/deep_link/"):
            answer = httpx.get(demo.url + address, params={"session_hash": session}, timeout=30)
            assert answer.status_code == 404
    assert not list(demo.cache.rglob("state.json"))


# Requests have limits.


@pytest.mark.parametrize("more", [1, 17 * 2**20], ids=["as a file", "as a request"])
def test_a_file_above_the_limit_is_refused_at_the_door_with_a_sentence(more, demo, tmp_path):
    with open(tmp_path / "huge.zip", "wb") as file:
        file.truncate(MAX_TOTAL_BYTES + more)
    with open(tmp_path / "huge.zip", "rb") as file:
        answer = httpx.post(demo.url + "/gradio_api/upload", files={"files": file}, timeout=300)
    assert answer.status_code == 413
    assert answer.json() == {"detail": TOO_LARGE}
    assert not list(demo.cache.rglob("huge.zip"))
    assert is_answered(demo)


def test_a_request_too_large_to_be_held_is_refused_with_a_sentence(demo):
    def is_refused(answer: httpx.Response) -> bool:
        return answer.status_code == 413 and answer.json()["detail"].endswith(".")

    address = demo.url + "/gradio_api/call/predict"
    headers = {"Content-Type": "application/json"}
    piece = b'{"data": ["' + b"A" * 2**20
    most = middleware.MAX_REQUEST_BYTES // 2**20
    assert is_refused(httpx.post(address, headers=headers, content=piece * (most + 1), timeout=60))
    # Without a length: as many pieces as fit, and one more.
    hidden = (piece for _ in range(most + 1))
    assert is_refused(httpx.post(address, headers=headers, content=hidden, timeout=60))
    assert call_endpoint(demo, "predict", data_uri(GOOD)).startswith("event: complete")


# Nothing is kept, and nothing is left.


def files_of_the_repository() -> set[Path]:
    hidden = (".", "__pycache__")
    return {path for path in ROOT.rglob("*") if not any(p.startswith(hidden) for p in path.relative_to(ROOT).parts)}


def test_uploads_stay_in_the_one_folder(demo, tmp_path):
    Image.open(GOOD).rotate(5).save(tmp_path / "an_upload_to_find.png")
    path = tmp_path / "an_upload_to_find.png"
    call_endpoint(demo, "predict", upload_file(demo, path))
    call_endpoint(demo, "predict", data_uri(path) | {"orig_name": path.name})
    found = [path for path in demo.folder.rglob("*an_upload_to_find*") if path.is_file()]
    assert len(found) >= 2
    assert all(path.is_relative_to(demo.cache) for path in found)


def test_the_repository_is_left_alone(demo):
    """No stub files (.pyi) of gradio's beside the components, no cached examples, no uploads."""
    assert not [path.name for path in files_of_the_repository() if path.suffix == ".pyi"]
    assert not any((ROOT / name).exists() for name in (".gradio", "gradio_cached_examples", "flagged"))


def test_on_a_space_everyone_is_served_and_sigterm_leaves_nothing_on_the_disk_and_no_file_name_in_the_log(
    model_id, tmp_path
):
    scan = tmp_path / "MUSTERMANN_ERIKA.png"
    Image.open(GOOD).rotate(3).save(scan)
    shutil.copy(scan, tmp_path / "MUSTERMANN_MAX.png")
    (tmp_path / "MUSTERMANN_BAD.jpg").write_bytes(b"no picture")
    dicom = dicom_series(tmp_path / "series", slices=8)
    port = str(free_port())
    space = {"SPACE_ID": "somebody/demo", "GRADIO_SERVER_PORT": port}
    with running_demo(tmp_path / "demo", MODEL_ID=str(model_id), **space) as demo:
        assert f"http://0.0.0.0:{port}" in demo.log
        client = Client(demo.url, verbose=False, download_files=str(tmp_path / "downloads"))
        client.predict(handle_file(scan), api_name="/predict")
        several = [scan, tmp_path / "MUSTERMANN_MAX.png", tmp_path / "MUSTERMANN_BAD.jpg", *dicom]
        client.predict([handle_file(path) for path in several], api_name="/predict_batch")
        call_endpoint(demo, "predict", data_uri(scan))
        one = ask_as_page(demo, "scan", "upload", [upload_file(demo, scan)], "visitor")
        many = ask_as_page(demo, "look", "click", [[upload_file(demo, scan)], "Best resolution"], "visitor")
        for answer in (one, many):
            assert answer["success"], answer
            files = served_files(answer)
            assert files
            assert all(
                Path(file["path"]).is_relative_to(demo.cache) for file in files if "/examples/" not in file["path"]
            )
        told = ask_as_page(demo, "report", "click", [None, 1, "glioma", True, None, False], "visitor")
        (report,) = served_files(told)
        assert Path(report["path"]).is_relative_to(demo.cache)
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


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_on_the_disk(model_id, tmp_path):
    # As in a terminal: a shell that runs the tests in the background lets them, and what they start, ignore Ctrl+C.
    hear = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    with running_demo(tmp_path / "demo", before=hear, MODEL_ID=str(model_id)) as demo:
        assert is_answered(demo)
        assert demo.kept_files()
        demo.process.send_signal(signal.SIGINT)
        demo.process.wait(90)
        assert not demo.kept_files()
        assert not list(demo.cache.glob("brain-tumor-demo-*"))


def test_what_visitors_leave_is_deleted_after_its_time_and_the_page_says_so(puppet, tmp_path):
    demo = puppet.demo
    dicom = dicom_series(tmp_path / "series", slices=4)
    files = [upload_file(demo, path) for path in (GOOD, *dicom)]
    assert ask_as_page(demo, "scan", "upload", [files[0]], "visitor")["success"]
    assert ask_as_page(demo, "look", "click", [files, "Best resolution"], "visitor")["success"]
    choose = ("which-volume", "input", [None, "1. DICOM series (t1), 4 slices"], "visitor")
    row = ("open-scan", "click", [None, 1], "visitor")
    for asked in (choose, row):
        assert ask_as_page(demo, *asked)["success"]
    assert {path.name for path in demo.cache.rglob("*")} >= {
        GOOD.name,
        dicom[0].name,
        "brain-mri-results.csv",
        "scan.pickle",
    }
    time.sleep(2.5)
    for asked in (choose, row):
        assert ask_as_page(demo, *asked)["success"], "what is new is kept"

    puppet.an_hour_has_passed.touch()
    try:
        assert comes_true(lambda: not demo.kept_files(), 60)
        time.sleep(2.5)  # what is in memory goes after the files
        for asked in (
            choose,
            row,
            ("map-switch", "input", [None, 1, "glioma", True], "visitor"),
            ("report", "click", [None, 1, "glioma", True, None, False], "visitor"),
            ("look", "click", [files, "Best resolution"], "visitor"),
            ("scan", "upload", [files[0]], "visitor"),
        ):
            answer = ask_as_page(demo, *asked)
            assert not answer["success"]
            assert "nothing is kept for longer than" in answer["output"]["error"], asked
    finally:
        puppet.an_hour_has_passed.unlink()
    assert GOOD.name not in demo.log
