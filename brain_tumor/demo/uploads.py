"""The demo's file component: it hands over uploads as they came, and takes nothing but uploads and `data:` URIs."""

import os

import gradio as gr
from gradio.data_classes import FileData

from brain_tumor.demo.data_uris import is_data_uri, read_data_uri
from brain_tumor.demo.errors import gone, no_file, sentence
from brain_tumor.demo.gradio_patches import NoStubFile, is_upload
from brain_tumor.demo.retention import new_file
from brain_tumor.reading.archives import clean_name

MAX_NAME_BYTES = 200
"""Of the name of a file that came as a `data:` URI; disks take 255."""


class ScanUpload(gr.File, metaclass=NoStubFile):
    """A file component that hands over uploads untouched, for `reading` to open: their paths, in the order they came.

    Besides files that were uploaded to this demo it takes `data:` URIs, from programs. It takes nothing else: neither
    addresses nor paths of this machine, with or without gradio's mark of a file.
    """

    is_template = True  # the browser's side is that of gr.File

    # `preprocess` gets payloads as they were sent: clients of MCP send lists of plain strings, which gr.File's model of
    # its data refuses. An __init__ of our own would hide gr.File's parameters from gradio, which reads its signature.
    data_model = property(lambda self: None, lambda self, value: None)

    def preprocess(self, payload) -> str | list[str] | None:
        """One path, or a list of paths with `file_count="multiple"`; None where nothing was given.

        Raises:
            gr.Error: a file was not uploaded to this demo and is no `data:` URI.
        """
        several = self.file_count == "multiple"
        if payload is None or payload == []:
            return [] if several else None
        if several:
            return [self._path(one) for one in (payload if isinstance(payload, list) else [payload])]
        return self._path(payload)

    def _path(self, payload) -> str:
        given = payload if isinstance(payload, dict) else {"url": payload if isinstance(payload, str) else None}
        url, path = given.get("url"), given.get("path")
        if is_data_uri(url):
            return self._write(url, given.get("orig_name"))
        # Gradio checks this only for requests with its mark of a file; without it any file here could be read.
        if not isinstance(path, str) or not _is_upload(path):
            raise no_file()
        if not os.path.exists(path):
            raise gone(given.get("orig_name") or "This file")
        return path

    def _write(self, uri: str, name) -> str:
        """A `data:` URI as a file, since every reader takes files."""
        try:
            content = read_data_uri(uri)
        except ValueError as error:
            raise sentence(error) from None
        return str(new_file(_file_name(name), content))

    def api_info(self):
        """What the API's documentation says of the parameter."""
        file = FileData.model_json_schema()
        # Written out: in gradio's schemas of MCP tools a reference would point to nowhere.
        file["properties"]["meta"] = file.pop("$defs")["FileDataMeta"]
        file.pop("description", None)
        schema = {"type": "array", "items": file} if self.file_count == "multiple" else file
        return schema | {"additional_description": "Local files, given with handle_file, or data: URIs."}

    def example_payload(self):
        file = {"path": "scan.png", "url": "scan.png", "meta": {"_type": "gradio.FileData"}}
        return [file] if self.file_count == "multiple" else file

    def example_value(self):
        return ["scan.png"] if self.file_count == "multiple" else "scan.png"


def _file_name(name) -> str:
    """What a client calls a file -> a name that every disk takes, or "scan". An error of the disk's names folders."""
    last = clean_name(name).rpartition("/")[2] if isinstance(name, str) else ""
    return last.encode()[:MAX_NAME_BYTES].decode(errors="ignore") or "scan"


def _is_upload(path: str) -> bool:
    try:
        return is_upload(path)
    except (OSError, ValueError):  # no path at all
        return False
