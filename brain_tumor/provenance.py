"""What every results.json says of its run (names, command, versions), and how such a file is read."""

import json
import os
import platform
import re
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("torch", "transformers", "datasets", "evaluate", "accelerate", "numpy", "pillow", "scikit-learn")

VERSION = "2.0"
"""Of the project, as CHANGELOG.md counts; a card names it."""

RESULTS = "results.json"


def read_results(path: str | Path) -> dict:
    """The JSON object in a file of results, with the keys that are written today.

    Files of earlier versions have some keys in British spelling, such as "missed_tumours".

    Raises:
        OSError, ValueError: there is no such file, or it holds no JSON object.
    """
    results = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(results, dict):
        raise ValueError(f"{path} holds no results: it is not a JSON object.")
    return _with_todays_keys(results)


def _with_todays_keys(value):
    if isinstance(value, dict):
        return {re.sub(r"(^|_)tumour(s?)(?=_|$)", r"\1tumor\2", k): _with_todays_keys(v) for k, v in value.items()}
    return [_with_todays_keys(item) for item in value] if isinstance(value, list) else value


def results_of_run(folder: str | Path) -> dict | None:
    """The results.json of a folder that `train.py` wrote, or of the run that one of its checkpoint-N belongs to."""
    folder = Path(folder)
    run = folder.parent if folder.name.startswith("checkpoint-") else folder
    try:
        results = read_results(run / RESULTS)
    except (OSError, ValueError):
        return None
    if "datasets" not in results and "dataset" in results:  # before 2.0: one set, and perhaps one of tumors alone
        results["datasets"] = [results["dataset"], *filter(None, [results.get("tumor_dataset")])]
    return results


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
