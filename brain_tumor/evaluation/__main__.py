"""TODO"""

import argparse
import json
import logging
import sys
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoImageProcessor, AutoModelForImageClassification, PreTrainedModel
from transformers.utils import cached_file

from brain_tumor.data.dataset import DatasetError, load_scans
from brain_tumor.data.split import split_scans, whole_set
from brain_tumor.evaluation.figures import evaluate_parts
from brain_tumor.evaluation.figures_text import evaluation_page, shown_bounds, shown_value
from brain_tumor.evaluation.logits import predict_logits
from brain_tumor.evaluation.pictures import write_pictures
from brain_tumor.inference.checkpoint import CheckpointError
from brain_tumor.inference.verdict import from_config
from brain_tumor.labels import LABELS, canonical_label
from brain_tumor.provenance import command_line, public_name, versions


def load_checkpoint(name_or_path: str) -> tuple[PreTrainedModel, object, list[int]]:
    """A trained checkpoint of anybody's, as it is.

    Returns:
        The network, its own image processor, and for each of `labels.LABELS` which of its outputs that is.

    Raises:
        CheckpointError: it cannot be loaded, or its classes are not our four.
    """
    try:
        processor = AutoImageProcessor.from_pretrained(name_or_path, backend="pil")
        model = AutoModelForImageClassification.from_pretrained(name_or_path, dtype=torch.float32).eval()
    except Exception as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"The checkpoint {name_or_path!r} cannot be loaded ({type(error).__name__}: {reason}). Give a folder "
            "written by train.py or the id of an image-classification model on the Hugging Face Hub."
        ) from error
    names = [str(model.config.id2label[i]) for i in range(model.config.num_labels)]
    own = [canonical_label(name) for name in names]
    if sorted(map(str, own)) != sorted(LABELS):
        listing = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
        raise CheckpointError(
            f"The checkpoint {name_or_path!r} has other classes than {', '.join(LABELS)}; its own are {listing}."
        )
    return model, processor, [own.index(label) for label in LABELS]


def training_results(name_or_path: str) -> dict:
    """The `results.json` that `train.py` left with a checkpoint; empty where there is none."""
    try:
        path = cached_file(
            name_or_path,
            "results.json",
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        found = json.loads(Path(path).read_text()) if path else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def known_temperature(model: PreTrainedModel, trained: dict) -> float | None:
    """The temperature that a checkpoint's confidences have in them, where its config or `train.py` tells."""
    stored = getattr(model.config, "confidence_temperature", None)
    calibration = trained.get("calibration")
    if stored is None and isinstance(calibration, dict) and calibration.get("folded_into_classifier"):
        stored = calibration.get("temperature")
    return float(stored) if stored else None


def notes_on(arguments: argparse.Namespace, trained: dict, part: Dataset) -> list[str]:
    """What a reader must know of the slices before the figures, as sentences."""
    notes = ["Groups of copies are not patients: no part here is known to be of unseen patients."]
    same = (
        trained.get("dataset") == public_name(arguments.dataset)
        and trained.get("split") == arguments.split
        and trained.get("split_seed") == arguments.split_seed
    )
    if arguments.split == "all":
        notes.append(
            "These are all slices of the set. Whether the checkpoint was trained on some of them, or on copies of "
            "them, is not known here."
        )
    elif same:
        notes.append(f"The checkpoint was trained with this very split; the {arguments.part} part is its own.")
    else:
        notes.append(
            "The checkpoint does not say that it was trained with this split of this set: copies of its training "
            "slices may be among these."
        )
    if same and "copy_in_train" in part.column_names and (copied := sum(part["copy_in_train"])):
        notes.append(f"{copied} of {part.num_rows} slices have a copy in the training part.")
    return notes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="folder or Hub id of an image-classification model with our four classes")
    parser.add_argument("dataset", help="folder or Hub id of a set of slices")
    parser.add_argument(
        "--split",
        default="copy_free",
        choices=["copy_free", "published", "all"],
        help="as in train.py; 'all' takes every slice, for a set that the checkpoint has not seen",
    )
    parser.add_argument("--split_seed", type=int, default=42, help="seed of the split, as in train.py")
    parser.add_argument("--part", default="test", choices=["train", "validation", "test"], help="which part")
    parser.add_argument("--tumor_dataset", help="a set of one class, tumors of unknown type, as in train.py")
    parser.add_argument("--output_dir", type=Path, help="default: runs/evaluation/CHECKPOINT-DATASET")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)

    model, processor, order = load_checkpoint(arguments.checkpoint)
    scans = load_scans(arguments.dataset)
    weak = load_scans(arguments.tumor_dataset, weak=True) if arguments.tumor_dataset else None
    if arguments.split == "all":
        arguments.part = "all"
        parts = {"all": whole_set(scans)} | ({} if weak is None else {"tumor_all": whole_set(weak)})
    else:
        parts = split_scans(scans, arguments.split, arguments.split_seed, *([] if weak is None else [weak]))
    names = [name for name in (arguments.part, f"tumor_{arguments.part}") if name in parts and parts[name].num_rows]
    checkpoint, dataset = public_name(arguments.checkpoint), public_name(arguments.dataset)
    trained = training_results(arguments.checkpoint)
    temperature, thresholds = known_temperature(model, trained), from_config(model.config)
    raw = {
        name: predict_logits(model, parts[name], processor, f"{checkpoint} on {name}")[:, order] * (temperature or 1.0)
        for name in names
    }
    results = {
        "checkpoint": checkpoint,
        "dataset": dataset,
        "tumor_dataset": public_name(arguments.tumor_dataset) if arguments.tumor_dataset else None,
        "split": arguments.split,
        "split_seed": None if arguments.split == "all" else arguments.split_seed,
        "part": arguments.part,
        "notes": notes_on(arguments, trained, parts[arguments.part]),
        "command": command_line(),
        "versions": versions(),
        **evaluate_parts(raw, parts, temperature, thresholds),
    }
    folder = arguments.output_dir or Path("runs/evaluation") / f"{checkpoint}-{dataset}".replace("/", "_")
    title = f"{checkpoint} on {dataset}, {'every slice' if arguments.split == 'all' else f'{arguments.split} split'}"
    write_pictures(folder, raw, parts, results, title, temperature, thresholds, arguments.part)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "evaluation.md").write_text(evaluation_page(results, arguments.part))
    print(summary(results, arguments.part))
    print(f"Everything is in {folder}.")


def summary(results: dict, part: str) -> str:
    """What the command prints: a few lines."""
    own, weak = results[part], results.get(f"tumor_{part}")
    lines = [
        f"{results['checkpoint']} on {results['dataset']}, {results['split']} split, {part} part: {own['slices']} "
        f"slices in {own['groups']} groups of copies",
        *results["notes"],
        f"{'figure':<38} {'value':>8}   95 % interval over groups",
    ]
    for name in ("accuracy", "macro_recall", "sensitivity", "specificity", "nll", "brier", "ece", "classwise_ece"):
        lines.append(f"{name:<38} {shown_value(name, own[name]):>8}   {shown_bounds(name, own['intervals'][name])}")
    for title, section in (("", own), ("tumors of unknown type: ", weak)):
        if section and "called_no_tumor" in section:
            value, bounds = section["called_no_tumor"], section["intervals"]["called_no_tumor"]
            lines.append(f"{title + 'no tumor':<38} {shown_value('', value):>8}   {shown_bounds('', bounds)}")
        for name in ("sensitivity", "specificity", "uncertain"):
            if section and section.get("decision", {}).get(name) is not None:
                value, bounds = section["decision"][name], section["decision"]["intervals"][name]
                lines.append(
                    f"{title + 'verdict ' + name:<38} {shown_value('', value):>8}   {shown_bounds('', bounds)}"
                )
        if section:
            misses = section["dangerous_misses"]
            lines.append(f"{title}{misses['count']} dangerous misses among {misses['tumors']} tumors")
    if "decision" not in own:
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
