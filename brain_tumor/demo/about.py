"""The tab "About": what the page says of a checkpoint, all of it drawn from the checkpoint's own files."""

import contextlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import gradio as gr

from brain_tumor.answers.citation import bibtex, read_citations, sentence
from brain_tumor.demo.examples import HUB_TIMEOUT
from brain_tumor.demo.gradio_patches import serve_in_place
from brain_tumor.evaluation.card import made_from
from brain_tumor.evaluation.figures_text import figures_section, shown_bounds, shown_value
from brain_tumor.evaluation.scorecard import Line, about_the_figures, scorecard
from brain_tumor.inference.checkpoint import find_file
from brain_tumor.provenance import read_results

RESULTS = "results.json"

CARD = "README.md"

PLOTS = {
    "kinds.png": "By kind of scan: how often tumors are missed or get the right type, and tumor-free slices "
    "are called so",
    "confusion_matrix.png": "Confusion matrix: the class of the test slices, and the class that the model gave them",
    "roc.png": "ROC and precision-recall curves: each class against the rest, and any tumor against none",
    "reliability.png": "Reliability diagram: how often the model is right at each confidence, before and after "
    "temperature scaling",
    "curves.png": "Accuracy and loss by epoch of training",
}
"""Plots that `train.py` leaves with a checkpoint, and what they show in words."""

USE, LIMITS = "Intended use", "Where it fails first"

SECTIONS = (LIMITS, "Data", "Training", "License")
"""Sections of a checkpoint's card that the page takes over, by their titles."""

KINDS = "By kind of scan"
"""Title of a part of a card's figures: by set, sequence and plane."""

DETAILS = "Confidences, pictures and files"
"""What the page calls all but the first paragraph of a card's section on its use."""

_EARLIER_TITLES = {"What it cannot do": LIMITS, "Data and licenses": "License", "Data and licences": "License"}
"""As cards of earlier versions have them."""

NOTHING_KNOWN = (
    "This checkpoint comes without a `results.json`, so nothing is known about how well it does. Treat what it says "
    "with particular care. `python -m brain_tumor.evaluation CHECKPOINT DATASET` measures any checkpoint."
)


@dataclass(frozen=True)
class About:
    """What is known of a checkpoint, as Markdown.

    Attributes:
        use: what it is and what it is for, from its card; empty where it has none.
        lines: how well it does, in sentences, and what holds of all of them in `caption`.
        details: what programs need to know of it; empty where its card has none.
        made_from: network, sets and licenses; empty where results do not tell.
        figures: its figures on the test part, with intervals.
        sections: further sections of its card, title -> text.
        copies: accuracy on test slices with a copy in training and on those without; empty where not measured.
        plots: file -> what it shows.
    """

    use: str = ""
    lines: Sequence[Line] = ()
    caption: str = ""
    details: str = ""
    made_from: str = ""
    figures: str = NOTHING_KNOWN
    sections: dict[str, str] = field(default_factory=dict)
    copies: str = ""
    plots: dict[Path, str] = field(default_factory=dict)


def build_about(model_id: str, bundled: Path) -> None:
    """Builds the tab.

    Args:
        model_id: a folder or a Hub id.
        bundled: folder of the bundled checkpoint, which is named as such.
    """
    known = about(model_id)
    for path in known.plots:
        serve_in_place(path)
    is_bundled = Path(model_id).resolve() == bundled
    with gr.Column(elem_id="about"):
        if known.lines:
            gr.HTML(scorecard_html(known.lines, known.caption), elem_id="scorecard", padding=False)
        else:
            gr.Markdown(f"## How well it does\n\n{known.figures}", latex_delimiters=[])
        name = checkpoint_name(model_id, bundled)
        made = f"{made_by(model_id, is_bundled)} {known.made_from}".strip()
        gr.Markdown(f"## What it is, and who made it from what\n\n{known.use}\n\nCheckpoint: {name}. {made}")
        if cited := how_to_cite(is_bundled):
            gr.Markdown(f"## How to cite\n\n{cited}")
        gr.Markdown(f"## Contact\n\n{contact(model_id, os.environ.get('SPACE_ID', ''))}")
        build_folds(known)


def build_folds(known: About) -> None:
    """Everything else that is known, each part of it to be opened."""
    folds = {LIMITS: known.sections.get(LIMITS, ""), KINDS: ""}  # first what matters most
    folds |= by_heading(known.figures) if known.lines else {}
    folds |= {"How much duplicates inflate accuracy": known.copies} | known.sections | {DETAILS: known.details}
    folds = {title: text for title, text in folds.items() if text}
    if folds or known.plots:
        gr.Markdown("## All figures, and how they came about")
    for title, text in folds.items():
        with gr.Accordion(title, open=False):
            gr.Markdown(text, latex_delimiters=[])
    if known.plots:
        with gr.Accordion("Plots", open=False):
            for path, words in known.plots.items():
                gr.Image(
                    path,
                    label=words.split(":")[0],
                    alt_text=words,
                    interactive=False,
                    buttons=["fullscreen"],
                    elem_classes="plot",
                )


def scorecard_html(lines: Sequence[Line], caption: str) -> str:
    """How well a checkpoint does, as a list: a figure, its sentence, and what it rests on."""
    items = "".join(
        f"<li><h3>{escape(line.title)}</h3>"
        + (f'<p class="figure" aria-hidden="true">{escape(line.figure)}</p>' if line.figure else "")
        + f"<p>{escape(line.sentence)}</p><p><small>{escape(line.basis)}</small></p></li>"
        for line in lines
    )
    return f"<h2>How well it does</h2><ol>{items}</ol><p><small>{escape(caption)}</small></p>"


def by_heading(figures: str) -> dict[str, str]:
    """Parts of a text by the titles of their third level; before the first one, "On the test part"."""
    start, *rest = re.split(r"^### ", figures, flags=re.MULTILINE)
    parts = (part.partition("\n") for part in rest)
    return {"On the test part": start.strip()} | {title.strip(): text.strip() for title, _, text in parts}


def made_by(model_id: str, is_bundled: bool) -> str:
    """Who trained it, as far as that is known."""
    if is_bundled:
        names = [author.get("name", "") for work in read_citations()[:1] for author in work["authors"]]
        who = " and ".join(filter(None, names))
        return f"Trained by {who[0].lower()}{who[1:]}." if who else ""
    return "" if Path(model_id).is_dir() else f"Published on the Hub by `{model_id.split('/')[0]}`."


def how_to_cite(is_bundled: bool) -> str:
    """Citation of this software, with that of the sets of the bundled checkpoint, as Markdown; empty without any."""
    works = read_citations()[: None if is_bundled else 1]
    if not works:
        return ""
    references = "\n".join(f"- {sentence(work)}" for work in works)
    entries = "\n\n".join(map(bibtex, works))
    sets = " Cite the sets that the checkpoint learned from as well; they are listed above." if is_bundled else ""
    return f"{references}\n\nFor BibTeX:{sets}\n\n```\n{entries}\n```"


def contact(model_id: str, space: str = "") -> str:
    """Where questions are asked, as Markdown.

    Args:
        model_id: a folder or a Hub id.
        space: id of the Space that the page runs on, if it does.
    """
    places = [f"[the discussions of this Space](https://huggingface.co/spaces/{space}/discussions)"] if space else []
    if not Path(model_id).is_dir():
        places.append(f"[the discussions of the checkpoint](https://huggingface.co/{model_id}/discussions)")
    where = " or ".join(places) or "the issues of the repository that this page was started from"
    return (
        f"Questions, mistakes, and slices that it gets wrong: {where}. Attach no scan that shows a patient's name, and "
        "ask a doctor, not us, about a scan of your own."
    )


def checkpoint_name(model_id: str, bundled: Path) -> str:
    """The checkpoint as a visitor may read it: a Hub id with its link, a folder without its place on this machine."""
    if not Path(model_id).is_dir():
        return f"[{model_id}](https://huggingface.co/{model_id})"
    folder = Path(model_id).resolve()
    return f"`{folder.name}/`" + (" (bundled)" if folder == bundled else "")


def about(model_id: str) -> About:
    """What the page says of a checkpoint: a folder or an id on the Hub. Never raises; what is missing is left out."""
    sections = _sections(_read_card(model_id))
    # Whoever reads the page has the demo, and needs no code.
    first, _, details = re.sub(r"```.*?```\n*", "", sections.get(USE, ""), flags=re.DOTALL).partition("\n\n")
    known = {
        "use": "\n\n".join(filter(None, (sections.get(""), first))),
        "details": details.strip(),
        "sections": {title: sections[title] for title in SECTIONS if title in sections},
    }
    try:
        results = read_results(_find(model_id, RESULTS))
        figures, copies = figures_section(results, "test"), copies_table(results["test"])
    except Exception:  # no results, or damaged ones, or of another project's checkpoint
        return About(**known)
    # The page has titles of its own above the figures.
    figures = re.sub(r"\A\s*## .*\n", "", figures)
    plots = {path: words for name, words in PLOTS.items() if (path := _find(model_id, name))}
    more = {"lines": scorecard, "caption": about_the_figures, "made_from": made_from}
    for name, told in more.items():
        with contextlib.suppress(Exception):  # results of earlier versions hold less
            known[name] = told(results)
    return About(figures=figures, copies=copies, plots=plots, **known)


def copies_table(figures: dict) -> str:
    """Markdown table of accuracy on test slices that have a copy in training, and on those that have none.

    Args:
        figures: of the test part, as `results.json` holds them.

    Returns:
        "" where they do not tell the two apart.
    """
    parts = {
        "with a copy in the training part": figures.get("with_copy_in_train"),
        "without": figures.get("without_copy_in_train"),
    }
    if not all(parts.values()):
        return ""
    rows = [
        f"| {name} | {part['slices']} | {shown_value('', part['accuracy'])} | "
        f"{shown_bounds('', part['intervals']['accuracy'])} |"
        for name, part in parts.items()
    ]
    return (
        "Public sets hold the same slice, or its neighbor, in the training and in the test part. A network that has "
        "seen a copy looks better than it is.\n\n"
        "| test slices | number | accuracy | 95 % interval |\n|---|---|---|---|\n" + "\n".join(rows)
    )


def _sections(card: str) -> dict[str, str]:
    """A card's text by the title of its section; under "" what comes before the first one, without the main title."""
    body = re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.DOTALL)
    body = re.sub(r"^# .*\n", "", body, count=1, flags=re.MULTILINE)
    start, *rest = re.split(r"^## ", body, flags=re.MULTILINE)
    sections = {"": start.strip()}
    for section in rest:
        title, _, text = section.partition("\n")
        title = _EARLIER_TITLES.get(title, title)
        sections[title.strip()] = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text).strip()
    return sections


def _find(model_id: str, name: str) -> Path | None:
    """A checkpoint's file on this machine, downloaded if need be; None where it cannot be had."""
    try:
        path = find_file(model_id, name, timeout=HUB_TIMEOUT)
    except Exception:  # no network, time-outs, no such repository: all one to a visitor
        return None
    return path and path.resolve()


def _read_card(model_id: str) -> str:
    path = _find(model_id, CARD)
    try:
        return path.read_text(encoding="utf-8") if path else ""
    except (OSError, ValueError):
        return ""
