"""What Gradio remembers of visitors and of their calls: no more than this demo needs, and not for long.

To import this is to switch two things off that take more time of a call than the network does. Gradio makes a copy of
the page's settings for every visitor, and for every call of a program, in case somebody asks for a link to what the
visitor sees (`upload.ClosedDoors` answers these with 404); and after every call it sums up the last 10,000 of them for
its page of statistics, which this demo does not have.
"""

import os
import sys
from collections.abc import Iterable
from types import SimpleNamespace

import gradio as gr
from gradio.state_holder import SessionState

# Read when a demo's queue is made. Whoever wants the statistics can set them otherwise.
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(sys.maxsize))

_remember_the_page = SessionState.__init__


def _remember_no_page(session: SessionState, blocks: gr.Blocks) -> None:
    # The settings are copied of those components that these "blocks" name: none of them.
    _remember_the_page(session, SimpleNamespace(default_config=blocks.default_config, blocks=()))
    session.blocks_config.config_for_block = lambda *_: {}  # of those that change: nothing


SessionState.__init__ = _remember_no_page


def forget(demo: gr.Blocks, before: float, deleted: Iterable[str] = ()) -> None:
    """Drops what the demo keeps in memory of visitors who were last there before this time (seconds since 1970).

    Gradio by itself keeps a session's last inputs and results until 10,000 more visitors have come, and the rest for
    good.

    Args:
        demo: on whose queue nobody of these visitors waits.
        before: time, as `time.time` tells it.
        deleted: paths of files that are gone; nobody needs to know their names.
    """
    names = set(deleted)
    for known in demo.temp_file_sets:
        known -= names
    holder, queue = demo.state_holder, demo._queue
    for session, used in list(holder.time_last_used.items()):
        if used.timestamp() < before:
            holder.session_data.pop(session, None)
            holder.time_last_used.pop(session, None)
            if not queue.pending_event_ids_session.get(session):
                queue.pending_event_ids_session.pop(session, None)
                queue.pending_messages_per_session.pop(session, None)
