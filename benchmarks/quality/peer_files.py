"""What becomes of the files that other readers test themselves with: those that pydicom and nibabel ship.

    python -m benchmarks.quality.peer_files

Each file is given to the readers alone, as an upload of one file. Counted is what it became, or why it was refused;
an exception that the readers did not expect is counted as one, though a visitor gets a sentence for it. Writes
`benchmarks/results/peer_files.json`, from which `python -m benchmarks.readme` makes the table in docs/files.md.
"""

import argparse
import collections
import importlib.util
import json
import re
import warnings
from importlib.metadata import version
from pathlib import Path
from unittest import mock

from benchmarks.quality.checkpoints import ROOT
from brain_tumor.provenance import command_line, read_results
from brain_tumor.reading import readers
from brain_tumor.reading.levels import ScanError
from brain_tumor.reading.uploads import Rejected

RESULTS = ROOT / "benchmarks/results/peer_files.json"

COLLECTIONS = {"pydicom": "data/test_files", "nibabel": "**/tests/data"}
"""Package -> the folders of its test files, within it."""

KINDS = ("picture", "pages", "series", "volume")

UNFORESEEN, PASSED_OVER = "an exception that nobody expected", "passed over without a word"


def files_of(package: str) -> list[tuple[str, Path]]:
    """(name within the package, path) of every test file, code aside."""
    root = Path(importlib.util.find_spec(package).origin).parent
    found = {path for folder in root.glob(COLLECTIONS[package]) for path in folder.rglob("*") if path.is_file()}
    code = {path for path in found if path.suffix in (".py", ".pyc") or "__pycache__" in path.parts}
    return sorted((path.relative_to(root).as_posix(), path) for path in found - code)


def outcome(path: Path) -> str:
    """The kind of upload that a file became ("volume"), or the beginning of its sentence, without its numbers."""
    explain, unforeseen = readers.explain, []

    def explained(error: Exception) -> str:
        if not isinstance(error, ScanError):
            unforeseen.append(error)
        return explain(error)

    with mock.patch.object(readers, "explain", explained), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(readers.read_uploads([path]))
    if unforeseen:
        return UNFORESEEN
    if not found:
        return PASSED_OVER
    return found[0].kind if not isinstance(found[0], Rejected) else _reason(found[0].reason)


def _reason(sentence: str) -> str:
    """The first sentence, or what is before its colon, with "N" for numbers.

    >>> _reason("This picture is 16 x 16 pixels; a slice needs at least 32 on its shorter side.")
    'This picture is N x N pixels'
    """
    first = re.split(r"[:;.](?= |$)| \(", sentence, maxsplit=1)[0]
    return re.sub(r"(?<!\w)\d[\d,]*", "N", first).strip()


def measure() -> dict:
    """What became of each file, by package."""
    packages = {}
    for package in COLLECTIONS:
        outcomes = {name: outcome(path) for name, path in files_of(package)}
        packages[package] = {"version": version(package), "files": outcomes}
    return packages


def table() -> str:
    """One row for what became of files, the collections in columns."""
    packages = read_results(RESULTS)["packages"]
    counts = {name: collections.Counter(package["files"].values()) for name, package in packages.items()}
    total = sum(counts.values(), collections.Counter())
    others = (*KINDS, PASSED_OVER, UNFORESEEN)
    refused = sorted((reason for reason in total if reason not in others), key=lambda reason: (-total[reason], reason))

    def row(title: str, number) -> str:
        return f"| {title} | " + " | ".join(str(number(count)) for count in counts.values()) + " |"

    return "\n".join(
        [
            "| what became of them | " + " | ".join(f"{n} {p['version']}" for n, p in packages.items()) + " |",
            "|---|" + "---|" * len(packages),
            row("files", lambda count: count.total()),
            row("**read**", lambda count: sum(count[kind] for kind in KINDS)),
            *[row(f"as {kind}", lambda count, kind=kind: count[kind]) for kind in KINDS if total[kind]],
            row("**refused with a sentence**", lambda count: sum(count[reason] for reason in refused)),
            *[row(f'"{reason}"', lambda count, reason=reason: count[reason]) for reason in refused],
            row(f"**{PASSED_OVER}**", lambda count: count[PASSED_OVER]),
            row(f"**{UNFORESEEN}**", lambda count: count[UNFORESEEN]),
        ]
    )


def main() -> None:
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
    results = {"command": command_line(), "packages": measure()}
    RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"Written to {RESULTS.name}. For the table: python -m benchmarks.readme")


if __name__ == "__main__":
    main()
