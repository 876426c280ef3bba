"""Thousands of predictions in a row against the running demo: does its memory grow, do temporary files pile up?

    python -m tests.endurance                        # 5,000 predictions, ten minutes
    python -m tests.endurance --predictions 300 --results short.json

One client uploads a scan and asks for it, again and again; no two scans have the same bytes, and one in ten is a volume
or a bad file. The demo keeps uploads for 30 seconds instead of half an hour, so that it sweeps many times; more files
than came within that time would be files that nobody deletes. Writes `benchmarks/results/speed/endurance.json`.
"""

import argparse
import gzip
import json
import statistics
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from brain_tumor.provenance import command_line, public_name, versions
from tests.bad_files import png_chunk
from tests.memory import resident_memory_of
from tests.scan_files import nifti, picture, volume
from tests.serving import EXAMPLES, ROOT, RunningDemo, files_below, running_demo

RESULTS = ROOT / "benchmarks/results/speed/endurance.json"

KEPT_SECONDS, SWEEP_SECONDS = 30, 5

WARM_UP = 0.1
"""Share of the predictions after which memory is compared: caches and allocators are full by then."""

LAST = 5
"""Samples at the end whose median is compared with the first after the warm-up."""


def before(kept: float, sweep: float) -> str:
    """What gives the demo these times, in seconds, to keep uploads and to look for old ones (see `running_demo`)."""
    return f"from brain_tumor.demo import retention; retention.KEPT_SECONDS, retention.SWEEP_SECONDS = {kept}, {sweep}"


def endurance(
    demo: RunningDemo, predictions: int, every: int, kept: float = KEPT_SECONDS, sweep: float = SWEEP_SECONDS
) -> dict:
    """Asks a demo that was started with `before(kept, sweep)` this often, one request after the other.

    Returns:
        samples: after every `every` predictions their number, resident memory in MB, files below the demo's folder,
            uploads of the last `kept` + 2 `sweep` seconds, and seconds since the start.
        errors: of requests that were to be answered; sentences: of those that were to be refused.
        growth: of the median of the last `LAST` samples over the first sample after the warm-up, as a share.
        most_files_over: the largest number by which files exceeded the uploads that may still be there.
    """
    samples, uploads, errors, sentences, start = [], [], 0, 0, time.monotonic()
    scans = [path.read_bytes() for path in sorted(EXAMPLES.glob("*.png"))]
    small = gzip.compress(nifti(volume((64, 64, 12))), mtime=0)
    bad = picture("JPEG", Image.fromarray(np.zeros((200, 200), np.uint8)))[:400]
    at_first = len(files_of(demo))
    with httpx.Client(timeout=120) as client:
        for number in range(1, predictions + 1):
            kind = {0: "volume", 5: "bad"}.get(number % 20, "scan")
            content = {"volume": small, "bad": bad}.get(kind) or scans[number % len(scans)]
            answered = ask(client, demo.url, f"{number}.png", with_number(content, number, kind))
            uploads.append(time.monotonic())
            errors += kind != "bad" and not answered
            sentences += kind == "bad" and not answered
            if number % every == 0:
                recent = time.monotonic() - kept - 2 * sweep
                samples.append(
                    {
                        "predictions": number,
                        "rss_mb": resident_memory_of(demo.process.pid) / 2**20,
                        "files": len(files_of(demo)) - at_first,
                        "recent_uploads": sum(moment > recent for moment in uploads),
                        "seconds": time.monotonic() - start,
                    }
                )
    warm = next(sample for sample in samples if sample["predictions"] >= WARM_UP * predictions)
    last = statistics.median(sample["rss_mb"] for sample in samples[-LAST:])
    return {
        "predictions": predictions,
        "errors": errors,
        "sentences": sentences,
        "growth": last / warm["rss_mb"] - 1,
        "most_files_over": max(sample["files"] - sample["recent_uploads"] for sample in samples),
        "samples": samples,
    }


def with_number(content: bytes, number: int, kind: str) -> bytes:
    """The same file with other bytes: gradio keeps an upload under a hash of its content."""
    if kind == "scan":
        return content[:-12] + png_chunk(b"tEXtnumber\0" + str(number).encode()) + content[-12:]
    return content + number.to_bytes(4, "big") if kind == "bad" else content + gzip.compress(str(number).encode())


def ask(client: httpx.Client, url: str, name: str, content: bytes) -> bool:
    """Uploads a file and asks for it. False if there was no answer but a sentence."""
    path = client.post(f"{url}/gradio_api/upload", files={"files": (name, content)}).json()[0]
    call = f"{url}/gradio_api/call/predict"
    data = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}
    event_id = client.post(call, json=data).json()["event_id"]
    return client.get(f"{call}/{event_id}").text.strip().split("\n")[-2] == "event: complete"


def files_of(demo: RunningDemo) -> list[Path]:
    """What lies below the folder that the demo has for temporary files."""
    return [path for path in files_below(demo.folder) if path.name != "log.txt"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--predictions", type=int, default=5000)
    parser.add_argument("--every", type=int, default=250, help="predictions between two samples")
    parser.add_argument("--model", default=str(ROOT / "model"), help="the checkpoint that is served")
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        with running_demo(Path(folder), before=before(KEPT_SECONDS, SWEEP_SECONDS), MODEL_ID=args.model) as demo:
            results = endurance(demo, args.predictions, args.every)
    about = {
        "model": public_name(args.model),
        "kept_seconds": KEPT_SECONDS,
        "sweep_seconds": SWEEP_SECONDS,
        "command": command_line(),
        "versions": versions(),
    }
    args.results.parent.mkdir(parents=True, exist_ok=True)
    args.results.write_text(json.dumps(results | about, indent=1) + "\n")
    print(f"memory grew by {100 * results['growth']:.1f} %, {results['errors']} errors")
    print(f"at most {results['most_files_over']} files more than uploads that may still be there")


if __name__ == "__main__":
    main()
