"""How the recipe does in a hospital that it has not seen: trained without whole sources, tested on them.

    python -m benchmarks.quality.left_out --data FOLDER

For each group of sources the bundled recipe trains without them and without every slice that shares a patient with
them or is a copy, and is tested on all that was left out. Trainings are of half the recipe's length unless --epochs
says otherwise. Writes `benchmarks/results/left_out/NAME.json`; what is there is not trained again, and a stopped
training goes on.
"""

import argparse
import csv
import json
from pathlib import Path

from benchmarks.kind_table import kind_table
from benchmarks.quality.checkpoints import ROOT
from benchmarks.quality.trainings import add_training_arguments, train_without, write_held_out
from brain_tumor.evaluation.figures_text import diagnosis_table, over_sets_text
from brain_tumor.provenance import read_results

RESULTS = ROOT / "benchmarks/results/left_out"

RUNS = ROOT / "runs/left_out"

SCLEROSIS = "multiple-sclerosis"

STRIPPED = f"{SCLEROSIS} (skull-stripped slices)"
"""What is left out of that set with the other stripped ones."""

SOURCES = {
    "44_classes": ["brain-tumor-44-classes"],
    "healthy_heads": ["brisc-no-tumor", "nichart-healthy"],
    "stripped": ["oasis-t1-stripped", "glioma-t1ce-stripped", "malf-t1-stripped", STRIPPED],
    "br35h_and_progression": ["br35h-tumors", "brain-tumor-progression"],
    "sclerosis": [SCLEROSIS],
}
"""Name of a training -> the sets that it does without, or `STRIPPED`."""

KEPT = ("datasets", "hold_out", "counts", "counts_by_set", "split", "split_seed", "seed", "epochs_trained", "command")


def hold_out(sets: list[str], data: Path, folder: Path) -> list[str]:
    """`train.py --hold_out` for some of `SOURCES`."""
    if STRIPPED not in sets:
        return sets
    with (data / SCLEROSIS / "metadata.csv").open(encoding="utf-8", newline="") as file:
        stripped = [row["file_name"] for row in csv.DictReader(file) if row["stripped"] == "yes"]
    path = write_held_out(SCLEROSIS, stripped, folder.with_suffix(".csv"))
    return [*(name for name in sets if name != STRIPPED), str(path)]


def section(folder: Path = RESULTS) -> str:
    """Markdown of the trainings that are done; a sentence if there are none."""
    done = [read_results(path) for name in SOURCES if (path := folder / f"{name}.json").exists()]
    return "\n\n".join(map(_of_training, done)) or "Not measured yet."


def in_short(folder: Path = RESULTS) -> str:
    """The worst and the best of the trainings that are done, in a sentence; empty if there are none."""
    means = [read_results(path)["test"]["over_sets"] for path in folder.glob("*.json")]
    told = []
    for name, title in (("missed", "tumors"), ("specificity", "tumor-free slices")):
        shares = sorted(of[name] for of in means if name in of)
        ends = dict.fromkeys(f"{100 * share:.1f}" for share in (shares[:1] + shares[-1:]))
        if ends:
            told.append(f'{title} called "no tumor" {" to ".join(ends)} %')
    where = "Trained without whole sources, and tested on them, as in a hospital that it has never seen"
    return f"{where}: {', '.join(told)}." if told else ""


def _of_training(results: dict) -> str:
    test = results["test"]
    parts = [
        f"Without {', '.join(results['left_out'])}: {results['epochs_trained']:g} epochs. Means over these sets: "
        f"{over_sets_text(test['over_sets'])}.",
        kind_table(test["by_kind"], "tested on"),
        diagnosis_table(test.get("by_diagnosis", [])),
    ]
    return "\n\n".join(filter(None, parts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_training_arguments(parser)
    parser.add_argument("--only", nargs="*", default=list(SOURCES), choices=list(SOURCES), help="these alone")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in arguments.only:
        path = RESULTS / f"{name}.json"
        if not path.exists():
            held_out = hold_out(SOURCES[name], arguments.data, RUNS / name)
            folder = train_without(held_out, RUNS / name, arguments, "--no_familiarity")
            results = read_results(folder / "results.json")
            kept = {key: results[key] for key in KEPT} | {
                "left_out": SOURCES[name],
                "test": {key: results["test"][key] for key in ("by_kind", "by_diagnosis", "over_sets")},
            }
            path.write_text(json.dumps(kept, indent=1) + "\n")
        print(f"without {', '.join(SOURCES[name])}: {over_sets_text(read_results(path)['test']['over_sets'])}")


if __name__ == "__main__":
    main()
