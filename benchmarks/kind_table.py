"""Figures by kind of scan as a Markdown table, for the pages that have one."""

from collections.abc import Callable, Sequence

from brain_tumor.answers.words import tenths

FIGURES = {
    "missed": 'tumors called "no tumor"',
    "right_type": "right type",
    "specificity": 'tumor-free called "no tumor"',
}
"""Of `kinds.kind_figures` -> headings."""


def kind_table(by_kind: Sequence[dict], title: str = "set", before: Callable[[dict], dict | None] | None = None) -> str:
    """A row for each set and sequence of which something is known: share, 95 % interval, slices of how many patients.

    Args:
        by_kind: rows of `kinds.kind_figures`; those of single planes are left out.
        title: of the first column.
        before: from a row to the one of another checkpoint, whose shares stand after a slash.
    """
    rows = [f"| {title} | sequence | {' | '.join(FIGURES.values())} |", "|---|---|---|---|---|"]
    for row in by_kind:
        if row["plane"] or not any(row[name] for name in FIGURES):
            continue
        old = (before(row) if before else None) or {}
        cells = " | ".join(_cell(row[name], old.get(name)) for name in FIGURES)
        rows.append(f"| {row['set']} | {row['sequence'] or '-'} | {cells} |")
    return "\n".join(rows)


def _cell(found: dict | None, old: dict | None) -> str:
    if not found:
        return "-"
    low, high = (f"{100 * bound:.1f}" for bound in found["interval"])
    cell = f"{tenths(found['value'])} ({low} to {high}; {found['slices']} of {found['patients']})"
    return cell + (f" / {tenths(old['value'])}" if old else "")
