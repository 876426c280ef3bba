"""All of the demo that depends on gradio's insides: what `apply` replaces, what is only used, and checks of both.

docs/gradio.md lists the patches for whoever upgrades gradio. What gradio has a setting for is not here.
"""

import functools
import inspect
import json
import os
from abc import ABCMeta
from collections import ChainMap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, SimpleNamespace

import gradio as gr
from gradio import mcp, processing_utils, route_utils, utils
from gradio.queueing import Queue
from gradio.state_holder import SessionState, StateHolder
from gradio_client.utils import is_file_obj_with_meta, is_http_url_like, traverse

from brain_tumor.demo.errors import no_addresses, no_file


class ChangedGradioError(RuntimeError):
    """The installed gradio is not built as a patch expects. The message is a sentence that says what changed."""


@dataclass(frozen=True)
class Patch:
    """One attribute of gradio's that is replaced.

    Attributes:
        owner: module or class that has it.
        name: of the attribute.
        parameters: names that the function has today; None for a property.
        replace: from the original to what takes its place.
        callers: functions of gradio's that must look it up by its name, or the replacement would never be called.
        for_mcp: whether only MCP clients need it.
    """

    owner: object
    name: str
    parameters: tuple[str, ...] | None
    replace: Callable[[Callable], object]
    callers: tuple[Callable, ...] = ()
    for_mcp: bool = False

    @property
    def place(self) -> str:
        module = getattr(self.owner, "__module__", None)
        return ".".join(filter(None, (module, self.owner.__name__, self.name)))

    def check(self) -> None:
        """Raises `ChangedGradioError` unless gradio is built as expected."""
        original = inspect.getattr_static(self.owner, self.name, None)
        if original is None:
            raise _changed(self.place, "does not exist")
        if self.parameters is None:
            if not isinstance(original, property):
                raise _changed(self.place, "is no property")
        elif not callable(original) or (found := tuple(inspect.signature(original).parameters)) != self.parameters:
            what = f"takes {', '.join(found) or 'nothing'}" if callable(original) else "is no function"
            raise _changed(self.place, f"{what}, not {', '.join(self.parameters)}")
        for caller in self.callers:
            if self.name not in _names_in(inspect.unwrap(caller).__code__):
                raise _changed(f"{caller.__module__}.{caller.__qualname__}", f"does not use {self.name}")


_originals: dict[tuple[object, str], object] = {}
"""What was replaced, by its owner and name."""


def apply(mcp: bool = False) -> None:
    """Check gradio's insides and replace those that this demo needs otherwise; once, before the demo is built.

    Args:
        mcp: whether MCP clients are served as well.

    Raises:
        ChangedGradioError: the installed gradio has another shape. Nothing has been replaced then.
    """
    patches = [patch for patch in PATCHES if mcp or not patch.for_mcp]
    waiting = [patch for patch in patches if (patch.owner, patch.name) not in _originals]
    for patch in waiting:
        patch.check()
    _check_what_is_used()
    for patch in waiting:
        original = _originals[patch.owner, patch.name] = inspect.getattr_static(patch.owner, patch.name)
        setattr(patch.owner, patch.name, patch.replace(original))


def _check_what_is_used() -> None:
    """Raises `ChangedGradioError` if what the functions at the end of this file use is not there."""
    page = gr.Blocks(analytics_enabled=False)
    for part, names in (
        (page, ("temp_file_sets", "default_config", "_queue")),
        (page.default_config, ("blocks", "fns", "config_for_block")),
        (StateHolder(), ("session_data", "time_last_used")),
        (page._queue, ("pending_event_ids_session", "pending_messages_per_session")),
    ):
        for name in names:
            if not hasattr(part, name):
                raise _changed(f"{type(part).__module__}.{type(part).__name__}.{name}", "does not exist")
    if os.environ.get("GRADIO_TEMP_DIR", route_utils.DEFAULT_TEMP_DIR) != route_utils.DEFAULT_TEMP_DIR:
        raise ChangedGradioError("gradio was imported before GRADIO_TEMP_DIR was set: import app.py before gradio.")


def _changed(place: str, how: str) -> ChangedGradioError:
    return ChangedGradioError(
        f"gradio {gr.__version__} is not built as this demo expects: {place} {how}. Install the version that "
        "requirements-demo.txt names, or adapt brain_tumor/demo/gradio_patches.py (docs/gradio.md)."
    )


def _names_in(code: CodeType) -> set[str]:
    """Names of globals and attributes that a function uses, and those defined in it."""
    return set(code.co_names).union(*(_names_in(inner) for inner in code.co_consts if isinstance(inner, CodeType)))


# Files.


def _take_uploads_alone(original):
    """What comes in must be uploaded files.

    Gradio downloads any address that a client names in place of a file, whatever the component, even a slider; and it
    asks the disk about any path, with errors that name this machine's folders to the client and in the log.
    """

    @functools.wraps(original)
    async def take(data, block, postprocess=False, check_in_upload_folder=False, keep_in_cache=False):
        if postprocess:
            return await original(data, block, postprocess, check_in_upload_folder, keep_in_cache)
        try:
            traverse(data, _refuse_address, is_file_obj_with_meta)
            return await original(data, block, postprocess, check_in_upload_folder, keep_in_cache)
        except (AttributeError, OSError, TypeError, ValueError):  # no path, no path of an upload, no mark of a file
            raise no_file() from None

    return take


def _refuse_address(file: dict) -> dict:
    if is_http_url_like(file["path"]):
        raise no_addresses()
    return file


def _know_uploads(original):
    """No upload is a static file.

    Gradio compares every upload with each of the static files, one by one, and fails for a path that the disk refuses.
    """

    @functools.wraps(original)
    def is_static_file(file_path) -> bool:
        try:
            path = getattr(file_path, "path", file_path)
            uploaded = isinstance(path, str) and utils.is_in_or_equal(path, utils.get_upload_folder())
            return not uploaded and original(file_path)
        except (OSError, ValueError):
            return False

    return is_static_file


# Calls.


def _fill_in(original):
    """A program may leave out the last arguments of an endpoint: their defaults are documented.

    Gradio's own client fills them in; to others, a parameter that is new would be an error.
    """

    @functools.wraps(original)
    def validate(self, block_fn, inputs):
        if block_fn.api_visibility == "public":
            inputs += [None] * (len(block_fn.inputs) - len(inputs))
        return original(self, block_fn, inputs)

    return validate


# Sessions.


def _remember_no_page(original):
    """A session holds what changed for its visitor, and no copy of the page.

    Gradio copies the settings of all components for every visitor and for every call of a program, which takes longer
    than the network does, in case somebody asks for a link to what the visitor sees. `middleware.ClosedDoors` answers
    these with 404.
    """

    @functools.wraps(original)
    def remember(self, blocks):
        # The settings are copied of those components that these "blocks" name: none of them.
        original(self, SimpleNamespace(default_config=blocks.default_config, blocks=()))
        self.blocks_config.config_for_block = lambda *_: {}  # of those that change: nothing
        # The components themselves: those that changed for this visitor, before everybody's.
        self.blocks_config.blocks = ChainMap({}, blocks.default_config.blocks)
        self.blocks_config.fns = ChainMap({}, blocks.default_config.fns)

    return remember


# Tools for MCP clients.


def _answer_in_json(original):
    """Gradio writes a tool's answer as Python would print it, which no other language reads."""

    @functools.wraps(original)
    def answer(self, data, root_url):
        return original(self, [json.dumps(part) if isinstance(part, dict) else part for part in data], root_url)

    return answer


def _ask_for_data_uris(original):
    """Gradio tells a tool's caller to give the address of a file, which is refused here."""

    def ask_for(node: dict) -> dict:
        return node | {"format": "data: URI"} if str(node.get("format")).startswith("Gradio File") else node

    @functools.wraps(original)
    def simplify(self, schema):
        simple, places = original(self, schema)
        return json.loads(json.dumps(simple), object_hook=ask_for), places

    return simplify


def _leave_data_uris(original):
    """Files stay the strings that came, for `ScanUpload` to read as it reads those of any program.

    Gradio knows `data:` URIs in one spelling alone, and answers a string that is no file by asking for an address.
    """

    @functools.wraps(original)
    def leave(self, value, filedata_positions):
        return value

    return leave


SERVER = mcp.GradioMCPServer

PATCHES = (
    Patch(
        processing_utils,
        "async_move_files_to_cache",
        ("data", "block", "postprocess", "check_in_upload_folder", "keep_in_cache"),
        _take_uploads_alone,
        callers=(gr.Blocks.preprocess_data, gr.Blocks.postprocess_data),
    ),
    Patch(
        utils,
        "is_static_file",
        ("file_path",),
        _know_uploads,
        callers=(processing_utils.async_move_files_to_cache, processing_utils.check_all_files_in_cache),
    ),
    Patch(
        gr.Blocks,
        "validate_inputs",
        ("self", "block_fn", "inputs"),
        _fill_in,
        callers=(gr.Blocks.preprocess_data,),
    ),
    Patch(SessionState, "__init__", ("self", "blocks"), _remember_no_page),
    Patch(SERVER, "postprocess_output_data", ("self", "data", "root_url"), _answer_in_json, for_mcp=True),
    Patch(SERVER, "simplify_filedata_schema", ("self", "schema"), _ask_for_data_uris, for_mcp=True),
    Patch(
        SERVER,
        "convert_strings_to_filedata",
        ("self", "value", "filedata_positions"),
        _leave_data_uris,
        for_mcp=True,
    ),
    # It tells a tool's caller to upload files with another tool, which is not there.
    Patch(
        SERVER,
        "_file_data_tool_description",
        None,
        lambda original: "",
        callers=(SERVER.get_fn_description,),
        for_mcp=True,
    ),
)


# What is used, and not replaced.


class NoStubFile(type(gr.File)):
    """Metaclass of components of our own: gradio's writes a file of type hints (.pyi) beside the component's module.

    Apart from that, gradio's does nothing for a class that has neither events nor an `__init__` of its own.
    """

    def __new__(metaclass, name, bases, attributes):
        return ABCMeta.__new__(metaclass, name, bases, attributes)


def is_upload(path: str) -> bool:
    """Whether a path lies in the folder of uploads, or is a file that is served to everybody, such as an example."""
    return utils.is_in_or_equal(path, utils.get_upload_folder()) or utils.is_static_file(path)


@functools.cache
def serve_in_place(path: Path) -> None:
    """Lets everybody have a file from where it is. A copy of it in the cache would be deleted with the uploads."""
    gr.set_static_paths([path])


def forget(demo: gr.Blocks, before: float, deleted: Iterable[str] = ()) -> None:
    """Drops what the demo keeps in memory of visitors who were last there before this time.

    Gradio by itself keeps a session's last inputs and results until 10,000 more visitors have come, and the rest for
    good.

    Args:
        demo: running.
        before: seconds since 1970, as `time.time` gives them.
        deleted: paths of files that are gone; nobody needs to know their names.
    """
    names = set(deleted)
    for paths in demo.temp_file_sets:
        paths -= names
    for session, used in list(demo.state_holder.time_last_used.items()):
        if used.timestamp() < before:
            forget_session(demo, session)


def forget_session(demo: gr.Blocks, session: str) -> None:
    """Drops what the demo keeps in memory of one session; an answer that somebody waits for is kept."""
    demo.state_holder.session_data.pop(session, None)
    demo.state_holder.time_last_used.pop(session, None)
    if not is_waiting(demo, session):
        demo._queue.pending_event_ids_session.pop(session, None)
        demo._queue.pending_messages_per_session.pop(session, None)


def is_waiting(demo: gr.Blocks, session: str) -> bool:
    """Whether a call of this session is not answered yet."""
    queue: Queue = demo._queue
    return bool(queue.pending_event_ids_session.get(session))
