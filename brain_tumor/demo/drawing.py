"""What the tab "One scan" draws and writes of a scan that is kept: its verdict, a slice with its heat map, files."""

import datetime
import io
from pathlib import Path

from PIL import Image

from brain_tumor.answers.heatmap import overlay
from brain_tumor.answers.report import file_name, html_report
from brain_tumor.answers.words import CROP_HERE, cautions, judged_words
from brain_tumor.demo import page
from brain_tumor.demo.examples import Example
from brain_tumor.demo.gradio_patches import serve_in_place
from brain_tumor.demo.kept import KeptScan
from brain_tumor.demo.retention import new_file
from brain_tumor.inference.asking import Asked
from brain_tumor.inference.judging import JudgedUpload
from brain_tumor.inference.prediction import UNFAMILIAR


def told_html(judged: JudgedUpload) -> str:
    """The verdict on an upload."""
    said = judged_words(judged)
    if judged.verdict == UNFAMILIAR and can_be_cropped(judged):
        said = said._replace(next_step=CROP_HERE)
    return page.verdict_html(judged.verdict, said, cautions(judged))


def can_be_cropped(judged: JudgedUpload) -> bool:
    """Whether an upload is one picture, shown as it is: letters for the sides would be cut out with it."""
    return len(judged.predictions) == 1 and not judged.upload.sides_known


def draw(kept: KeptScan, place: int, shown: str) -> Image.Image | None:
    """A slice with the heat map of a class over it, and the sides where they are known; None if there is no map."""
    maps = kept.judged.predictions[place].heatmaps if kept.judged.may_be_told(place) else None
    return page.mark_sides(kept.judged, overlay(kept.pictures[place], maps[shown])) if maps and shown in maps else None


def write_report(
    kept: KeptScan, place: int, shown: str | None, named: bool, version: str, asked: Asked | None = None
) -> Path:
    """The report of a scan as a file for its visitor.

    Args:
        kept: the scan.
        place: index of the slice.
        shown: class of the heat map in the report; None for no map.
        named: whether the report names the file.
        version: of the model.
        asked: what the slice was called when it was asked again; None if it was not.
    """
    image, today = page.mark_sides(kept.judged, kept.pictures[place]), datetime.date.today()
    text = html_report(
        kept.judged, place, image, version=version, date=today, shown_class=shown, named=named, asked=asked
    )
    return new_file(file_name(kept.judged, today, "html"), text)


def write_picture(kept: KeptScan, place: int, shown: str | None) -> Path:
    """A slice as a PNG for its visitor, with the heat map of a class over it if it has one.

    Args:
        kept: the scan.
        place: index of the slice.
        shown: the class; None for no map.
    """
    drawn = draw(kept, place, shown) if shown else None
    (drawn or page.mark_sides(kept.judged, kept.pictures[place])).save(picture := io.BytesIO(), "PNG")
    return new_file(file_name(kept.judged, datetime.date.today(), "png"), picture.getvalue())


def gallery_of(examples: list[Example]) -> list[tuple[Path, str]]:
    """What gr.Gallery shows of examples, served from where they are."""
    for example in examples:
        serve_in_place(example.path)
    return [(example.path, example.caption) for example in examples]
