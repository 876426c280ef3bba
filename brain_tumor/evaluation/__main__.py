"""Evaluate a checkpoint on a part of a set: figures with intervals, and the pictures of a run.

    python -m brain_tumor.evaluation CHECKPOINT --data_root FOLDER      # its own test part: the sets it was trained on
    python -m brain_tumor.evaluation CHECKPOINT DATASET ...             # the test part of these sets by patients
    python -m brain_tumor.evaluation CHECKPOINT DATASET --split all     # every slice of another set

CHECKPOINT is a folder or a Hub id, DATASET whatever `train.py --dataset_name` takes, one or several; sets that lack a
class can be evaluated with every slice alone. `results.json`, `evaluation.md`, `evaluation.png` and `failures.png` go
to the output folder and nowhere else.
"""

import argparse
import json
import logging
import sys
from pathlib import Path, PurePosixPath

from datasets import Dataset
from transformers import PreTrainedModel

from brain_tumor.data.checks import check_writable
from brain_tumor.data.dataset import DatasetError, load_scans
from brain_tumor.data.split import split_scans, whole_set
from brain_tumor.evaluation.figures import evaluate_parts
from brain_tumor.evaluation.figures_text import evaluation_page, shown_bounds, shown_value, split_named
from brain_tumor.evaluation.logits import predict_logits
from brain_tumor.evaluation.pictures import write_pictures
from brain_tumor.inference.checkpoint import CheckpointError, find_file
from brain_tumor.inference.verdict import from_config
from brain_tumor.labels import LABELS, kind_name
from brain_tumor.network.checkpoint import load_checkpoint
from brain_tumor.provenance import RESULTS, command_line, public_name, read_results, versions


def read_training_results(name_or_path: str) -> dict:
    """The `results.json` that `train.py` left with a checkpoint; empty where there is none that can be read."""
    try:
        path = find_file(name_or_path, RESULTS)
        return read_results(path) if path else {}
    except (OSError, ValueError):
        return {}


def find_temperature(model: PreTrainedModel, trained: dict) -> float | None:
    """The temperature that a checkpoint's confidences have in them, where its config or `train.py` tells."""
    stored = getattr(model.config, "confidence_temperature", None)
    calibration = trained.get("calibration")
    if stored is None and isinstance(calibration, dict) and calibration.get("folded_into_classifier"):
        stored = calibration.get("temperature")
    return float(stored) if stored else None


def notes_on(arguments: argparse.Namespace, trained: dict, part: Dataset) -> list[str]:
    """What a reader must know about the slices before the figures, as sentences."""
    notes = []
    if not any(part["patient"]):
        notes.append("No patients are known here: other slices of the same ones may have been used in training.")
    same = (
        trained.get("datasets") == [public_name(name) for name in arguments.dataset]
        and trained.get("split") == arguments.split
        and trained.get("split_seed") == arguments.split_seed
        and not trained.get("hold_out")
    )
    if same:
        notes.append(f"The checkpoint was trained with this very split, and this is its own {arguments.part} part.")
    elif known := trained_on(trained, arguments.dataset):
        notes.append(
            f"The checkpoint was trained on slices of {', '.join(known)}, and these are not the parts of its training: "
            "slices that trained it may be among these, and it looks better than it is. Without any set, this command "
            "takes the checkpoint's own test part."
        )
    else:
        notes.append(
            "Whether the checkpoint was trained on some of these slices, or on copies of them, is not known here."
        )
    if same and "copy_in_train" in part.column_names and (copied := sum(part["copy_in_train"])):
        notes.append(f"{copied} of {part.num_rows} slices have a copy in the training part.")
    return notes


def trained_on(trained: dict, dataset: list[str]) -> list[str]:
    """Which of these sets gave a checkpoint slices to train on; a folder is known by its name, as its Hub id's end."""
    train = (trained.get("counts_by_set") or {}).get("train") or {}
    seen = {PurePosixPath(name).name for name, slices in train.items() if slices}
    return [name for name in map(public_name, dataset) if PurePosixPath(name).name in seen]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m brain_tumor.evaluation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", help="folder or Hub id of an image-classification model with our four classes")
    parser.add_argument(
        "dataset",
        nargs="*",
        help="folders or Hub ids of sets of slices; the first is the main set. Without any, the sets and the split "
        "that the checkpoint was trained with",
    )
    parser.add_argument("--data_root", help="folder that holds sets under their names, as in train.py")
    parser.add_argument(
        "--split",
        choices=["patients", "published", "all"],
        help="as in train.py; 'all' takes every slice, for a set that the checkpoint has not seen. By default "
        "patients, and all where the sets lack one of the four classes",
    )
    parser.add_argument("--split_seed", type=int, help="seed of the split, as in train.py; 42 by default")
    parser.add_argument("--part", default="test", choices=["train", "validation", "test"], help="which part")
    parser.add_argument("--output_dir", type=Path, help="default: runs/evaluation/CHECKPOINT-DATASET")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)

    trained = read_training_results(arguments.checkpoint)
    if not arguments.dataset:
        _take_its_own(arguments, trained)
    arguments.split_seed = 42 if arguments.split_seed is None else arguments.split_seed
    checkpoint, sets = public_name(arguments.checkpoint), [public_name(name) for name in arguments.dataset]
    folder = arguments.output_dir or Path("runs/evaluation") / f"{checkpoint}-{sets[0]}".replace("/", "_")
    if not 0 <= arguments.split_seed < 2**32:
        raise DatasetError(f"--split_seed {arguments.split_seed} must be 0 to 4294967295.")
    if (folder / "config.json").exists():
        raise DatasetError(
            f"--output_dir {folder} holds a checkpoint, and what it tells of itself would be lost. Name another folder."
        )
    check_writable(folder, "--output_dir")
    model, processor, order = load_checkpoint(arguments.checkpoint)
    scans = load_scans(arguments.dataset, arguments.data_root)
    lacking = set(range(len(LABELS))) - {label for part in scans.values() for label in part["label"]}
    arguments.split = arguments.split or ("all" if lacking else "patients")
    if arguments.split == "all":
        arguments.part = "all"
        parts = {"all": whole_set(scans)}
    else:
        parts = split_scans(scans, arguments.split, arguments.split_seed)
    part, dataset = parts[arguments.part], sets[0] if len(sets) == 1 else f"{sets[0]} and {len(sets) - 1} more"
    temperature, thresholds = find_temperature(model, trained), from_config(model.config)
    raw = {
        arguments.part: predict_logits(model, part, processor, f"{checkpoint} on {dataset}")[:, order]
        * (temperature or 1.0)
    }
    results = {
        "checkpoint": checkpoint,
        "dataset": sets[0],
        "datasets": sets,
        "split": arguments.split,
        "split_seed": None if arguments.split == "all" else arguments.split_seed,
        "part": arguments.part,
        "notes": notes_on(arguments, trained, part),
        "command": command_line(),
        "versions": versions(),
        **evaluate_parts(raw, parts, temperature, thresholds),
    }
    title = f"{checkpoint} on {dataset}, {'every slice' if arguments.split == 'all' else f'{arguments.split} split'}"
    write_pictures(folder, raw, parts, results, title, temperature, thresholds, arguments.part)
    (folder / RESULTS).write_text(json.dumps(results, indent=1) + "\n")
    (folder / "evaluation.md").write_text(evaluation_page(results, arguments.part))
    print(summary(results, arguments.part))
    print(f"Everything is in {folder}.")


def _take_its_own(arguments: argparse.Namespace, trained: dict) -> None:
    """The sets and the split of the checkpoint's training, where no set was named."""
    if not trained.get("datasets"):
        raise DatasetError(
            f"{arguments.checkpoint} does not tell which sets it was trained on. Name sets after the checkpoint."
        )
    if trained.get("hold_out"):
        raise DatasetError(
            f"{arguments.checkpoint} was tested on slices that its training held out by --hold_out. Name sets after "
            "the checkpoint."
        )
    arguments.dataset = trained["datasets"]
    arguments.split = arguments.split or trained.get("split")
    if arguments.split_seed is None:
        arguments.split_seed = trained.get("split_seed")


def summary(results: dict, part: str) -> str:
    """What the command prints: a few lines."""
    own = results[part]
    every = sum(row["slices"] for row in own["by_set"])
    chosen = "every slice" if part == "all" else f"{split_named(results, part)}, {part} part"
    lines = [
        f"{results['checkpoint']} on {', '.join(results['datasets'])}, {chosen}: {every} slices"
        + ("" if own["slices"] else ", tumors of unknown type all of them"),
        *results["notes"],
    ]
    if own["slices"]:
        of = ", ".join(own["figures_of"])
        lines.append(f"Of {of}, {own['slices']} slices in {own['groups']} groups of patients and copies:")
        lines.append(f"{'figure':<38} {'value':>8}   95 % interval over groups")
    for name in ("accuracy", "macro_recall", "sensitivity", "specificity", "nll", "brier", "ece", "classwise_ece"):
        if own.get(name) is not None:
            lines.append(f"{name:<38} {shown_value(name, own[name]):>8}   {shown_bounds(name, own['intervals'][name])}")
    for name in ("sensitivity", "specificity", "uncertain", "type_unclear"):
        if own.get("decision", {}).get(name) is not None:
            value, bounds = own["decision"][name], own["decision"]["intervals"][name]
            lines.append(f"{'verdict ' + name:<38} {shown_value('', value):>8}   {shown_bounds('', bounds)}")
    if "dangerous_misses" in own:
        misses = own["dangerous_misses"]
        lines.append(f"{misses['count']} dangerous misses among {misses['tumors']} tumors")
    if "by_patient" in own:
        lines.append(
            f"{'accuracy, mean over patients':<38} {shown_value('', own['by_patient']['accuracy']):>8}   "
            f"{shown_bounds('', own['by_patient']['interval'])}"
        )
    lines.append(f"{'by kind of scan':<38} {'missed':>8} {'right type':>11} {'specificity':>12}")
    for row in own["by_kind"]:
        if not row["plane"]:
            shown = [
                shown_value("", (row[name] or {}).get("value")) for name in ("missed", "right_type", "specificity")
            ]
            lines.append(f"{kind_name(row['set'], row['sequence']):<38} {shown[0]:>8} {shown[1]:>11} {shown[2]:>12}")
    if own["by_diagnosis"]:
        lines.append(f"{'tumor-free, by diagnosis':<38} {'no tumor':>8} {'tumor':>11} {'uncertain':>12}")
    for row in own["by_diagnosis"]:
        shown = [shown_value("", (row[name] or {}).get("value")) for name in ("no_tumor", "tumor", "uncertain")]
        lines.append(f"{row['set'] + ', ' + row['diagnosis']:<38} {shown[0]:>8} {shown[1]:>11} {shown[2]:>12}")
    if own["slices"] and "decision" not in own:
        lines.append("The checkpoint's config has no decision thresholds, so there are no figures of verdicts.")
    return "\n".join(lines)


def run() -> int:
    try:
        main()
    except (CheckpointError, DatasetError) as error:
        print(f"evaluation: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run())
