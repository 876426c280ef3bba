"""The house stays a house: rooms of a size, floors, no way back for what was cut, and one spelling."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    path
    for place in ("brain_tumor", "benchmarks", "tests")
    for path in (ROOT / place).rglob("*.py")
    if "node_modules" not in path.parts
) + [ROOT / "app.py", ROOT / "train.py"]
PACKAGE = [path for path in SOURCES if path.is_relative_to(ROOT / "brain_tumor")]
PAGES = [path for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")) if path.name != "CHANGELOG.md"]

CUT = (
    "soup",
    "keep_start",
    "small_first",
    "freeze_first",
    "mixup",
    "gray_curves",
    "tight_or_loose",
    "add_lesions",
    "probe_lesions",
    "extra_dataset",
)
"""Names of what was measured and lost; `docs/experiments.md` and `CHANGELOG.md` alone speak of it."""

BRITISH = re.compile(r"(?<![a-z])(tumour|colour|grey|neighbour|licence|normalis|recognis|centre[ds]?\b)", re.IGNORECASE)
NAMES_OF_OTHERS = re.compile(
    r"brain-tumour-MRI-scan|_SPELLINGS|British|aria-labelledby|\"centre\"|labelled-mri"
    r"|\bData and licences|\"licences\"",
    re.IGNORECASE,
)
"""What is spelled as somebody else spells it: names of public sets, and what is read as earlier versions wrote it."""


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize(("file", "most"), [("app.py", 120), ("train.py", 250), ("README.md", 150)])
def test_what_a_newcomer_reads_first_is_short(file, most):
    assert lines_of(ROOT / file) <= most


def test_no_file_of_the_package_holds_several_ideas():
    assert {path.name: lines for path in PACKAGE if (lines := lines_of(path)) > 400} == {}


def test_imports_go_down_the_floors_only():
    linter = Path(sys.executable).with_name("lint-imports")
    if not linter.exists():
        pytest.skip("needs import-linter (requirements-dev.txt)")
    run = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_no_module_takes_the_private_names_of_another():
    taken = []
    for path in SOURCES:
        if path.is_relative_to(ROOT / "tests"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("brain_tumor", "benchmarks")):
                taken += [f"{path.name}: {name.name}" for name in node.names if name.name.startswith("_")]
    assert taken == []


def test_what_was_cut_stays_cut():
    speak_of_it = {ROOT / "docs/experiments.md", Path(__file__)}
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in (*SOURCES, *PAGES)
        if path not in speak_of_it
        for name in CUT
        if re.search(rf"(?<![a-z]){name}(?![a-z])", path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_package_reads_no_results_of_benchmarks():
    assert [
        path.name for path in PACKAGE if "benchmarks" in re.sub(r'""".*?"""', "", path.read_text(), flags=re.S)
    ] == []


def test_spelling_is_american_as_the_classes_are():
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in (*SOURCES, *PAGES)
        if path != Path(__file__)
        and path.name not in ("provenance.py", "test_provenance.py", "labels.py", "test_labels.py", "test_card.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if BRITISH.search(NAMES_OF_OTHERS.sub("", line))
    ]
    assert found == []
