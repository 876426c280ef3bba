"""The demo as tools for MCP clients: `MCP=1 python app.py`, asked with the reference client over HTTP."""

import asyncio
import base64
import importlib.util
import json

import pytest

from brain_tumor.demo.server import mcp_is_wanted
from brain_tumor.labels import LABELS
from tests.serving import EXAMPLES, bad_files, photograph, running_demo

needs_mcp = pytest.mark.skipif(
    importlib.util.find_spec("mcp") is None,
    reason="needs the MCP extra, best in an environment of its own: pip install -r requirements-mcp.txt",
)


@pytest.fixture(scope="module")
def demo(model_id, tmp_path_factory):
    with running_demo(tmp_path_factory.mktemp("demo"), MODEL_ID=str(model_id), MCP="1") as demo:
        yield demo


def with_session(demo, use):
    """What `use(session)` returns, with a session of the reference client."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def run():
        async with streamablehttp_client(demo.url + "/gradio_api/mcp/") as (read, write, _):
            async with ClientSession(read, write) as session:
                await session.initialize()
                return await use(session)

    return asyncio.run(asyncio.wait_for(run(), 120))


def call(demo, tool: str, **arguments):
    """The tool's answer, or the text of its error."""
    result = with_session(demo, lambda session: session.call_tool(tool, arguments))
    (content,) = result.content
    return content.text if result.isError else json.loads(content.text)


def data_uri(content: bytes, mime: str = "image/png") -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


@needs_mcp
def test_the_two_endpoints_are_the_tools_and_they_say_what_they_take(demo):
    tools = {tool.name: tool for tool in with_session(demo, lambda session: session.list_tools()).tools}
    assert set(tools) == {"predict", "predict_batch"}
    scan = tools["predict"].inputSchema["properties"]["scan"]
    assert "data: URI" in scan["description"]
    assert scan["description"].endswith("are judged together.")
    assert scan["format"] == "data: URI"
    assert tools["predict"].inputSchema["required"] == ["scan"]
    assert "data: URIs" in tools["predict_batch"].inputSchema["properties"]["files"]["description"]
    assert tools["predict_batch"].inputSchema["required"] == ["files"]
    for tool in tools.values():
        assert "Not a diagnosis" in tool.description
        assert "http" not in json.dumps(tool.inputSchema) + tool.description
        assert "upload_file_to_gradio" not in tool.description
        assert ",," not in tool.description


@needs_mcp
def test_a_picture_comes_as_a_data_uri_and_gets_its_verdict(demo):
    answer = call(demo, "predict", scan=data_uri((EXAMPLES / "meningioma.png").read_bytes()))
    assert answer["verdict"] in (*LABELS, "uncertain")
    assert set(answer["confidences"]) == set(LABELS)
    assert sum(answer["confidences"].values()) == pytest.approx(1, abs=1e-4)


@needs_mcp
def test_several_pictures_come_as_data_uris_and_a_bad_one_is_a_result_with_its_reason(demo, tmp_path):
    photograph().save(tmp_path / "flower.jpg")
    files = [
        data_uri((EXAMPLES / "glioma.png").read_bytes()),
        data_uri(bad_files()["text.jpg"], "image/jpeg"),
        data_uri((tmp_path / "flower.jpg").read_bytes(), "image/jpeg"),
    ]
    scan, bad, flower = call(demo, "predict_batch", files=files)["results"]
    assert set(scan["slices"][0]["confidences"]) == set(LABELS)
    assert bad["error"].endswith(".")
    assert flower["verdict"] == "unfamiliar"


@needs_mcp
def test_an_address_is_refused_and_not_fetched(demo, hub):
    address = hub.url + "/somebody/elses/scan.png"
    for tool, arguments in (("predict", {"scan": address}), ("predict_batch", {"files": [address]})):
        error = call(demo, tool, **arguments)
        assert isinstance(error, str), "this must be an error"
        assert "data: URI" in error
    assert not any("somebody" in request.path for request in hub.requests)


@needs_mcp
def test_a_path_of_the_server_is_refused(demo):
    for tool, arguments in (
        ("predict", {"scan": str(EXAMPLES / "examples.json")}),
        ("predict_batch", {"files": [str(EXAMPLES / "examples.json")]}),
    ):
        error = call(demo, tool, **arguments)
        assert isinstance(error, str)
        assert "data: URI" in error
        assert "examples.json" not in error


@needs_mcp
def test_what_is_no_base64_is_refused_in_words(demo):
    assert "not base64" in call(demo, "predict", scan="data:image/png;base64,hello")
    assert "send it as a data: URI" in call(demo, "predict", scan="hello")
    assert "is text" in call(demo, "predict", scan="data:,hello")


@needs_mcp
def test_a_data_uri_may_be_spelled_as_standards_allow(demo):
    picture = (EXAMPLES / "glioma.png").read_bytes()
    expected = call(demo, "predict", scan=data_uri(picture))["confidences"]
    wrapped = base64.encodebytes(picture).decode().rstrip("=\n")
    (result,) = call(demo, "predict_batch", files=[f"DATA:image/PNG;BASE64,{wrapped}"])["results"]
    assert result["slices"][0]["confidences"] == expected


@needs_mcp
def test_pictures_from_mcp_clients_are_in_the_folder_that_is_deleted(demo):
    call(demo, "predict", scan=data_uri((EXAMPLES / "pituitary.png").read_bytes()))
    outside = [
        path
        for path in demo.folder.rglob("*")
        if path.is_file() and not path.is_relative_to(demo.cache) and path.name != "log.txt"
    ]
    assert not [path for path in outside if not path.is_relative_to(demo.folder / "hub")]


def test_without_the_extra_the_start_ends_with_one_sentence(monkeypatch):
    monkeypatch.setenv("MCP", "1")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="pip install -r requirements-mcp.txt"):
        mcp_is_wanted()
    monkeypatch.setenv("MCP", "0")
    assert not mcp_is_wanted()
