"""The packages of `tests/js/package.json`, for tests of what runs in Node or in a browser."""

import fcntl
import json
import shutil
import subprocess
from pathlib import Path

import pytest

JS = Path(__file__).resolve().parent / "js"


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """They are installed once, into a folder that git ignores; without npm, or what it needs, the test is skipped."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("needs Node.js and npm")
    wanted = json.loads((JS / "package.json").read_text())["dependencies"]
    folder = JS / "node_modules"
    with open(JS / "package.json") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if {name: _version(folder / name) for name in wanted} != wanted:
            # Without their scripts: onnxruntime-node's would fetch libraries for GPUs.
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            try:
                subprocess.run(command, cwd=JS, check=True, capture_output=True, text=True, timeout=600)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                shutil.rmtree(folder, ignore_errors=True)
                why = " ".join(str(error.stderr or error).split())[:300]
                pytest.skip(f"npm cannot install {', '.join(wanted)}: {why}")
    return folder


def _version(package: Path) -> str | None:
    file = package / "package.json"
    return json.loads(file.read_text())["version"] if file.is_file() else None
