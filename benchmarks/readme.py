"""Writes the tables of README.md and docs/ from the files under `benchmarks/results/`: python -m benchmarks.readme

With --check it writes nothing and fails if a page is not what the results say.
"""

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.kind_table import kind_table
from benchmarks.quality import figshare_folds, left_out, peer_files
from benchmarks.quality.accuracy import RESULTS, ROOT
from benchmarks.speed import section as speed
from brain_tumor.evaluation.figures_text import interval
from brain_tumor.labels import DISPLAY_NAMES, display_name
from brain_tumor.provenance import read_results

SHIPPED, DEFAULT = "shipped", "default_recipe"


def table() -> str:
    """One row for each dataset, split, network and version; several seeds are one row with their mean and range."""
    groups: dict[tuple, list[dict]] = {}
    for path in sorted(RESULTS.glob("*.json")):
        results = read_results(path)
        version = "" if "datasets" in results else ", before 2.0"
        key = (results["dataset"] + version, results["split"], results["model_name_or_path"])
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
    results = read_results(ROOT / "model/results.json")
    test, earlier = results["test"], _earlier()

    def row(title: str, figures: dict, name: str, shown: Callable = lambda value: percent([value])) -> None:
        low, high = figures["intervals"][name]
        before = earlier and (earlier["decision"] if figures is test["decision"] else earlier)
        rows.append(
            f"| {title} | {shown(figures[name])} ({shown(low)} to {shown(high)}) |"
            + (f" {shown(before[name])} |" if earlier else "")
        )

    rows = [
        "| figure, test part by patient, main set | bundled checkpoint (95 % interval) |"
        + (" the one before |" if earlier else ""),
        "|---|---|" + ("---|" if earlier else ""),
    ]
    row("accuracy", test, "accuracy")
    row('tumors not called "no tumor", most probable class', test, "sensitivity")
    row('tumor-free slices called "no tumor", most probable class', test, "specificity")
    row("ECE", test, "ece", shown=lambda value: f"{value:.3f}")
    for name, title in (
        ("sensitivity", 'verdict: sensitivity (tumors not called "no tumor")'),
        ("specificity", "verdict: specificity (tumor-free slices not called a tumor)"),
        ("uncertain", "verdict: uncertain"),
    ):
        row(title, test["decision"], name)
    by_patient = test["by_patient"]
    low, high = by_patient["interval"]
    rows.append(
        f"| accuracy, mean over {by_patient['patients']} patients | {percent([by_patient['accuracy']])} "
        f"({percent([low])} to {percent([high])}) |"
        + (f" {percent([earlier['by_patient']['accuracy']])} |" if earlier else "")
    )
    return "\n".join([*rows, "", by_kind(test, earlier), "", *other_figures()])


def _earlier() -> dict | None:
    """Figures of the checkpoint that was bundled before, on the same slices, where they were measured."""
    path = ROOT / "benchmarks/results/previous/results.json"
    return read_results(path)["test"] if path.exists() else None


def by_kind(test: dict, earlier: dict | None) -> str:
    """A table of the test part by kind of scan, with the earlier checkpoint's figures after a slash."""
    known = {(row["set"], row["sequence"], row["plane"]): row for row in (earlier or {}).get("by_kind", [])}

    def before(row: dict) -> dict | None:
        return known.get((row["set"].split("/")[-1], row["sequence"], "")) or known.get(
            (row["set"], row["sequence"], "")
        )

    return kind_table(test["by_kind"], before=before)


def headline() -> str:
    """A few lines for the README."""
    test = read_results(ROOT / "model/results.json")["test"]
    per_class, verdicts, sets = test["per_class"]["no_tumor"], test["decision"], test["over_sets"]
    by_patient = test["by_patient"]
    return "\n".join(
        [
            f"- Main set, patients who trained nothing: right class on {percent([test['accuracy']])} of "
            f"{test['slices']} test slices (95 % interval {interval(test, 'accuracy')}), "
            f"{percent([by_patient['accuracy']])} as a mean over {by_patient['patients']} patients; ECE "
            f"{test['ece']:.3f}. Of these patients {by_patient['known']} are known by number; of the others only which "
            "slices are copies.",
            f'- "No tumor": recall {percent([per_class["recall"]])}, precision {percent([per_class["precision"]])}.',
            f'- Means over all sets, each counting once: {percent([sets["missed"]])} of the tumors called "no tumor", '
            f"right type {percent([sets['right_type']])}, {percent([sets['specificity']])} of the tumor-free slices "
            f'called "no tumor".',
            f"- Its verdicts, means over sets: sensitivity {percent([sets['verdict_sensitivity']])}, specificity "
            f"{percent([sets['verdict_specificity']])}, uncertain {percent([sets['uncertain']])}; on the main set "
            f"{percent([verdicts['sensitivity']])}, {percent([verdicts['specificity']])} and "
            f"{percent([verdicts['uncertain']])}.",
            *([f"- {unseen}"] if (unseen := left_out.in_short()) else []),
        ]
    )


def other_figures() -> list[str]:
    """The bundled checkpoint with other contrasts, corruptions, patients and pictures of other kinds."""

    def load(kind: str, name: str) -> dict | None:
        path = ROOT / f"benchmarks/results/{kind}/{name}_test.json"
        return read_results(path) if path.exists() else None

    lines = []
    boxes = ROOT / f"benchmarks/results/tumor_boxes/{SHIPPED}.json"
    if boxes.exists():
        found = read_results(boxes)
        lines.append(
            f"- Does it look at the tumor? On {found['peak_in_box']['pictures']} test slices of figshare with a box "
            f"around the tumor, the map's peak lies in the box, with one cell of tolerance, in "
            f"{figure(found['peak_in_box'])}; the middle of the head would in {figure(found['middle_in_box'])}. In the "
            f"box lies {figure(found['positive_map_in_box'])} of the positive map; the box is "
            f"{figure(found['box_share_of_head'])} of the head."
        )
        lines.append(
            "- With the box filled with its surroundings, the mean probability of a tumor is "
            f"{figure(found['probability_after'])} instead of {figure(found['probability_before'])}, and "
            f"{figure(found['tumor_after_of_those_before'])} of the tumors are still called one: there it was not "
            "the tumor alone that the model went by."
        )
    lines += asked_again()
    if probes := load("probes", SHIPPED):
        masks = {name: figure(of["accuracy"]) for name, of in probes["masks"].items()}
        lines.append(
            f"- With all of the brain black, so that skull and scalp are left, it is right on "
            f"{masks['outside of 0.9, black']} of {probes['masks']['intact']['accuracy']['pictures']} slices, a "
            f"quarter of each class (chance 25 %); intact, on {masks['intact']}."
        )
        changed = ", ".join(
            f"{how} {percent([of['share']])}" for how, of in probes["contrast"]["healthy_called_tumor"].items()
        )
        lines.append(f"- Healthy slices called a tumor when their contrast is changed: {changed}.")
    if own := load("robustness", SHIPPED):
        share, name, strength = min(
            (share, name, strength)
            for name, of in own["corruptions"].items()
            for strength, share in enumerate(of["accuracy"], 1)
        )
        line = (
            f"- Ten corruptions in five strengths: {points_lost(own)}; the least is {percent([share])}, with "
            f"{name.replace('_', ' ')} of strength {strength}"
        )
        if default := load("robustness", DEFAULT):
            line += f". The libraries' default recipe on the same slices: {points_lost(default)}"
        lines += [line + ".", "", "![Accuracy by corruption](../benchmarks/results/robustness/shipped_test.png)"]
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


def points_lost(robustness: dict) -> str:
    """What corruptions cost, in words."""
    low, high = (f"{bound:.1f}" for bound in robustness["points_lost"]["interval"])
    return (
        f"{robustness['points_lost']['points']:.1f} points of accuracy lost ({low} to {high}), "
        f"{figure(robustness['mean']['accuracy'])} instead of {figure(robustness['clean']['accuracy'])} on "
        f"{sum(robustness['slices'].values())} slices"
    )


def asked_again() -> list[str]:
    """What the demo's sentence on the marked region is worth."""
    path = ROOT / "benchmarks/results/asked_again.json"
    if not path.exists():
        return []
    found = read_results(path)
    test, validation = found["test"], found["validation"]

    def row(title: str, of: dict) -> str:
        cells = [f"{figure(one)}; {one['pictures']} of {one['groups']}" for one in (of["wrong"], of["right"])]
        return f"| {title} | {' | '.join(cells)} |"

    def overlap(of: dict) -> bool:
        wrong, right = (of[side]["interval"] for side in ("wrong", "right"))
        return not (wrong and right) or wrong[0] <= right[1]

    low, high = (f"{100 * bound:.0f}" for bound in test["difference"]["interval"])
    odds = 100 * np.exp(-found["least_fall"])
    more = f"{100 * test['difference']['difference']:.0f} points ({low} to {high}) more often"
    names = {name: f"test, called {display_name(name).lower()}" for name in DISPLAY_NAMES}
    names |= {"at least 0.9": "test, by 90 % or more", "less than 0.9": "test, by less"}
    names = {name: title for name, title in names.items() if name in test["within"]}
    unclear = [title.removeprefix("test, ") for name, title in names.items() if overlap(test["within"][name])]
    return [
        '- "Ask it again" covers the hottest part of the map. The answer is said to rest on it if the odds of the '
        f"named tumor then fall to {odds:.0f} % or less of what they were, a limit chosen on validation slices. "
        f'Otherwise the demo says "distrust it": on test slices {more} of wrong verdicts of a tumor than of right '
        f"ones. Asked were all wrong verdicts, and {found['most']} right ones drawn from "
        f"{validation['verdicts']['right']} on validation and {test['verdicts']['right']} on test.",
        "",
        '| slices called a tumor | "distrust it": wrong verdicts (interval; slices of patients) | right verdicts |',
        "|---|---|---|",
        row("validation, all", validation["distrusted"]),
        row("**test, all**", test["distrusted"]),
        *(row(title, test["within"][name]) for name, title in names.items()),
        "",
        *([f"- It tells little where these intervals overlap: {'; '.join(unclear)}.", ""] if unclear else []),
        "| asked again, test | mean tumor probability, wrong verdicts | right verdicts |",
        "|---|---|---|",
        *(
            f"| {name} | {percent([of['wrong']])} | {percent([of['right']])} |"
            for name, of in test["mean_tumor_probability"].items()
        ),
        "",
    ]


def figure(share: dict) -> str:
    """A share with its interval, as `checkpoints.share` makes it."""
    if share["share"] is None:
        return "-"
    interval = share["interval"]  # None: of one scan
    between = f" ({' to '.join(f'{100 * bound:.1f}' for bound in interval)})" if interval else ""
    return f"{percent([share['share']])}{between}"


def percent(values) -> str:
    return f"{100 * np.mean(list(values)):.1f} %"


PAGES = {
    "README.md": {"headline": headline},
    "docs/results.md": {
        "accuracy": table,
        "bundled": bundled_checkpoint,
        "folds": figshare_folds.section,
        "left out": left_out.section,
    },
    "docs/speed.md": {"speed": speed.section},
    "docs/files.md": {"peers": peer_files.table},
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if something would be written")
    check, stale = parser.parse_args().check, []
    for page, sections in PAGES.items():
        path = Path(ROOT, page)
        text = path.read_text(encoding="utf-8")
        written = fill(text, sections)
        if written != text:
            stale.append(page)
            if not check:
                path.write_text(written, encoding="utf-8")
    if not check or not stale:
        return 0
    print(f"{' and '.join(stale)}: not what benchmarks/results say. Run: python -m benchmarks.readme", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
