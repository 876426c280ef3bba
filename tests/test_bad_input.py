"""Every file of `tests.bad_files` sent to one running demo: each gets its sentence, soon and in bounded memory."""

import json
import os
import re
import time

import pytest

from brain_tumor.labels import LABELS
from tests.bad_files import ANSWER, BAD_FILES
from tests.memory import peak_memory_of
from tests.serving import EXAMPLES, call_endpoint, upload, upload_file

GOOD = EXAMPLES / "meningioma.png"
MOST_MEMORY = 1.5 * 2**30
"""Bytes that the demo may have in memory at any moment."""
MOST_SECONDS = 5
"""Until a sentence comes; of the demo's own work, as other programs may keep the machine busy."""
SECONDS_FOR_AN_ANSWER = 15
"""Until an answer comes, for those of the largest pictures that are no mistake."""


@pytest.fixture(scope="module")
def good(demo):
    """A scan, uploaded once."""
    good = upload_file(demo, GOOD)
    assert is_an_answer(ask(demo, "predict", good))
    return good


@pytest.fixture(scope="module")
def peaks():
    """File name -> the most memory that the demo had while it was asked; printed at the end."""
    peaks = {}
    yield peaks
    if peaks:
        worst = max(peaks, key=peaks.get)
        print(f"\nmost memory: {peaks[worst] / 2**20:.0f} MB, at {worst!r}")


def ask(demo, endpoint: str, file: dict) -> tuple[str, object]:
    """The event that ends a call, and what came with it."""
    *_, event, body = call_endpoint(demo, endpoint, file).strip().split("\n")
    return event.removeprefix("event: "), json.loads(body.removeprefix("data: "))


def is_an_answer(answer: tuple[str, object]) -> bool:
    event, body = answer
    return event == "complete" and set(body[0]["confidences"] or LABELS) == set(LABELS) and bool(body[0]["verdict"])


def work_of(process) -> float:
    """Seconds of processor time that a process has used."""
    with open(f"/proc/{process.pid}/stat") as file:
        user, system = file.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def forget_peak_memory_of(process) -> None:
    with open(f"/proc/{process.pid}/clear_refs", "w") as file:
        file.write("5")


def assert_is_a_sentence(text: str, demo) -> None:
    assert re.match(r"This |The ", text) and text.endswith(".") and "\n" not in text
    assert "Something went wrong" not in text
    assert "Error" not in text and "0x" not in text and "Traceback" not in text
    assert str(demo.folder) not in text and "/" not in re.sub(r"\d+/\d+", "", text), "a path"
    assert len(text) < 300


def is_heavy(name: str) -> bool:
    """Whether a file takes about a second or more, or is one of many alike."""
    alike = "cut at" in name and "cut at 5.0%" not in name and "cut at 75.0%" not in name
    return alike or any(what in name for what in ("million", "giga", "mega", "RLE", "deflated"))


QUICK = {"400 megapixels.png", "a profile that unpacks to a gigabyte.png", "millions of markers.jpg"}
"""Heavy ones that are tried all the same, so that memory is."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (is_heavy(n) and n not in QUICK)) for n in BAD_FILES]
)
def test_a_bad_file_gets_its_sentence_soon_and_the_next_scan_is_answered(name, demo, good, peaks):
    expected = BAD_FILES[name].expected
    content = BAD_FILES[name].make()
    forget_peak_memory_of(demo.process)
    file = upload(demo, name, content)
    del content
    for endpoint in ("predict", "predict_batch"):
        before, start = work_of(demo.process), time.monotonic()
        event, body = ask(demo, endpoint, file)
        work, wall = work_of(demo.process) - before, time.monotonic() - start
        peaks[name] = peak_memory_of(demo.process.pid)
        if expected == ANSWER:
            assert event == "complete", body
            assert endpoint == "predict" or [result["error"] for result in body[0]["results"]] == [None], body
        else:
            # A batch is complete, and says of each file what is wrong with it.
            sentences = [result["error"] for result in body[0]["results"]] if event == "complete" else [body["error"]]
            assert event == ("error" if endpoint == "predict" else "complete"), body
            assert all(sentences), body
            for sentence in sentences:
                assert_is_a_sentence(sentence, demo)
            assert any(re.search(expected, sentence) for sentence in sentences), sentences
        assert min(work, wall) < (SECONDS_FOR_AN_ANSWER if expected == ANSWER else MOST_SECONDS)
        assert peaks[name] < MOST_MEMORY, f"{peaks[name] / 2**20:.0f} MB"
    assert is_an_answer(ask(demo, "predict", good))
    assert "Traceback" not in demo.log


def test_there_are_at_least_sixty_bad_files():
    assert sum(bad.expected != ANSWER for bad in BAD_FILES.values()) >= 60


@pytest.mark.slow
def test_bad_files_are_always_the_same():
    for name, bad in BAD_FILES.items():
        if "cut" in name or name.endswith((".zip", ".dcm")) and "million" not in name and "gigabyte" not in name:
            assert bad.make() == bad.make(), name


def test_what_was_measured_can_exceed_the_limit(demo):
    """The checks above see memory and work: both grow where something is done."""
    forget_peak_memory_of(demo.process)
    assert 2**27 < peak_memory_of(demo.process.pid) < MOST_MEMORY
    assert work_of(demo.process) > 1
