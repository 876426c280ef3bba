"""What the speed benchmarks share: contestants that take turns, medians, pictures, and the file of results."""

import importlib
import json
import math
import multiprocessing
import os
import platform
import statistics
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from brain_tumor.provenance import command_line, versions

ROOT = Path(__file__).parents[2]

RESULTS = ROOT / "benchmarks/results/speed"

SUFFIXES = (".jpg", ".jpeg", ".png")


class Contestant:
    """A function in a process of its own, which waits between its turns: what others import or keep is not its burden.

    The process is started afresh (spawn) and calls `function(turns, *arguments)`. `turns` is a generator: after
    all preparations the function loops over it, once a turn, and gives what it measured to `turns.answer`.

    Args:
        function: of a module's top level: "module:name" keeps that module out of this process.
        arguments: what it gets besides, as far as they can be pickled.
    """

    def __init__(self, function: str, *arguments):
        context = multiprocessing.get_context("spawn")
        self._line, line = context.Pipe()
        self._process = context.Process(target=_contest, args=(line, function, arguments), daemon=True)
        self._process.start()
        line.close()

    def ask(self, request=None):
        """One turn: what the function answers to the request.

        Raises:
            SystemExit: the process ended; what it wrote to stderr says why.
        """
        try:
            self._line.send(request)
            return self._line.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            self._process.join()
            raise SystemExit(f"A contestant's process ended with exit code {self._process.exitcode}.") from None

    def end(self) -> None:
        self._line.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()


def _contest(line, function: str, arguments: tuple) -> None:
    module, name = function.split(":")
    getattr(importlib.import_module(module), name)(Turns(line), *arguments)


class Turns:
    """The contestant's end: iterate over the requests, and `answer` each."""

    def __init__(self, line):
        self._line = line

    def __iter__(self) -> Iterator:
        while True:
            try:
                yield self._line.recv()
            except EOFError:
                return

    def answer(self, value) -> None:
        self._line.send(value)


def take_turns(names: Sequence[str], repeats: int, measure: Callable[[str], object]) -> dict[str, list]:
    """Measure each contestant once in every repeat; each repeat begins with the next one, so that none is always first.

    >>> take_turns(["a", "b"], 3, lambda name: print(name, end=" "))["a"]
    a b b a a b [None, None, None]
    """
    found = {name: [] for name in names}
    for repeat in range(repeats):
        start = repeat % len(names)
        for name in (*names[start:], *names[:start]):
            found[name].append(measure(name))
    return found


def spread(values: Sequence[float]) -> dict:
    """Median of the repeats, the lowest and the highest, and all of them in their order.

    >>> spread([3, 1, 2])
    {'median': 2, 'low': 1, 'high': 3, 'repeats': [3, 1, 2]}
    """
    return {"median": statistics.median(values), "low": min(values), "high": max(values), "repeats": list(values)}


def ratio(values: Sequence[float], others: Sequence[float]) -> dict:
    """`spread` of the quotients repeat by repeat: what slows the machine down slows both of a repeat down.

    >>> ratio([2, 4, 9], [1, 2, 3])["median"]
    2.0
    """
    return spread([value / other if other else math.inf for value, other in zip(values, others, strict=True)])


def picture_files(data: Path, count: int) -> list[Path]:
    """Files of scans: the bundled examples, then slices of the test folder of the default dataset, evenly spread.

    Args:
        data: folder that holds the sets; without them the bundled examples are repeated.
        count: of files.
    """
    files = sorted((ROOT / "examples").glob("*.png"))
    found = sorted(p for p in data.glob("brain-tumour-MRI-scan/Testing/*/*") if p.suffix.lower() in SUFFIXES)
    wanted = count - len(files)
    if found and wanted > 0:
        files += [found[i * len(found) // wanted] for i in range(wanted)]
    return [files[i % len(files)] for i in range(count)]


def processor_name() -> str:
    """As the machine names its processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def write_results(name: str, results: dict, folder: Path, packages: Sequence[str] = ()) -> Path:
    """Write `results` as NAME.json with the command, the machine, and the versions of `packages` too."""
    installed = {}
    for package in packages:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    about = {
        "command": command_line(),
        "machine": {"processor": processor_name(), "cores": len(os.sched_getaffinity(0)), "system": platform.system()},
        "versions": versions() | installed,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(about | results, indent=1) + "\n")
    return path
