"""What the server remembers: of a program's call nothing once it is answered, of a visitor only what they changed."""

import datetime
import time
import types

import gradio as gr
import httpx
import pytest
from starlette.middleware import Middleware

from brain_tumor.demo.gradio_patches import apply, forget
from brain_tumor.demo.middleware import ForgottenCalls
from brain_tumor.demo.retention import NO_STATISTICS, sweep
from tests.serving import comes_true


@pytest.fixture(scope="module")
def page():
    """A small page on this machine: it repeats words, and a list that gets its choices later."""
    apply()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in NO_STATISTICS.items():
            patch.setenv(name, value)
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


def call(page: gr.Blocks, name: str, *data, session: str | None = None) -> str:
    """The last event of a call."""
    address = f"{page.local_url}gradio_api/call/{name}"
    session_hash = {"session_hash": session} if session else {}
    event_id = httpx.post(address, json={"data": list(data)} | session_hash, timeout=30).json()["event_id"]
    return httpx.get(f"{address}/{event_id}", timeout=30).text


def remembered(page: gr.Blocks) -> set[str]:
    """Sessions that anything is kept of."""
    queue, holder = page._queue, page.state_holder
    kept = (holder.session_data, holder.time_last_used, queue.pending_event_ids_session)
    return {*queue.pending_messages_per_session, *(session for of in kept for session in of)}


def are_forgotten(page: gr.Blocks, sessions: set[str]) -> bool:
    """Whether nothing is kept of these; a client may have the end of an answer a moment before the server is done."""
    return comes_true(lambda: not sessions & remembered(page), 5)


def test_of_a_programs_call_nothing_is_left_once_it_is_answered(page):
    before = remembered(page)
    for _ in range(3):
        assert '["a first"]' in call(page, "say", "a", "first")
    assert "event: error" in call(page, "say", "a", "no such choice")
    assert are_forgotten(page, remembered(page) - before)
    assert len(page._queue.event_analytics) <= 1


def test_a_call_is_kept_until_somebody_asks_for_its_answer(page):
    address = f"{page.local_url}gradio_api/call/wait"
    event_id = httpx.post(address, json={"data": []}, timeout=30).json()["event_id"]
    time.sleep(2)
    assert event_id in remembered(page)
    assert "event: complete" in httpx.get(f"{address}/{event_id}", timeout=30).text
    assert are_forgotten(page, {event_id})


def test_a_visitor_keeps_what_changed_for_them_and_nobody_else_sees_it(page):
    assert "event: error" in call(page, "say", "a", "second", session="visitor")
    assert "event: complete" in call(page, "more", session="visitor")
    assert '["a second"]' in call(page, "say", "a", "second", session="visitor")
    assert "event: error" in call(page, "say", "a", "second", session="other")
    assert {"visitor", "other"} <= remembered(page)
    session = page.state_holder.session_data["visitor"]
    assert not any(session.config_values.values()), "no copies of settings"
    forget(page, time.time() - 60)
    assert {"visitor", "other"} <= remembered(page), "they were there within the minute"
    forget(page, time.time())
    assert not {"visitor", "other"} & remembered(page)
    assert "event: error" in call(page, "say", "a", "second", session="visitor"), "as a new visitor"


def test_what_is_old_is_swept_and_what_is_new_stays(tmp_path):
    old, new = tmp_path / "old" / "scan.png", tmp_path / "new.png"
    old.parent.mkdir()
    old.write_bytes(b"scan")
    time.sleep(0.05)
    between = time.time()
    time.sleep(0.05)
    new.write_bytes(b"scan")
    forgotten = []
    sweep(tmp_path, lambda before, deleted: forgotten.append((before, deleted)), between)
    assert not old.exists()
    assert new.exists()
    assert forgotten == [(between, [str(old)])]
    sweep(tmp_path, lambda before, deleted: None, time.time() + 1)
    assert not list(tmp_path.iterdir()), "not even an empty folder"


def stand_in(sessions: dict[str, float], pending=(), files=()):
    """A demo that remembers these sessions, used at these times, and has calls of some of them under way."""
    used = {name: datetime.datetime.fromtimestamp(when) for name, when in sessions.items()}
    queue = types.SimpleNamespace(
        pending_event_ids_session={name: {"event"} if name in pending else set() for name in sessions},
        pending_messages_per_session=dict.fromkeys(sessions, "messages"),
    )
    holder = types.SimpleNamespace(session_data=dict.fromkeys(sessions, "results"), time_last_used=used)
    return types.SimpleNamespace(state_holder=holder, _queue=queue, temp_file_sets=list(files))


def test_visitors_of_long_ago_are_forgotten_with_the_names_of_their_files():
    demo = stand_in({"gone": 99, "here": 101}, files=[{"old.png"}, {"old.png", "new.png"}])
    forget(demo, 100, ["old.png"])
    holder, queue = demo.state_holder, demo._queue
    memory = (holder.session_data, holder.time_last_used, queue.pending_event_ids_session)
    for kept in (*memory, queue.pending_messages_per_session):
        assert list(kept) == ["here"]
    assert demo.temp_file_sets == [set(), {"new.png"}]


def test_of_visitors_whose_call_is_under_way_the_queue_is_kept():
    demo = stand_in({"waits": 0}, pending=["waits"])
    forget(demo, 100)
    assert list(demo._queue.pending_event_ids_session) == list(demo._queue.pending_messages_per_session) == ["waits"]
