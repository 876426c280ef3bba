"""The tab "About": what the page says of a checkpoint, all of it drawn from the checkpoint's own files."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr

from brain_tumor.demo.examples import HUB_TIMEOUT
from brain_tumor.demo.gradio_patches import serve_in_place
from brain_tumor.evaluation.figures_text import figures_section, shown_bounds, shown_value
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
        figures: its figures on the test part, with intervals.
        sections: further sections of its card, title -> text.
        copies: accuracy on test slices with a copy in training and on those without; empty where not measured.
        plots: file -> what it shows.
    """

    use: str = ""
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
    with gr.Column(elem_id="about"):
        name = checkpoint_name(model_id, bundled)
        gr.Markdown(f"## What it is, and what it is for\n\n{known.use}\n\nCheckpoint: {name}")
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
            gr.Markdown(f"## How much duplicates inflate accuracy\n\n{known.copies}")
        for title, text in known.sections.items():
            if title != LIMITS:
                gr.Markdown(f"## {title}\n\n{text}")


def checkpoint_name(model_id: str, bundled: Path) -> str:
    """The checkpoint as a visitor may read it: a Hub id with its link, a folder without its place on this machine."""
    if not Path(model_id).is_dir():
        return f"[{model_id}](https://huggingface.co/{model_id})"
    folder = Path(model_id).resolve()
    return f"`{folder.name}/`" + (" (bundled)" if folder == bundled else "")


def about(model_id: str) -> About:
    """What the page says of a checkpoint: a folder or an id on the Hub. Never raises; what is missing is left out."""
    sections = _sections(_read_card(model_id))
    use = "\n\n".join(filter(None, (sections.get(""), sections.get(USE))))
    use = re.sub(r"```.*?```\n*", "", use, flags=re.DOTALL)  # whoever reads the page has the demo, and needs no code
    known = {
        "use": use,
        "sections": {title: sections[title] for title in SECTIONS if title in sections},
    }
    try:
        results = read_results(_find(model_id, RESULTS))
        figures, copies = figures_section(results, "test"), copies_table(results["test"])
    except Exception:  # no results, or damaged ones, or of another project's checkpoint
        return About(**known)
    # The page has a title of its own above the figures.
    figures = re.sub(r"\A\s*## .*\n", "", figures)
    plots = {path: words for name, words in PLOTS.items() if (path := _find(model_id, name))}
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
