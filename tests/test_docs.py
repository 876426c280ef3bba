"""README, docs and changelog speak of what there is: commands, flags, files."""

import argparse
import ast
import importlib.util
import re
import runpy
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


class Understood(Exception):
    """Thrown where a command has read its arguments and would begin to work."""


def complete_commands() -> list[str]:
    """Every whole command for one of our modules in the docs' blocks of code and in the docstrings of benchmarks."""
    pages = [block for page, text in DOCS.items() if page != FROZEN for block in CODE.findall(text)]
    pages += [ast.get_docstring(ast.parse(path.read_text())) or "" for path in ROOT.glob("benchmarks/*/*.py")]
    found = set()
    for line in "\n".join(pages).splitlines():
        line = re.sub(r"\[.*?\]", "", re.split(r"[#>]", line)[0])  # comments, the table's file, optional arguments
        if (match := re.search(r"^(?:\S*/)?python -m ((?:brain_tumor|benchmarks|tests)\b.*)", line.strip())) and (
            "..." not in line
        ):
            found.add(match.group(1).strip())
    return sorted(found - {"benchmarks.readme"})  # which takes no arguments and would begin at once


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("command", complete_commands())
def test_commands_of_the_docs_are_understood_as_they_are_written(command, monkeypatch):
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(*args, **kwargs):
        parse(*args, **kwargs)
        raise Understood

    module, *words = command.split()
    if importlib.util.find_spec("psutil") is None and module == "benchmarks.speed.serving":
        pytest.skip("needs psutil (requirements-bench.txt)")
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    monkeypatch.setattr(sys, "argv", [module, *words])
    with pytest.raises(Understood):
        runpy.run_module(module, run_name="__main__")


def test_modules_that_the_changelog_leads_to_exist():
    rows = re.findall(r"^\| .*? \| (.*) \|$", (ROOT / "CHANGELOG.md").read_text().split("Modules that moved")[1], re.M)
    names = [name for row in rows for name in re.findall(r"`([a-z_.]+)`", row)]
    assert len(names) > 40
    found = (importlib.util.find_spec(n if n.startswith("benchmarks") else f"brain_tumor.{n}") for n in names)
    assert [name for name, spec in zip(names, found, strict=True) if spec is None] == []


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


def test_no_figure_is_left_open():
    pages = DOCS | {"Makefile": (ROOT / "Makefile").read_text()}
    assert {page: found for page, text in pages.items() if (found := re.findall(r"\b(?:TIME|SIZE)_[A-Z]+", text))} == {}
