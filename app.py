"""The demo: slices of a brain MRI in, a verdict with calibrated confidences, heat map and report out.

    python app.py                                # the bundled checkpoint in model/
    MODEL_ID=runs/mine PORT=8000 python app.py   # another checkpoint (a folder or a Hub id), another port
    MCP=1 python app.py                          # and the same as tools for MCP clients (requirements-mcp.txt)

It listens on this machine only; on a Hugging Face Space (SPACE_ID is set there) to everyone.
"""

import datetime
import importlib.util
import math
import os
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import PIL.Image
from gradio.utils import is_static_file
from starlette.middleware import Middleware

from brain_tumor.answers import table
from brain_tumor.answers.heatmap import gradient, overlay
from brain_tumor.answers.report import html_report
from brain_tumor.answers.volume_plot import plot_volume, plot_words
from brain_tumor.answers.words import verdict_words
from brain_tumor.demo import api, page
from brain_tumor.demo.about import LIMITS, about
from brain_tumor.demo.errors import KEPT_SECONDS, gone
from brain_tumor.demo.examples import BUNDLED, PUBLIC_DATASET, Example, ExamplesError, offline_examples, public_examples
from brain_tumor.demo.retention import ForgottenCalls
from brain_tumor.demo.theme import CSS, HEAD, PASTE_JS, THEME
from brain_tumor.demo.uploads import (
    ClosedDoors,
    LimitedBodies,
    ScanUpload,
    end_cleanly_on_sigterm,
    keep_sweeping,
    new_file,
    own_folder,
)
from brain_tumor.inference.checkpoint import CheckpointError
from brain_tumor.inference.classifier import Classifier, portions
from brain_tumor.inference.prediction import UNFAMILIAR, Prediction
from brain_tumor.inference.volume import RULE, VolumeVerdict, judge_volume
from brain_tumor.labels import display_name
from brain_tumor.reading.pictures import MAX_FILE_BYTES, MAX_PIXELS, ScanError
from brain_tumor.reading.readers import (
    MAX_FILES,
    MAX_SECONDS,
    MAX_SLICES,
    MAX_TOTAL_BYTES,
    Rejected,
    Upload,
    read_picture,
    read_uploads,
    took_too_long,
)

BUNDLED_MODEL = Path(__file__).resolve().parent / "model"

MODEL_ID = os.environ.get("MODEL_ID") or str(BUNDLED_MODEL)

AT_ONCE = 32
"""Slices of a batch between two steps of the progress bar; a scan of its own waits for one such step at most."""

MOST_PIXELS = 10**7
"""Of single pictures that wait in memory to be classified together, and one more picture."""

SHOWN_SLICES = 24
"""Slices of one volume that the gallery shows at most, evenly spread; the table's download has all."""

SHOWN_PICTURES = 240
"""Pictures that the gallery shows at most."""

OPACITY = 0.45

WIDTHS = {"File": 150, "Slice": 90, "Reason": 360, "Most probable class": 200, "Brain MRI": 90, "Notes": 360}
"""Pixels of the table's columns that need another width than their fellows."""

PLANES = {"Best resolution": None, "Axial": "axial", "Coronal": "coronal", "Sagittal": "sagittal"}

MEGABYTE = 1024**2

WAITING_FOR_FILES = "Choose files, then press the button: a verdict on each of them appears here."

FILES = own_folder()

try:
    classifier = Classifier(MODEL_ID)
except CheckpointError as error:
    sys.exit(str(error))

EXAMPLES = offline_examples(MODEL_ID)


@dataclass(frozen=True)
class Seen:
    """A scan that a visitor looks at: what the heat map and the report are drawn from. Kept in memory for a while."""

    image: PIL.Image.Image
    prediction: Prediction
    facts: dict[str, str]


@dataclass(frozen=True)
class Judged:
    """An upload of the tab for several, with a prediction for each of its slices; a volume has a verdict as well."""

    upload: Upload
    predictions: list[Prediction]
    volume: VolumeVerdict | None


# --- for programs -----------------------------------------------------------------------------------------------


def predict(scan: str | None) -> dict:
    """Say how much one slice of a brain MRI looks like a glioma, a meningioma, a pituitary tumor or none. No diagnosis.

    Args:
        scan: the file: JPEG, PNG, TIFF, WebP, BMP, GIF, DICOM or NIfTI; or a data: URI of it, such as
            data:image/png;base64,... Addresses are not fetched. Of a file with several slices the middle one is taken.

    Returns:
        verdict (glioma, meningioma, pituitary, no_tumor, uncertain or unfamiliar) with headline and sentence; label,
        the most probable class; confidences, calibrated, from 0 to 1, in sum 1; any_tumor, the share of all tumors;
        familiar, whether it looks like a brain MRI (if not, label and confidences are null); facts and notes about the
        file; model, its version.
    """
    seen, notes = looked_at(scan)
    headline, sentence = verdict_words(seen.prediction)
    words = {"headline": headline, "sentence": sentence}
    file = {"facts": seen.facts, "notes": notes}
    return api.judgment(seen.prediction) | words | file | {"model": classifier.version}


def predict_batch(files: list[str], plane: str | None = None, progress=gr.Progress()) -> dict:  # noqa: B008
    """Judge several slices of brain MRI at once: pictures, DICOM series (files or one .zip) and NIfTI. No diagnosis.

    Args:
        files: the files, or data: URIs of them. DICOM files of one series become one result. Addresses are not fetched.
        plane: axial, coronal or sagittal: how volumes are cut; empty for the plane of the best resolution.

    Returns:
        model, its version, and results, one for each picture, series or volume: name, kind, error (a sentence, if the
        file could not be used), verdict with headline and sentence (for volumes by the rule that the page states),
        peak, the slice with the highest probability of a tumor, facts, notes, and slices, each with its own verdict,
        label, confidences, any_tumor and familiar.
    """
    if plane not in (*PLANES.values(), ""):
        raise sentence(f"The plane must be axial, coronal or sagittal, or left out; not {str(plane)[:40]!r}.")
    results = []
    for item in judged(files, plane or None, progress):
        if isinstance(item, Rejected):
            empty = dict.fromkeys(("verdict", "headline", "sentence", "peak"))
            results.append(
                {"name": item.name, "kind": "unreadable", "error": item.reason}
                | empty
                | {"slices": [], "facts": {}, "notes": []}
            )
            continue
        upload, volume = item.upload, item.volume
        headline, why = (volume.headline, volume.sentence) if volume else verdict_words(item.predictions[0])
        counted = volume.counted if volume else [slice_.counts for slice_ in upload.slices]
        results.append(
            {
                "name": upload.name,
                "kind": upload.kind,
                "error": None,
                "verdict": volume.verdict if volume else item.predictions[0].verdict,
                "headline": headline,
                "sentence": why,
                "peak": upload.slices[volume.peak].name if volume and volume.peak is not None else None,
                "slices": [
                    {"name": slice_.name, "counts": counts} | api.judgment(prediction)
                    for slice_, prediction, counts in zip(upload.slices, item.predictions, counted, strict=True)
                ],
                "facts": upload.facts,
                "notes": upload.notes,
            }
        )
    return {"model": classifier.version, "results": results}


def looked_at(path: str | None) -> tuple[Seen, list[str]]:
    """A scan, read and classified, and notes about its file; or the sentence that says why not."""
    if path is None:
        raise sentence("Choose or paste a scan first.")
    try:
        slice_, facts, notes = read_picture(path)
        (prediction,) = classifier.predict([slice_.image])
    except ScanError as error:
        raise sentence(error) from None
    except Exception as error:
        raise unexpected(error) from None
    return Seen(slice_.image, prediction, facts), notes


def judged(paths: list[str], plane: str | None, progress: gr.Progress) -> Iterator[Judged | Rejected]:
    """Files, read one upload after the other and classified, single pictures several at a time, with their progress."""
    if not paths:
        raise sentence("Choose files first.")
    done, waiting = 0, []
    until = time.monotonic() + MAX_SECONDS
    progress(0, desc="Reading the files")
    try:
        for upload in read_uploads(paths, plane, until):
            if isinstance(upload, Rejected) or len(upload.slices) == 1:
                done += 1
                progress(min(done / len(paths), 1), desc=f"Upload {done}")
                waiting.append(upload)
                if len(waiting) == AT_ONCE or sum(map(pixels_of, waiting)) > MOST_PIXELS:
                    yield from judged_together(waiting)
                    waiting = []
                continue
            yield from judged_together(waiting)
            waiting = []
            predictions = []
            for some in portions(upload.slices, AT_ONCE):
                if time.monotonic() > until:
                    break
                predictions += classifier.predict([slice_.image for slice_ in some])
                share = len(predictions) / len(upload.slices)
                so_far = f"Upload {done + 1}, slice {len(predictions)} of {len(upload.slices)}"
                progress(min((done + share) / len(paths), 1), desc=so_far)
            done += 1
            if len(predictions) < len(upload.slices):
                how_far = f"{len(predictions)} of the {len(upload.slices)} slices were judged, too few for a verdict"
                yield Rejected(upload.name, took_too_long(how_far))
                continue
            yield with_verdict(upload, predictions)
        yield from judged_together(waiting)
    except Exception as error:
        raise unexpected(error) from None


def judged_together(uploads: list[Upload | Rejected]) -> Iterator[Judged | Rejected]:
    """Uploads of one slice each, classified together, and what could not be read, in their order."""
    images = [upload.slices[0].image for upload in uploads if isinstance(upload, Upload)]
    predictions = iter(classifier.predict(images))
    for upload in uploads:
        yield with_verdict(upload, [next(predictions)]) if isinstance(upload, Upload) else upload


def with_verdict(upload: Upload, predictions: list[Prediction]) -> Judged:
    """An upload whose slices are classified; a series or volume gets a verdict on the whole."""
    if upload.kind not in ("series", "volume"):
        return Judged(upload, predictions, None)
    return Judged(upload, predictions, judge_volume(predictions, [slice_.counts for slice_ in upload.slices]))


def pixels_of(upload: Upload | Rejected) -> int:
    return sum(math.prod(slice_.image.size) for slice_ in upload.slices) if isinstance(upload, Upload) else 0


def sentence(message: object) -> gr.Error:
    """An error that is meant for the visitor: no traceback, and on the page until it is closed."""
    return gr.Error(str(message), duration=None, print_exception=False)


def unexpected(error: Exception) -> gr.Error:
    """An error nobody foresaw: where it happened goes into the log, its message does not, as it may name a file."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    print(f"{type(error).__name__} in {Path(where.filename).name}, line {where.lineno}", file=sys.stderr)
    return sentence("Something went wrong with this upload. It is not your fault; please try another file.")


# --- one scan ---------------------------------------------------------------------------------------------------


def examined(path: str | None, opacity: float) -> dict:
    """What the page shows of one scan."""
    seen, notes = looked_at(path)
    prediction = seen.prediction
    familiar = prediction.verdict != UNFAMILIAR
    maps = (prediction.heatmaps or {}) if familiar else {}
    confidences = {display_name(label): confidence for label, confidence in prediction.confidences.items()}
    share = prediction.tumor_probability if familiar else None
    return {
        verdict: page.verdict_html(prediction.verdict, *verdict_words(prediction)),
        results: gr.Column(visible=True),
        picture: gr.Image(drawn(seen, prediction.label, opacity), alt_text=picture_words(seen, prediction.label)),
        map_panel: gr.Column(visible=bool(maps)),
        map_words: page.map_html(maps[prediction.label].shape, gradient()) if maps else "",
        shown_class: prediction.label,
        confidence: gr.Label(confidences if familiar else None, visible=familiar),
        share_panel: gr.HTML(
            "" if share is None else page.share_html(share, classifier.thresholds), visible=share is not None
        ),
        facts_panel: page.facts_html(seen.facts, notes),
        report: str(report_file(seen, prediction.label)),
        state: seen,
    }


def cleared() -> dict:
    """The page without a scan."""
    return {
        scan: None,
        verdict: page.WAITING,
        results: gr.Column(visible=False),
        picture: None,
        confidence: gr.Label(None),
        state: None,
    }


def redrawn(seen: Seen | None, shown: str, opacity: float) -> PIL.Image.Image:
    """The scan with the heat map as the visitor chose it."""
    return drawn(still_there(seen), shown, opacity)


def other_class(seen: Seen | None, shown: str, opacity: float) -> dict:
    """The scan and its report with the heat map of another class."""
    seen = still_there(seen)
    return {
        picture: gr.Image(drawn(seen, shown, opacity), alt_text=picture_words(seen, shown)),
        report: str(report_file(seen, shown)),
    }


def drawn(seen: Seen, shown: str, opacity: float) -> PIL.Image.Image:
    maps = seen.prediction.heatmaps if seen.prediction.verdict != UNFAMILIAR else None
    return overlay(seen.image, maps[shown], opacity) if maps and shown in maps and opacity > 0 else seen.image


def picture_words(seen: Seen, shown: str) -> str:
    mapped = seen.prediction.heatmaps and seen.prediction.verdict != UNFAMILIAR
    return "The scan as the model sees it" + (f", with the heat map for {display_name(shown)}" if mapped else "")


def report_file(seen: Seen, shown: str) -> Path:
    """The report of a scan, as a file for its visitor."""
    today = datetime.date.today()
    text = html_report(
        seen.image, seen.prediction, version=classifier.version, facts=seen.facts, date=today, shown_class=shown
    )
    return new_file("brain-mri-report.html", text)


def still_there(kept):
    if kept is None:
        raise gone()
    return kept


# --- several scans ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Panel:
    """What the page shows of one series or volume; its slices are not kept."""

    volume: VolumeVerdict
    plot: PIL.Image.Image
    peak: PIL.Image.Image | None
    peak_name: str
    facts: str


def examined_all(paths: list[str], plane: str, progress=gr.Progress()) -> dict:  # noqa: B008
    """What the page shows of several files. Memory holds the slices of one upload at a time."""
    rows, shown, panels, read, slices, bad = [], [], {}, 0, 0, 0
    for item in judged(paths, PLANES[plane], progress):
        rows += rows_of(item)
        if isinstance(item, Rejected):
            bad += 1
            continue
        read += 1
        slices += len(item.upload.slices)
        shown += gallery_items(item, SHOWN_PICTURES - len(shown))
        if item.volume:
            panels[f"{len(panels) + 1}. {item.upload.name}"] = panel_of(item)
    words = f"{read} of {read + bad} uploads were read, with {slices} slices."
    words += f" {bad} could not be used; the table says why." if bad else ""
    words += f" The gallery shows {len(shown)} of the slices, the download lists all." if len(shown) < slices else ""
    names = list(panels)
    return {
        summary: words,
        several_results: gr.Column(visible=True),
        gallery: gr.Gallery(shown, visible=bool(shown)),
        rows_table: gr.Dataframe([list(row.values()) for row in rows], headers=list(table.COLUMNS)),
        csv: str(new_file("brain-mri-results.csv", table.to_csv(rows))),
        volume_panel: gr.Column(visible=bool(panels)),
        which_volume: Chooser(names, value=names[0] if names else None, visible=len(names) > 1),
        volumes_state: panels,
        **(panel_shown(panels[names[0]]) if names else {}),
    }


def cleared_all() -> dict:
    return {
        summary: WAITING_FOR_FILES,
        several_results: gr.Column(visible=False),
        gallery: None,
        rows_table: None,
        volumes_state: None,
    }


def rows_of(item: Judged | Rejected) -> list[dict]:
    """Rows of the table for one upload."""
    if isinstance(item, Rejected):
        return [table.row_of(item)]
    return table.rows_of(item.upload, item.predictions, item.volume)


def gallery_items(item: Judged, most: int) -> list[tuple[PIL.Image.Image, str]]:
    """Slices with their verdicts beneath; of many an even choice with the one of the highest probability."""
    slices, peak = item.upload.slices, item.volume.peak if item.volume else None
    shown = []
    for place in page.spread(len(slices), min(most, SHOWN_SLICES), peak):
        slice_, prediction = slices[place], item.predictions[place]
        name = ", ".join(filter(None, (item.upload.name, slice_.name)))
        words = verdict_words(prediction)[0] if slice_.counts else "Not judged: shows too little of the brain"
        image = sided(item, slice_.image).copy()
        image.thumbnail((320, 320))
        shown.append((image, f"{name}: {words}"))
    return shown


def sided(item: Judged, image: PIL.Image.Image) -> PIL.Image.Image:
    known = item.upload.sides_known and item.upload.plane in ("axial", "coronal")
    return page.with_sides(image) if known else image


def panel_of(item: Judged) -> Panel:
    upload, volume = item.upload, item.volume
    top = None if volume.peak is None else upload.slices[volume.peak]
    return Panel(
        volume,
        plot_volume(volume),
        top and sided(item, top.image),
        top.name if top else "",
        page.facts_html(upload.facts, upload.notes),
    )


def panel_shown(panel: Panel) -> dict:
    volume = panel.volume
    return {
        volume_verdict: page.verdict_html(volume.verdict, volume.headline, volume.sentence),
        plot: gr.Image(panel.plot, alt_text=plot_words(volume)),
        peak: gr.Image(
            panel.peak,
            label=f"Highest tumor probability: {panel.peak_name}",
            alt_text=f"{panel.peak_name}, the slice with the highest tumor probability",
            visible=panel.peak is not None,
        ),
        volume_facts: panel.facts,
    }


def chosen_volume(panels: dict[str, Panel] | None, name: str) -> dict:
    return panel_shown(still_there((panels or {}).get(name)))


class Chooser(gr.Dropdown):
    """A dropdown that takes what is no choice of it, as none is any more once its visitor's things are deleted."""

    is_template = True  # the browser's side is that of gr.Dropdown

    def preprocess(self, payload):
        return payload


# --- examples ---------------------------------------------------------------------------------------------------


def load_public_examples() -> list[tuple[Path, str]]:
    """The gallery with scans of the public dataset added."""
    try:
        return gallery_of(EXAMPLES + public_examples())
    except ExamplesError as error:
        raise sentence(error) from error


def chosen_example(event: gr.SelectData) -> str:
    """The file of the example that a visitor clicked."""
    examples = EXAMPLES if event.index < len(EXAMPLES) else EXAMPLES + public_examples()
    return str(examples[event.index].path)


def gallery_of(examples: list[Example]) -> list[tuple[Path, str]]:
    """What gr.Gallery shows of examples, served from where they are: copies in the cache would be deleted."""
    serve_in_place([example.path for example in examples])
    return [(example.path, example.caption) for example in examples]


def serve_in_place(paths: list[Path]) -> None:
    gr.set_static_paths([path for path in paths if not is_static_file(path)])


def checkpoint_name() -> str:
    """The checkpoint as a visitor may read it: a Hub id with its link, a folder without its place on this machine."""
    if not Path(MODEL_ID).is_dir():
        return f"[{MODEL_ID}](https://huggingface.co/{MODEL_ID})"
    return f"`{Path(MODEL_ID).resolve().name}/`" + (" (bundled)" if Path(MODEL_ID).resolve() == BUNDLED_MODEL else "")


# --- the page ---------------------------------------------------------------------------------------------------

PRIVACY = (
    "Names, dates and other tags in DICOM files are not shown, but **text that is burnt into the picture cannot be "
    "removed**: do not upload a scan that shows a patient's name. Uploads are used for nothing else and deleted within "
    "the hour."
)

# `queue` sets limits on purpose: scans of their own have their place beside batches, of which one runs at a time.
SCAN_LANE = {"concurrency_id": "scan", "concurrency_limit": 2}

BATCH_LANE = {"concurrency_id": "batch", "concurrency_limit": 1}

DRAW_LANE = {"concurrency_id": "draw", "concurrency_limit": 4}

PRIVATE = {"api_visibility": "private"}

with gr.Blocks(title="Brain tumor classification", analytics_enabled=False) as demo:
    gr.Markdown(
        "# Brain tumor classification\n"
        "A neural network looks at slices of a brain MRI and says how much they look like a glioma, a meningioma, "
        "a pituitary tumor, or none of them.",
        elem_id="intro",
    )
    gr.Markdown(
        "**Not a medical device.** For research and teaching. These numbers are a model's and no diagnosis: leave "
        "every scan to a specialist.",
        elem_id="warning",
    )
    with gr.Tab("One scan"):
        state = gr.State(time_to_live=KEPT_SECONDS)
        with gr.Row():
            with gr.Column(min_width=280):
                scan = ScanUpload(label="Scan", elem_id="scan", height=170)
                paste = gr.Button("Paste from clipboard", size="sm")
                gr.Markdown(
                    f"One slice as JPEG, PNG, TIFF, WebP, BMP, GIF, DICOM or NIfTI, 8 or 16 bit; at most "
                    f"{MAX_FILE_BYTES // MEGABYTE} MB and {MAX_PIXELS // 10**6} megapixels.\n\n{PRIVACY}",
                    elem_classes="quiet",
                )
            with gr.Column(min_width=280):
                gr.Markdown("### No scan at hand? Click an example")
                examples = gr.Gallery(
                    gallery_of(EXAMPLES),
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
                gr.Markdown(
                    (
                        "The tumors in these are simulated in an average brain. The model may miss them, plain as they "
                        "are: it learned from public scans, in which the kind of scan gives the answer away, and not "
                        "only the tumor. "
                        if EXAMPLES and EXAMPLES[0].path.parent == BUNDLED
                        else ""
                    )
                    + f"Scans of the public dataset come from "
                    f"[{PUBLIC_DATASET}](https://huggingface.co/datasets/{PUBLIC_DATASET}), with its labels; the model "
                    "may have learned from them.",
                    elem_classes="quiet",
                )
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
                        label="Heat map: where the score comes from, for",
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
                share_panel = gr.HTML(elem_id="share", container=True)
                facts_panel = gr.HTML(elem_id="facts", container=True)
                report = gr.DownloadButton("Download the report (HTML, one page)", elem_id="report")

    with gr.Tab("Several scans"):
        volumes_state = gr.State(time_to_live=KEPT_SECONDS)
        with gr.Row():
            with gr.Column(min_width=280):
                files = ScanUpload(label="Scans", file_count="multiple", elem_id="files", height=280)
            with gr.Column(min_width=280):
                plane = gr.Radio(
                    list(PLANES),
                    value="Best resolution",
                    label="Plane in which NIfTI volumes are cut",
                    elem_id="plane",
                )
                look = gr.Button("Look at these files", variant="primary", elem_id="look")
                gr.Markdown(
                    "Pictures, the files of a DICOM series or one .zip of them, NIfTI volumes (.nii, .nii.gz): at most "
                    f"{MAX_FILES} files, {MAX_FILE_BYTES // MEGABYTE} MB and {MAX_PIXELS // 10**6} megapixels a file, "
                    f"and {MAX_TOTAL_BYTES // MEGABYTE} MB together. Of a volume of more than {MAX_SLICES} slices "
                    f"every second, third, ... is taken. What is not done after {MAX_SECONDS} seconds is left out. A "
                    f"bad file does not stop the rest.\n\n{PRIVACY}",
                    elem_classes="quiet",
                )
        summary = gr.Markdown(WAITING_FOR_FILES, elem_id="summary", min_height=72)
        with gr.Column(visible=False, elem_id="several-results") as several_results:
            with gr.Column(visible=False, elem_id="volume") as volume_panel:
                which_volume = Chooser([], label="Series or volume", filterable=False, elem_id="which-volume")
                volume_verdict = gr.HTML(elem_id="volume-verdict", padding=False)
                with gr.Row():
                    plot = gr.Image(
                        label="Tumor probability along the slices",
                        elem_id="plot",
                        interactive=False,
                        format="png",
                        buttons=["fullscreen"],
                        min_width=280,
                    )
                    peak = gr.Image(
                        label="Highest tumor probability",
                        elem_id="peak",
                        interactive=False,
                        format="png",
                        height=360,
                        buttons=["fullscreen"],
                        min_width=280,
                    )
                volume_facts = gr.HTML(container=True)
                gr.Markdown(f"{RULE} R and L are the patient's right and left.", elem_classes="quiet", elem_id="rule")
            rows_table = gr.Dataframe(
                headers=list(table.COLUMNS),
                label="Results (⋮ in a heading sorts by it)",
                elem_id="table",
                interactive=False,
                wrap=True,
                column_widths=[WIDTHS.get(name, 150) for name in table.COLUMNS],
                datatype=["number" if name in table.PROBABILITIES else "str" for name in table.COLUMNS],
                buttons=["fullscreen"],
                show_search="search",
            )
            csv = gr.DownloadButton("Download the table (CSV)", elem_id="csv")
            gr.Markdown("### Slices and their verdicts")
            gallery = gr.Gallery(
                label="Slices and their verdicts",
                show_label=False,
                elem_id="gallery",
                columns=6,
                height="auto",
                interactive=False,
                buttons=["fullscreen"],
                object_fit="contain",
                format="png",
            )

    with gr.Tab("About"), gr.Column(elem_id="about"):
        known = about(MODEL_ID)
        serve_in_place(list(known.plots))
        gr.Markdown(f"## What it is, and what it is for\n\n{known.use}\n\nCheckpoint: {checkpoint_name()}")
        if LIMITS in known.sections:
            gr.Markdown(f"## {LIMITS}\n\n{known.sections[LIMITS]}")
        gr.Markdown(f"## How well it does\n\n{known.figures}", latex_delimiters=[])
        for path, words in known.plots.items():
            gr.Image(
                path,
                label=words.split(":")[0],
                alt_text=words,
                interactive=False,
                buttons=["fullscreen"],
                elem_classes="plot",
            )
        if known.copies:
            gr.Markdown(
                "## What copies in public data are worth\n\nPublic sets hold the same slice, or its neighbor, in the "
                "training and in the test part. A network that has seen a copy looks better than it is; so the parts "
                f"that this checkpoint was measured on were split anew.\n\n{known.copies}"
            )
        for title, text in known.sections.items():
            if title != LIMITS:
                gr.Markdown(f"## {title}\n\n{text}")

    # One endpoint for a program that has one scan, one for many: the page's own events are nobody else's business.
    with gr.Row(visible=False):
        api_scan, api_files = ScanUpload(label="scan"), ScanUpload(label="files", file_count="multiple")
        api_plane = gr.Dropdown(["", "axial", "coronal", "sagittal"], value="", allow_custom_value=True, label="plane")
        api_answer, api_answers = api.Answer(label="answer"), api.Answers(label="answer")
        api_one, api_many = gr.Button(), gr.Button()
    api_one.click(predict, api_scan, api_answer, api_name="predict", **SCAN_LANE)
    api_many.click(predict_batch, [api_files, api_plane], api_answers, api_name="predict_batch", **BATCH_LANE)

    one = [
        scan, verdict, results, picture, map_panel, map_words, shown_class, confidence, share_panel, facts_panel,
        report, state,
    ]  # fmt: skip
    several = [
        summary, several_results, gallery, rows_table, csv, volume_panel, which_volume, volumes_state, volume_verdict,
        plot, peak, volume_facts,
    ]  # fmt: skip
    uploaded = scan.upload(examined, [scan, opacity], one, **SCAN_LANE, **PRIVATE)
    chosen = examples.select(chosen_example, None, scan, show_progress="hidden", **PRIVATE)
    picked = chosen.success(examined, [scan, opacity], one, **SCAN_LANE, **PRIVATE)
    for event in (uploaded, picked):  # no old result beside a new file's error
        event.failure(cleared, None, one, queue=False, **PRIVATE)
        event.success(None, None, None, js="() => bringIntoSight('#verdict')", **PRIVATE)
    scan.clear(cleared, None, one, queue=False, **PRIVATE)
    scan.delete(cleared, None, one, queue=False, **PRIVATE)
    paste.click(None, None, None, js=PASTE_JS, **PRIVATE)
    more.click(load_public_examples, None, examples, **PRIVATE)
    hidden = {"show_progress": "hidden", "trigger_mode": "always_last"}
    opacity.input(redrawn, [state, shown_class, opacity], picture, **hidden, **DRAW_LANE, **PRIVATE)
    shown_class.input(other_class, [state, shown_class, opacity], [picture, report], **hidden, **DRAW_LANE, **PRIVATE)

    look.click(examined_all, [files, plane], several, show_progress_on=summary, **BATCH_LANE, **PRIVATE)
    look.click(None, None, None, js="() => bringIntoSight('#summary')", **PRIVATE)
    files.clear(cleared_all, None, several, queue=False, **PRIVATE)
    volume_outputs = [volume_verdict, plot, peak, volume_facts]
    which_volume.input(chosen_volume, [volumes_state, which_volume], volume_outputs, **DRAW_LANE, **PRIVATE)

demo.queue(max_size=60, default_concurrency_limit=2)

if __name__ == "__main__":
    port = os.environ.get("PORT")
    if port and not port.isdecimal():
        sys.exit(f"PORT must be a number, not {port!r}.")
    mcp = os.environ.get("MCP") == "1"
    if mcp and importlib.util.find_spec("mcp") is None:
        sys.exit("MCP=1 needs more packages: pip install -r requirements-mcp.txt")
    end_cleanly_on_sigterm(FILES)
    keep_sweeping(FILES, demo)
    try:
        demo.launch(
            # Without PORT and outside a Space, gradio's own GRADIO_SERVER_NAME and GRADIO_SERVER_PORT hold.
            server_name="0.0.0.0" if os.environ.get("SPACE_ID") else None,
            server_port=int(port) if port else None,
            max_file_size=MAX_FILE_BYTES,
            show_error=True,
            footer_links=["api"],
            run_history=False,
            ssr_mode=False,
            enable_monitoring=False,
            mcp_server=mcp,
            app_kwargs={
                "middleware": [
                    Middleware(ClosedDoors),
                    Middleware(LimitedBodies),
                    Middleware(ForgottenCalls, demo=demo),
                ]
            },
            theme=THEME,
            css=CSS,
            head=HEAD,
        )
    except OSError as error:
        sys.exit(f"The demo cannot start ({error}). Set PORT to a free port.")
