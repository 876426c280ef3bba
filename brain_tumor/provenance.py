"""What every results.json says of its run: names, command and versions."""

import json
import os
import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("torch", "transformers", "datasets", "evaluate", "accelerate", "numpy", "pillow", "scikit-learn")


def results_of_run(folder: str | Path) -> dict | None:
    """The results.json of a folder that `train.py` wrote, or of the run that one of its checkpoint-N belongs to."""
    folder = Path(folder)
    run = folder.parent if folder.name.startswith("checkpoint-") else folder
    try:
        return json.loads((run / "results.json").read_text())
    except (OSError, ValueError):
        return None


def public_name(name_or_path: str) -> str:
    """A Hub id as it is, a folder by its name alone: where it lies on somebody's machine tells nothing."""
    path = Path(name_or_path)
    return path.resolve().name if path.exists() else name_or_path


def command_line() -> str:
    """The command as typed, with folders elsewhere on this machine by their names alone."""
    words = [Path(word).name if os.path.isabs(word) or word.startswith("..") else word for word in sys.argv[1:]]
    module = getattr(sys.modules["__main__"], "__spec__", None)  # set if it was started with -m
    program = ["-m", module.name.removesuffix(".__main__")] if module else [Path(sys.argv[0]).name]
    return shlex.join(["python", *program, *words])


def versions() -> dict[str, str]:
    """Name -> installed version of everything that a figure may depend on."""
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}
