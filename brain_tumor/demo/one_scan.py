"""The tab "One scan": a slice in, its verdict with confidences, heat map and report out."""

import datetime
from pathlib import Path

import gradio as gr
from PIL import Image

from brain_tumor.answers.heatmap import gradient, overlay
from brain_tumor.answers.report import html_report
from brain_tumor.answers.words import verdict_words
from brain_tumor.demo import page
from brain_tumor.demo.errors import in_words, sentence
from brain_tumor.demo.examples import BUNDLED, PUBLIC_DATASET, Example, ExamplesError, public_examples
from brain_tumor.demo.gradio_patches import serve_in_place
from brain_tumor.demo.retention import KEPT_SECONDS, new_file
from brain_tumor.demo.theme import PASTE_JS
from brain_tumor.demo.uploads import ScanUpload
from brain_tumor.inference.classifier import Classifier
from brain_tumor.inference.judging import JudgedSlice, judge_picture
from brain_tumor.inference.prediction import UNFAMILIAR
from brain_tumor.labels import display_name

OPACITY = 0.45

# `queue` sets limits on purpose: scans of their own have their place beside batches, of which one runs at a time.
SCAN_LANE = {"concurrency_id": "scan", "concurrency_limit": 2}


def judge_scan(classifier: Classifier, path: str | None) -> JudgedSlice:
    """`judge_picture` for visitors and programs: what is wrong is told in a sentence."""
    if path is None:
        raise sentence("Choose or paste a scan first.")
    with in_words():
        return judge_picture(classifier, path)


def build_one_scan(classifier: Classifier, examples: list[Example]) -> None:
    """Builds the tab's components and wires them.

    Args:
        classifier: of the checkpoint.
        examples: shown from the start; those of the public dataset come on demand.
    """
    state = gr.State(time_to_live=KEPT_SECONDS)
    with gr.Row():
        with gr.Column(min_width=280):
            scan = ScanUpload(label="Scan", elem_id="scan", height=170)
            paste = gr.Button("Paste from clipboard", size="sm")
            gr.Markdown(
                f"One slice as JPEG, PNG, TIFF, WebP, BMP, GIF, DICOM, NIfTI or MGH, of any depth; at most "
                f"{page.LIMITS_OF_A_FILE}.\n\n{page.PRIVACY}",
                elem_classes="quiet",
            )
        with gr.Column(min_width=280):
            gr.Markdown("### No scan at hand? Click an example")
            gallery = gr.Gallery(
                gallery_of(examples),
                label="Example scans",
                show_label=False,
                elem_id="examples",
                columns=4,
                height="auto",
                allow_preview=False,
                interactive=False,
                buttons=[],
            )
            more = gr.Button("Load scans from the public dataset", size="sm")
            gr.Markdown(words_on(examples), elem_classes="quiet")
    verdict = gr.HTML(page.WAITING, elem_id="verdict", padding=False)
    with gr.Column(visible=False, elem_id="results") as results, gr.Row():
        with gr.Column(min_width=280):
            gr.Markdown("### What the model sees")
            picture = gr.Image(
                label="What the model sees",
                show_label=False,
                elem_id="picture",
                interactive=False,
                format="png",
                height=400,
                buttons=["fullscreen"],
            )
            with gr.Column(elem_id="map") as map_panel, gr.Group():  # gradio writes a group's id twice
                shown_class = gr.Radio(
                    [(display_name(label), label) for label in classifier.labels],
                    label="Heat map: where the score of this class comes from",
                    elem_id="shown-class",
                )
                opacity = gr.Slider(0, 1, OPACITY, step=0.05, label="Opacity of the heat map", elem_id="opacity")
                map_words = gr.HTML(elem_id="map-words")
        with gr.Column(min_width=280):
            confidence = gr.Label(
                label="Calibrated confidence",
                elem_id="confidence",
                num_top_classes=len(classifier.labels),
                show_heading=False,  # the first of four confidences is not a verdict
            )
            share = gr.HTML(elem_id="share", container=True)
            facts = gr.HTML(elem_id="facts", container=True)
            report = gr.DownloadButton("Download the report (HTML, one page)", elem_id="report")

    def show(path: str | None, opacity: float) -> dict:
        judged = judge_scan(classifier, path)
        prediction = judged.prediction
        familiar = prediction.verdict != UNFAMILIAR
        maps = (prediction.heatmaps or {}) if familiar else {}
        confidences = {display_name(label): confidence for label, confidence in prediction.confidences.items()}
        tumor = prediction.tumor_probability if familiar else None
        return {
            verdict: page.verdict_html(prediction.verdict, *verdict_words(prediction)),
            results: gr.Column(visible=True),
            map_panel: gr.Column(visible=bool(maps)),
            map_words: page.map_html(maps[prediction.label].shape, gradient()) if maps else "",
            shown_class: prediction.label,
            confidence: gr.Label(confidences if familiar else None, visible=familiar),
            share: gr.HTML(
                "" if tumor is None else page.share_html(tumor, classifier.thresholds), visible=tumor is not None
            ),
            facts: page.facts_html(judged.facts, judged.notes),
            state: judged,
        } | draw_picture_and_report(judged, prediction.label, opacity)

    def draw_picture(judged: JudgedSlice | None, shown: str, opacity: float) -> Image.Image:
        return draw(page.still_there(judged), shown, opacity)

    def draw_picture_and_report(judged: JudgedSlice | None, shown: str, opacity: float) -> dict:
        judged = page.still_there(judged)
        return {
            picture: gr.Image(draw(judged, shown, opacity), alt_text=picture_words(judged, shown)),
            report: str(write_report(judged, shown, classifier.version)),
        }

    def clear() -> dict:
        return {
            scan: None,
            verdict: page.WAITING,
            results: gr.Column(visible=False),
            picture: None,
            confidence: gr.Label(None),
            state: None,
        }

    def load_public_examples() -> list[tuple[Path, str]]:
        try:
            return gallery_of(examples + public_examples())
        except ExamplesError as error:
            raise sentence(error) from error

    def choose_example(event: gr.SelectData) -> str:
        known = examples if event.index < len(examples) else examples + public_examples()
        return str(known[event.index].path)

    outputs = [
        scan, verdict, results, picture, map_panel, map_words, shown_class, confidence, share, facts, report, state,
    ]  # fmt: skip
    uploaded = scan.upload(show, [scan, opacity], outputs, **SCAN_LANE, **page.NOT_IN_THE_API)
    chosen = gallery.select(choose_example, None, scan, show_progress="hidden", **page.NOT_IN_THE_API)
    picked = chosen.success(show, [scan, opacity], outputs, **SCAN_LANE, **page.NOT_IN_THE_API)
    for event in (uploaded, picked):  # no old result beside a new file's error
        event.failure(clear, None, outputs, queue=False, **page.NOT_IN_THE_API)
        event.success(None, None, None, js="() => bringIntoSight('#verdict')", **page.NOT_IN_THE_API)
    for event in (scan.clear, scan.delete):
        event(clear, None, outputs, queue=False, **page.NOT_IN_THE_API)
    paste.click(None, None, None, js=PASTE_JS, **page.NOT_IN_THE_API)
    more.click(load_public_examples, None, gallery, **page.NOT_IN_THE_API)
    looks = [state, shown_class, opacity]
    redraw = {"show_progress": "hidden", "trigger_mode": "always_last"} | page.DRAW_LANE | page.NOT_IN_THE_API
    opacity.input(draw_picture, looks, picture, **redraw)
    shown_class.input(draw_picture_and_report, looks, [picture, report], **redraw)


def draw(judged: JudgedSlice, shown: str, opacity: float) -> Image.Image:
    """The slice, with the heat map of a class laid over it where there is one."""
    maps = judged.prediction.heatmaps if judged.prediction.verdict != UNFAMILIAR else None
    return overlay(judged.image, maps[shown], opacity) if maps and shown in maps and opacity > 0 else judged.image


def picture_words(judged: JudgedSlice, shown: str) -> str:
    """What the picture shows, for readers who cannot see it."""
    mapped = judged.prediction.heatmaps and judged.prediction.verdict != UNFAMILIAR
    return "The scan as the model sees it" + (f", with the heat map for {display_name(shown)}" if mapped else "")


def write_report(judged: JudgedSlice, shown: str, version: str) -> Path:
    """The report of a scan, as a file for its visitor."""
    today = datetime.date.today()
    text = html_report(
        judged.image, judged.prediction, version=version, facts=judged.facts, date=today, shown_class=shown
    )
    return new_file("brain-mri-report.html", text)


def gallery_of(examples: list[Example]) -> list[tuple[Path, str]]:
    """What gr.Gallery shows of examples, served from where they are."""
    for example in examples:
        serve_in_place(example.path)
    return [(example.path, example.caption) for example in examples]


def words_on(examples: list[Example]) -> str:
    """What a visitor must know about the examples."""
    drawn = (
        "The tumors in these examples are drawn into an average brain. The model may miss them, obvious as they look: "
        "it learned from public scans in which the type of scan, and not only the tumor, gives the answer away. "
    )
    public = (
        f"Scans of the public dataset come from [{PUBLIC_DATASET}](https://huggingface.co/datasets/{PUBLIC_DATASET}), "
        "with its labels; the model may have been trained on them."
    )
    return (drawn if examples and examples[0].path.parent == BUNDLED else "") + public
