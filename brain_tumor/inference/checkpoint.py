"""The files of a checkpoint, in a folder or on the Hub; one that is damaged is told by its name."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError

from brain_tumor.inference.preprocess import UnsupportedError

CONFIG, PREPROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"


class DamagedError(ValueError):
    """A file of a checkpoint that is not what it should be. The message names it, and goes on with a sentence."""


@contextlib.contextmanager
def reading(name: str) -> Iterator[None]:
    """Whatever goes wrong within is the fault of the file of this name: raises `DamagedError`."""
    try:
        yield
    except (DamagedError, UnsupportedError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        # Libraries write whole paragraphs, and name files that they looked for as well.
        reason = f": {reason}" if len(reason) < 100 and ".json" not in reason and ".safetensors" not in reason else ""
        raise DamagedError(f"its {name} cannot be used ({type(error).__name__}{reason})") from error


def file_of(model_id: str | Path, name: str) -> Path | None:
    """A file of a checkpoint, fetched if it is on the Hub; None if the checkpoint has none of this name."""
    if Path(model_id).is_dir():
        return path if (path := Path(model_id, name)).is_file() else None
    try:
        return Path(hf_hub_download(str(model_id), name))
    except EntryNotFoundError:  # or, offline, not among the files that were fetched before
        return None


def settings_of(model_id: str | Path, name: str) -> dict | None:
    """The JSON object in a file of a checkpoint; None if the checkpoint has none of this name."""
    path = file_of(model_id, name)
    if path is None:
        return None
    with reading(name):
        settings = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(settings, dict):
            raise DamagedError(f"its {name} holds no settings")
        return settings


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be loaded. The message says which one, why, and what to do."""
