"""The Dockerfile makes a demo that runs: as far as that can be told without an engine."""

import fnmatch
import json
import re
import shlex
import shutil
import urllib.request

import pytest
import yaml

from brain_tumor.provenance import VERSION
from tests.serving import ROOT, running_demo

TEXT = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
STEPS = [tuple(line.split(maxsplit=1)) for line in TEXT.splitlines() if line and not line.startswith("#")]


def of(instruction: str) -> list[str]:
    return [words for name, words in STEPS if name == instruction]


def copies() -> list[tuple[str, str]]:
    """(source, destination below /app) of everything that is copied."""
    found = []
    for words in of("COPY"):
        *sources, to = words.split()
        found += [(source, f"{to}/{source}" if to.endswith("/") else to) for source in sources]
    return found


def test_everything_that_is_copied_exists_and_is_sent_to_the_engine():
    allowed = [
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    ]
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines(), "or caches and runs would go along"
    for source, _ in copies():
        assert (ROOT / source).exists(), source
        assert any(fnmatch.fnmatch(source, pattern) for pattern in allowed), f".dockerignore leaves {source} out"
    assert {source for source, _ in copies()} == set(allowed)


def test_the_requirements_that_are_installed_are_the_demos_and_are_there_before():
    (install,) = [words for words in of("RUN") if "pip install" in words]
    files = re.findall(r"-r (\S+)", install)
    assert files == ["requirements-demo.txt"] and (ROOT / files[0]).is_file()
    assert not re.search(r"^(torch|transformers)\b", (ROOT / files[0]).read_text(), re.M)
    names = [name for name, _ in STEPS]
    assert names.index("COPY") < names.index("RUN") < len(names) - 1 - names[::-1].index("COPY"), "code last: cached"


def test_it_runs_as_nobody_special_on_python_3_11_and_is_asked_for_its_health():
    assert of("FROM") == ["python:3.11-slim"]
    (user,) = of("USER")
    assert user not in ("root", "0")
    assert any(re.search(rf"useradd .*\b{user}$", words) for words in of("RUN"))
    assert STEPS.index(("USER", user)) < [name for name, _ in STEPS].index("CMD")
    (port,) = of("EXPOSE")
    environment = dict(word.split("=", 1) for word in " ".join(of("ENV")).split())
    assert port == environment["PORT"] == "7860"
    assert environment["GRADIO_SERVER_NAME"] == "0.0.0.0", "or nothing outside the container reaches it"
    assert json.loads(of("CMD")[0]) == ["python", "app.py"]
    assert "CMD python -c" in of("HEALTHCHECK")[0]


@pytest.mark.slow
def test_what_is_copied_is_all_that_the_demo_needs(tmp_path, monkeypatch):
    for source, to in copies():
        path = ROOT / source
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / to)
    monkeypatch.setattr("tests.serving.ROOT", tmp_path)
    with running_demo(tmp_path / "home") as demo:
        config = json.loads(urllib.request.urlopen(f"{demo.url}/config", timeout=30).read())
        assert "About" in json.dumps(config)
        check = shlex.split(of("HEALTHCHECK")[0].partition("CMD ")[2])
        monkeypatch.setenv("PORT", demo.url.rpartition(":")[2].strip("/"))
        exec(check[2], {})


def test_the_citation_names_this_version_and_license():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation.keys() >= {"cff-version", "message", "title", "authors"}, "what the format requires"
    assert citation["cff-version"] == "1.2.0" and citation["version"] == VERSION
    assert citation["license"] == "Apache-2.0" and "Apache License" in (ROOT / "LICENSE").read_text()
    assert all(author.get("name") or author.get("family-names") for author in citation["authors"])
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"# {citation['title']}\n" in readme
