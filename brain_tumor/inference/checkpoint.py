"""The files of a checkpoint, in a folder or on the Hub: the one place that finds them. A damaged one is named."""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import EntryNotFoundError

CONFIG, PREPROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"

LISTING = "examples.json"
"""In the folder examples/ of a checkpoint: its example scans, with their labels and sources."""


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be loaded. The message says which one, why, and what to do."""


class DamagedError(ValueError):
    """A file of a checkpoint that is not what it should be. The message names it and continues a sentence."""


class UnsupportedError(ValueError):
    """A file that is sound but asks for more than this project's own code can do; `transformers` may."""


@contextlib.contextmanager
def blame(name: str) -> Iterator[None]:
    """Whatever goes wrong inside is the fault of the file of this name: raises `DamagedError`."""
    try:
        yield
    except (DamagedError, UnsupportedError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        # Libraries write whole paragraphs, and name files that they looked for as well.
        reason = f": {reason}" if len(reason) < 100 and ".json" not in reason and ".safetensors" not in reason else ""
        raise DamagedError(f"its {name} cannot be used ({type(error).__name__}{reason})") from error


def find_file(
    model_id: str | Path, name: str, *, timeout: float | None = None, repo_type: str = "model"
) -> Path | None:
    """One file of a checkpoint; see `find_files`."""
    return find_files(model_id, [name], timeout=timeout, repo_type=repo_type)[0]


def find_files(
    model_id: str | Path, names: Sequence[str], *, timeout: float | None = None, repo_type: str = "model"
) -> list[Path | None]:
    """Files of a checkpoint (or of a dataset) on this machine, downloaded first if they are only on the Hub.

    Args:
        model_id: a folder or a Hub id.
        names: paths inside it, such as "onnx/model.onnx".
        timeout: seconds that the Hub has to answer. It is asked once, and then only what was downloaded before is
            used. None waits and tries again, as `huggingface_hub` does.
        repo_type: "model" or "dataset".

    Returns:
        For each name its path; None where there is no such file, or the Hub is out of reach and the file was not
        downloaded before.

    Raises:
        Exception: of `huggingface_hub`: no such repository, or no access to it.
    """
    if Path(model_id).is_dir():
        return [path if (path := Path(model_id, name)).is_file() else None for name in names]
    offline, options = False, {}
    if timeout is not None and names:
        options = {"etag_timeout": timeout}
        try:  # `hf_hub_download` would try six times, for 23 seconds
            get_hf_file_metadata(hf_hub_url(str(model_id), names[0], repo_type=repo_type), timeout=timeout)
        except EntryNotFoundError:
            pass  # the Hub did answer
        except Exception:  # no network, time-outs, proxies
            offline = True
    return [_download(str(model_id), name, repo_type=repo_type, local_files_only=offline, **options) for name in names]


def _download(repo_id: str, name: str, **options) -> Path | None:
    try:
        return Path(hf_hub_download(repo_id, name, **options))
    except EntryNotFoundError:  # or, offline, not among the files that were downloaded before
        return None


def sha256_of(path: Path) -> str:
    """In hexadecimal, as sha256sum gives it."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_settings(model_id: str | Path, name: str) -> dict | None:
    """The JSON object in a file of a checkpoint; None if it has no such file. Raises `DamagedError`."""
    path = find_file(model_id, name)
    if path is None:
        return None
    with blame(name):
        settings = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(settings, dict):
            raise DamagedError(f"its {name} holds no settings")
        return settings
