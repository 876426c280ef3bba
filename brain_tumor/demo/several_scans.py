"""The tab "Several scans": any number of files in, a table, a gallery, and a verdict on each series or volume out."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import gradio as gr
from PIL import Image

from brain_tumor.answers import table
from brain_tumor.answers.volume_plot import plot_volume, plot_words
from brain_tumor.answers.words import RULE, cautions, verdict_words, volume_words
from brain_tumor.demo import page
from brain_tumor.demo.errors import in_words, sentence
from brain_tumor.demo.gradio_patches import NoStubFile
from brain_tumor.demo.retention import KEPT_SECONDS, new_file
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

COLUMN_WIDTHS = {"File": 220, "Slice": 90, "Reason": 360, "Most probable class": 200, "Brain MRI": 90, "Notes": 360}
"""Pixels of the table's columns that need another width than the rest."""

PLANES = {"Best resolution": None, "Axial": "axial", "Coronal": "coronal", "Sagittal": "sagittal"}

WAITING_FOR_FILES = "Choose files, then press the button: a verdict on each of them appears here."

BATCH_LANE = {"concurrency_id": "batch", "concurrency_limit": 1}


@dataclass(frozen=True)
class Panel:
    """What the page shows of one series or volume; its slices are not kept."""

    volume: VolumeVerdict
    cautions: list[str]
    plot: Image.Image
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


def build_several_scans(classifier: Classifier) -> None:
    """Builds the tab's components and wires them."""
    state = gr.State(time_to_live=KEPT_SECONDS)
    with gr.Row():
        with gr.Column(min_width=280):
            files = ScanUpload(label="Scans", file_count="multiple", elem_id="files", height=280)
        with gr.Column(min_width=280):
            plane = gr.Radio(
                list(PLANES), value="Best resolution", label="Plane in which volumes are cut", elem_id="plane"
            )
            look = gr.Button("Look at these files", variant="primary", elem_id="look")
            gr.Markdown(
                "Pictures, DICOM files, volumes (.nii, .nii.gz, .mgz), or a .zip of them, such as a whole study: at "
                f"most {MAX_FILES:,} files and {MAX_TOTAL_BYTES // 1024**2} MB together, those in a .zip unpacked; a "
                f"single file {page.LIMITS_OF_A_FILE}. Of a volume with more than {MAX_SLICES} slices every second, "
                f"third, ... is read. Whatever is not finished after {MAX_SECONDS} seconds is left out. One bad file "
                f"does not stop the rest.\n\n"
                f"{page.PRIVACY}",
                elem_classes="quiet",
            )
    summary = gr.Markdown(WAITING_FOR_FILES, elem_id="summary", min_height=72)
    with gr.Column(visible=False, elem_id="several-results") as results:
        with gr.Column(visible=False, elem_id="volume") as volume_panel:
            which_volume = Chooser([], label="Series or volume", filterable=False, elem_id="which-volume")
            verdict = gr.HTML(elem_id="volume-verdict", padding=False)
            with gr.Row():
                plot = gr.Image(
                    label=page.CURVE,
                    elem_id="plot",
                    min_width=280,
                    **page.PICTURE,
                )
                peak = gr.Image(
                    label="Highest tumor probability",
                    elem_id="peak",
                    height=360,
                    min_width=280,
                    **page.PICTURE,
                )
            facts = gr.HTML(container=True)
            gr.Markdown(f"{RULE} R and L are the patient's right and left.", elem_classes="quiet", elem_id="rule")
        rows_table = gr.Dataframe(
            headers=list(table.COLUMNS),
            label="Results (⋮ in a heading sorts by it)",
            elem_id="table",
            interactive=False,
            wrap=True,
            column_widths=[COLUMN_WIDTHS.get(name, 150) for name in table.COLUMNS],
            datatype=["number" if name in table.PROBABILITIES else "str" for name in table.COLUMNS],
            buttons=["fullscreen"],
            show_search="search",
        )
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
            format="png",
        )

    def show(paths: list[str], plane: str, progress=gr.Progress()) -> dict:  # noqa: B008
        """Memory holds the slices of one upload at a time."""
        rows, shown, panels, read, slices, bad, beside = [], [], {}, 0, 0, 0, Counter()
        for item in judge_scans(classifier, paths, PLANES[plane], progress):
            rows += table.rows_of_item(item)
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
            rows_table: gr.Dataframe([list(row.values()) for row in rows], headers=list(table.COLUMNS)),
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
            plot: gr.Image(panel.plot, alt_text=plot_words(volume)),
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
            rows_table: None,
            state: None,
        }

    panel_outputs = [verdict, plot, peak, facts]
    outputs = [summary, results, gallery, rows_table, csv, volume_panel, which_volume, state, *panel_outputs]
    look.click(show, [files, plane], outputs, show_progress_on=summary, **BATCH_LANE, **page.NOT_IN_THE_API)
    look.click(None, None, None, js="() => bringIntoSight('#summary')", **page.NOT_IN_THE_API)
    files.clear(clear, None, outputs, queue=False, **page.NOT_IN_THE_API)
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


def gallery_items(item: JudgedUpload, most: int) -> list[tuple[Image.Image, str]]:
    """Slices with their verdicts beneath; of many an even choice that includes the one of the highest probability."""
    slices, peak = item.upload.slices, item.volume.peak if item.volume else None
    shown = []
    for place in page.spread(len(slices), min(most, SHOWN_SLICES), peak):
        slice_, prediction = slices[place], item.predictions[place]
        name = ", ".join(filter(None, (item.upload.name, slice_.name)))
        words = verdict_words(prediction).headline if slice_.counts else "Not judged: shows too little of the brain"
        image = page.mark_sides(item, slice_.image).copy()
        image.thumbnail((320, 320))
        shown.append((image, f"{name}: {words}"))
    return shown


def panel_of(item: JudgedUpload) -> Panel:
    """What is kept of a judged series or volume for as long as its visitor looks at it."""
    upload, volume = item.upload, item.volume
    top = None if volume.peak is None else upload.slices[volume.peak]
    return Panel(
        volume,
        cautions(item),
        plot_volume(volume),
        top and page.mark_sides(item, top.image),
        top.name if top else "",
        page.facts_html(upload.facts, upload.notes),
    )
