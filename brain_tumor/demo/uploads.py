"""The demo's uploads: a file component that hands over files as they came, and the one folder that holds them."""

import atexit
import base64
import binascii
import contextlib
import os
import re
import shutil
import signal
import tempfile
import threading
import time
import uuid
from pathlib import Path

import gradio as gr
import gradio.mcp
from gradio import component_meta, processing_utils, utils
from gradio.blocks import Block
from gradio.data_classes import FileData
from gradio.utils import is_in_or_equal
from gradio_client.utils import is_http_url_like
from starlette.datastructures import Headers
from starlette.responses import JSONResponse

from brain_tumor.demo import retention as sessions
from brain_tumor.demo.errors import KEPT_SECONDS, gone, no_file
from brain_tumor.reading.pictures import MAX_FILE_BYTES
from brain_tumor.reading.uploads import MAX_TOTAL_BYTES

SWEEP_SECONDS = 5 * 60
"""How often what is older is deleted."""

MAX_UPLOAD_BYTES = MAX_TOTAL_BYTES + 16 * 1024**2
"""Most bytes of one request that uploads files: those, and what a form of a thousand files adds."""

MAX_REQUEST_BYTES = MAX_FILE_BYTES * 4 // 3 + 1024**2
"""Most bytes of any other request: a file in a `data:` URI, which memory holds whole, several times over."""

# Gradio writes a stub file (.pyi) beside each module that defines a component; not into this repository.
component_meta.create_or_modify_pyi = lambda *arguments: None

_move_to_cache = Block.async_move_resource_to_block_cache


async def _fetch_nothing(block: Block, url_or_file_path):
    if is_http_url_like(str(url_or_file_path)):
        raise gr.Error("Addresses are not fetched: upload the file, or send it as a data: URI.", print_exception=False)
    return await _move_to_cache(block, url_or_file_path)


# Gradio downloads any address that a client names in place of a file, whatever the component, even a slider; this
# server fetches nothing on behalf of others.
Block.async_move_resource_to_block_cache = _fetch_nothing

_look_for_static_file = utils.is_static_file


def _is_static_file(file) -> bool:
    try:
        path = getattr(file, "path", file)
        # Every upload is asked about, and it is compared with each of the static files, one by one.
        uploaded = isinstance(path, str) and is_in_or_equal(path, utils.get_upload_folder())
        return not uploaded and _look_for_static_file(file)
    except (OSError, ValueError):
        raise no_file() from None


_check_allowed = processing_utils._check_allowed


def _check_uploaded(path, check_in_upload_folder: bool) -> None:
    try:
        _check_allowed(path, check_in_upload_folder)
    except (OSError, ValueError):
        if check_in_upload_folder:
            raise no_file() from None
        raise


# Gradio asks the disk for whatever a client names, and its errors would go to the client and into the log: with this
# machine's folders in them, and with a picture that came in the place of a path.
utils.is_static_file = _is_static_file

processing_utils._check_allowed = _check_uploaded


class ScanUpload(gr.File):
    """A file component that hands over uploads untouched, for `readers` to open: their paths, in the order they came.

    Besides files that were uploaded to this demo it takes `data:` URIs, from programs. It takes nothing else: neither
    addresses nor paths of this machine, with or without gradio's mark of a file.
    """

    is_template = True  # the browser's side is that of gr.File

    # `preprocess` gets payloads as they were sent: clients of MCP send lists of plain strings, which gr.File's model of
    # its data refuses. An __init__ of our own would hide gr.File's parameters from gradio, which reads its signature.
    data_model = property(lambda self: None, lambda self, value: None)

    def preprocess(self, payload) -> str | list[str] | None:
        """One path, or a list of paths with `file_count="multiple"`; None where nothing was given.

        Raises:
            gr.Error: a file was not uploaded to this demo and is no `data:` URI.
        """
        several = self.file_count == "multiple"
        if payload is None or payload == []:
            return [] if several else None
        if several:
            return [self._path(one) for one in (payload if isinstance(payload, list) else [payload])]
        return self._path(payload)

    def _path(self, payload) -> str:
        given = payload if isinstance(payload, dict) else {"url": payload if isinstance(payload, str) else None}
        url, path = given.get("url"), given.get("path")
        if isinstance(url, str) and url.startswith("data:"):
            return self._written(url, given.get("orig_name"))
        # Gradio checks this only for requests with its file mark; without the mark any file here could be read.
        if not isinstance(path, str) or not (is_in_or_equal(path, self.GRADIO_CACHE) or _is_static_file(path)):
            raise no_file()
        if not os.path.exists(path):
            raise gone(given.get("orig_name") or "This file")
        return path

    def _written(self, uri: str, name) -> str:
        """A `data:` URI as a file, since every reader takes files."""
        try:
            content = base64.b64decode(uri.partition(",")[2], validate=True)
        except (binascii.Error, ValueError):
            raise gr.Error("This data: URI is not base64.", print_exception=False, duration=None) from None
        return str(new_file(Path(name).name if isinstance(name, str) and Path(name).name else "scan", content))

    def api_info(self):
        """What the API's documentation says of the parameter."""
        file = FileData.model_json_schema()
        # Written out: in gradio's schemas of MCP tools a reference would point to nowhere.
        file["properties"]["meta"] = file.pop("$defs")["FileDataMeta"]
        file.pop("description", None)
        schema = {"type": "array", "items": file} if self.file_count == "multiple" else file
        return schema | {"additional_description": "Local files, given with handle_file, or data: URIs."}

    def example_payload(self):
        file = {"path": "scan.png", "url": "scan.png", "meta": {"_type": "gradio.FileData"}}
        return [file] if self.file_count == "multiple" else file

    def example_value(self):
        return ["scan.png"] if self.file_count == "multiple" else "scan.png"


def own_folder() -> Path:
    """Makes one folder for all that visitors upload and all that is made of it, and empties it at the end.

    It goes below GRADIO_TEMP_DIR, or among the machine's temporary files. Gradio's uploads and pictures, `data:` URIs
    and every temporary file of this process go there, so that none can be forgotten when it is deleted: at exit, which
    SIGTERM brings about as well (a Space that goes to sleep sends it).
    """
    parent = os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir()
    Path(parent).mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="brain-tumor-demo-", dir=parent)
    os.environ["GRADIO_TEMP_DIR"] = gradio.mcp.DEFAULT_TEMP_DIR = tempfile.tempdir = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def end_cleanly_on_sigterm(folder: Path) -> None:
    """Makes SIGTERM delete `folder` and end the process as Ctrl+C does, so that the rest that happens at exit happens.

    The folder goes at once: with visitors connected an orderly end takes ten seconds, and then SIGKILL may come first.
    """

    def stop(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt the deleting
        shutil.rmtree(folder, ignore_errors=True)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def new_file(name: str, content: bytes | str) -> Path:
    """Writes a file of this name into a folder of its own that nobody can guess, below the one of `own_folder`."""
    folder = Path(tempfile.gettempdir(), uuid.uuid4().hex)
    folder.mkdir()
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def keep_sweeping(folder: Path, demo: gr.Blocks) -> None:
    """Deletes files of `folder`, and the demo's memory of visitors, once they are older than `KEPT_SECONDS`."""

    def forever() -> None:
        while True:
            time.sleep(SWEEP_SECONDS)
            sweep(folder, demo, time.time() - KEPT_SECONDS)

    threading.Thread(target=forever, daemon=True).start()


def sweep(folder: Path, demo: gr.Blocks, before: float) -> None:
    """Deletes what was last changed or used before this time (seconds since 1970): files, and sessions of visitors."""
    # What is in a folder comes before it. Not rglob, which fails when somebody deletes a folder meanwhile.
    found = [Path(parent, name) for parent, *names in os.walk(folder, topdown=False) for name in sum(names, [])]
    deleted = []
    for path in found:
        with contextlib.suppress(OSError):
            if path.lstat().st_ctime < before:
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
                deleted.append(str(path))
    sessions.forget(demo, before, deleted)


class ClosedDoors:
    """Middleware that answers with 404 where gradio would do more than this demo needs.

    Its deep links write what a visitor sees to the disk, for anybody; `/file=` followed by an address, and `/proxy=`,
    fetch it for whoever asks; `/process_recording` takes any file there is.
    """

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and _CLOSED.search(scope["path"]):
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await self.app(scope, receive, send)


_CLOSED = re.compile(
    r"/(deep_link/*$|file=\s*[a-z][a-z0-9+.-]+:|file=\s*//|proxy=|process_recording/*$)", re.IGNORECASE
)


class LimitedBodies:
    """Middleware that refuses a request too large to be held, before it is read or, if it hides its length, while."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        uploads = scope["path"].rstrip("/").endswith("/upload")
        most = MAX_UPLOAD_BYTES if uploads else MAX_REQUEST_BYTES
        over, seen = int(Headers(scope=scope).get("content-length", 0)) > most, 0

        async def counted():
            nonlocal over, seen
            message = await receive()
            seen += len(message.get("body", b""))
            over = over or seen > most
            if over:
                raise _TooLong
            return message

        async def unless_over(message):
            if not over:  # FastAPI has words of its own for a body that cannot be read
                await send(message)

        if not over:
            with contextlib.suppress(_TooLong):
                await self.app(scope, counted, unless_over)
        if over:
            words = f"This request has more than {most // 1024**2} MB. " + (
                "Upload fewer files at a time." if uploads else "Upload the file instead of sending it along."
            )
            # The rest of the body is read and dropped: with the connection closed a client would see no answer.
            await JSONResponse({"detail": words}, 413)(scope, receive, send)


class _TooLong(Exception):
    pass
