"""Writes the tables of README.md and docs/ from the files under `benchmarks/results/`: python -m benchmarks.readme

With --check it writes nothing and fails if a page is not what the results say.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.quality.accuracy import RESULTS, ROOT
from benchmarks.speed import section as speed
from brain_tumor.evaluation.figures_text import interval
from brain_tumor.provenance import read_results

SHIPPED, DEFAULT = "shipped", "default_recipe"


def table() -> str:
    """One row for each dataset, split and network; several seeds are one row with their mean and range."""
    groups: dict[tuple, list[dict]] = {}
    for path in sorted(RESULTS.glob("*.json")):
        results = read_results(path)
        key = (results["dataset"], results["split"], results["model_name_or_path"])
        groups.setdefault(key, []).append(results)
    rows = [
        "| dataset, split, test slices | network | accuracy (95 % interval) | macro recall | "
        '"no tumor" recall / precision | tumor sensitivity | ECE | training |',
        "|---|---|---|---|---|---|---|---|",
    ]
    for (dataset, split, network), runs in sorted(
        groups.items(), key=lambda item: (item[0][0], item[0][2] == "baseline-cnn")
    ):
        tests = [run["test"] for run in runs]
        seeds = (
            f"mean of seeds {', '.join(str(run['seed']) for run in runs)}"
            if len(runs) > 1
            else f"seed {runs[0]['seed']}"
        )
        if len(runs) > 1:
            spread = "each: " + ", ".join(percent([test["accuracy"]]) for test in tests)
        else:
            spread = interval(tests[0], "accuracy")
        healthy = [test["per_class"]["no_tumor"] for test in tests]
        minutes = np.mean([run["training_seconds"] for run in runs]) / 60
        rows.append(
            f"| {dataset}, {split.replace('_', '-')}, {tests[0]['slices']} | {network}, {seeds} "
            f"| **{percent(test['accuracy'] for test in tests)}** ({spread}) "
            f"| {percent(test['macro_recall'] for test in tests)} "
            f"| {percent(h['recall'] for h in healthy)} / {percent(h['precision'] for h in healthy)} "
            f"| {percent(test['sensitivity'] for test in tests)} "
            f"| {np.mean([test['ece'] for test in tests]):.3f} | {minutes:.0f} min |"
        )
    rows += ["", *copies(groups)]
    return "\n".join(rows)


def copies(groups: dict) -> list[str]:
    """How much duplicates inflate accuracy: test slices of a published split with a copy in train, and without."""
    lines = []
    for (dataset, split, network), runs in sorted(groups.items()):
        parts = [(run["test"].get("with_copy_in_train"), run["test"].get("without_copy_in_train")) for run in runs]
        if all(both and neither for both, neither in parts):
            copied, alone = ([part[i] for part in parts] for i in (0, 1))
            total = runs[0]["test"]["slices"]
            lines.append(
                f"- {dataset}, {split} split, {network}: {copied[0]['slices']} of {total} test slices "
                f"have a copy in train; accuracy {percent(c['accuracy'] for c in copied)} on these, "
                f"{percent(a['accuracy'] for a in alone)} on the other {alone[0]['slices']}."
            )
    return lines


def bundled_checkpoint() -> str:
    """The bundled checkpoint on its test part, with intervals."""
    rows = ["| figure, copy-free test part | bundled checkpoint (95 % interval) |", "|---|---|"]
    results = read_results(ROOT / "model/results.json")

    def row(title: str, value: float, bounds: list[float], shown: Callable = lambda value: percent([value])) -> None:
        rows.append(f"| {title} | {shown(value)} ({' to '.join(shown(bound) for bound in bounds)}) |")

    test, weak = results["test"], results["tumor_test"]
    low, high = test["intervals"]["sensitivity"]
    verdicts, weak_verdicts = test["decision"], weak["decision"]
    row("accuracy", test["accuracy"], test["intervals"]["accuracy"])
    row('tumors called "no tumor", most probable class', 1 - test["sensitivity"], [1 - high, 1 - low])
    row("ECE", test["ece"], test["intervals"]["ece"], shown=lambda value: f"{value:.3f}")
    for name, title in (
        ("sensitivity", 'verdict: sensitivity (tumors not called "no tumor")'),
        ("specificity", "verdict: specificity (healthy slices not called a tumor)"),
        ("uncertain", "verdict: uncertain"),
    ):
        row(title, verdicts[name], verdicts["intervals"][name])
    row(
        'Br35H tumors of groups kept out of training, called "no tumor"',
        weak["called_no_tumor"],
        weak["intervals"]["called_no_tumor"],
    )
    row("the same by the verdict: sensitivity", weak_verdicts["sensitivity"], weak_verdicts["intervals"]["sensitivity"])
    return "\n".join([*rows, "", *other_figures()])


def headline() -> str:
    """Three lines for the README."""
    test = read_results(ROOT / "model/results.json")["test"]
    per_class, verdicts = test["per_class"]["no_tumor"], test["decision"]
    return "\n".join(
        [
            f"- Right class on {percent([test['accuracy']])} of {test['slices']} test slices (95 % interval "
            f"{interval(test, 'accuracy')}), ECE {test['ece']:.3f}.",
            f'- "No tumor": recall {percent([per_class["recall"]])}, precision {percent([per_class["precision"]])}.',
            f"- Its verdicts: sensitivity {percent([verdicts['sensitivity']])}, specificity "
            f"{percent([verdicts['specificity']])}, uncertain {percent([verdicts['uncertain']])}.",
        ]
    )


def other_figures() -> list[str]:
    """The bundled checkpoint with other contrasts, corruptions, patients and pictures of other kinds."""

    def load(kind: str, name: str) -> dict | None:
        path = ROOT / f"benchmarks/results/{kind}/{name}_test.json"
        return read_results(path) if path.exists() else None

    def figure(share: dict) -> str:
        interval = share["interval"]  # None: of one scan
        between = f" ({' to '.join(f'{100 * bound:.1f}' for bound in interval)})" if interval else ""
        return f"{percent([share['share']])}{between}"

    lines = []
    if probes := load("probes", SHIPPED):
        changed = ", ".join(
            f"{how} {percent([of['share']])}" for how, of in probes["contrast"]["healthy_called_tumor"].items()
        )
        lines.append(f"- Healthy slices called a tumor when their contrast is changed: {changed}.")
    if own := load("robustness", SHIPPED):
        line = f"- Ten corruptions in five strengths: {own['points_lost']['points']:.1f} points of accuracy lost"
        if default := load("robustness", DEFAULT):
            line += (
                f" ({figure(own['mean']['accuracy'])}, clean {percent([own['clean']['accuracy']['share']])}); the "
                f"libraries' default recipe on the same slices: {default['points_lost']['points']:.1f} points "
                f"({figure(default['mean']['accuracy'])}, clean {percent([default['clean']['accuracy']['share']])})"
            )
        lines.append(line + ".")
    lines += other_patients()
    if familiarity := load("familiarity", SHIPPED):
        lines += ["", "| pictures | number, groups | flagged as no brain MRI |", "|---|---|---|"]
        lines += [
            f"| {row['what']}{', should pass' if row['slices_of_a_head'] else ''} | {row['pictures']}, {row['groups']} "
            f"| {figure(row)} |"
            for row in familiarity["rows"]
        ]
        lines += [""] + [
            f"- Verdicts on slices of a {row['what']}: "
            + ", ".join(f"{count} {verdict.replace('_', ' ')}" for verdict, count in row["verdicts"].items())
            + "."
            for row in familiarity["rows"]
            if row.get("verdicts")
        ]
    return lines


def other_patients() -> list[str]:
    """The bundled checkpoint on slices that have no copy in any part of the split."""
    folder = ROOT / "benchmarks/results/other_patients"
    if not (folder / f"{SHIPPED}.json").exists():
        return []
    own = read_results(folder / f"{SHIPPED}.json")
    new, trained = own["no copy"], own["copy in train"]
    low, high = (f"{100 * bound:.1f}" for bound in new["accuracy"]["interval"])
    recall = ", ".join(f"{label} {percent([of['share']])}" for label, of in new["recall"].items())
    return [
        f"- Slices that are probably of other patients: {new['accuracy']['pictures']} tumors of `{own['dataset']}` "
        f"that have no copy in any part of the split: accuracy {percent([new['accuracy']['share']])} ({low} to "
        f'{high}), {recall}; called "no tumor" {percent([new["called_no_tumor"]["share"]])}. Slices of '
        f"that set with a copy in train: {percent([trained['accuracy']['share']])}. So the drop does not come "
        "from the rendering: a copy-free split still has slices of the same patients in all parts."
    ]


def percent(values) -> str:
    return f"{100 * np.mean(list(values)):.1f} %"


PAGES = {
    "README.md": {"headline": headline},
    "docs/results.md": {"accuracy": table, "bundled": bundled_checkpoint},
    "docs/speed.md": {"speed": speed.section},
}
"""Page -> sections between a pair of comments, and what writes them."""


def fill(text: str, sections: dict[str, Callable[[], str]]) -> str:
    """A page with its sections written anew."""
    for name, write in sections.items():
        start, end = f"<!-- {name}: written by python -m benchmarks.readme -->", f"<!-- end of {name} -->"
        pattern = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"There is no section {name!r} between its two comments.")
        section = f"{start}\n{write()}\n{end}"
        text = pattern.sub(section.replace("\\", "\\\\"), text)
    return text


def main() -> int:
    stale = []
    for page, sections in PAGES.items():
        path = Path(ROOT, page)
        text = path.read_text(encoding="utf-8")
        written = fill(text, sections)
        if written != text:
            stale.append(page)
            if "--check" not in sys.argv[1:]:
                path.write_text(written, encoding="utf-8")
    if "--check" not in sys.argv[1:] or not stale:
        return 0
    print(f"{' and '.join(stale)}: not what benchmarks/results say. Run: python -m benchmarks.readme", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
