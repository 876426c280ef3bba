"""The rules by which benchmarks choose and compare."""

import asyncio
import doctest
import http.server
import itertools
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from benchmarks.quality.bundle import bundle, choose_best
from benchmarks.quality.checkpoints import compare
from benchmarks.speed import clients, floor, leak_search, section, serving, timing, training


def run_with(missed: float, accuracy_: float, nll: float) -> dict:
    return {"validation": {"over_sets": {"missed": missed}, "accuracy": accuracy_, "nll": nll}}


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ({"a": (0.02, 0.980, 0.05), "b": (0.01, 0.978, 0.06)}, "b"),
        ({"a": (0.02, 0.980, 0.05), "b": (0.01, 0.974, 0.06)}, "a"),  # more than half a point less accurate
        ({"a": (0.02, 0.980, 0.06), "b": (0.02, 0.980, 0.05)}, "b"),  # as many missed: the lower NLL
    ],
)
def test_the_checkpoint_that_misses_fewer_validation_tumors_is_shipped(runs, expected, tmp_path):
    for name, figures in runs.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(json.dumps(run_with(*figures)))
    assert choose_best([tmp_path / name for name in runs]).name == expected


def test_a_bundled_checkpoint_holds_no_picture_of_the_data_and_nothing_of_the_one_before(tmp_path):
    run, folder = tmp_path / "run", tmp_path / "model"
    for path in ("config.json", "onnx/model.onnx", "curves.png", "evaluation/failures.png", "examples/glioma_1.png"):
        (run / path).parent.mkdir(parents=True, exist_ok=True)
        (run / path).write_text(path)
    folder.mkdir()
    (folder / "familiarity.safetensors").write_text("of another")
    bundle(run, folder)
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert found == ["config.json", "curves.png", "onnx/model.onnx"]


def test_two_networks_are_compared_on_the_same_slices_and_copies_count_as_one_piece_of_evidence():
    random = np.random.default_rng(0)
    base = random.random(400) < 0.9
    better = base | (random.random(400) < 0.3)
    alone = compare(better, base, np.arange(400))
    copies = compare(better, base, np.arange(400) // 20)
    assert alone["difference"] == copies["difference"] == pytest.approx(better.mean() - base.mean())
    assert alone["only_base_right"] == 0
    assert alone["only_first_right"] == (better & ~base).sum()
    assert alone["interval"][0] < alone["difference"] < alone["interval"][1]
    some, every = np.repeat(np.arange(20) % 4 > 0, 20), np.ones(400, bool)
    wide = compare(every, some, np.arange(400) // 20)["interval"]
    narrow = compare(every, some, np.arange(400))["interval"]
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


# --- speed ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [timing, section, training], ids=lambda module: module.__name__)
def test_examples_in_the_speed_benchmarks_are_true(module):
    assert doctest.testmod(module).failed == 0


def test_a_contestant_answers_in_a_process_of_its_own_and_its_end_is_noticed():
    contestant = timing.Contestant("tests.contestant:even_numbers", 10)
    assert [contestant.ask(number) for number in (2, 4)] == [20, 40]
    with pytest.raises(SystemExit, match="exit code 1"):
        contestant.ask(1)
    contestant.end()


def run_apart(coroutine):
    """Run it in a thread of its own: on the main one, Playwright may keep a loop running for the browser's tests."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def test_clients_are_answered_by_gradios_floor(tmp_path):
    page = {"kinds": ["tabs", "tab", "markdown", "form", "image", "row"], "events": 3, "answer": {"verdict": "glioma"}}
    floor_page = floor.build(page)
    _, url, _ = floor_page.launch(prevent_thread_lock=True, quiet=True)
    try:
        scan = tmp_path / "scan.png"
        scan.write_bytes(b"not looked at")
        found = run_apart(clients.ask(url, [scan], clients=2, seconds=1))
    finally:
        floor_page.close()
    assert found["errors"] == 0, found["first_error"]
    assert found["answers"] == found["per_second"] > 0
    assert 0 < found["p50_ms"] <= found["p95_ms"]


class Moody(http.server.BaseHTTPRequestHandler):
    """Speaks gradio's API: of four calls one is refused, one ends in an error event, and one stream breaks off."""

    calls = itertools.count()
    streams: ClassVar[list[str]] = ["event: error\ndata: no scan\n\n", "event: heartbeat\ndata: null\n\n"]

    def reply(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/upload"):
            return self.reply(200, '["/kept/scan.png"]')
        number = next(self.calls) % 4
        return self.reply(503, "Queue is full") if number == 3 else self.reply(200, f'{{"event_id": "{number}"}}')

    def do_GET(self):
        number = int(self.path.rpartition("/")[2])
        self.reply(200, "event: complete\ndata: [{}]\n\n" if number == 2 else self.streams[number])

    def log_message(self, *arguments):
        pass


def test_calls_without_an_answer_are_counted_as_errors(tmp_path, monkeypatch):
    monkeypatch.setattr(clients, "PAUSE", 0)
    monkeypatch.setattr(Moody, "calls", itertools.count())
    (tmp_path / "scan.png").write_bytes(b"")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Moody)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        found = run_apart(clients.ask(url, [tmp_path / "scan.png"], clients=1, seconds=1))
    finally:
        server.shutdown()
        server.server_close()
    assert found["answers"] > 1
    assert found["errors"] == pytest.approx(3 * found["answers"], abs=4)
    assert found["first_error"] == "CallError: no scan"


def start(seconds: float, megabytes: float, rate: float, errors: int = 0) -> dict:
    load = {"per_second": rate, "p50_ms": 100.0, "p95_ms": 2100.0, "errors": errors, "first_error": "why" * errors}
    times = {"listens_s": seconds - 1, "first_answer_s": seconds}
    memory = {"memory_before_mb": megabytes - 10, "memory_after_mb": megabytes, "memory_after_load_mb": megabytes}
    return {**times, **memory, "load": {"1": load, "8": load | {"errors": 0}}}


def test_the_demo_is_compared_with_the_others_repeat_by_repeat():
    found = {
        "app": [start(3, 300, 9), start(30, 310, 9, errors=1), start(3, 300, 9)],
        "ten_lines": [start(6, 600, 5)] * 3,
        "floor": [start(2, 250, 10), start(20, 250, 10), start(3, 250, 10)],
    }
    extra = {key: value for key, value in start(3, 300, 0).items() if key not in ("load", "memory_after_load_mb")}
    found = serving.summarize({name: [*starts, extra] for name, starts in found.items()})
    against = found["app_against"]["floor"]
    assert against["first_answer"]["repeats"] == [1.5, 1.5, 1, 1]
    assert against["memory_more_mb"]["repeats"] == [50, 60, 50, 0]
    assert against["per_second"]["8"]["median"] == 0.9
    assert found["servers"]["app"]["clients"]["1"]["errors"] == 1
    assert found["servers"]["app"]["clients"]["1"]["first_error"] == "why"


def test_the_docs_say_what_the_speed_results_say_and_leaves_out_what_is_not_measured(tmp_path):
    assert section.section(tmp_path) == ""
    servers = {
        name: [start(seconds, 300, 9, errors=2)] for name, seconds in (("app", 3), ("ten_lines", 6), ("floor", 2))
    }
    batch = {"scans": 32, "times_faster": timing.spread([6.0, 7.0, 8.0])}
    machine = {"machine": {"processor": "P", "cores": 2}}
    serving_found = {"seconds": 20, **machine, **serving.summarize(servers), "predict_batch": batch}
    rows = [{"slices": 6000, "seconds": 2.0, "peak_mb": 99.6}]
    rows.append({"slices": 60000, "seconds": None, "stopped_after_seconds": 77.0})
    (tmp_path / "serving.json").write_text(json.dumps(serving_found))
    (tmp_path / "leak_search.json").write_text(json.dumps({"search": rows, "preprocessing": []}))
    text = section.section(tmp_path)
    assert "| **this demo** | 3.0 s | 290 / 300 MB | 9.0, 100 ms, 2.1 s | 9.0, 100 ms, 2.1 s | 2 |" in text
    assert "first answer after 1.50 (1.50 to 1.50) of its time, 0 MB more" in text
    assert "7.00 (6.00 to 8.00) times the scans" in text
    assert "| 6,000 | 2.0 s | 100 MB | not measured | - |" in text
    assert "| 60,000 | stopped after 77 s | - | not measured | - |" in text
    assert "Forward pass" not in text
    assert "training" not in text.replace("What precedes a training", "")


def test_time_in_an_operator_counts_for_the_outermost_kind_that_it_is_in():
    event = lambda name, own, parent=None: SimpleNamespace(name=name, self_cpu_time_total=own, cpu_parent=parent)  # noqa: E731
    conv = event("aten::conv2d", 1000)
    pictures = event("pictures", 3000)
    events = [conv, event("aten::copy_", 500, conv), pictures, event("aten::pad", 500, pictures)]
    found = training.by_kind(SimpleNamespace(events=lambda: [*events, event("aten::sum", 250)]), steps=2, seconds=4)
    assert found["convolutions"] == 0.75
    assert found["pictures: decode, resize, augment"] == 1.75
    assert found["other"] == pytest.approx(0.125 + 2000 - 2.625)  # what no operator took, too
    assert found["casts and copies"] == found["padding"] == 0


def test_a_leak_search_that_takes_too_long_is_stopped():
    row = leak_search.in_own_process(time.sleep, 60, seconds=0.2)
    assert row == {"slices": 60, "seconds": None, "stopped_after_seconds": 0.2}


def test_the_leak_search_of_made_thumbnails_finds_their_copies():
    row = leak_search.search(200)
    assert row["peak_mb"] >= row["before_mb"] > 10
