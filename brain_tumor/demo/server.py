"""How the demo is served: address, limits, and what is switched off."""

import functools
import importlib.util
import os
import sys
import threading

import gradio as gr
from starlette.middleware import Middleware

from brain_tumor.allocator import return_freed_memory
from brain_tumor.demo.gradio_patches import forget
from brain_tumor.demo.middleware import ClosedDoors, ForgottenCalls, LimitedBodies
from brain_tumor.demo.retention import end_cleanly_on_sigterm, keep_sweeping, own_folder
from brain_tumor.demo.theme import CSS, HEAD, THEME
from brain_tumor.reading.uploads import MAX_TOTAL_BYTES


def mcp_is_wanted() -> bool:
    """Whether MCP=1 asks for tools for MCP clients. Ends the process with a sentence if they need more packages."""
    wanted = os.environ.get("MCP") == "1"
    if wanted and importlib.util.find_spec("mcp") is None:
        sys.exit("MCP=1 needs more packages: pip install -r requirements-mcp.txt")
    return wanted


def serve(demo: gr.Blocks) -> None:
    """Serves the demo until it is stopped: on this machine only, or on a Hugging Face Space to everyone.

    PORT is the port, SPACE_ID is set on a Space, MCP=1 adds the tools.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # the `gradio` command, which reads app.py again when a file has changed, and serves already
    port = os.environ.get("PORT")
    if port and not port.isdecimal():
        sys.exit(f"PORT must be a number, not {port!r}.")
    mcp = mcp_is_wanted()
    return_freed_memory()
    end_cleanly_on_sigterm(own_folder())
    keep_sweeping(own_folder(), functools.partial(forget, demo))
    middleware = [Middleware(ClosedDoors), Middleware(LimitedBodies), Middleware(ForgottenCalls, demo=demo)]
    try:
        demo.launch(
            # Without PORT and outside a Space, gradio's own GRADIO_SERVER_NAME and GRADIO_SERVER_PORT hold.
            server_name="0.0.0.0" if os.environ.get("SPACE_ID") else None,
            server_port=int(port) if port else None,
            max_file_size=MAX_TOTAL_BYTES,  # of a zip; what else is too large, the readers say
            show_error=True,
            footer_links=["api"],
            run_history=False,
            ssr_mode=False,
            enable_monitoring=False,
            mcp_server=mcp,
            app_kwargs={"middleware": middleware},
            theme=THEME,
            css=CSS,
            head=HEAD,
        )
    except OSError as error:
        sys.exit(f"The demo cannot start ({error}). Set PORT to a free port.")
