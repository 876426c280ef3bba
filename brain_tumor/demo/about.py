"""About the model: what the demo's page says of a checkpoint, all of it drawn from the checkpoint's own files."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from brain_tumor.demo import examples
from brain_tumor.evaluation.figures_text import figures_section, shown_bounds, shown_value

RESULTS = "results.json"

CARD = "README.md"

PLOTS = {
    "confusion_matrix.png": "Confusion matrix: which class the slices of the test part got, and which they have",
    "reliability.png": "Reliability diagram: how often the model is right, by how confident it is, before and after "
    "temperature scaling",
    "curves.png": "Accuracy and loss by epoch of training",
}
"""Plots that `train.py` leaves with a checkpoint, and what they show in words."""

LIMITS = "What it cannot do"

SECTIONS = (LIMITS, "Training", "Data and licenses")
"""Sections of a checkpoint's card that the page takes over, by their titles."""

ACCURACY = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "accuracy"

NOTHING_KNOWN = (
    "This checkpoint comes without a `results.json`, so there is nothing to report on how well it does. Treat what it "
    "says with particular care. `python -m brain_tumor.evaluation CHECKPOINT DATASET` measures any checkpoint."
)


@dataclass(frozen=True)
class About:
    """What is known of a checkpoint, as Markdown.

    Attributes:
        use: what it is and what it is for, from its card; empty where it has none.
        figures: its figures on the test part, with intervals.
        sections: further sections of its card, title -> text.
        copies: what copies between training and test part are worth, measured with this code; empty where not known.
        plots: file -> what it shows.
    """

    use: str = ""
    figures: str = NOTHING_KNOWN
    sections: dict[str, str] = field(default_factory=dict)
    copies: str = ""
    plots: dict[Path, str] = field(default_factory=dict)


def about(model_id: str) -> About:
    """What the page says of a checkpoint: a folder or an id on the Hub. Never raises; what is missing is left out."""
    card = _text(model_id, CARD)
    sections = _sections(card)
    known = {
        "use": sections.get("", ""),
        "sections": {title: sections[title] for title in SECTIONS if title in sections},
        "copies": copies_table(ACCURACY),
    }
    try:
        figures = figures_section(json.loads(_text(model_id, RESULTS)), "test")
    except Exception:  # no results, or damaged ones, or of another project's checkpoint
        return About(**known)
    # The page has a title of its own above the figures.
    figures = re.sub(r"\A\s*## .*\n", "", figures)
    plots = {path: words for name, words in PLOTS.items() if (path := _file(model_id, name))}
    return About(figures=figures, plots=plots, **known)


def copies_table(folder: Path) -> str:
    """Markdown table of accuracy on published test slices that have a copy in training and on those that have none.

    Args:
        folder: of `results.json` files, as `python -m benchmarks.quality.accuracy` writes them.

    Returns:
        "" where no result tells the two apart.
    """
    rows = []
    for path in sorted(folder.glob("*.json")):
        results = json.loads(path.read_text(encoding="utf-8"))
        test = results["test"]
        copied, alone = test.get("with_copy_in_train"), test.get("without_copy_in_train")
        if copied and alone:
            cells = [
                f"{part['slices']}: {shown_value('', part['accuracy'])} "
                f"({shown_bounds('', part['intervals']['accuracy'])})"
                for part in (copied, alone)
            ]
            name = f"{results['dataset']}, {results['model_name_or_path']}, seed {results['seed']}"
            rows.append(f"| {name} | {' | '.join(cells)} |")
    if not rows:
        return ""
    head = "| set, network | test slices with a copy in training: accuracy (95 % interval) | without |\n|---|---|---|\n"
    return head + "\n".join(rows)


def _sections(card: str) -> dict[str, str]:
    """A card's text by the title of its section; under "" what comes before the first one, without the main title."""
    body = re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.DOTALL)
    body = re.sub(r"^# .*\n", "", body, count=1, flags=re.MULTILINE)
    start, *rest = re.split(r"^## ", body, flags=re.MULTILINE)
    sections = {"": start.strip()}
    for section in rest:
        title, _, text = section.partition("\n")
        sections[title.strip()] = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text).strip()
    return sections


def _file(model_id: str, name: str) -> Path | None:
    """A checkpoint's file on this machine, fetched from the Hub if need be; None where there is none."""
    if Path(model_id).is_dir():
        return path if (path := Path(model_id).resolve() / name).is_file() else None
    try:
        return examples._fetch(model_id, [name])[0]
    except Exception:  # no network, time-outs, no such file: all one to a visitor
        return None


def _text(model_id: str, name: str) -> str:
    path = _file(model_id, name)
    try:
        return path.read_text(encoding="utf-8") if path else ""
    except (OSError, ValueError):
        return ""
