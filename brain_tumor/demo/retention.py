"""What Gradio remembers of visitors and of their calls: no more than this demo needs, and not for long.

To import this is to switch two things off that take more time of a call than the network does. Gradio makes a copy of
the page's settings for every visitor, and for every call of a program, in case somebody asks for a link to what the
visitor sees (`upload.ClosedDoors` answers these with 404); and after every call it sums up the last 10,000 of them for
its page of statistics, which this demo does not have.
"""

import os
import re
import sys
from collections import ChainMap
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
    # The components themselves: those that changed for this visitor, before everybody's.
    session.blocks_config.blocks = ChainMap({}, blocks.default_config.blocks)
    session.blocks_config.fns = ChainMap({}, blocks.default_config.fns)


SessionState.__init__ = _remember_no_page


def forget(demo: gr.Blocks, before: float, deleted: Iterable[str] = ()) -> None:
    """Drops what the demo keeps in memory of visitors who were last there before this time (seconds since 1970).

    Gradio by itself keeps a session's last inputs and results until 10,000 more visitors have come, and the rest for
    good.

    Args:
        demo: running.
        before: time, as `time.time` tells it.
        deleted: paths of files that are gone; nobody needs to know their names.
    """
    names = set(deleted)
    for known in demo.temp_file_sets:
        known -= names
    for session, used in list(demo.state_holder.time_last_used.items()):
        if used.timestamp() < before:
            _forget(demo, session)


def _forget(demo: gr.Blocks, session: str) -> None:
    demo.state_holder.session_data.pop(session, None)
    demo.state_holder.time_last_used.pop(session, None)
    queue = demo._queue
    if not queue.pending_event_ids_session.get(session):  # nobody waits for an answer
        queue.pending_event_ids_session.pop(session, None)
        queue.pending_messages_per_session.pop(session, None)


class ForgottenCalls:
    """Middleware that forgets a program's call as soon as its answer is sent.

    Gradio takes a call that names no session for a session of its own, to which nobody can come back.
    """

    def __init__(self, app, demo: gr.Blocks):
        self.app, self.demo = app, demo

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)
        answered = _ANSWER.search(scope["path"]) if scope["type"] == "http" else None
        if answered and not self.demo._queue.pending_event_ids_session.get(answered[1]):
            _forget(self.demo, answered[1])


_ANSWER = re.compile(r"/call/(?:v2/)?[^/]+/([^/]+)/*$")
"""The address of a call's answer; it ends with what Gradio calls the session of such a call."""
