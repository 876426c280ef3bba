"""The tab "One scan": a slice or volume in, its verdict, slices with confidences and heat map, and a report out."""

import datetime
import io
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gradio as gr
from PIL import Image

from brain_tumor.answers.heatmap import gradient, overlay
from brain_tumor.answers.report import file_name, html_report
from brain_tumor.answers.volume_plot import plot_volume, plot_words
from brain_tumor.answers.words import cautions, judged_words, slice_name, slice_words
from brain_tumor.demo import page
from brain_tumor.demo.errors import in_words, sentence
from brain_tumor.demo.examples import Example, public_examples, with_public_examples, words_on
from brain_tumor.demo.gradio_patches import serve_in_place
from brain_tumor.demo.kept import KeptScan, keep
from brain_tumor.demo.retention import KEPT_SECONDS, new_file
from brain_tumor.demo.uploads import ScanUpload
from brain_tumor.inference.classifier import Classifier
from brain_tumor.inference.judging import JudgedUpload, judge_anyway, judge_file
from brain_tumor.inference.prediction import UNFAMILIAR
from brain_tumor.labels import LABELS, NO_TUMOR, canonical_label, display_name
from brain_tumor.reading.uploads import MAX_SECONDS

# `queue` sets limits on purpose: scans of their own have their place beside batches, of which one runs at a time.
SCAN_LANE = {"concurrency_id": "scan", "concurrency_limit": 2}


def judge_scan(
    classifier: Classifier, path: str | None, number: int | None = None, progress: Callable | None = None
) -> JudgedUpload:
    """`judge_file` for visitors and programs: in bounded time, and what is wrong is told in a sentence.

    Args:
        classifier: of the checkpoint.
        path: of the upload.
        number: of a slice that is to be judged alone.
        progress: gradio's.
    """
    if path is None:
        raise sentence("Choose or paste a scan first.")

    def tell(share: float, words: str) -> None:
        if progress is not None:
            progress(share, desc=words)

    with in_words():
        return judge_file(classifier, path, number, seconds=MAX_SECONDS, progress=tell)


def build_one_scan(classifier: Classifier, examples: list[Example]) -> None:
    """Builds the tab's components and wires them.

    Args:
        classifier: of the checkpoint.
        examples: shown from the start; those of the public dataset come on demand.
    """
    state = gr.State(time_to_live=KEPT_SECONDS)
    with gr.Row(elem_id="one-scan"):
        with gr.Column(scale=3, min_width=280, elem_id="give"):
            scan = ScanUpload(label="Scan", elem_id="scan", height=170)
            given = gr.HTML(elem_id="given", padding=False)
            paste = gr.Button("Paste from clipboard", size="sm")
            gr.Markdown(
                "A slice as JPEG, PNG, TIFF, WebP, BMP, GIF or DICOM, of any depth; or a whole volume (NIfTI, MGH) or "
                "a .zip of one DICOM series, of which all slices are judged together. At most "
                f"{page.LIMITS_OF_A_FILE}.\n\n{page.PRIVACY}",
                elem_classes="quiet",
            )
            gr.Markdown("## No scan at hand? Click an example", elem_classes="small-title")
            gallery = gr.Gallery(
                gallery_of(examples),
                label="Example scans",
                show_label=False,
                elem_id="examples",
                columns=2,
                height="auto",
                allow_preview=False,
                interactive=False,
                buttons=[],
            )
            more = gr.Button("Load scans from the public dataset", size="sm")
            about_examples = gr.Markdown(words_on(examples), elem_id="about-examples", elem_classes="quiet")
        with gr.Column(scale=8, min_width=560):
            gr.HTML(page.TOLD, elem_id="told-box", padding=False)
            verdict = gr.HTML(page.WAITING, elem_id="verdict", padding=False)
            with gr.Row(elem_id="after-verdict"):
                another = gr.Button("Another scan", size="sm", visible=False, elem_id="another")
                anyway = gr.Button("Show it anyway", size="sm", visible=False, elem_id="anyway")
            with gr.Column(visible=False, elem_id="results") as results:
                with gr.Column(visible=False, elem_id="slices") as slices_panel:
                    # Bounds that hold every number: those of a visitor are forgotten when the scan is deleted.
                    number = gr.Slider(1, 10**6, 1, step=1, label="Slice", elem_id="slice", buttons=[])
                    slice_box = gr.HTML(elem_id="slice-words", container=True)
                with gr.Row(elem_id="pictures"):
                    original, picture = (
                        gr.Image(
                            label=label,
                            elem_id=elem_id,
                            height=360,
                            min_width=240,
                            **page.PICTURE,
                        )
                        for label, elem_id in (("As it was read", "original"), ("Heat map", "picture"))
                    )
                with gr.Column(elem_id="map") as map_panel:
                    map_switch = gr.Checkbox(label="Show the heat map", elem_id="map-switch", container=False)
                    shown_class = gr.Radio(
                        [(display_name(label), label) for label in classifier.labels],
                        label="Class of the heat map",
                        elem_id="shown-class",
                    )
                    map_words = gr.HTML(elem_id="map-words", padding=False)
                with gr.Row():
                    with gr.Column(min_width=280):
                        confidence = gr.HTML(elem_id="confidence", container=True)
                        share = gr.HTML(elem_id="share", container=True)
                    with gr.Column(min_width=280):
                        curve = gr.Image(
                            label=page.CURVE,
                            elem_id="curve",
                            visible=False,
                            **page.PICTURE,
                        )
                        facts = gr.HTML(elem_id="facts", container=True)
                        if classifier.thresholds:  # which only checkpoints of the four classes have
                            gr.HTML(page.GLOSSARY, elem_id="glossary", container=True)
                        named = gr.Checkbox(label="Name the file in the report", elem_id="named", container=False)
                        report = gr.DownloadButton("Download the report (HTML, one page)", elem_id="report")
                        saved = gr.DownloadButton("Save picture (PNG)", elem_id="saved")

    def show(path: str | None, progress=gr.Progress()) -> dict:  # noqa: B008
        return show_kept(keep(judge_scan(classifier, path, None, progress)))

    def show_anyway(kept: KeptScan | None) -> dict:
        """The answer beneath the warning that it may mean nothing."""
        kept = page.still_there(kept)
        shown = show_kept(replace(kept, judged=judge_anyway(kept.judged)))
        return shown | {verdict: told_html(kept.judged) + shown[verdict]}

    def show_kept(kept: KeptScan) -> dict:
        judged = kept.judged
        label = judged.predictions[judged.place].label
        # A glow over a healthy brain would be taken for the tumor.
        mapped = LABELS[NO_TUMOR] not in (judged.verdict, canonical_label(label))
        return {
            scan: None,  # ready for another one
            verdict: told_html(judged),
            another: gr.Button(visible=True),
            anyway: gr.Button(visible=judged.verdict == UNFAMILIAR),
            results: gr.Column(visible=True, elem_classes=["several"] if len(judged.predictions) > 1 else []),
            given: page.given_html(kept.pictures[judged.place], judged.upload.name),
            shown_class: label,
            map_switch: mapped,
            facts: page.facts_html(judged.upload.facts, judged.upload.notes),
            named: False,
            state: kept,
            **show_whole(judged),
            **show_slice(kept, None, label, mapped, False),
        }

    def show_whole(judged: JudgedUpload) -> dict:
        """What a file of several slices has beside its verdict."""
        slices, volume = judged.upload.slices, judged.volume
        shown = {
            slices_panel: gr.Column(visible=len(slices) > 1),
            curve: gr.Image(plot_volume(volume), alt_text=plot_words(volume), visible=True)
            if volume
            else gr.Image(None, visible=False),
        }
        if len(slices) > 1:
            numbers = [slice_.number for slice_ in slices]
            step = math.gcd(*(after - numbers[0] for after in numbers))
            label = slices[0].name.partition(" ")[0].capitalize()
            shown[number] = gr.Slider(numbers[0], numbers[-1], numbers[judged.place], step=step, label=label)
        return shown

    def show_slice(kept: KeptScan | None, chosen: float | None, shown: str, mapped: bool, named: bool) -> dict:
        kept = page.still_there(kept)
        judged, place = kept.judged, kept.place_of(chosen)
        several, prediction = len(judged.predictions) > 1, judged.predictions[place]
        told = judged.may_be_told(place)
        maps = (prediction.heatmaps or {}) if told else {}
        tumor = prediction.tumor_probability if told else None
        name = judged.upload.slices[place].name if several else ""
        title = f"Confidence of {name} alone" if several else "Confidence"
        return {
            original: gr.Image(
                page.mark_sides(judged, kept.pictures[place]),
                label=f"{name.capitalize()}, as it was read" if several else "As it was read",
                alt_text=f"{name.capitalize() or 'The scan'}, as it was read",
            ),
            slice_box: page.slice_html(slice_name(judged, place), slice_words(judged, place)) if several else "",
            map_panel: gr.Column(visible=bool(maps)),
            map_words: page.map_html(maps[prediction.label].shape, gradient()) if maps else "",
            confidence: gr.HTML(
                page.confidences_html(title, prediction.confidences, bool(maps)) if told else "", visible=told
            ),
            share: gr.HTML(
                "" if tumor is None else page.share_html(tumor, classifier.thresholds, name), visible=tumor is not None
            ),
        } | draw_map_and_files(kept, chosen, shown, mapped, named)

    def draw_map_and_files(kept: KeptScan | None, chosen: float | None, shown: str, mapped: bool, named: bool) -> dict:
        kept = page.still_there(kept)
        place = kept.place_of(chosen)
        drawn = draw(kept, place, shown)
        files = write_files(
            kept, place, shown if mapped else None, drawn if mapped else None, named, classifier.version
        )
        return {
            picture: gr.Image(
                drawn,
                label=f"Heat map for {display_name(shown)}",
                alt_text=f"The same with the heat map for {display_name(shown)}",
            ),
            **dict(zip((report, saved), map(str, files), strict=True)),
        }

    def clear() -> dict:
        return {
            scan: None,
            verdict: page.WAITING,
            another: gr.Button(visible=False),
            anyway: gr.Button(visible=False),
            results: gr.Column(visible=False),
            curve: None,
            given: "",
            original: None,
            picture: None,
            confidence: "",
            state: None,
        }

    def load_public_examples() -> tuple[list[tuple[Path, str]], str]:
        shown, words = with_public_examples(examples)
        return gallery_of(shown), words

    def choose_example(event: gr.SelectData) -> str:
        known = examples if event.index < len(examples) else examples + public_examples()
        return str(known[event.index].path)

    of_a_slice = [original, slice_box, picture, map_panel, map_words, confidence, share, report, saved]
    whole = [
        scan,
        given,
        verdict,
        another,
        anyway,
        results,
        slices_panel,
        curve,
        number,
        shown_class,
        map_switch,
        facts,
        named,
        state,
    ]
    outputs = [*whole, *of_a_slice]
    uploaded = scan.upload(show, scan, outputs, trigger_mode="multiple", **SCAN_LANE, **page.NOT_IN_THE_API)
    chosen = gallery.select(choose_example, None, scan, show_progress="hidden", **page.NOT_IN_THE_API)
    picked = chosen.success(show, scan, outputs, **SCAN_LANE, **page.NOT_IN_THE_API)
    for event in (uploaded, picked):  # no old result beside a new file's error
        event.failure(clear, None, outputs, queue=False, **page.NOT_IN_THE_API)
        event.success(None, None, None, js="() => bringIntoSight('#verdict')", **page.NOT_IN_THE_API)
    for event in (scan.clear, scan.delete):
        event(clear, None, outputs, queue=False, **page.NOT_IN_THE_API)
    paste.click(None, None, None, js="() => pasteScan()", **page.NOT_IN_THE_API)
    answered = anyway.click(show_anyway, state, outputs, **page.DRAW_LANE, **page.NOT_IN_THE_API)
    answered.success(None, None, None, js="() => document.querySelector('#another').focus()", **page.NOT_IN_THE_API)
    cleared = another.click(clear, None, outputs, queue=False, **page.NOT_IN_THE_API)
    cleared.then(None, None, None, js="() => document.querySelector('#scan button').focus()", **page.NOT_IN_THE_API)
    more.click(load_public_examples, None, [gallery, about_examples], **page.NOT_IN_THE_API)
    looks = [state, number, shown_class, map_switch, named]
    redraw = {"show_progress": "hidden", "trigger_mode": "always_last"} | page.DRAW_LANE | page.NOT_IN_THE_API
    number.input(show_slice, looks, of_a_slice, **redraw)
    drawn = [shown_class.input, map_switch.input, named.input]
    gr.on(drawn, draw_map_and_files, looks, [picture, report, saved], **redraw)


def told_html(judged: JudgedUpload) -> str:
    """The verdict on an upload."""
    return page.verdict_html(judged.verdict, judged_words(judged), cautions(judged))


def draw(kept: KeptScan, place: int, shown: str) -> Image.Image | None:
    """A slice with the heat map of a class over it, and the sides where they are known; None if there is no map."""
    maps = kept.judged.predictions[place].heatmaps if kept.judged.may_be_told(place) else None
    return page.mark_sides(kept.judged, overlay(kept.pictures[place], maps[shown])) if maps and shown in maps else None


def write_files(
    kept: KeptScan, place: int, shown: str | None, drawn: Image.Image | None, named: bool, version: str
) -> tuple[Path, Path]:
    """The report of a scan, and the picture of its slice with the heat map that is shown, as files for its visitor.

    Args:
        kept: the scan.
        place: index of the slice.
        shown: class of the heat map in the report; None for no map.
        drawn: the slice with that map, as `draw` returns it.
        named: whether the report names the file.
        version: of the model.
    """
    image, today = page.mark_sides(kept.judged, kept.pictures[place]), datetime.date.today()
    text = html_report(kept.judged, place, image, version=version, date=today, shown_class=shown, named=named)
    (drawn or image).save(picture := io.BytesIO(), "PNG")
    return (
        new_file(file_name(kept.judged, today, "html"), text),
        new_file(file_name(kept.judged, today, "png"), picture.getvalue()),
    )


def gallery_of(examples: list[Example]) -> list[tuple[Path, str]]:
    """What gr.Gallery shows of examples, served from where they are."""
    for example in examples:
        serve_in_place(example.path)
    return [(example.path, example.caption) for example in examples]
