"""What helps: ideas tried one at a time in short trainings, compared pairwise on the same validation slices.

    python -m benchmarks.quality.accuracy --only scans_copy-free_mobilenet_seed42 --data ../shared/data --checkpoint CHECKPOINT
    python -m benchmarks.quality.ideas --data ../shared/data

Every training goes on from the first command's checkpoint, as the chosen recipe does. Trains every idea that has no run
yet under `runs/ideas/` (160 px, 2 passes, one seed: some 2 minutes each on two idle cores), judges them on the
validation parts and on simulated lesions, changed contrast and corruptions of their slices, and writes
`benchmarks/results/ideas.json`, where rows of ideas without a run here stay as they were. The test parts stay shut.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.quality.accuracy import FIRST, ROOT
from benchmarks.quality.checkpoints import Checkpoint, fair_subset, open_slices
from benchmarks.quality.probes import CONTRASTS, probe_contrast, probe_lesions
from benchmarks.quality.robustness import robustness
from brain_tumor.data.dataset import load_scans
from brain_tumor.data.split import split_scans
from brain_tumor.evaluation.metrics import expected_calibration_error
from brain_tumor.labels import NO_TUMOR
from brain_tumor.provenance import command_line

RESULTS = ROOT / "benchmarks/results/ideas.json"

RUNS = ROOT / "runs/ideas"

DATASET, TUMORS = "brain-tumour-MRI-scan", "br35h-tumors"

SHORT = ["--image_size", "160", "--num_train_epochs", "2", "--learning_rate", "2e-4", "--freeze", "3"]

SHORT += ["--validation_only"]

CORRUPTED_SLICES = 32

BASE = "base"

IDEAS = {
    BASE: ("the recipe with the weakly labeled set, three times a pass", []),
    "lesions12": ("simulated lesions beside 12 % of the healthy slices", ["--lesions", "0.12"]),
    "lesions40": ("simulated lesions beside 40 % of the healthy slices", ["--lesions", "0.4"]),
    "curves": ("random gray curves, rising and falling, in 30 % of the slices", ["--curves", "0.3"]),
    "crops": ("tight and loose crops of 50 % of the slices", ["--crops", "0.5"]),
    "mixup": ("mixup with Beta(0.2, 0.2)", ["--mixup", "0.2"]),
    "ema": ("moving average of the weights, decay 0.98", ["--ema", "0.98"]),
    "longer": ("twice as many passes", ["--num_train_epochs", "4"]),
    "start": ("the mean with the weights of the start, share chosen by validation NLL", ["--keep_start"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data", help="folder that holds both sets")
    parser.add_argument("--start", default=f"runs/benchmarks/{FIRST}", help="folder that all trainings go on from")
    parser.add_argument("--only", nargs="*", default=list(IDEAS), choices=list(IDEAS), help="try these and the base")
    arguments = parser.parse_args()
    for name in dict.fromkeys([BASE, *arguments.only]):
        if not (RUNS / name / "results.json").exists():
            train(name, arguments.data, arguments.start)
    parts = split_scans(
        load_scans(arguments.data / DATASET), "copy_free", 42, load_scans(arguments.data / TUMORS, weak=True)
    )
    judged = {name: judge(RUNS / name, parts) for name in IDEAS if (RUNS / name / "results.json").exists()}
    labels, groups = np.array(parts["validation"]["label"]), np.array(parts["validation"]["group"])
    earlier = {row["name"]: row for row in json.loads(RESULTS.read_text())["ideas"]} if RESULTS.exists() else {}
    rows = []
    for name, (what, flags) in IDEAS.items():
        if name in judged:
            figures, right = judged[name]
            against = compare(right, judged[BASE][1], groups) if name != BASE else None
            rows.append({"name": name, "what": what, "flags": " ".join(flags), **figures, "against_base": against})
        elif name in earlier:
            rows.append(earlier[name])
    result = {
        "command": command_line(),
        "slices": len(labels),
        "groups": len(np.unique(groups)),
        "short_training": " ".join(SHORT),
        "ideas": rows,
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    columns = ["accuracy", "nll", "missed", "weak_missed", "false_alarms", "lesions_noticed", "lesions_auroc"]
    columns += ["contrast_false_alarms", "corrupted_accuracy"]
    print(f"{'':10s}" + "".join(f"{column:>22s}" for column in columns) + "  against base")
    for row in rows:
        print(f"{row['name']:10s}" + "".join(f"{row[column]:22.3f}" for column in columns), row["against_base"] or "")


def train(name: str, data: Path, start: str) -> None:
    """The idea's flags come last: of a flag given twice the last one counts."""
    command = ["train.py", "--dataset_name", str(data / DATASET), "--tumor_dataset", str(data / TUMORS)]
    command += ["--model_name_or_path", start, *SHORT, *IDEAS[name][1]]
    command += ["--output_dir", f"runs/ideas/{name}", "--overwrite"]
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True)


def judge(folder: Path, parts) -> tuple[dict, np.ndarray]:
    """Figures of a checkpoint on the validation parts, and (slices,) bool which of them it named correctly."""
    checkpoint, part = Checkpoint(folder), parts["validation"]
    probabilities = checkpoint.probabilities(open_slices(part))
    weak = checkpoint.probabilities(open_slices(parts["tumor_validation"])).argmax(axis=1) == NO_TUMOR
    labels, called = np.array(part["label"]), probabilities.argmax(axis=1)
    lesions = probe_lesions(checkpoint, part)
    contrast = probe_contrast(checkpoint, part)["healthy_called_tumor"]
    corrupted = robustness(checkpoint, fair_subset(part, CORRUPTED_SLICES))
    figures = {
        "accuracy": float((called == labels).mean()),
        "nll": float(-np.log(probabilities[np.arange(len(labels)), labels].clip(1e-12)).mean()),
        "ece": expected_calibration_error(probabilities, labels),
        "missed": int(((called == NO_TUMOR) & (labels != NO_TUMOR)).sum()),
        "tumors": int((labels != NO_TUMOR).sum()),
        "weak_missed": int(weak.sum()),
        "weak_slices": len(weak),
        "false_alarms": float((called[labels == NO_TUMOR] != NO_TUMOR).mean()),
        "lesions_noticed": lesions["noticed"]["all"]["share"],
        "lesions_auroc": lesions["auroc"],
        "contrast_false_alarms": float(np.mean([contrast[how]["share"] for how in CONTRASTS])),
        "corrupted_accuracy": corrupted["mean"]["accuracy"]["share"],
        "training_seconds": json.loads((folder / "results.json").read_text())["training_seconds"],
    }
    return figures, called == labels


def compare(right: np.ndarray, base: np.ndarray, groups: np.ndarray, seed: int = 0) -> dict:
    """Difference in accuracy on the same slices, with a 95 % interval from 2,000 bootstrap samples of groups.

    Returns:
        difference, interval, and how many slices only the idea and only the base named correctly.
    """
    names, member = np.unique(groups, return_inverse=True)
    gain = np.bincount(member, right.astype(float) - base.astype(float))
    size = np.bincount(member)
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), 2000)
    low, high = np.percentile(draws @ gain / (draws @ size), (2.5, 97.5))
    return {
        "difference": float(right.mean() - base.mean()),
        "interval": [float(low), float(high)],
        "only_idea_right": int((right & ~base).sum()),
        "only_base_right": int((~right & base).sum()),
    }


if __name__ == "__main__":
    main()
