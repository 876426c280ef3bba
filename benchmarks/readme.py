"""Writes the README's tables from the files under `benchmarks/results/`: python -m benchmarks.readme

With --check it writes nothing and fails if the README is not what the results say.
"""

import json
import re
import sys

import numpy as np

from benchmarks.quality.accuracy import RESULTS, ROOT
from benchmarks.speed import section as speed
from brain_tumor.evaluation.figures_text import interval

README = ROOT / "README.md"

START, END = "<!-- accuracy: written by python -m benchmarks.readme -->", "<!-- end of accuracy -->"

BELIEVE_START, BELIEVE_END = "<!-- evaluation: written by python -m benchmarks.readme -->", "<!-- end of evaluation -->"

SPEED_START, SPEED_END = "<!-- speed: written by python -m benchmarks.readme -->", "<!-- end of speed -->"

SHIPPED, DEFAULT = "shipped", "default_recipe"


def recipe(name: str) -> str:
    """What a run's name says beside its network."""
    words = {
        "_curves_": ", gray curves",
        "_chosen_": ", keeping some of the start by NLL",
        "_final_": ", keeping some of the start by missed tumors",
        "_patients_": ", keeping some of the start by missed tumors, more patients",
        "_soup": ", mean of one run of each",
    }
    return next((text for part, text in words.items() if part in name), "")


def table() -> str:
    """One row for each dataset, split and network; several seeds are one row with their mean and range."""
    groups: dict[tuple, list[dict]] = {}
    for path in sorted(RESULTS.glob("*.json")):
        results = json.loads(path.read_text())
        network = results["model_name_or_path"] + recipe(path.stem)
        key = (results["dataset"], results["split"], network, results.get("tumor_dataset") or "")
        groups.setdefault(key, []).append(results)
    rows = [
        "| dataset, split, test slices | network | accuracy (95 % interval) | macro recall | "
        '"no tumor" recall / precision | tumor sensitivity | ECE | training |',
        "|---|---|---|---|---|---|---|---|",
    ]
    for (dataset, split, network, tumors), runs in sorted(
        groups.items(), key=lambda item: (item[0][0], item[0][2] == "baseline-cnn", not item[0][3])
    ):
        network += f" with {tumors} and simulated lesions" if tumors else ""
        network += f" and {runs[0]['extra_dataset']}" if runs[0].get("extra_dataset") else ""
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
    """What copies are worth: accuracy on test slices of a published split with a copy in train, and without."""
    lines = []
    for (dataset, split, network, _), runs in sorted(groups.items()):
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


def evaluation() -> str:
    """What the chosen recipe reaches on the copy-free test part, and what the bundled checkpoint does beside it."""
    runs = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("scans_copy-free_final_seed*.json"))]
    several = len(runs) > 1
    seeds = ", ".join(str(run["seed"]) for run in runs)
    rows = [
        "| figure, copy-free test part | bundled checkpoint (95 % interval) |"
        + f" mean of seeds {seeds} of its recipe |" * several,
        "|---|---|" + "---|" * several,
    ]
    shipped = json.loads((ROOT / "model/results.json").read_text())

    def row(title: str, find, shown=lambda value: percent([value])) -> None:
        value, bounds = find(shipped)
        rows.append(
            f"| {title} | {shown(value)} ({' to '.join(shown(b) for b in bounds)}) |"
            + f" {shown(np.mean([find(run)[0] for run in runs]))} |" * several
        )

    def of(section: str, name: str):
        return lambda run: (run[section][name], run[section]["intervals"][name])

    def verdict(section: str, name: str):
        return lambda run: (run[section]["decision"][name], run[section]["decision"]["intervals"][name])

    def miss(run):
        value, (low, high) = of("test", "sensitivity")(run)
        return 1 - value, (1 - high, 1 - low)

    row("accuracy", of("test", "accuracy"))
    row('tumors called "no tumor", most probable class', miss)
    row("ECE", of("test", "ece"), shown=lambda value: f"{value:.3f}")
    row('verdict: sensitivity (tumors not called "no tumor")', verdict("test", "sensitivity"))
    row("verdict: specificity (healthy slices not called a tumor)", verdict("test", "specificity"))
    row("verdict: uncertain", verdict("test", "uncertain"))
    row('Br35H tumors of groups kept out of training, called "no tumor"', of("tumor_test", "called_no_tumor"))
    row("the same by the verdict: sensitivity", verdict("tumor_test", "sensitivity"))
    return "\n".join([*rows, "", *beside(), "", *ideas()])


def beside() -> list[str]:
    """The bundled checkpoint's probes, corruptions and strangers, one line each."""

    def load(kind: str, name: str) -> dict | None:
        path = ROOT / f"benchmarks/results/{kind}/{name}_test.json"
        return json.loads(path.read_text()) if path.exists() else None

    def figure(share: dict) -> str:
        interval = share["interval"]  # None: of one scan
        between = f" ({' to '.join(f'{100 * bound:.1f}' for bound in interval)})" if interval else ""
        return f"{percent([share['share']])}{between}"

    lines = []
    if probes := load("probes", SHIPPED):
        lesions, contrast = probes["lesions"], probes["contrast"]["healthy_called_tumor"]
        sizes = ", ".join(f"{size} {percent([of['share']])}" for size, of in lesions["noticed"]["size"].items())
        lines.append(
            f"- Simulated lesions in healthy slices, noticed: {figure(lesions['noticed']['all'])}; by size: {sizes}. "
            f"False alarms on the same slices without a lesion: {figure(lesions['false_alarms']['all'])}."
        )
        turned = ", ".join(f"{how} {percent([of['share']])}" for how, of in contrast.items())
        lines.append(f"- Healthy slices called a tumor when their contrast is changed: {turned}.")
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
    """What `benchmarks/other_patients.py` found: the recipe on slices of which no part of the split has a copy."""
    folder = ROOT / "benchmarks/results/other_patients"
    if not (folder / f"{SHIPPED}.json").exists():
        return []
    own = json.loads((folder / f"{SHIPPED}.json").read_text())
    seeds = [json.loads(path.read_text()) for path in sorted(folder.glob("final_seed*.json"))]
    new, trained = own["no copy"], own["copy in train"]
    low, high = (f"{100 * bound:.1f}" for bound in new["accuracy"]["interval"])
    recall = ", ".join(f"{label} {percent([of['share']])}" for label, of in new["recall"].items())
    others = percent([seed["no copy"]["accuracy"]["share"] for seed in seeds])
    return [
        f"- Probably other patients: {new['accuracy']['pictures']} tumors of `{own['dataset']}` that have no copy in "
        f"any part of the split: accuracy {percent([new['accuracy']['share']])} ({low} to {high}; mean of the recipe's "
        f'other seeds {others}), {recall}; called "no tumor" {percent([new["called_no_tumor"]["share"]])}. Slices of '
        f"that set with a copy in train: {percent([trained['accuracy']['share']])}. So it is not the rendering: a "
        "copy-free split still has slices of the same patients in all parts."
    ]


def ideas() -> list[str]:
    """The table of `benchmarks/ideas.py`: what was tried on validation, also what did not help."""
    path = ROOT / "benchmarks/results/ideas.json"
    if not path.exists():
        return []
    tried = json.loads(path.read_text())
    lines = [
        f"Tried one at a time in short trainings ({tried['short_training']}), judged on the same "
        f"{tried['slices']} validation slices in {tried['groups']} groups:",
        "",
        "| idea | accuracy | against the base (95 % interval) | NLL | Br35H missed | false alarms "
        "| lesions noticed (AUROC) | changed contrast: false alarms | corrupted: accuracy |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in tried["ideas"]:
        against = row["against_base"]
        change = (
            "-"
            if against is None
            else f"{100 * against['difference']:+.1f} ({100 * against['interval'][0]:+.1f} to "
            f"{100 * against['interval'][1]:+.1f})"
        )
        lines.append(
            f"| {row['what']} | {percent([row['accuracy']])} | {change} | {row['nll']:.3f} "
            f"| {row['weak_missed']} of {row['weak_slices']} | {percent([row['false_alarms']])} "
            f"| {percent([row['lesions_noticed']])} ({row['lesions_auroc']:.3f}) "
            f"| {percent([row['contrast_false_alarms']])} | {percent([row['corrupted_accuracy']])} |"
        )
    return lines


def percent(values) -> str:
    return f"{100 * np.mean(list(values)):.1f} %"


def main() -> int:
    text = README.read_text()
    written = text
    for start, end, content in (
        (START, END, table()),
        (BELIEVE_START, BELIEVE_END, evaluation()),
        (SPEED_START, SPEED_END, speed.section()),
    ):
        pattern = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
        written = pattern.sub(lambda _, new=f"{start}\n{content}\n{end}": new, written)
    if "--check" in sys.argv[1:]:
        if written != text:
            print(
                "README.md does not say what benchmarks/results say. Run: python -m benchmarks.readme", file=sys.stderr
            )
        return int(written != text)
    README.write_text(written)
    return 0


if __name__ == "__main__":
    sys.exit(main())
