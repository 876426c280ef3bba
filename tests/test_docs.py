"""README, docs and changelog speak of what there is: commands, flags, files."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.readme import PAGES, fill

ROOT = Path(__file__).resolve().parents[1]
DOCS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.glob("docs/*.md")}
DOCS["README.md"] = (ROOT / "README.md").read_text(encoding="utf-8")
FROZEN = "docs/experiments.md"
CODE = re.compile(r"^```[a-z]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def command_lines() -> list[tuple[str, str]]:
    """Every line of code in the docs that starts one of our programs: (page, its words from the program on)."""
    found = []
    for page, text in DOCS.items():
        if page != FROZEN:
            for block in [*CODE.findall(text), *re.findall(r"`([^`\n]+)`", text)]:
                for line in block.splitlines():
                    line = line.partition("#")[0]
                    if match := re.search(r"(-m (?:brain_tumor|benchmarks|tests)[\w.]*|train\.py)(?= |$).*", line):
                        found.append((page, match.group().strip()))
    return found


@pytest.mark.parametrize("module", sorted({m for _, line in command_lines() for m in re.findall(r"^-m (\S+)", line)}))
def test_commands_of_the_docs_exist(module):
    assert importlib.util.find_spec(module), module


def test_flags_of_train_py_in_the_docs_exist():
    from transformers import HfArgumentParser

    from brain_tumor.training.arguments import DataArguments, ModelArguments, RecipeArguments

    parser = HfArgumentParser((ModelArguments, DataArguments, RecipeArguments))
    known = {flag for action in parser._actions for flag in action.option_strings} | {"--help_all"}
    used = {(page, f) for page, line in command_lines() if "train.py" in line for f in re.findall(r"--\w+", line)}
    assert len(used) > 5
    assert {(page, flag) for page, flag in used if flag not in known} == set()


@pytest.mark.slow
@pytest.mark.parametrize("module", sorted({m for _, line in command_lines() for m in re.findall(r"^-m (\S+)", line)}))
def test_flags_of_other_commands_in_the_docs_exist(module):
    flags = {f for _, line in command_lines() if line.startswith(f"-m {module} ") for f in re.findall(r"--\w+", line)}
    if flags:
        run = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        assert {flag for flag in flags if flag not in run.stdout} == set()


@pytest.mark.parametrize("page", sorted({*DOCS, "CHANGELOG.md"}))
def test_links_lead_somewhere(page):
    text = CODE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_tables_are_what_the_results_say(page):
    assert fill(DOCS[page], PAGES[page]) == DOCS[page], "run: python -m benchmarks.readme"


def test_make_and_the_readme_name_the_same_commands():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^(?:\| )?`?make ([a-z-]+)", DOCS["README.md"], re.MULTILINE)) <= targets
    assert "make test-all" in (ROOT / ".ci/run").read_text()
