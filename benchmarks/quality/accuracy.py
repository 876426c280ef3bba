"""Accuracy of the default recipe and of the baseline network, on both sets.

    python -m benchmarks.quality.accuracy --data ../shared/data --checkpoint ../shared/checkpoints/mobilenet_v2_1.0_224

Trains every run that has no result yet with `train.py` (minutes to an hour each, without a GPU), keeps the trained
folders under `runs/benchmarks/`, and copies each run's results.json to `benchmarks/results/accuracy/NAME.json`.
With --bundle it also puts the checkpoint that wins on validation, of the chosen recipe's runs and their mean, with its
card, results and plots, into `model/`, without any picture of the data.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from brain_tumor.evaluation.thresholds import recall_first
from brain_tumor.labels import NO_TUMOR, TUMOR_TYPES

ROOT = Path(__file__).parents[2]

RESULTS = ROOT / "benchmarks/results/accuracy"

BUNDLED_FILES = (
    "config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "familiarity.safetensors",
    "results.json",
    "onnx/*",
    "README.md",
    "*.png",
)

# name -> dataset's folder, flags of train.py. Nothing here was chosen by looking at a test part.
LABELED = ["--split", "published", "--num_train_epochs", "16"]  # a third of the slices, so some more passes

FIRST = "scans_copy-free_mobilenet_seed42"

# Recipes that go on from the first run with the weakly labeled set and a lower learning rate. What is shipped is the
# run, or mean of runs, that wins on validation (see `winner`).
GOING_ON = ["--learning_rate", "2e-4", "--lesions", "0.12", "--model_name_or_path", f"runs/benchmarks/{FIRST}"]

CURVES = [*GOING_ON, "--num_train_epochs", "5", "--curves", "0.2", "--no_familiarity"]

CHOSEN = [*GOING_ON, "--num_train_epochs", "3", "--freeze", "3", "--ema", "0.98", "--keep_start", "--no_familiarity"]

# The result of CURVES that is here was made when a simulated lesion still took the place of its healthy slice, and with
# the familiarity fit: a new run comes near it and is not the same.
SOUP = "scans_copy-free_soup"

# More lesions, more passes, and the share of the start by missed tumors first (of CHOSEN's it was by NLL alone).
FINAL = [*GOING_ON, "--lesions", "0.25", "--num_train_epochs", "5", "--freeze", "3", "--ema", "0.98", "--keep_start"]

FINAL += ["--no_familiarity"]

TUMORS = "br35h-tumors"

EXTRA = "labeled-mri-brain-tumor"
"""Trains too in the runs named "patients", for the patients that the main set lacks."""

RUNS = {
    FIRST: ("brain-tumour-MRI-scan", []),
    "scans_copy-free_curves_seed42": ("brain-tumour-MRI-scan", [*CURVES, "--seed", "42"]),
    **{
        f"scans_copy-free_chosen_seed{seed}": ("brain-tumour-MRI-scan", [*CHOSEN, "--seed", str(seed)])
        for seed in (1, 2)
    },
    **{
        f"scans_copy-free_final_seed{seed}": ("brain-tumour-MRI-scan", [*FINAL, "--seed", str(seed)])
        for seed in (1, 2, 3)
    },
    "scans_copy-free_patients_seed1": ("brain-tumour-MRI-scan", [*FINAL, "--seed", "1"]),
    SOUP: (
        "brain-tumour-MRI-scan",
        [
            "--soup",
            "runs/benchmarks/scans_copy-free_curves_seed42",
            "runs/benchmarks/scans_copy-free_chosen_seed1/checkpoint-447",  # before it took some of the start back
        ],
    ),
    # What copies are worth: the dataset's own parts.
    "scans_published_mobilenet_seed42": (
        "brain-tumour-MRI-scan",
        ["--split", "published", "--image_size", "160", "--num_train_epochs", "4", "--freeze", "3", "--no_familiarity"],
    ),
    "scans_copy-free_baseline-cnn_seed42": ("brain-tumour-MRI-scan", ["--model_name_or_path", "baseline-cnn"]),
    **{
        f"labeled_published_mobilenet_seed{seed}": ("labeled-mri-brain-tumor", [*LABELED, "--seed", str(seed)])
        for seed in (0, 1, 2)
    },
    "labeled_published_baseline-cnn_seed0": (
        "labeled-mri-brain-tumor",
        [*LABELED, "--seed", "0", "--model_name_or_path", "baseline-cnn"],
    ),
}

WITH_TUMORS = [
    name for name in RUNS if any(part in name for part in ("_curves_", "_chosen_", "_final_", "_patients_", "_soup"))
]
"""Runs with the weakly labeled set: what may be bundled."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data", help="folder that holds both sets")
    parser.add_argument("--checkpoint", default="google/mobilenet_v2_1.0_224", help="pretrained Hub id or folder")
    parser.add_argument("--only", nargs="*", default=list(RUNS), choices=list(RUNS), help="train only these runs")
    parser.add_argument("--bundle", action="store_true", help="put the chosen recipe's best checkpoint into model/")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in arguments.only:
        if not (RESULTS / f"{name}.json").exists():
            run(name, arguments.data, arguments.checkpoint)
    if arguments.bundle:
        best = winner([name for name in WITH_TUMORS if (RESULTS / f"{name}.json").exists()])
        print(f"{best} goes into model/")
        bundle(ROOT / "runs/benchmarks" / best, arguments.data)


def bundle(source: Path, data: Path) -> None:
    """Put a run's checkpoint into `model/`, with what these runs leave out: familiarity and the network in ONNX."""
    # Here, since `benchmarks.readme` takes its names from this module and needs no torch.
    from brain_tumor.data.dataset import load_scans
    from brain_tumor.data.pixels import pixels_for
    from brain_tumor.data.split import split_scans
    from brain_tumor.evaluation.card import write_card
    from brain_tumor.inference import familiarity
    from brain_tumor.network.pretrained import load_model, load_processor
    from brain_tumor.publishing.export import export_checkpoint, summary

    results = json.loads((source / "results.json").read_text())
    model, processor = (load(str(source), results["image_size"]) for load in (load_model, load_processor))
    weak = load_scans(data / TUMORS, weak=True)
    parts = split_scans(load_scans(data / results["dataset"]), results["split"], results["split_seed"], weak)
    from brain_tumor.training.fit_familiarity import fit_familiarity

    if not (source / familiarity.FILE).exists():
        fit_familiarity(model, processor, parts).save(source)
    parts = {name: pixels_for(part, processor, f"Resizing slices ({name})") for name, part in parts.items()}
    exported = export_checkpoint(source, model, processor, parts)
    write_card(results, source / "README.md", exported=summary(exported))
    shutil.rmtree(ROOT / "model", ignore_errors=True)  # nothing of another checkpoint may stay
    for path in (path for pattern in BUNDLED_FILES for path in source.glob(pattern)):
        target = ROOT / "model" / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def winner(names: list[str]) -> str:
    """The best run by its validation part: see `decision.recall_first`."""
    found = [json.loads((RESULTS / f"{name}.json").read_text()) for name in names]
    accuracy, nll = ([results["validation"][figure] for results in found] for figure in ("accuracy", "nll"))
    return names[recall_first(accuracy, [missed(results) for results in found], nll)]


def missed(results: dict) -> int:
    """Validation tumors called "no tumor" by the most probable class."""
    matrix = results["validation"]["confusion_matrix"]
    of_type = sum(matrix[i][NO_TUMOR] for i in TUMOR_TYPES)
    weak = results.get("tumor_validation")
    return of_type + (round(weak["called_no_tumor"] * weak["slices"]) if weak else 0)


def run(name: str, data: Path, checkpoint: str) -> None:
    dataset, flags = RUNS[name]
    output_dir = Path("runs/benchmarks") / name
    if not (ROOT / output_dir / "results.json").exists():
        model = [] if {"--model_name_or_path", "--soup"} & set(flags) else ["--model_name_or_path", checkpoint]
        others = ["--tumor_dataset", str(data / TUMORS)] if name in WITH_TUMORS else []
        others += ["--extra_dataset", str(data / EXTRA)] if "_patients_" in name else []
        command = ["train.py", "--dataset_name", str(data / dataset), *others, *model, *flags]
        command += ["--output_dir", str(output_dir)]
        subprocess.run([sys.executable, *command, "--overwrite"], cwd=ROOT, check=True)
    shutil.copyfile(ROOT / output_dir / "results.json", RESULTS / f"{name}.json")


if __name__ == "__main__":
    main()
