"""How long anything of a visitor is kept: one folder holds it all, is swept while the demo runs, and goes at the end.

Imports no gradio, which reads its environment as soon as it is imported: see `gradio_environment`.
"""

import atexit
import contextlib
import functools
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

KEPT_SECONDS = 30 * 60
"""How long an upload and what was made from it are kept at most, give or take `SWEEP_SECONDS`."""

SWEEP_SECONDS = 5 * 60
"""How often what is older is deleted."""

NO_STATISTICS = {"GRADIO_ANALYTICS_MAX_EVENTS": "1", "GRADIO_ANALYTICS_CACHE_FREQUENCY": str(sys.maxsize)}
"""Environment in which gradio does not sum up the last 10,000 calls after each one, for a page that is not served."""


@functools.cache
def own_folder() -> Path:
    """Makes the one folder for all that visitors upload and all that is made from it, and deletes it at exit.

    It lies below GRADIO_TEMP_DIR, or among the machine's temporary files. Gradio's uploads and pictures, `data:` URIs
    and every temporary file of this process go there, so that none can be forgotten when it is deleted.
    """
    parent = os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir()
    Path(parent).mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="brain-tumor-demo-", dir=parent)
    tempfile.tempdir = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def gradio_environment() -> dict[str, str]:
    """The environment that gradio must find when it is imported: its folder is `own_folder`, and `NO_STATISTICS`.

    Whoever wants the statistics can set their variables otherwise.
    """
    statistics = {name: os.environ.get(name, value) for name, value in NO_STATISTICS.items()}
    return statistics | {"GRADIO_TEMP_DIR": str(own_folder())}


def new_file(name: str, content: bytes | str) -> Path:
    """Writes a file of this name into a folder of its own that nobody can guess, below `own_folder`."""
    folder = Path(tempfile.gettempdir(), uuid.uuid4().hex)
    folder.mkdir()
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def end_cleanly_on_sigterm(folder: Path) -> None:
    """Makes SIGTERM (a Space that goes to sleep sends it) delete `folder` and end the process as Ctrl+C does.

    The folder goes at once: with visitors connected an orderly end takes ten seconds, and then SIGKILL may come first.
    """

    def stop(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt the deleting
        shutil.rmtree(folder, ignore_errors=True)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def keep_sweeping(folder: Path, forget: Callable[[float, list[str]], None]) -> None:
    """Starts a thread that calls `sweep` for what is older than `KEPT_SECONDS`, again and again."""

    def forever() -> None:
        while True:
            time.sleep(SWEEP_SECONDS)
            sweep(folder, forget, time.time() - KEPT_SECONDS)

    threading.Thread(target=forever, daemon=True).start()


def sweep(folder: Path, forget: Callable[[float, list[str]], None], before: float) -> None:
    """Deletes files that were last changed or used before this time (seconds since 1970), and empty folders.

    Args:
        folder: what is swept, at any depth.
        forget: is called with the same time and the paths that were deleted, to drop what memory holds of them.
        before: seconds since 1970, as `time.time` gives them.
    """
    # What is in a folder comes before it. Not rglob, which fails when somebody deletes a folder meanwhile.
    found = [Path(parent, name) for parent, *names in os.walk(folder, topdown=False) for name in sum(names, [])]
    deleted = []
    for path in found:
        with contextlib.suppress(OSError):
            if path.lstat().st_ctime < before:
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
                deleted.append(str(path))
    forget(before, deleted)
