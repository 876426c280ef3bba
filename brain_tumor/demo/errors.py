"""Errors that are meant for a visitor: sentences."""

import gradio as gr

KEPT_SECONDS = 30 * 60
"""How long an upload and what was made of it are kept at most, apart from `SWEEP_SECONDS`."""


def no_file() -> gr.Error:
    """The error for what is neither an upload nor a `data:` URI in its place."""
    return gr.Error(
        "No file of yours came with this request: upload the file, or send it as a data: URI. Addresses are not "
        "fetched.",
        print_exception=False,
    )


def gone(what: str = "This") -> gr.Error:
    """The error for what was asked for again after its time, by its name if it has one: its visitor gave it."""
    words = f"{what} was deleted: nothing is kept for longer than {KEPT_SECONDS // 60} minutes. Upload it again."
    return gr.Error(words, duration=None, print_exception=False)
