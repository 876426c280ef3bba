"""What stands between the network and gradio: closed routes, a limit to each request, and no memory of what is done."""

import contextlib
import re

import gradio as gr
from starlette.datastructures import Headers
from starlette.responses import JSONResponse

from brain_tumor.demo.gradio_patches import forget_session, is_waiting
from brain_tumor.demo.page import TOO_LARGE
from brain_tumor.reading.pictures import MAX_FILE_BYTES
from brain_tumor.reading.uploads import MAX_TOTAL_BYTES

MAX_UPLOAD_BYTES = MAX_TOTAL_BYTES + 16 * 1024**2
"""Most bytes of one request that uploads files: those, and what a form of a thousand files adds."""

MAX_REQUEST_BYTES = MAX_FILE_BYTES * 3 // 2
"""Most bytes of any other request: a file in a `data:` URI, in base64 with breaks of lines, which memory holds whole,
several times over."""


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
            nonlocal over
            over = over or message.get("status") == 413  # a file above gradio's own limit, with words of gradio's
            if not over:  # FastAPI has words of its own for a body that cannot be read
                await send(message)

        if not over:
            with contextlib.suppress(_TooLong):
                await self.app(scope, counted, unless_over)
        if over:
            too_long = f"This request has more than {most // 1024**2} MB. Upload the file instead of sending it along."
            words = TOO_LARGE if uploads else too_long
            # The rest of the body is read and dropped: with the connection closed a client would see no answer.
            await JSONResponse({"detail": words}, 413)(scope, receive, send)


class _TooLong(Exception):
    pass


class ForgottenCalls:
    """Middleware that forgets a program's call as soon as its answer is sent.

    Gradio takes a call that names no session for a session of its own, to which nobody can come back.
    """

    def __init__(self, app, demo: gr.Blocks):
        self.app, self.demo = app, demo

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)
        answered = _ANSWER.search(scope["path"]) if scope["type"] == "http" else None
        if answered and not is_waiting(self.demo, answered[1]):
            forget_session(self.demo, answered[1])


_ANSWER = re.compile(r"/call/(?:v2/)?[^/]+/([^/]+)/*$")
"""The address of a call's answer; it ends with what gradio calls the session of such a call."""
