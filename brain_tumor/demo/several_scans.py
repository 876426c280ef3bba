"""The tab "Several scans": any number of files in, a table, a gallery, and a verdict on each series or volume out."""

import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from PIL import Image

from brain_tumor.answers import table
from brain_tumor.answers.scan_rows import row_of_scan, scans_of
from brain_tumor.answers.words import RULE, cautions, verdict_words, volume_words
from brain_tumor.demo import page
from brain_tumor.demo.errors import in_words, sentence
from brain_tumor.demo.examples import EXAMPLE_VOLUME
from brain_tumor.demo.gradio_patches import NoStubFile
from brain_tumor.demo.kept import grays_of, put_aside, take_out
from brain_tumor.demo.one_scan import OneScan
from brain_tumor.demo.retention import KEPT_SECONDS, new_file
from brain_tumor.demo.scan_table import MOST_THUMBNAIL_BYTES, TableRow, table_html, thumbnail_uri
from brain_tumor.demo.uploads import ScanUpload
from brain_tumor.inference.classifier import Classifier
from brain_tumor.inference.judging import JudgedUpload, judge_files
from brain_tumor.inference.volume import VolumeVerdict
from brain_tumor.reading.dicom.words import NOT_STATED
from brain_tumor.reading.uploads import MAX_FILES, MAX_SECONDS, MAX_SLICES, MAX_TOTAL_BYTES, Rejected, Upload

SHOWN_SLICES = 24
"""Slices of one volume that the gallery shows at most, evenly spread; the table's download has all."""

SHOWN_PICTURES = 240
"""Pictures that the gallery shows at most."""

LONGEST_SIDE = 2048
"""Pixels of a picture of the gallery: more than any slice has, and less than a photo that would fill a browser."""

MOST_ON_DISK = MAX_TOTAL_BYTES
"""Bytes of one request's scans that are put aside to be opened from the table; those beyond cannot be opened."""

PLANES = {"Best resolution": None, "Axial": "axial", "Coronal": "coronal", "Sagittal": "sagittal"}

WAITING_FOR_FILES = "Choose files, then press “Classify”: a verdict on each of them appears here."

OLD = (
    "<p><b>Old results.</b> What stands below is about the files and the plane before your last change. "
    "Press “Classify” for new results.</p>"
)
"""What stands above results that are no longer those of what was chosen."""

BATCH_LANE = {"concurrency_id": "batch", "concurrency_limit": 1}


@dataclass(frozen=True)
class Panel:
    """What the page shows of one series or volume; its slices are not kept."""

    volume: VolumeVerdict
    cautions: list[str]
    curve: str
    peak: Image.Image | None
    peak_name: str
    facts: str


class Chooser(gr.Dropdown, metaclass=NoStubFile):
    """A dropdown that takes what is no choice of it, as none is any more once its visitor's things are deleted."""

    is_template = True  # the browser's side is that of gr.Dropdown

    def preprocess(self, payload):
        return payload


def judge_scans(
    classifier: Classifier, paths: list[str], plane: str | None, progress: gr.Progress
) -> Iterator[JudgedUpload | Rejected]:
    """`judge_files` for visitors and programs: in bounded time, with progress, and what is wrong told in a sentence."""
    if not paths:
        raise sentence("Choose files first.")

    def tell(share: float, words: str) -> None:
        progress(share, desc=words)

    with in_words():
        yield from judge_files(classifier, paths, plane, seconds=MAX_SECONDS, progress=tell)


def build_several_scans(classifier: Classifier, one_scan: OneScan) -> None:
    """Builds the tab's components and wires them.

    Args:
        classifier: of the checkpoint.
        one_scan: the tab in which a row of the table opens its scan.
    """
    state, aside = gr.State(time_to_live=KEPT_SECONDS), gr.State(time_to_live=KEPT_SECONDS)
    with gr.Row():
        with gr.Column(min_width=280):
            files = ScanUpload(label="Scans", file_count="multiple", elem_id="files", height=280)
        with gr.Column(min_width=280):
            plane = gr.Radio(
                list(PLANES), value="Best resolution", label="Plane in which volumes are cut", elem_id="plane"
            )
            look = gr.Button("Classify", variant="primary", elem_id="look")
            example = gr.Button("Try an example volume", size="sm")
            gr.Markdown(
                "Pictures, DICOM files, volumes (.nii, .nii.gz, .mgz), or a .zip of them, such as a whole study: at "
                f"most {MAX_FILES:,} files and {MAX_TOTAL_BYTES // 1024**2} MB together, those in a .zip unpacked; a "
                f"single file {page.LIMITS_OF_A_FILE}. Of a volume with more than {MAX_SLICES} slices every second, "
                f"third, ... is read. Whatever is not finished after {MAX_SECONDS} seconds is left out. One bad file "
                f"does not stop the rest.\n\n"
                f"{page.PRIVACY}",
                elem_classes="quiet",
            )
    old = gr.HTML(elem_id="old", padding=False)
    summary = gr.Markdown(WAITING_FOR_FILES, elem_id="summary", min_height=72)
    with gr.Column(visible=False, elem_id="several-results") as results:
        with gr.Column(visible=False, elem_id="volume") as volume_panel:
            which_volume = Chooser([], label="Series or volume", filterable=False, elem_id="which-volume")
            verdict = gr.HTML(elem_id="volume-verdict", padding=False)
            with gr.Row():
                with gr.Column(min_width=280):
                    plot = gr.HTML(elem_id="plot", container=True)
                peak = gr.Image(
                    label="Highest tumor probability",
                    elem_id="peak",
                    height=360,
                    min_width=280,
                    **page.PICTURE,
                )
            facts = gr.HTML(container=True)
            gr.Markdown(f"{RULE} R and L are the patient's right and left.", elem_classes="quiet", elem_id="rule")
        rows_table = gr.HTML(elem_id="table", padding=False, apply_default_css=False)
        opener, opened = gr.Button("Open", visible="hidden", elem_id="open-scan"), gr.Number(visible=False)
        csv = gr.DownloadButton("Download the table (CSV)", elem_id="csv")
        gr.Markdown("## Slices and their verdicts", elem_classes="small-title")
        gallery = gr.Gallery(
            label="Slices and their verdicts",
            show_label=False,
            elem_id="gallery",
            columns=6,
            height="auto",
            interactive=False,
            buttons=["fullscreen"],
            object_fit="contain",
        )

    def show(paths: list[str], plane: str, progress=gr.Progress()) -> dict:  # noqa: B008
        """Memory holds the slices of one upload at a time."""
        rows, shown, panels, read, slices, bad, beside = [], [], {}, 0, 0, 0, Counter()
        overview = Overview()
        for item in judge_scans(classifier, paths, PLANES[plane], progress):
            rows += table.rows_of_item(item)
            overview.add(item)
            if isinstance(item, Rejected):
                bad += not item.what
                beside.update(filter(None, [item.what]))
                continue
            read += 1
            slices += len(item.upload.slices)
            shown += gallery_items(item, SHOWN_PICTURES - len(shown))
            if item.volume:
                panels[f"{len(panels) + 1}. {name_of_scan(item.upload)}"] = panel_of(item)
        names = list(panels)
        return {
            summary: summary_words(read, bad, beside, slices, len(shown)),
            results: gr.Column(visible=True, elem_classes=["with-volumes"] if panels else []),
            gallery: gr.Gallery(shown, visible=bool(shown)),
            rows_table: table_html(overview.rows),
            aside: overview.aside,
            csv: str(new_file("brain-mri-results.csv", table.to_csv(rows))),
            volume_panel: gr.Column(visible=bool(panels)),
            which_volume: Chooser(names, value=names[0] if names else None, visible=len(names) > 1),
            state: panels,
            **(show_panel(panels[names[0]]) if names else {}),
        }

    def show_panel(panel: Panel) -> dict:
        volume = panel.volume
        return {
            verdict: page.verdict_html(volume.verdict, volume_words(volume), panel.cautions),
            plot: panel.curve,
            peak: gr.Image(
                panel.peak,
                label=f"Highest tumor probability: {panel.peak_name}",
                alt_text=f"{panel.peak_name}, the slice with the highest tumor probability",
                visible=panel.peak is not None,
            ),
            facts: panel.facts,
        }

    def choose_volume(panels: dict[str, Panel] | None, name: str) -> dict:
        return show_panel(page.still_there((panels or {}).get(name)))

    def clear() -> dict:
        return {
            summary: WAITING_FOR_FILES,
            results: gr.Column(visible=False),
            gallery: None,
            rows_table: "",
            old: "",
            state: None,
            aside: None,
        }

    def open_scan(aside: list[Path | None] | None, place: float | None) -> dict:
        """A row's scan in the tab "One scan", as it was judged."""
        known = aside and isinstance(place, int | float) and 0 <= place < len(aside)
        path = page.still_there(aside[int(place)] if known else None)
        return one_scan.show(page.still_there(take_out(path))) | {one_scan.back: gr.Button(visible=True)}

    panel_outputs = [verdict, plot, peak, facts]
    outputs = [summary, results, gallery, rows_table, csv, volume_panel, which_volume, state, aside, *panel_outputs]
    chosen, words = [files, plane], json.dumps(OLD)
    tried = example.click(lambda: [str(EXAMPLE_VOLUME)], None, files, **page.NOT_IN_THE_API)
    for event in (look.click, tried.success):
        done = event(
            show,
            chosen,
            outputs,
            js="(...chosen) => classifying(chosen)",
            show_progress_on=summary,
            **BATCH_LANE,
            **page.NOT_IN_THE_API,
        )
        for ended, succeeded in ((done.success, "true"), (done.failure, "false")):
            js = f"(...chosen) => classified(chosen, {succeeded}) && {words}"
            ended(None, chosen, old, js=js, **page.NOT_IN_THE_API)
    changes = [files.change, plane.change]
    gr.on(changes, None, chosen, old, js=f"(...chosen) => changed(chosen) && {words}", **page.NOT_IN_THE_API)
    open_event = opener.click(
        open_scan,
        [aside, opened],
        one_scan.outputs,
        js="(aside, place) => [aside, openedPlace()]",
        show_progress_on=rows_table,
        **page.DRAW_LANE,
        **page.NOT_IN_THE_API,
    )
    open_event.success(None, None, None, js="() => showOpened()", **page.NOT_IN_THE_API)
    files.clear(clear, None, [*outputs, old], queue=False, **page.NOT_IN_THE_API)
    which_volume.input(choose_volume, [state, which_volume], panel_outputs, **page.DRAW_LANE, **page.NOT_IN_THE_API)


def summary_words(read: int, bad: int, beside: Mapping[str, int], slices: int, shown: int) -> str:
    """What became of the files, in a few sentences.

    Args:
        read, bad: how many scans were read, and how many files failed.
        beside: what came along and is no scan, as `Rejected.what` calls it -> how often.
        slices, shown: of the scans, and how many of them the gallery shows.

    >>> print(summary_words(4, 0, {"a scout": 1, "a report": 2, "curves": 1}, 760, 760))
    4 scans were read, with 760 slices. Beside them: 1 scout, 2 reports, 1 file of curves.
    >>> print(summary_words(1, 2, {}, 1, 1))
    1 of 3 uploads were read, with 1 slice. 2 could not be used; the table says why.
    """
    of = f"{read} of {read + bad} uploads were" if bad else "1 scan was" if read == 1 else f"{read or 'No'} scans were"
    words = f"{of} read" + (f", with {slices} slice{'s' * (slices != 1)}." if read else ".")
    words += f" {bad} could not be used; the table says why." if bad else ""
    things = ", ".join(_count(what, times) for what, times in beside.items())
    words += f" Beside them: {things}." if things and read else f" There is only: {things}." if things else ""
    return words + (f" The gallery shows {shown} of the slices, the download lists all." if shown < slices else "")


def _count(what: str, times: int) -> str:
    """ "a list of key pictures", 2 -> "2 lists of key pictures"; "curves", 2 -> "2 files of curves"."""
    thing = re.match(r"(?:an? (?!.*data$)|the )(.*?)( (?:of|for) .*)?$", what)
    noun, rest = (thing[1], thing[2] or "") if thing else ("file", f" of {what}")
    several = re.sub("ex$", "ice", noun) + "s"
    return f"{times} {noun if times == 1 else several}{rest}"


def name_of_scan(upload: Upload) -> str:
    """An upload's name, with number and description of its series if the name does not hold them already."""
    series = upload.facts.get("Series", NOT_STATED)
    return upload.name if upload.files or series == NOT_STATED else f"{upload.name}, series {series}"


class Overview:
    """The table's rows as they come, and where what is kept of their scans lies.

    Attributes:
        rows: of the table.
        aside: for each row the file of its scan, as `kept.put_aside` wrote it; None if it cannot be opened.
    """

    def __init__(self):
        self.rows: list[TableRow] = []
        self.aside: list[Path | None] = []
        self._thumbnails = self._on_disk = 0

    def add(self, item: JudgedUpload | Rejected) -> None:
        """Adds a row for each of an upload's scans."""
        for scan in [item] if isinstance(item, Rejected) else scans_of(item):
            row, path, picture, shows = row_of_scan(scan), None, "", ""
            if isinstance(scan, JudgedUpload):
                slice_ = scan.upload.slices[scan.place]
                shows = slice_.name or "The scan"
                if self._thumbnails < MOST_THUMBNAIL_BYTES:
                    picture = thumbnail_uri(slice_.image)
                    self._thumbnails += len(picture)
                if row.group != "aside" and self._on_disk < MOST_ON_DISK:
                    path = put_aside(scan)
                    self._on_disk += path.stat().st_size
            self.rows.append(TableRow(row, picture, shows, path is not None))
            self.aside.append(path)


def gallery_items(item: JudgedUpload, most: int) -> list[tuple[Path, str]]:
    """Files of slices at full size, and their verdicts; of many an even choice that includes the one of the highest
    probability. A browser loads them as they come into sight."""
    slices, peak = item.upload.slices, item.volume.peak if item.volume else None
    shown = []
    for place in page.spread(len(slices), min(most, SHOWN_SLICES), peak):
        slice_, prediction = slices[place], item.predictions[place]
        name = ", ".join(filter(None, (item.upload.name, slice_.name)))
        words = verdict_words(prediction).headline if slice_.counts else "Not judged: shows too little of the brain"
        shown.append((picture_file(page.mark_sides(item, slice_.image)), f"{name}: {words}"))
    return shown


def picture_file(image: Image.Image) -> Path:
    """Writes a picture for the page, to be swept as uploads are."""
    image = grays_of(image)
    if max(image.size) > LONGEST_SIDE:
        image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    # The least compression: more takes longer than to judge the slice.
    image.save(file := io.BytesIO(), "PNG", compress_level=1)
    return new_file("slice.png", file.getvalue())


def panel_of(item: JudgedUpload) -> Panel:
    """What is kept of a judged series or volume for as long as its visitor looks at it."""
    upload, volume = item.upload, item.volume
    top = None if volume.peak is None else upload.slices[volume.peak]
    return Panel(
        volume,
        cautions(item),
        page.curve_html(volume, upload.slices),
        top and page.mark_sides(item, top.image),
        top.name if top else "",
        page.facts_html(upload.facts, upload.notes),
    )
