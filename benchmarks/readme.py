"""Writes the README's table of accuracies from `benchmarks/results/accuracy/*.json`: python -m benchmarks.readme

With --check it writes nothing and fails if the README is not what the results say.
"""

import json
import re
import sys

import numpy as np

from benchmarks.accuracy import RESULTS, ROOT
from brain_tumor.card import interval

README = ROOT / "README.md"
START, END = "<!-- accuracy: written by python -m benchmarks.readme -->", "<!-- end of accuracy -->"


def table() -> str:
    """One row for each dataset, split and network; several seeds are one row with their mean and range."""
    groups: dict[tuple, list[dict]] = {}
    for path in sorted(RESULTS.glob("*.json")):
        results = json.loads(path.read_text())
        groups.setdefault((results["dataset"], results["split"], results["model_name_or_path"]), []).append(results)
    rows = [
        "| dataset, split, test slices | network | accuracy (95 % interval) | macro recall | "
        '"no tumor" recall / precision | tumour sensitivity | ECE | training |',
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
    """What copies are worth: accuracy on test slices of a published split with a copy in train, and without."""
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


def percent(values) -> str:
    return f"{100 * np.mean(list(values)):.1f} %"


def main() -> int:
    text = README.read_text()
    pattern = re.compile(re.escape(START) + ".*?" + re.escape(END), re.DOTALL)
    written = pattern.sub(lambda _: f"{START}\n{table()}\n{END}", text)
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
