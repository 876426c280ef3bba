"""Visitors that ask a Gradio server all the time: python -m benchmarks.speed.clients URL FILE [FILE ...] --clients 8

Over the HTTP API, in one process of asyncio, which leaves the processors to the server: each client uploads its file
once, then posts a call, reads the event stream until the answer is there, and posts the next. Prints one line of JSON.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from pathlib import Path

import httpx

PAUSE = 0.1
"""Seconds that a client waits after an error, or a full queue would be asked a thousand times a second."""

TIMEOUT = 120


class CallError(RuntimeError):
    """A call that ended without an answer. The message is the server's."""


async def upload(client: httpx.AsyncClient, path: Path) -> dict:
    """Upload a file, and return it as a call's data names it."""
    reply = await client.post("/gradio_api/upload", files={"files": (path.name, path.read_bytes())})
    reply.raise_for_status()
    return {"path": reply.json()[0], "meta": {"_type": "gradio.FileData"}}


async def call(client: httpx.AsyncClient, endpoint: str, data: list) -> object:
    """The answer of an endpoint with one output.

    Raises:
        CallError, httpx.HTTPError: there is none.
    """
    address = f"/gradio_api/call/{endpoint}"
    reply = await client.post(address, json={"data": data})
    if reply.status_code != 200:
        raise CallError(f"{reply.status_code}: {reply.text[:200]}")
    async with client.stream("GET", f"{address}/{reply.json()['event_id']}") as stream:
        event = ""
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: ") and event == "error":
                raise CallError(line.removeprefix("data: ")[:200])
            elif line.startswith("data: ") and event == "complete":
                return json.loads(line.removeprefix("data: "))[0]
    raise CallError("The event stream ended without an answer.")


async def ask(url: str, files: list[Path], clients: int, seconds: float, endpoint: str = "predict") -> dict:
    """Have clients ask for a time, each with one file, after a first call that does not count.

    Returns:
        answers, those that came within the time, and per_second; p50_ms and p95_ms of all calls that began within it;
        errors, and the first of them in words.
    """
    ready, asked_until = asyncio.Barrier(clients), 0.0
    took, answers, errors = [], 0, []

    async def visit(number: int) -> None:
        nonlocal asked_until, answers
        async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT) as client:
            data = [await upload(client, files[number % len(files)])]
            try:
                await call(client, endpoint, data)
            except (CallError, httpx.HTTPError) as error:
                errors.append(error)
            await ready.wait()
            asked_until = asked_until or time.perf_counter() + seconds
            while (before := time.perf_counter()) < asked_until:
                try:
                    if await call(client, endpoint, data) is None:
                        raise CallError("The answer is empty.")
                except (CallError, httpx.HTTPError) as error:
                    errors.append(error)
                    await asyncio.sleep(PAUSE)
                    continue
                now = time.perf_counter()
                took.append(1000 * (now - before))
                answers += now <= asked_until

    await asyncio.gather(*map(visit, range(clients)))
    took = took or [1000 * seconds]  # no call at all came back: it takes that long at least
    cuts = statistics.quantiles(took * 2 if len(took) == 1 else took, n=20, method="inclusive")
    return {
        "answers": answers,
        "per_second": answers / seconds,
        "p50_ms": cuts[9],
        "p95_ms": cuts[18],
        "errors": len(errors),
        "first_error": f"{type(errors[0]).__name__}: {errors[0]}" if errors else None,
    }


async def single_and_batch(url: str, files: list[Path], repeats: int) -> dict:
    """Scans per second of one `/predict` after the other and of one `/predict_batch`, in turns, after one of each."""
    rates = {"single": [], "batch": []}
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT) as client:
        scans = [await upload(client, path) for path in files]
        for repeat in range(repeats + 1):
            for way in sorted(rates, reverse=bool(repeat % 2)):
                before = time.perf_counter()
                if way == "single":
                    for scan in scans:
                        await call(client, "predict", [scan])
                else:
                    answer = await call(client, "predict_batch", [scans, None])
                    if bad := [result["error"] for result in answer["results"] if result["error"]]:
                        raise CallError(bad[0])
                if repeat:
                    rates[way].append(len(scans) / (time.perf_counter() - before))
    return rates


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="of the server, such as http://127.0.0.1:7860")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="scans; clients take turns with them")
    parser.add_argument("--clients", type=int, default=1, help="that ask at the same time")
    parser.add_argument("--seconds", type=float, default=20, help="how long they ask")
    parser.add_argument("--batch", type=int, default=0, metavar="REPEATS", help="compare /predict_batch with /predict")
    arguments = parser.parse_args()
    if arguments.batch:
        found = single_and_batch(arguments.url, arguments.files, arguments.batch)
    else:
        found = ask(arguments.url, arguments.files, arguments.clients, arguments.seconds)
    print(json.dumps(asyncio.run(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
