"""The demo's upload: a picture component that hands over the file as it came, for `scans.open_scan` to open."""

import base64
import binascii

import gradio as gr
from gradio import component_meta
from gradio.utils import is_in_or_equal, is_static_file
from gradio_client.utils import is_http_url_like

# Gradio writes a stub file (.pyi) beside each module that defines a component; not into this repository.
component_meta.create_or_modify_pyi = lambda *arguments: None


class ScanUpload(gr.Image):
    """An image component that hands over the uploaded file untouched, for `open_scan` to open.

    `gr.Image` opens it first, which turns 16-bit pictures white and answers a damaged file with a bare traceback.
    """

    is_template = True  # the browser's side is that of gr.Image

    def preprocess(self, payload) -> str | bytes | None:
        """The upload's path, or the bytes of a `data:` URI."""
        if payload is None:
            return None
        if payload.url and payload.url.startswith("data:"):
            try:
                return base64.b64decode(payload.url.partition(",")[2])
            except binascii.Error:
                raise gr.Error("This data: URI is not base64.", print_exception=False) from None
        # Gradio checks this only for requests with its file mark; without the mark any file here could be read.
        if not payload.path or not (is_in_or_equal(payload.path, self.GRADIO_CACHE) or is_static_file(payload.path)):
            raise gr.Error("No scan came with this request: upload the picture's file.", print_exception=False)
        return payload.path

    async def async_move_resource_to_block_cache(self, url_or_file_path):
        # Gradio would download any address that a client names; this server fetches nothing on behalf of others.
        if is_http_url_like(str(url_or_file_path)):
            raise gr.Error("Addresses are not fetched: upload the picture's file.", print_exception=False)
        return await super().async_move_resource_to_block_cache(url_or_file_path)

    def api_info(self):
        """What the API's documentation says of the parameter; gr.Image promises to fetch addresses."""
        return super().api_info() | {"additional_description": "A local file, given with handle_file."}

    def example_payload(self):
        return {"path": "scan.png", "url": "scan.png", "meta": {"_type": "gradio.FileData"}}

    def example_value(self):
        return "scan.png"
