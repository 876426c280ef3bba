"""The tab "One scan": a slice or volume in, its verdict, slices with confidences and heat map, and a report out."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import gradio as gr

from brain_tumor.answers.heatmap import gradient
from brain_tumor.answers.words import slice_name, slice_words
from brain_tumor.demo import page
from brain_tumor.demo.ask_again import AskedSlice, ask_slice, asked_html, asked_of, can_be_asked
from brain_tumor.demo.drawing import can_be_cropped, draw, gallery_of, told_html, write_picture, write_report
from brain_tumor.demo.errors import in_words, sentence
from brain_tumor.demo.examples import EXAMPLE_VOLUME, Example, public_examples, with_public_examples, words_on
from brain_tumor.demo.gradio_patches import serve_in_place
from brain_tumor.demo.kept import KeptScan, keep
from brain_tumor.demo.planes import build_planes, can_be_cut, crosshair_of, draw_planes
from brain_tumor.demo.retention import KEPT_SECONDS
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


@dataclass(frozen=True)
class OneScan:
    """What another tab needs to show a scan in this one.

    Attributes:
        show: from what is kept of a judged scan to what the components of `outputs` show.
        outputs: of that.
        back: the button that leads back to the table, hidden unless it is told otherwise.
    """

    show: Callable[[KeptScan], dict]
    outputs: list[gr.components.Component]
    back: gr.Button


def build_one_scan(classifier: Classifier, examples: list[Example]) -> OneScan:
    """Builds the tab's components and wires them.

    Args:
        classifier: of the checkpoint.
        examples: shown from the start; those of the public dataset come on demand.
    """
    serve_in_place(EXAMPLE_VOLUME)
    state, last_asked = gr.State(time_to_live=KEPT_SECONDS), gr.State(time_to_live=KEPT_SECONDS)
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
            try_volume = gr.Button("Try an example volume", size="sm")
            more = gr.Button("Load scans from the public dataset", size="sm")
            about_examples = gr.Markdown(words_on(examples), elem_id="about-examples", elem_classes="quiet")
        with gr.Column(scale=8, min_width=560):
            gr.HTML(page.TOLD, elem_id="told-box", padding=False)
            verdict = gr.HTML(page.WAITING, elem_id="verdict", padding=False)
            with gr.Row(elem_id="after-verdict"):
                back = gr.Button("Back to the table", size="sm", visible=False, elem_id="back")
                another = gr.Button("Another scan", size="sm", visible=False, elem_id="another")
                anyway = gr.Button("Show it anyway", size="sm", visible=False, elem_id="anyway")
                crop = gr.Button("Crop the picture", size="sm", visible=False, elem_id="crop-picture")
            with gr.Column(visible=False, elem_id="results") as results:
                with gr.Column(visible=False, elem_id="slices") as slices_panel:
                    # Bounds that hold every number: those of a visitor are forgotten when the scan is deleted.
                    with gr.Row():
                        with gr.Column(min_width=280):
                            number = gr.Slider(1, 10**6, 1, step=1, label="Slice", elem_id="slice", buttons=[])
                            slice_box = gr.HTML(elem_id="slice-words", container=True)
                        with gr.Column(min_width=280) as curve_panel:
                            curve = gr.HTML(elem_id="curve", container=True)
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
                gr.HTML(page.WINDOWING, elem_id="windowing", padding=False)
                planes_switch, planes_panel, crosshair, planes = build_planes()
                with gr.Column(elem_id="map") as map_panel:
                    map_switch = gr.Checkbox(label="Show the heat map", elem_id="map-switch", container=False)
                    shown_class = gr.Radio(
                        [(display_name(label), label) for label in classifier.labels],
                        label="Class of the heat map",
                        elem_id="shown-class",
                    )
                    map_words = gr.HTML(elem_id="map-words", padding=False)
                again = gr.Button("Ask it again", size="sm", elem_id="again")
                asked_box = gr.HTML(elem_id="asked", padding=False)
                with gr.Row():
                    with gr.Column(min_width=280):
                        confidence = gr.HTML(elem_id="confidence", container=True)
                        share = gr.HTML(elem_id="share", container=True)
                    with gr.Column(min_width=280):
                        facts = gr.HTML(elem_id="facts", container=True)
                        if classifier.thresholds:  # which only checkpoints of the four classes have
                            gr.HTML(page.GLOSSARY, elem_id="glossary", container=True)
                        named = gr.Checkbox(label="Name the file in the report", elem_id="named", container=False)
                        report = gr.Button("Download the report (HTML, one page)", elem_id="report")
                        saved = gr.Button("Save picture (PNG)", elem_id="saved")
                        written = gr.File(visible=False)

    def show(path: str | None, progress=gr.Progress()) -> dict:  # noqa: B008
        return show_kept(keep(judge_scan(classifier, path, None, progress)))

    def show_anyway(kept: KeptScan | None) -> dict:
        """The answer beneath the warning that it may mean nothing."""
        kept = page.still_there(kept)
        shown = show_kept(replace(kept, judged=judge_anyway(kept.judged)))
        del shown[back]  # stays as it is
        return shown | {verdict: told_html(kept.judged) + shown[verdict]}

    def show_kept(kept: KeptScan) -> dict:
        judged = kept.judged
        label = judged.predictions[judged.place].label
        # A glow over a healthy brain would be taken for the tumor.
        mapped = LABELS[NO_TUMOR] not in (judged.verdict, canonical_label(label))
        return {
            scan: None,  # ready for another one
            verdict: told_html(judged),
            back: gr.Button(visible=False),
            another: gr.Button(visible=True),
            anyway: gr.Button(visible=judged.verdict == UNFAMILIAR),
            crop: gr.Button(visible=can_be_cropped(judged)),
            results: gr.Column(visible=True, elem_classes=["several"] if len(judged.predictions) > 1 else []),
            given: page.given_html(kept.pictures[judged.place], judged.upload.name),
            shown_class: label,
            map_switch: mapped,
            facts: page.facts_html(judged.upload.facts, judged.upload.notes),
            named: False,
            state: kept,
            last_asked: None,
            **show_whole(judged),
            **show_slice(kept, None, label, mapped, None),
            planes_switch: gr.Checkbox(False, visible=can_be_cut(judged.upload)),
            planes_panel: gr.Column(visible=False),
            **dict(zip(crosshair, crosshair_of(judged.upload), strict=True)),
        }

    def show_whole(judged: JudgedUpload) -> dict:
        """What a file of several slices has beside its verdict."""
        slices, volume = judged.upload.slices, judged.volume
        shown = {
            slices_panel: gr.Column(visible=len(slices) > 1),
            curve_panel: gr.Column(visible=volume is not None),
            curve: page.curve_html(volume, slices, judged.place),
        }
        if len(slices) > 1:
            numbers = [slice_.number for slice_ in slices]
            step = math.gcd(*(after - numbers[0] for after in numbers))
            label = slices[0].name.partition(" ")[0].capitalize()
            shown[number] = gr.Slider(numbers[0], numbers[-1], numbers[judged.place], step=step, label=label)
        return shown

    def show_slice(
        kept: KeptScan | None,
        chosen: float | None,
        shown: str,
        mapped: bool,
        last: AskedSlice | None,
        cut: bool = False,
        *at: float,
    ) -> dict:
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
            again: gr.Button(visible=can_be_asked(judged, place)),
            map_words: page.map_html(maps[prediction.label].shape, gradient()) if maps else "",
            confidence: gr.HTML(
                page.confidences_html(title, prediction.confidences, bool(maps)) if told else "", visible=told
            ),
            share: gr.HTML(
                "" if tumor is None else page.share_html(tumor, classifier.thresholds, name), visible=tumor is not None
            ),
            picture: draw_map(kept, chosen, shown, mapped),
            asked_box: show_asked(kept, chosen, last),
            **(show_planes(kept, chosen, cut, *at) if cut else {}),
        }

    def draw_map(kept: KeptScan | None, chosen: float | None, shown: str, mapped: bool) -> gr.Image:
        kept = page.still_there(kept)
        return gr.Image(
            draw(kept, kept.place_of(chosen), shown) if mapped else None,
            label=f"Heat map for {display_name(shown)}",
            alt_text=f"The same with the heat map for {display_name(shown)}",
        )

    def show_planes(kept: KeptScan | None, chosen: float | None, cut: bool, *at: float) -> dict:
        kept = page.still_there(kept)
        cut = cut and can_be_cut(kept.judged.upload)
        drawn = draw_planes(kept, kept.place_of(chosen), at) if cut else [None] * len(planes)
        return {planes_panel: gr.Column(visible=cut), **dict(zip(planes, drawn, strict=True))}

    def ask(kept: KeptScan | None, chosen: float | None) -> AskedSlice | None:
        kept = page.still_there(kept)
        return ask_slice(classifier, kept, kept.place_of(chosen))

    def show_asked(kept: KeptScan | None, chosen: float | None, last: AskedSlice | None) -> str:
        if kept is None:  # cleared while it was asked
            return ""
        place = kept.place_of(chosen)
        return asked_html(kept, place, asked_of(kept, place, last))

    def save_report(
        kept: KeptScan | None, chosen: float | None, shown: str, mapped: bool, last: AskedSlice | None, named: bool
    ) -> str:
        kept = page.still_there(kept)
        place = kept.place_of(chosen)
        asked = asked_of(kept, place, last)
        return str(write_report(kept, place, shown if mapped else None, named, classifier.version, asked))

    def save_picture(kept: KeptScan | None, chosen: float | None, shown: str, mapped: bool) -> str:
        kept = page.still_there(kept)
        return str(write_picture(kept, kept.place_of(chosen), shown if mapped else None))

    def clear() -> dict:
        return {
            scan: None,
            verdict: page.WAITING,
            back: gr.Button(visible=False),
            another: gr.Button(visible=False),
            anyway: gr.Button(visible=False),
            crop: gr.Button(visible=False),
            results: gr.Column(visible=False),
            curve: None,
            given: "",
            original: None,
            picture: None,
            confidence: "",
            asked_box: "",
            last_asked: None,
            state: None,
        }

    def load_public_examples() -> tuple[list[tuple[Path, str]], str]:
        shown, words = with_public_examples(examples)
        return gallery_of(shown), words

    def choose_example(event: gr.SelectData) -> str:
        known = examples if event.index < len(examples) else examples + public_examples()
        return str(known[event.index].path)

    cuts = [planes_panel, *planes]
    of_a_slice = [original, slice_box, picture, map_panel, map_words, again, asked_box, confidence, share, *cuts]
    whole = [
        scan,
        given,
        verdict,
        back,
        another,
        anyway,
        crop,
        results,
        slices_panel,
        curve_panel,
        curve,
        number,
        shown_class,
        map_switch,
        facts,
        named,
        planes_switch,
        *crosshair,
        last_asked,
        state,
    ]
    outputs = [*whole, *of_a_slice]
    uploaded = scan.upload(show, scan, outputs, trigger_mode="multiple", **SCAN_LANE, **page.NOT_IN_THE_API)
    chosen = gallery.select(choose_example, None, scan, show_progress="hidden", **page.NOT_IN_THE_API)
    picked = chosen.success(show, scan, outputs, **SCAN_LANE, **page.NOT_IN_THE_API)
    volume_chosen = try_volume.click(
        lambda: str(EXAMPLE_VOLUME), None, scan, show_progress="hidden", **page.NOT_IN_THE_API
    )
    tried = volume_chosen.success(show, scan, outputs, **SCAN_LANE, **page.NOT_IN_THE_API)
    for event in (uploaded, picked, tried):  # no old result beside a new file's error
        event.failure(clear, None, outputs, queue=False, **page.NOT_IN_THE_API)
        event.success(None, None, None, js="() => { resetWindow(); bringIntoSight('#verdict') }", **page.NOT_IN_THE_API)
    for event in (scan.clear, scan.delete):
        event(clear, None, outputs, queue=False, **page.NOT_IN_THE_API)
    # No example stays marked beside another scan.
    others = [scan.upload, scan.clear, scan.delete, try_volume.click, another.click]
    unmark = {"show_progress": "hidden", "queue": False} | page.NOT_IN_THE_API
    gr.on(others, lambda: gr.Gallery(selected_index=None), None, gallery, **unmark)
    paste.click(None, None, None, js="() => pasteScan()", **page.NOT_IN_THE_API)
    crop.click(None, None, None, js="() => cropPicture()", **page.NOT_IN_THE_API)
    answered = anyway.click(show_anyway, state, outputs, **page.DRAW_LANE, **page.NOT_IN_THE_API)
    answered.success(None, None, None, js="() => document.querySelector('#another').focus()", **page.NOT_IN_THE_API)
    cleared = another.click(clear, None, outputs, queue=False, **page.NOT_IN_THE_API)
    cleared.then(None, None, None, js="() => document.querySelector('#scan button').focus()", **page.NOT_IN_THE_API)
    more.click(load_public_examples, None, [gallery, about_examples], **page.NOT_IN_THE_API)
    looks = [state, number, shown_class, map_switch]
    redraw = {"show_progress": "hidden", "trigger_mode": "always_last"} | page.DRAW_LANE | page.NOT_IN_THE_API
    number.input(show_slice, [*looks, last_asked, planes_switch, *crosshair], of_a_slice, **redraw)
    through = [state, number, planes_switch, *crosshair]
    gr.on([part.input for part in (planes_switch, *crosshair)], show_planes, through, cuts, **redraw)
    gr.on([shown_class.input, map_switch.input], draw_map, looks, picture, **redraw)
    # Files are written when they are asked for: not at each slice that is looked through.
    for button, save, given_to in ((report, save_report, [*looks, last_asked, named]), (saved, save_picture, looks)):
        ready = button.click(save, given_to, written, **page.DRAW_LANE, **page.NOT_IN_THE_API)
        ready.success(None, written, None, js="file => saveFile(file)", **page.NOT_IN_THE_API)
    # Drawn after it was asked, of the slice that is shown by then.
    asked = again.click(ask, [state, number], last_asked, **SCAN_LANE, **page.NOT_IN_THE_API)
    charted = asked.success(show_asked, [state, number, last_asked], asked_box, **redraw)
    charted.success(None, None, None, js="() => bringIntoSight('#asked')", **page.NOT_IN_THE_API)
    back.click(None, None, None, js="() => backToTheTable()", **page.NOT_IN_THE_API)
    return OneScan(show_kept, outputs, back)
