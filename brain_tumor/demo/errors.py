"""Errors that are meant for a visitor: sentences without a traceback."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gradio as gr

from brain_tumor.demo.retention import KEPT_SECONDS
from brain_tumor.reading.levels import ScanError


def sentence(message: object) -> gr.Error:
    """An error that stays on the page until it is closed."""
    return gr.Error(str(message), duration=None, print_exception=False)


@contextmanager
def in_words() -> Iterator[None]:
    """Whatever goes wrong inside is told in a sentence, and no message of a library reaches visitor or log."""
    try:
        yield
    except gr.Error:
        raise
    except ScanError as error:
        raise sentence(error) from None
    except Exception as error:
        raise _unexpected(error) from None


def _unexpected(error: Exception) -> gr.Error:
    """An error nobody foresaw: where it happened goes into the log, its message does not, as it may name a file."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    print(f"{type(error).__name__} in {Path(where.filename).name}, line {where.lineno}", file=sys.stderr)
    return sentence("Something went wrong with this upload. It is not your fault; please try another file.")


def no_file() -> gr.Error:
    """The error for what is neither an upload nor a `data:` URI in the place of a file."""
    return sentence(
        "This request contains no file of yours: upload the file, or send it as a data: URI. Addresses are not fetched."
    )


def no_addresses() -> gr.Error:
    """The error for an address in the place of a file."""
    return sentence("Addresses are not fetched: upload the file, or send it as a data: URI.")


def gone(what: str = "This") -> gr.Error:
    """The error for what was asked for again after it was deleted; `what` is the name that its visitor gave it."""
    return sentence(
        f"{what} was deleted: nothing is kept for longer than {KEPT_SECONDS // 60} minutes. Upload it again."
    )
