"""What the server remembers: of a program's call nothing once it is answered, of a visitor only what they changed."""

import time

import gradio as gr
import httpx
import pytest
from starlette.middleware import Middleware

from brain_tumor.demo.retention import ForgottenCalls, forget
from tests.serving import comes_true


@pytest.fixture(scope="module")
def demo():
    """A small page on this machine: it repeats words, and a list that gets its choices later."""
    with gr.Blocks(analytics_enabled=False) as page:
        word, choice, said = gr.Textbox(), gr.Dropdown(["first"]), gr.Textbox()
        more, say = gr.Button(), gr.Button()
        more.click(lambda: gr.Dropdown(choices=["second"]), None, choice, api_name="more")
        say.click(lambda word, choice: f"{word} {choice}", [word, choice], said, api_name="say")
        gr.Button().click(lambda: time.sleep(1), api_name="wait")
    page.queue(max_size=20)
    app_kwargs = {"middleware": [Middleware(ForgottenCalls, demo=page)]}
    page.launch(prevent_thread_lock=True, quiet=True, app_kwargs=app_kwargs, ssr_mode=False)
    yield page
    page.close()


def call(demo: gr.Blocks, name: str, *data, session: str | None = None) -> str:
    """The last event of a call."""
    address = f"{demo.local_url}gradio_api/call/{name}"
    session_hash = {"session_hash": session} if session else {}
    event_id = httpx.post(address, json={"data": list(data)} | session_hash, timeout=30).json()["event_id"]
    return httpx.get(f"{address}/{event_id}", timeout=30).text


def known(demo: gr.Blocks) -> set[str]:
    """Sessions that anything is kept of."""
    queue, holder = demo._queue, demo.state_holder
    kept = (holder.session_data, holder.time_last_used, queue.pending_event_ids_session)
    return {*queue.pending_messages_per_session, *(session for of in kept for session in of)}


def forgotten(demo: gr.Blocks, sessions: set[str]) -> bool:
    """Whether nothing is kept of these; a client may have the end of an answer a moment before the server is done."""
    return comes_true(lambda: not sessions & known(demo), 5)


def test_of_a_programs_call_nothing_is_left_once_it_is_answered(demo):
    before = known(demo)
    for _ in range(3):
        assert '["a first"]' in call(demo, "say", "a", "first")
    assert "event: error" in call(demo, "say", "a", "no such choice")
    assert forgotten(demo, known(demo) - before)
    assert len(demo._queue.event_analytics) <= 1


def test_a_call_is_kept_until_somebody_asks_for_its_answer(demo):
    address = f"{demo.local_url}gradio_api/call/wait"
    event_id = httpx.post(address, json={"data": []}, timeout=30).json()["event_id"]
    time.sleep(2)
    assert event_id in known(demo)
    assert "event: complete" in httpx.get(f"{address}/{event_id}", timeout=30).text
    assert forgotten(demo, {event_id})


def test_a_visitor_keeps_what_changed_for_them_and_nobody_else_sees_it(demo):
    assert "event: error" in call(demo, "say", "a", "second", session="visitor")
    assert "event: complete" in call(demo, "more", session="visitor")
    assert '["a second"]' in call(demo, "say", "a", "second", session="visitor")
    assert "event: error" in call(demo, "say", "a", "second", session="other")
    assert {"visitor", "other"} <= known(demo)
    session = demo.state_holder.session_data["visitor"]
    assert not any(session.config_values.values()), "no copies of settings"
    forget(demo, time.time() - 60)
    assert {"visitor", "other"} <= known(demo), "they were there within the minute"
    forget(demo, time.time())
    assert not {"visitor", "other"} & known(demo)
    assert "event: error" in call(demo, "say", "a", "second", session="visitor"), "as a new visitor"
