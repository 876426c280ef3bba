"""The installed gradio is built as the patches expect, and one that is not is refused with a sentence."""

import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
from gradio import processing_utils, utils
from gradio.routes import App
from gradio.state_holder import StateHolder

from brain_tumor.demo import gradio_patches
from brain_tumor.demo.gradio_patches import PATCHES, ChangedGradioError, NoStubFile, apply
from tests.serving import ROOT, demo_environment

ROUTES = """
/ /config /theme.css /robots.txt /manifest.json /favicon.ico /pwa_icon /pwa_icon/{size} /assets/{path:path}
/static/{path:path} /svelte/{path:path} /login /logout /openapi.json /monitoring /monitoring/summary /monitoring/{key}
api/{api_name} app_id call/{api_name} call/{api_name}/{event_id} call/v2/{api_name} call/v2/{api_name}/{event_id} cancel
component_server custom_component/{id}/{environment}/{type}/{file_name} deep_link dev/reload file/{path:path}
file={path_or_url:path} heartbeat/{session_hash} info login_check openapi.json process_recording proxy={url_path:path}
queue/data queue/join queue/status reset run/{api_name} run-history/buckets run-history/connect run-history/records
run-history/records/{endpoint}/{record_id}/assets/{asset_id} runs startup-events stream/{event_id}
stream/{event_id}/close stream/{session_hash}/{run}/{component_id}/playlist-file
stream/{session_hash}/{run}/{component_id}/playlist.m3u8 stream/{session_hash}/{run}/{component_id}/{segment_id}.{ext}
theme.css token undo-vibe-edit upload upload_progress user vibe-code vibe-edit vibe-starter-queries
"""
"""Routes of gradio's that somebody has looked at; those without a slash at their start lie below /gradio_api/."""


@pytest.fixture
def fresh(monkeypatch):
    """As if nothing had been applied in this process: gradio's originals, put back afterwards."""
    apply(mcp=True)
    for (owner, name), original in gradio_patches._originals.items():
        monkeypatch.setattr(owner, name, original)
    monkeypatch.setattr(gradio_patches, "_originals", {})


def test_the_installed_gradio_has_the_expected_shape(fresh):
    for patch in PATCHES:
        patch.check()
    gradio_patches._check_what_is_used()


def test_tools_for_mcp_clients_are_patched_only_when_they_are_asked_for(fresh):
    apply()
    replaced = {name for _, name in gradio_patches._originals}
    assert replaced == {patch.name for patch in PATCHES if not patch.for_mcp}
    apply(mcp=True)
    assert {name for _, name in gradio_patches._originals} == {patch.name for patch in PATCHES}


def routes_of(routes) -> Iterator[str]:
    for route in routes:
        inner = getattr(route, "original_router", route)
        if getattr(inner, "routes", None):
            yield from routes_of(inner.routes)
        elif hasattr(route, "path"):
            yield (route.path.rstrip("/") or "/").removeprefix("/gradio_api/")


def test_gradio_has_no_route_that_nobody_has_looked_at():
    """A new one may read files, fetch addresses or keep what a visitor sees: close it in `ClosedDoors`, or list it."""
    with gr.Blocks(analytics_enabled=False) as page:
        gr.Textbox()
    assert set(routes_of(App.create_app(page).routes)) == set(ROUTES.split())


def test_applying_twice_replaces_once(fresh):
    apply()
    first = processing_utils.async_move_files_to_cache
    apply()
    assert processing_utils.async_move_files_to_cache is first


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.name)
def test_what_is_gone_or_takes_something_else_is_told_in_a_sentence_and_nothing_is_replaced(patch, fresh, monkeypatch):
    untouched = {(p.owner, p.name): inspect.getattr_static(p.owner, p.name) for p in PATCHES if p is not patch}
    monkeypatch.setattr(patch.owner, patch.name, lambda something, else_: None)
    with pytest.raises(ChangedGradioError, match=rf"(?s)^gradio [\d.]+ is not built .*{patch.name}.*docs/gradio.md"):
        apply(mcp=True)
    if patch.name != "__init__":  # every class has one
        monkeypatch.delattr(patch.owner, patch.name)
        with pytest.raises(ChangedGradioError, match=f"{patch.name} does not exist"):
            apply(mcp=True)
    for (owner, name), original in untouched.items():
        assert inspect.getattr_static(owner, name) is original


def test_a_caller_that_no_longer_goes_through_what_is_replaced_is_told(fresh, monkeypatch):
    async def preprocess_data(self, block_fn, inputs, state, explicit_call=False):
        return await processing_utils.another_way(inputs)

    (patch,) = (patch for patch in PATCHES if patch.name == "async_move_files_to_cache")
    object.__setattr__(patch, "callers", (preprocess_data, *patch.callers[1:]))
    try:
        with pytest.raises(ChangedGradioError, match="preprocess_data does not use async_move_files_to_cache"):
            apply()
    finally:
        object.__setattr__(patch, "callers", (gr.Blocks.preprocess_data, *patch.callers[1:]))


def test_memory_that_is_kept_elsewhere_is_told(fresh, monkeypatch):
    def renamed(self):
        self.sessions, self.time_last_used = {}, {}

    monkeypatch.setattr(StateHolder, "__init__", renamed)
    with pytest.raises(ChangedGradioError, match="StateHolder.session_data does not exist"):
        apply()


def test_gradio_that_was_imported_before_its_folder_was_set_is_told(fresh, monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with pytest.raises(ChangedGradioError, match="import app.py before gradio"):
        apply()


def test_a_changed_gradio_ends_the_start_of_the_demo_with_one_sentence(tmp_path):
    script = (
        "from brain_tumor.demo.retention import gradio_environment; import os; os.environ.update(gradio_environment());"
        "from gradio import utils; del utils.is_static_file; import runpy; runpy.run_path('app.py')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=demo_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("gradio ") and "gradio.utils.is_static_file does not exist" in done.stderr
    assert done.stderr.strip().count("\n") == 0


def test_importing_the_demos_modules_changes_nothing_of_gradios(tmp_path):
    script = """
import pkgutil, importlib, inspect
from gradio import component_meta, mcp, processing_utils, utils, blocks, state_holder
places = (component_meta, mcp, processing_utils, utils, mcp.GradioMCPServer, blocks.Block, state_holder.SessionState)
def look(): return [dict(vars(place)) for place in places]
before = look()
import brain_tumor.demo
for module in pkgutil.iter_modules(brain_tumor.demo.__path__):
    importlib.import_module("brain_tumor.demo." + module.name)
for place, was, now in zip(places, before, look()):
    for name in was.keys() | now.keys():
        assert was.get(name) is now.get(name), (place, name)
"""
    environment = demo_environment(tmp_path)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not list(ROOT.glob("brain_tumor/demo/*.pyi")), "gradio's stub files"


def test_a_component_of_our_own_is_one_of_gradios_in_every_other_way():
    class Ours(gr.File, metaclass=NoStubFile): ...

    assert issubclass(Ours, gr.File) and isinstance(Ours, type(gr.File))
    assert Ours.EVENTS is gr.File.EVENTS
    assert all(getattr(Ours, event) is getattr(gr.File, event) for event in map(str, Ours.EVENTS))
    assert not list(Path(__file__).parent.glob("*.pyi"))


def test_no_upload_is_a_static_file_and_no_impossible_path_an_error(fresh, monkeypatch, tmp_path):
    apply()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    monkeypatch.setattr(gr.data_classes._StaticFiles, "all_paths", [tmp_path])
    for name in ("example.png", "uploads/scan.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert utils.is_static_file(str(tmp_path / "example.png"))
    assert not utils.is_static_file(str(tmp_path / "uploads/scan.png"))
    for impossible in ("x" * 300, "a\0b"):
        assert not utils.is_static_file(impossible)
