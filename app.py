"""The demo: slices of a brain MRI in, a verdict with confidences, heat map and report out.

    python app.py                                # the bundled checkpoint in model/
    MODEL_ID=runs/mine PORT=8000 python app.py   # another checkpoint (a folder or a Hub id), another port
    MCP=1 python app.py                          # and the same as tools for MCP clients (requirements-mcp.txt)

It listens on this machine only; on a Hugging Face Space (SPACE_ID is set there) to everyone.
"""

import os
import sys
from pathlib import Path

from brain_tumor.demo.retention import gradio_environment

os.environ.update(gradio_environment())  # gradio reads it once, when it is imported below

import gradio as gr

from brain_tumor.demo import page
from brain_tumor.demo.about import build_about
from brain_tumor.demo.api import build_api
from brain_tumor.demo.examples import offline_examples
from brain_tumor.demo.gradio_patches import ChangedGradioError, apply
from brain_tumor.demo.one_scan import build_one_scan
from brain_tumor.demo.server import mcp_is_wanted, serve
from brain_tumor.demo.several_scans import build_several_scans
from brain_tumor.inference.checkpoint import CheckpointError
from brain_tumor.inference.classifier import Classifier

BUNDLED_MODEL = Path(__file__).resolve().parent / "model"

MODEL_ID = os.environ.get("MODEL_ID") or str(BUNDLED_MODEL)

try:
    apply(mcp=mcp_is_wanted())
    classifier = Classifier(MODEL_ID)
except (ChangedGradioError, CheckpointError) as error:
    sys.exit(str(error))

with gr.Blocks(title="Brain tumor classification", analytics_enabled=False) as demo:
    gr.Markdown(page.INTRODUCTION, elem_id="intro")
    gr.Markdown(page.WARNING, elem_id="warning")
    with gr.Tab("One scan"):
        one_scan = build_one_scan(classifier, offline_examples(MODEL_ID))
    with gr.Tab("Several scans"):
        build_several_scans(classifier, one_scan)
    with gr.Tab("About"):
        build_about(MODEL_ID, BUNDLED_MODEL)
    build_api(classifier)

demo.queue(max_size=60, default_concurrency_limit=2)

if __name__ == "__main__":
    serve(demo)
