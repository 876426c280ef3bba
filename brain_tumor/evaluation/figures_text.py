"""Figures as Markdown, the same for a model's card, the demo's page and the evaluation command."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

from brain_tumor.answers.words import tenths
from brain_tumor.labels import DISPLAY_NAMES, LABELS, kind_name

TEMPLATE = Path(__file__).resolve().parents[2] / "model_card.md"

FIGURES_TEMPLATE = TEMPLATE.with_name("model_card_figures.md")
"""What a card and the evaluation command say of one part, the same words for both."""

METRICS = {
    "accuracy": "Accuracy",
    "macro_recall": "Macro recall",
    "sensitivity": "Tumor sensitivity",
    "specificity": '"No tumor" specificity',
    "ece": "Expected calibration error",
}

_MORE_METRICS = {
    "classwise_ece": "Class-wise calibration error",
    "brier": "Brier score (0 to 2)",
    "nll": "Negative log-likelihood (nats)",
}

_VERDICT_FIGURES = {
    "sensitivity": 'Sensitivity: tumors not called "no tumor"',
    "specificity": "Specificity: tumor-free slices not called a tumor",
    "uncertain": "Uncertain: slices without a verdict",
    "uncertain_tumors": "... of the tumors",
    "uncertain_healthy": "... of the tumor-free slices",
    "type_unclear": "Tumor, type unclear: of the tumors",
    "accuracy_decided": "Right class, where there is one in the verdict",
}

_OVER_SETS = {
    "missed": 'tumors called "no tumor"',
    "right_type": "right type",
    "specificity": 'tumor-free called "no tumor"',
    "verdict_sensitivity": "verdict, sensitivity",
    "verdict_specificity": "verdict, specificity",
    "uncertain": "verdict, uncertain",
    "ece": "calibration error",
}

_FAILS_FIRST = {
    "missed": ('tumors called "no tumor"', True),
    "specificity": ("tumor-free slices called a tumor", False),
}

_NOT_SHARES = {"ece", "classwise_ece", "brier", "nll", "auroc", "aurc"}

_SECTIONS = {
    "robustness": "When the picture is not as it should be",
    "probes": "Does it look at the tumor?",
    "familiarity": "Pictures of another kind",
}
"""Keys of results that hold rows of {"name", "value", "interval", "note"}, and the titles that they get."""


def figures_section(results: dict, part: str) -> str:
    """The figures of one part as Markdown: tables with intervals and what they mean.

    Args:
        results: the content of a `results.json`, of a run or of the evaluation command.
        part: whose figures.
    """
    own = results[part]
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.ChainableUndefined)
    return environment.from_string(FIGURES_TEMPLATE.read_text(encoding="utf-8")).render(
        results=results,
        dataset=", ".join(map(source_text, sets_tested(results, part))),
        part=part,
        own=own,
        validation=results.get("validation") if part == "test" else None,
        over_sets=over_sets_text(own.get("over_sets", {})),
        diagnoses=diagnosis_table(own.get("by_diagnosis", [])),
        metrics={name: title for name, title in (METRICS | _MORE_METRICS).items() if name in own},
        verdict_figures=_VERDICT_FIGURES,
        calibration_figures={"nll": "NLL", "brier": "Brier", "ece": "ECE", "classwise_ece": "class-wise ECE"},
        sections={key: title for key, title in _SECTIONS.items() if results.get(key)},
        tumor_share=own.get("confusion_matrix") and share_of_tumors([sum(row) for row in own["confusion_matrix"]]),
        labels=LABELS,
        names=DISPLAY_NAMES,
        cell=cell,
        percent=lambda value: shown_value("", value),
        value=shown_value,
        bounds=shown_bounds,
    )


def over_sets_text(figures: dict) -> str:
    """Means over sets in one sentence."""
    return ", ".join(
        f"{title} {shown_value(name, figures[name])}" for name, title in _OVER_SETS.items() if name in figures
    )


def sets_tested(results: Mapping, part: str) -> list[str]:
    """Names of the sets that a part's figures are of: the main set, or others where the part holds none of it."""
    return results[part].get("figures_of") or [results["dataset"]]


def split_named(results: Mapping, part: str) -> str:
    """How a part came to be, such as "patients split"; "held out" of a test part that was named."""
    return "held out" if results.get("hold_out") and part == "test" else f"{results['split']} split"


def cell(text: str) -> str:
    """Text for one cell of a table of Markdown.

    >>> print(cell("one | two"))
    one \\| two
    """
    return " ".join(text.split()).replace("|", "\\|")


def diagnosis_table(by_diagnosis: Sequence[Mapping]) -> str:
    """What becomes of tumor-free slices by diagnosis, as a table of Markdown; empty where no diagnosis is known.

    Args:
        by_diagnosis: rows of `kinds.diagnosis_figures`.
    """
    if not by_diagnosis:
        return ""
    lines = ['| set | diagnosis | called "no tumor" | called a tumor | uncertain |', "|---|---|---|---|---|"]
    for row in by_diagnosis:
        shares = [row[name] for name in ("no_tumor", "tumor", "uncertain")]
        cells = [f"too few to say: {row['slices']} of {row['patients']}", "-", "-"]
        if all(shares):
            cells = [
                f"{tenths(share['value'])} ({shown_bounds('', share['interval']) + '; ' if share['interval'] else ''}"
                f"{share['slices']} of {share['patients']})"
                for share in shares
            ]
        lines.append(f"| {cell(row['set'])} | {cell(row['diagnosis'])} | {' | '.join(cells)} |")
    return "\n".join(lines)


def fails_first(by_kind: list[dict], most: int = 3) -> list[str]:
    """Sentences about the kinds of scan with the largest shares of errors, of each error `most` at most.

    Args:
        by_kind: rows of `kinds.kind_figures`.
    """
    sentences = []
    for name, (what, as_it_is) in _FAILS_FIRST.items():
        found = [
            (row[name]["value"] if as_it_is else 1 - row[name]["value"], row)
            for row in by_kind
            if row.get(name) and not row["plane"]
        ]
        worst = [(share, row) for share, row in sorted(found, key=lambda item: -item[0]) if share > 0][:most]
        if worst:
            named = [f"{kind_name(r['set'], r['sequence'])} {tenths(share)}" for share, r in worst]
            sentences.append(f"{what[0].upper()}{what[1:]}, most in: {'; '.join(named)} (test part).")
    return sentences


def evaluation_page(results: dict, part: str) -> str:
    """`evaluation.md`: what the evaluation command found, as a page of Markdown."""
    notes = "\n".join(f"- {note}" for note in results["notes"])
    pictures = "![Plots](evaluation.png)\n\n![The worst mistakes](failures.png)"
    return (
        f"# {results['checkpoint']} on {results['dataset']}\n\n{notes}\n\n{figures_section(results, part)}\n"
        f"{pictures}\n\n```\n{results['command']}\n```\n"
    )


def shown_value(metric: str, value) -> str:
    """A figure as a reader gets it: shares in per cent, other figures with three decimals, none as a dash."""
    if value is None:
        return "-"
    if isinstance(value, str | int):
        return str(value)
    return f"{value:.{4 if metric in ('auroc', 'aurc') else 3}f}" if metric in _NOT_SHARES else tenths(value)


def shown_bounds(metric: str, bounds) -> str:
    """An interval in the unit of `shown_value`, e.g. "96.1 to 98.3"; a dash where there is none."""
    if not bounds or isinstance(bounds, str):
        return bounds or "-"
    return " to ".join(shown_value(metric, float(bound)).removesuffix(" %") for bound in bounds)


def is_hub_id(name: str) -> bool:
    """Whether a name in results (of `provenance.public_name`) is a Hub id, "owner/name"; a folder's has no owner."""
    return "/" in name


def source_text(name: str) -> str:
    """A dataset or checkpoint in a sentence: a Hub id as it is; a folder only as what it is, whatever its name.

    >>> source_text("owner/scans"), source_text("scans")
    ('`owner/scans`', 'a local folder named `scans`')
    """
    return f"`{name}`" if is_hub_id(name) else f"a local folder named `{name}`"


def interval(figures: dict, metric: str) -> str:
    """The 95 % interval in per cent, e.g. "96.1 to 98.3"; a dash where there is none."""
    return shown_bounds("", figures.get("intervals", {}).get(metric))


def share_of_tumors(counts: list[int]) -> float:
    """Of counts in the order of `LABELS`."""
    return 1 - counts[LABELS.index("no_tumor")] / max(sum(counts), 1)
