"""A yardstick of `benchmarks.speed.serving`: what Gradio itself takes. python -m benchmarks.speed.floor PAGE.json

A page of as many components and events, of the same kinds and with the same limits of the queue, as the demo's, whose
functions do nothing, and `/predict`, which takes a file and returns the answer that the demo gave. Nothing of this
project is imported. PAGE.json holds kinds (name of each component and layout), events (their number) and answer.
"""

import json
import sys
from pathlib import Path

import gradio as gr
from gradio.utils import component_or_layout_class

LAYOUTS = ("row", "column", "group")

BY_GRADIO = ("form", "tabs")
"""What Gradio adds around others by itself."""


def build(page: dict) -> gr.Blocks:
    with gr.Blocks(title="Floor", analytics_enabled=False) as demo:
        with gr.Tabs():
            for kind in page["kinds"]:
                if kind == "tab":
                    gr.Tab("Tab")
                elif kind in LAYOUTS:
                    with component_or_layout_class(kind)():
                        pass
                elif kind not in BY_GRADIO:
                    component_or_layout_class(kind)()
        with gr.Row(visible=False):
            scan, answer, ask = gr.File(), gr.JSON(), gr.Button()
        ask.click(lambda path: page["answer"], scan, answer, api_name="predict", concurrency_limit=2)
        for _ in range(page["events"] - 1):
            ask.click(lambda: None, None, None, api_visibility="private")
    return demo.queue(max_size=60, default_concurrency_limit=2)


if __name__ == "__main__":
    build(json.loads(Path(sys.argv[1]).read_text())).launch(footer_links=["api"], run_history=False)
