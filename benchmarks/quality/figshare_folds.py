"""The public benchmark: the five folds of Cheng's 3,064 slices, by patient.

    python -m benchmarks.quality.figshare_folds --data FOLDER

For each fold the bundled recipe trains on the other four and the other sets, without any slice of the fold's patients
(other examinations of the same number among them) and without their copies in any set. What it says of the fold's
slices is kept in `benchmarks/results/figshare_folds/foldN.json`, so that a stopped benchmark goes on with the next
fold; the pooled figures are in `pooled.json` there. Trainings are of half the recipe's length unless --epochs says
otherwise. Pictures of patients most of whose slices are wrong go to `runs/figshare_folds/`.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from sklearn.metrics import f1_score, recall_score

from benchmarks.quality.checkpoints import ROOT, Checkpoint
from benchmarks.quality.trainings import add_training_arguments, train_without, write_held_out
from brain_tumor.data.patients import person
from brain_tumor.data.sheets import Tile, write_sheet
from brain_tumor.evaluation.figures_text import shown_value
from brain_tumor.evaluation.intervals import group_draws, percentile_interval, sums_by_group
from brain_tumor.evaluation.metrics import expected_calibration_error
from brain_tumor.labels import LABELS
from brain_tumor.provenance import command_line, read_results, versions
from brain_tumor.reading.pictures import open_scan

RESULTS = ROOT / "benchmarks/results/figshare_folds"

RUNS = ROOT / "runs/figshare_folds"

FIGSHARE = "figshare"

FIGURES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "ece": "ECE",
    "brier": "Brier score (0 to 2)",
}
"""Names in `pooled.json` and their titles."""

SAMPLES = 1000
"""Bootstrap samples over patients."""

TILES = 48


def read_rows(data: Path) -> list[dict[str, str]]:
    """The lines of figshare/metadata.csv."""
    with (data / FIGSHARE / "metadata.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def train_fold(fold: str, rows: list[dict[str, str]], arguments: argparse.Namespace) -> Path:
    """Train without the patients of a fold."""
    own = [row["file_name"] for row in rows if row["fold"] == fold]
    held_out = write_held_out(FIGSHARE, own, RUNS / f"fold{fold}.csv")
    return train_without([str(held_out)], RUNS / f"fold{fold}", arguments, "--validation_only")


def predict_fold(fold: str, rows: list[dict[str, str]], data: Path, checkpoint: Path) -> list[dict]:
    """What a checkpoint says of the fold's slices: {"file", "patient", "label", "probabilities"} each."""
    own = [row for row in rows if row["fold"] == fold]
    found = Checkpoint(checkpoint).probabilities(open_scan(data / FIGSHARE / row["file_name"]) for row in own)
    return [
        {
            "file": row["file_name"],
            "patient": person(row["patient_id"]),
            "label": row["file_name"].split("/")[0],
            "probabilities": [round(float(p), 6) for p in probabilities],
        }
        for row, probabilities in zip(own, found, strict=True)
    ]


def figures(probabilities: np.ndarray, labels: np.ndarray, patients: np.ndarray) -> dict:
    """Pooled figures of slices, each with its 95 % interval over patients.

    Args:
        probabilities: (n, 4); a slice that is called "no tumor" is wrong.
        labels: (n,) class indices, of the three tumors.
        patients: (n,) str.
    """
    called, present = probabilities.argmax(axis=1), np.unique(labels)
    draws, member = group_draws(np.unique(patients, return_inverse=True)[1], samples=SAMPLES)
    error = ((probabilities - np.eye(len(LABELS))[labels]) ** 2).sum(axis=1)

    def measure(rows: np.ndarray) -> dict[str, float]:
        own, was = labels[rows], called[rows]
        return {
            "accuracy": float((own == was).mean()),
            "balanced_accuracy": float(recall_score(own, was, labels=np.unique(own), average="macro", zero_division=0)),
            "macro_f1": float(f1_score(own, was, labels=present, average="macro", zero_division=0)),
            "ece": float(expected_calibration_error(probabilities[rows], own)),
            "brier": float(error[rows].mean()),
        }

    by_patient = [np.flatnonzero(member == number) for number in range(draws.shape[1])]
    sampled = [
        measure(np.concatenate([np.tile(rows, times) for rows, times in zip(by_patient, draw, strict=True) if times]))
        for draw in draws
    ]
    whole = measure(np.arange(len(labels)))
    share = sums_by_group((called == labels)[:, None].astype(float), member, draws.shape[1])[:, 0]
    share /= np.bincount(member)
    return {
        "slices": len(labels),
        "patients": int(draws.shape[1]),
        **whole,
        "intervals": {name: percentile_interval(np.array([row[name] for row in sampled])) for name in whole},
        "accuracy_over_patients": float(share.mean()),
        "called_no_tumor": float((called == LABELS.index("no_tumor")).mean()),
    }


def mostly_wrong(rows: list[dict]) -> list[str]:
    """Patients most of whose slices are wrong, those with most slices first."""
    wrong, every = {}, {}
    for row in rows:
        every[row["patient"]] = every.get(row["patient"], 0) + 1
        called = LABELS[int(np.argmax(row["probabilities"]))]
        wrong[row["patient"]] = wrong.get(row["patient"], 0) + (called != row["label"])
    return sorted((p for p in every if 2 * wrong[p] > every[p]), key=lambda p: (-every[p], p))


def section(folder: Path = RESULTS) -> str:
    """Markdown of the pooled figures; a sentence if there are none."""
    path = folder / "pooled.json"
    if not path.exists():
        return "Not measured yet."
    found = read_results(path)
    total = sum(found["slices_of_folds"].values())
    folds = f"all {len(found['folds'])} folds" if found["slices"] == total else f"folds {', '.join(found['folds'])}"
    rows = [
        f"Pooled over {folds}, {found['slices']} slices of {found['patients']} patients; trainings of "
        f"{found['epochs']:g} epochs.",
        "",
        "| figure | out of fold (95 % interval over patients) |",
        "|---|---|",
    ]
    for name, title in FIGURES.items():
        low, high = (shown_value(name, bound) for bound in found["intervals"][name])
        rows.append(f"| {title} | {shown_value(name, found[name])} ({low} to {high}) |")
    rows += [
        f"| accuracy, mean over patients | {shown_value('', found['accuracy_over_patients'])} |",
        f'| called "no tumor" | {shown_value("", found["called_no_tumor"])} |',
        f"| patients most of whose slices are wrong | {len(found['mostly_wrong'])} |",
    ]
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_training_arguments(parser)
    parser.add_argument("--only", nargs="*", help="these folds alone")
    arguments = parser.parse_args()
    rows = read_rows(arguments.data)
    RESULTS.mkdir(parents=True, exist_ok=True)
    RUNS.mkdir(parents=True, exist_ok=True)
    folds = sorted({row["fold"] for row in rows})
    for fold in arguments.only or folds:
        path = RESULTS / f"fold{fold}.json"
        if not path.exists():
            folder = train_fold(fold, rows, arguments)
            predicted = predict_fold(fold, rows, arguments.data, folder)
            path.write_text(json.dumps({"epochs": arguments.epochs, "slices": predicted}, indent=0) + "\n")
    done = [fold for fold in folds if (RESULTS / f"fold{fold}.json").exists()]
    pooled = [row for fold in done for row in json.loads((RESULTS / f"fold{fold}.json").read_text())["slices"]]
    if not pooled:
        return
    result = {
        "folds": done,
        "epochs": arguments.epochs,
        "slices_of_folds": {fold: sum(row["fold"] == fold for row in rows) for fold in folds},
        **figures(
            np.array([row["probabilities"] for row in pooled]),
            np.array([LABELS.index(row["label"]) for row in pooled]),
            np.array([row["patient"] for row in pooled]),
        ),
        "mostly_wrong": mostly_wrong(pooled),
        "command": command_line(),
        "versions": versions(),
    }
    (RESULTS / "pooled.json").write_text(json.dumps(result, indent=1) + "\n")
    tiles = [
        Tile((open_scan(arguments.data / FIGSHARE / row["file"]),), (row["patient"], row["label"]))
        for row in pooled
        if row["patient"] in result["mostly_wrong"]
    ]
    write_sheet(
        tiles[:TILES], f"{len(result['mostly_wrong'])} patients most of whose slices are wrong", RUNS / "wrong.png"
    )
    for name, bounds in result["intervals"].items():
        print(f"{name:<18} {result[name]:.4f} ({bounds[0]:.4f} to {bounds[1]:.4f})")
    print(f"{len(done)} folds, {result['slices']} slices of {result['patients']} patients")


if __name__ == "__main__":
    main()
