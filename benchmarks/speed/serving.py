"""The demo under load, between the lines that people write instead of it and what Gradio itself takes.

    python -m benchmarks.speed.serving --data FOLDER

Three servers with the same checkpoint and the same clients (`speed.clients`), which share the processors with
them: `app.py`; `ten_lines.py`, a `gr.Interface` around `pipeline("image-classification")`; and
`floor.py`, the demo's components around functions that return constants. Measured in turns, each time with a
new process: from its start to the first answer over the API; resident memory (of the process and its children) when the
server listens and after the first answer; answers per second and their times with several numbers of clients. Before
that, of `app.py` alone, `/predict_batch` against one call after the other. Writes
`benchmarks/results/speed/serving.json`.
"""

import argparse
import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks.arguments import add_data_argument
from benchmarks.speed import clients
from benchmarks.speed.timing import RESULTS, ROOT, picture_files, ratio, spread, take_turns, write_results
from brain_tumor.provenance import public_name

DEMO, TEN_LINES, FLOOR = "app", "ten_lines", "floor"

COMMANDS = {
    DEMO: ["app.py"],
    TEN_LINES: ["benchmarks/speed/ten_lines.py"],
    FLOOR: ["-m", "benchmarks.speed.floor", "{page}"],
}

POLL = 0.02

STARTS_WITHIN = 900

BATCH = 32

MEGABYTE = 1024**2


@dataclass
class Server:
    url: str
    started: float
    process: subprocess.Popen

    def memory(self) -> float:
        """Resident megabytes of the process and its children."""
        first = psutil.Process(self.process.pid)
        return sum(process.memory_info().rss for process in (first, *first.children(recursive=True))) / MEGABYTE


@contextlib.contextmanager
def running(name: str, model: str, page: Path) -> Iterator[Server]:
    """A server from the moment its process starts; it may not answer yet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [word.format(page=page) for word in COMMANDS[name]]
    with tempfile.TemporaryDirectory() as scratch, open(Path(scratch, "log.txt"), "w+") as log:
        ours = {"GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
        ours |= {"MODEL_ID": str(Path(model).resolve()), "TMPDIR": scratch, "GRADIO_TEMP_DIR": f"{scratch}/gradio"}
        inherited = {key: value for key, value in os.environ.items() if key not in ("PORT", "SPACE_ID", "MCP")}
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=inherited | ours, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield Server(f"http://127.0.0.1:{port}", started, process)
        except BaseException:
            log.seek(0)
            print(f"{name} wrote:\n{log.read()[-2000:]}", file=sys.stderr)
            raise
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def first_answer(server: Server, file: Path) -> dict:
    """Seconds from the process's start until it listens and until its first answer is there, and its memory then."""
    # A connection first, not HTTP: that would take more of the processors, which the server needs now.
    poll(
        server, OSError, lambda: socket.create_connection(("127.0.0.1", httpx.URL(server.url).port), timeout=1).close()
    )
    found = {"listens_s": time.perf_counter() - server.started, "memory_before_mb": server.memory()}
    poll(server, (httpx.HTTPError, clients.CallError), lambda: asyncio.run(call_once(server.url, file)))
    found["first_answer_s"] = time.perf_counter() - server.started
    return found | {"memory_after_mb": server.memory()}


def poll(server: Server, errors, attempt: Callable[[], object]) -> None:
    """Try until there are none of these errors."""
    while True:
        with contextlib.suppress(errors):
            attempt()
            return
        if server.process.poll() is not None or time.perf_counter() - server.started > STARTS_WITHIN:
            raise SystemExit("The server does not start.")
        time.sleep(POLL)


async def call_once(url: str, file: Path) -> object:
    async with httpx.AsyncClient(base_url=url, timeout=clients.TIMEOUT) as client:
        return await clients.call(client, "predict", [await clients.upload(client, file)])


def look_at_demo(model: str, files: list[Path], repeats: int) -> tuple[dict, dict]:
    """What `benchmarks.speed.floor` builds, and the demo's scans per second by single calls and by batches.

    The first is kinds of components, the number of events, and an answer of the demo.
    """
    with running(DEMO, model, Path()) as server:
        first_answer(server, files[0])
        answer = asyncio.run(call_once(server.url, files[0]))
        config = httpx.get(f"{server.url}/config", timeout=30).json()
        rates = clients_process(server.url, files, "--batch", repeats)
    kinds = [component["props"]["name"] for component in config["components"]]
    return {"kinds": kinds, "events": len(config["dependencies"]), "answer": answer}, rates


def clients_process(url: str, files: list[Path], *flags: object) -> dict:
    """What `benchmarks.speed.clients` prints, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.speed.clients", url, *map(str, files), *map(str, flags)]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def measure(arguments, files: list[Path], page: Path) -> dict[str, list[dict]]:
    """Of each server the figures of each start; of the first `--repeats` starts also its load by number of clients."""
    starts_done = dict.fromkeys(COMMANDS, 0)

    def one_start(name: str) -> dict:
        with running(name, arguments.model, page) as server:
            found = first_answer(server, files[0])
            if starts_done[name] < arguments.repeats:
                found["load"] = {}
                for number in arguments.clients:
                    flags = ("--clients", number, "--seconds", arguments.seconds)
                    found["load"][str(number)] = clients_process(server.url, files, *flags)
                found["memory_after_load_mb"] = server.memory()
        starts_done[name] += 1
        rates = {number: round(load["per_second"], 1) for number, load in found.get("load", {}).items()}
        print(
            f"{name}: first answer {found['first_answer_s']:.1f} s, {found['memory_after_mb']:.0f} MB, {rates}",
            flush=True,
        )
        return found

    return take_turns(list(COMMANDS), max(arguments.starts, arguments.repeats), one_start)


def summarize(found: dict[str, list[dict]]) -> dict:
    """Medians of each server, and the demo's against the others', repeat by repeat."""
    servers, demo_against = {}, {}
    for name, starts in found.items():
        loads = [start["load"] for start in starts if "load" in start]
        servers[name] = {key: spread([start[key] for start in starts]) for key in starts[0] if key.endswith("_s")}
        servers[name] |= {
            key: spread([start[key] for start in starts if key in start]) for key in starts[0] if key.endswith("_mb")
        }
        servers[name]["clients"] = {
            number: {key: spread([load[number][key] for load in loads]) for key in ("per_second", "p50_ms", "p95_ms")}
            | {
                "errors": sum(load[number]["errors"] for load in loads),
                "first_error": next((load[number]["first_error"] for load in loads if load[number]["errors"]), None),
            }
            for number in loads[0]
        }
    own = servers[DEMO]
    for name in (TEN_LINES, FLOOR):
        other = servers[name]
        pairs = zip(own["memory_after_mb"]["repeats"], other["memory_after_mb"]["repeats"], strict=True)
        demo_against[name] = {
            "first_answer": ratio(own["first_answer_s"]["repeats"], other["first_answer_s"]["repeats"]),
            "memory_more_mb": spread([mine - theirs for mine, theirs in pairs]),
            "per_second": {
                number: ratio(load["per_second"]["repeats"], other["clients"][number]["per_second"]["repeats"])
                for number, load in own["clients"].items()
            },
        }
    return {"servers": servers, "app_against": demo_against}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "model"), help="checkpoint's folder")
    add_data_argument(parser)
    parser.add_argument("--seconds", type=float, default=20, help="of each load")
    parser.add_argument("--repeats", type=int, default=3, help="of each load, with a new process each")
    parser.add_argument("--starts", type=int, default=5, help="processes of each server that are started in all")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32], help="at the same time")
    parser.add_argument("--batch", type=int, default=BATCH, help="scans of a call of /predict_batch")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the result")
    arguments = parser.parse_args()
    files = picture_files(arguments.data, arguments.batch)
    described, rates = look_at_demo(arguments.model, files, arguments.starts)
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch, "page.json")
        page.write_text(json.dumps(described))
        found = measure(arguments, files, page)
    results = {
        "checkpoint": public_name(arguments.model),
        "seconds": arguments.seconds,
        **summarize(found),
        "predict_batch": {
            "scans": len(files),
            "single_per_second": spread(rates["single"]),
            "batch_per_second": spread(rates["batch"]),
            "times_faster": ratio(rates["batch"], rates["single"]),
        },
    }
    print(f"/predict_batch: {results['predict_batch']['times_faster']['median']:.1f} times as many scans per second")
    path = write_results("serving", results, arguments.output, ("gradio", "onnxruntime", "httpx"))
    print(f"Written to {path.name}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
