"""A checkpoint on a split -> results: figures with intervals, and the pictures of a run.

    python -m brain_tumor.evaluation CHECKPOINT DATASET                       # the test part of the copy-free split
    python -m brain_tumor.evaluation CHECKPOINT DATASET --split all           # every slice of another set
    python -m brain_tumor.evaluation CHECKPOINT DATASET --tumor_dataset DIR   # and tumors in other kinds of scan

CHECKPOINT is a folder or a Hub id, DATASET whatever `train.py --dataset_name` takes. `results.json`, `evaluation.md`,
`evaluation.png` and `failures.png` go to the output folder and nowhere else.
"""

import argparse
import json
import logging
import re
import sys
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from datasets import Dataset
from scipy.special import softmax
from tqdm.auto import tqdm
from transformers import AutoImageProcessor, AutoModelForImageClassification, PreTrainedModel
from transformers.utils import cached_file

import brain_tumor.baseline_cnn  # noqa: F401  registers the baseline network, so its checkpoints load here too
from brain_tumor.augment import EvalTransform
from brain_tumor.calibration import before_and_after
from brain_tumor.card import evaluation_page, shown_bounds, shown_value
from brain_tumor.classifier import CheckpointError
from brain_tumor.dataset import DatasetError, load_scans, open_picture
from brain_tumor.decision import Thresholds, decision_figures, from_config
from brain_tumor.labels import LABELS, NO_TUMOR, TUMOR, canonical_label
from brain_tumor.leakage import split_scans, whole_set
from brain_tumor.metrics import (
    DANGEROUS_CONFIDENCE,
    ScanMetrics,
    class_intervals,
    dangerous_misses,
    group_draws,
    percentile_interval,
    probability_intervals,
    rates,
    risk_coverage,
    share_interval,
    share_intervals,
    sums_by_group,
)
from brain_tumor.plots import failure_tiles, plot_evaluation, write_sheet
from brain_tumor.run import command_line, public_name, versions

LEAST_OF_A_SOURCE = 5
"""Slices of a source below which nothing is said of it."""
LISTED_MISSES = 100
FAILURES_SHOWN = 40
_COVERAGES = np.linspace(0.05, 1, 20)


@torch.inference_mode()
def predict_logits(model: PreTrainedModel, part: Dataset, processor, description: str, batch_size=64) -> np.ndarray:
    """Logits of every slice of a part, in float32 (training may have run in bfloat16).

    Args:
        part: with the columns pixels and label of `dataset.pixels_for`; without pixels each picture is opened and goes
            through the processor as it is, which takes any processor and gives the same logits.

    Returns:
        (slices, classes) float32, divided by `config.confidence_temperature` where the checkpoint keeps one.
    """
    resized = "pixels" in part.column_names
    transform, device = EvalTransform(processor) if resized else None, next(model.parameters()).device
    model.eval()
    logits = []
    for start in tqdm(range(0, part.num_rows, batch_size), desc=description, unit="batch"):
        rows = part[start : start + batch_size]
        if resized:
            pixel_values = transform(rows)["pixel_values"]
        else:
            pictures = [open_picture(image) for image in rows["image"]]
            pixel_values = processor(images=pictures, return_tensors="pt")["pixel_values"]
        logits.append(model(pixel_values=pixel_values.to(device)).logits.float().cpu())
    return torch.cat(logits).numpy() / getattr(model.config, "confidence_temperature", 1.0)


# --- figures ----------------------------------------------------------------------------------------------------


def figures(logits: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int = 0) -> dict:
    """All figures of one part, each with its 95 % interval.

    Args:
        logits: (n, 4), calibrated.
        labels: (n,) class indices.
        groups: (n,) groups of copies. The bootstrap draws groups, not slices: ten copies of a slice are one
            piece of evidence.
        seed: of the bootstrap.

    Returns:
        The figures of `metrics.ScanMetrics`, with "slices", "groups" and "intervals": name -> [low, high] or None; each
        class of "per_class" has "intervals" of its own.
    """
    probabilities = _probabilities(logits)
    result = ScanMetrics(keep_in_memory=True).compute(predictions=probabilities, references=labels)
    draws, member = group_draws(groups, seed)
    intervals = bootstrap_intervals(probabilities.argmax(axis=1), labels, groups, seed)
    intervals |= probability_intervals(probabilities, labels, draws, member)
    for label, bounds in zip(LABELS, class_intervals(probabilities, labels, draws, member), strict=True):
        result["per_class"][label]["intervals"] = bounds
    return {"slices": len(labels), "groups": len(np.unique(groups)), **result, "intervals": intervals}


def bootstrap_intervals(called: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int = 0) -> dict:
    """95 % intervals of `metrics.rates`, from bootstrap samples of whole groups.

    Accuracy, sensitivity and specificity of 0 or 100 % get the exact interval of `metrics.share_interval`.
    """
    draws, member = group_draws(groups, seed)
    n = len(LABELS)
    one_each = np.zeros((len(labels), n * n))
    one_each[np.arange(len(labels)), labels * n + called] = 1
    by_group = sums_by_group(one_each, member, draws.shape[1])
    macro_recall = rates((draws @ by_group).reshape(-1, n, n))["macro_recall"]
    healthy, every = labels == NO_TUMOR, np.ones(len(labels), bool)
    shares = {
        "accuracy": (called == labels, every),
        "sensitivity": (called != NO_TUMOR, ~healthy),
        "specificity": (called == NO_TUMOR, healthy),
    }
    hits, of = (
        sums_by_group(columns.astype(np.float64), member, draws.shape[1])
        for columns in (
            np.stack([hit & among for hit, among in shares.values()], axis=1),
            np.stack([among for _, among in shares.values()], axis=1),
        )
    )
    bounds = dict(zip(shares, share_intervals(draws, hits, of), strict=True))
    return {
        "accuracy": bounds["accuracy"],
        "macro_recall": percentile_interval(macro_recall),
        "sensitivity": bounds["sensitivity"],
        "specificity": bounds["specificity"],
    }


def part_figures(logits: np.ndarray, part: Dataset, thresholds: Thresholds | None = None) -> dict:
    """Everything about one part with known classes.

    Args:
        logits: (n, 4), calibrated.
        part: with the columns label and group, and where they are known copy_in_train, source and part.
        thresholds: of the verdict; without them there is no "decision".

    Returns:
        `figures`; "decision" (`decision.decision_figures`); "dangerous_misses" (`dangerous`); "risk_coverage" with the
        AURC and points of the curve; "by_source" (`by_source`); and where slices have copies in training, how many, and
        `figures` "with_copy_in_train" and "without_copy_in_train".
    """
    labels, groups = np.array(part["label"]), np.array(part["group"])
    probabilities = _probabilities(logits)
    result = figures(logits, labels, groups)
    if thresholds is not None:
        result["decision"] = decision_figures(probabilities, labels, groups, thresholds)
    result["dangerous_misses"] = dangerous(probabilities, part)
    coverage, risk, area = risk_coverage(probabilities, labels)
    at = np.searchsorted(coverage, _COVERAGES - 1e-9).clip(0, len(coverage) - 1)
    result["risk_coverage"] = {
        "aurc": area,
        "points": [[round(float(share), 2), float(risk[i])] for share, i in zip(_COVERAGES, at, strict=True)],
    }
    if "source" in part.column_names:
        result["by_source"] = by_source(probabilities, part)
    if "copy_in_train" in part.column_names:
        copied = np.array(part["copy_in_train"])
        result["slices_with_copy_in_train"] = int(copied.sum())
        if copied.any():
            for name, chosen in (("with_copy_in_train", copied), ("without_copy_in_train", ~copied)):
                if chosen.any():
                    result[name] = figures(logits[chosen], labels[chosen], groups[chosen])
    return result


def weak_figures(
    logits: np.ndarray, groups: np.ndarray, thresholds: Thresholds | None = None, part: Dataset | None = None
) -> dict:
    """What becomes of tumors whose type is not known. No accuracy: any of the three names may be right.

    Args:
        logits: (n, 4), calibrated, of slices that all show a tumor.
        groups: (n,) groups of copies.
        part: for the names of the dangerous misses.

    Returns:
        "slices", "groups", called_no_tumor (share, at the most probable class) and sensitivity, its complement, both
        with "intervals"; "dangerous_misses"; and with thresholds "decision": sensitivity, uncertain.
    """
    probabilities, labels = _probabilities(logits), np.full(len(logits), TUMOR)
    missed, every = probabilities.argmax(axis=1) == NO_TUMOR, np.ones(len(logits), bool)
    result = {
        "slices": len(logits),
        "groups": len(np.unique(groups)),
        "called_no_tumor": float(missed.mean()),
        "sensitivity": float(1 - missed.mean()),
        "intervals": {
            "called_no_tumor": share_interval(missed, every, groups),
            "sensitivity": share_interval(~missed, every, groups),
        },
        "dangerous_misses": dangerous(probabilities, part, len(logits)),
    }
    if thresholds is not None:
        result["decision"] = decision_figures(probabilities, labels, groups, thresholds)
    return result


def dangerous(probabilities: np.ndarray, part: Dataset | None, tumors: int | None = None) -> dict:
    """Tumors called "no tumor" with a confidence above `metrics.DANGEROUS_CONFIDENCE`.

    Returns:
        "count", "tumors" (of how many), "confidence" (the limit) and "slices": the surest ones' sources (where the
        part has the column), labels and confidences.
    """
    labels = np.full(len(probabilities), TUMOR) if part is None else np.array(part["label"])
    found = dangerous_misses(probabilities, labels)
    sources = part["source"] if part is not None and "source" in part.column_names else None
    return {
        "count": len(found),
        "tumors": int((labels != NO_TUMOR).sum()) if tumors is None else tumors,
        "confidence": DANGEROUS_CONFIDENCE,
        "slices": [
            {
                "source": sources[int(i)] if sources is not None else int(i),
                "label": "tumor" if labels[i] == TUMOR else LABELS[labels[i]],
                "confidence": round(float(probabilities[i, NO_TUMOR]), 4),
            }
            for i in found[:LISTED_MISSES]
        ],
    }


def by_source(probabilities: np.ndarray, part: Dataset) -> list[dict]:
    """Accuracy for each source that file names tell of, where it has at least `LEAST_OF_A_SOURCE` slices.

    A source is the dataset's own part and the letters that a picture's name begins with (`source_of`). That tells
    collections put together under one roof apart, where names were kept; it is neither a hospital nor a scanner.

    Returns:
        {"source", "slices", "groups", "accuracy", "interval", "missed_tumors"} each, those with the most slices first.
    """
    labels, groups = np.array(part["label"]), np.array(part["group"])
    called = probabilities.argmax(axis=1)
    own = part["part"] if "part" in part.column_names else [""] * part.num_rows
    names = np.array([f"{of} {source_of(s)}".strip() for of, s in zip(own, part["source"], strict=True)])
    rows = []
    for name in np.unique(names):
        chosen = names == name
        if chosen.sum() >= LEAST_OF_A_SOURCE:
            right = called[chosen] == labels[chosen]
            rows.append(
                {
                    "source": str(name),
                    "slices": int(chosen.sum()),
                    "groups": len(np.unique(groups[chosen])),
                    "accuracy": float(right.mean()),
                    "interval": share_interval(right, np.ones(len(right), bool), groups[chosen]),
                    "missed_tumors": int(((called == NO_TUMOR) & (labels != NO_TUMOR))[chosen].sum()),
                }
            )
    return sorted(rows, key=lambda row: (-row["slices"], row["source"]))


def source_of(name: str) -> str:
    """What a picture's name tells of where it comes from: its letters up to the first number.

    >>> [source_of(name) for name in ("Training/2-glioma/Tr-glTr_0003.jpg", "tumor/y12.jpg", "no_tumor/0007.png")]
    ['Tr-glTr', 'y', '(a number)']
    """
    letters = re.match(r"\D*", PurePosixPath(name).stem).group()
    return letters.strip(" _-.()") or "(a number)"


def is_weak(part: Dataset) -> bool:
    """Whether all of a part are tumors of unknown type."""
    return part.num_rows > 0 and set(part["label"]) == {TUMOR}


def evaluate_parts(
    raw_logits: dict[str, np.ndarray],
    parts: dict[str, Dataset],
    temperature: float | None = None,
    thresholds: Thresholds | None = None,
) -> dict[str, dict]:
    """The sections of `results.json`, one for every part that there are logits of.

    Args:
        raw_logits: part -> (n, 4), before the temperature.
        parts: of `leakage.split_scans`; weak ones are known by their labels.
        temperature: what the logits are divided by. None where it is not known what the network's own logits were:
            then they are taken as they are, and there is no "calibration".
        thresholds: of the verdict, if there are any.

    Returns:
        part -> `part_figures` with "calibration" (`calibration.before_and_after`), or `weak_figures`.
    """
    sections = {}
    for name, logits in raw_logits.items():
        part, calibrated = parts[name], logits / (temperature or 1.0)
        if is_weak(part):
            sections[name] = weak_figures(calibrated, np.array(part["group"]), thresholds, part)
        else:
            sections[name] = part_figures(calibrated, part, thresholds)
            if temperature:
                labels = np.array(part["label"])
                sections[name]["calibration"] = before_and_after(logits, labels, temperature)
    return sections


def _probabilities(logits: np.ndarray) -> np.ndarray:
    return softmax(logits.astype(np.float64), axis=1)


# --- pictures ---------------------------------------------------------------------------------------------------


def failures(probabilities: np.ndarray, labels: np.ndarray) -> list[dict]:
    """All mistakes, the worst first: dangerous misses, other tumors called "no tumor", then the surest of the rest.

    Args:
        probabilities: (n, 4).
        labels: (n,) class indices, or `labels.TUMOR`, for which any of the three types is right.

    Returns:
        {"index", "label", "called", "confidence", "dangerous"} each; label and called are class indices.
    """
    called, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    missed = (called == NO_TUMOR) & (labels != NO_TUMOR)
    rank = np.where(missed & (confidence > DANGEROUS_CONFIDENCE), 0, np.where(missed, 1, 2))
    wrong = np.flatnonzero(np.where(labels == TUMOR, missed, called != labels))
    return [
        {
            "index": int(i),
            "label": int(labels[i]),
            "called": int(called[i]),
            "confidence": float(confidence[i]),
            "dangerous": bool(rank[i] == 0),
        }
        for i in wrong[np.lexsort((-confidence[wrong], rank[wrong]))]
    ]


def write_pictures(
    folder: Path,
    raw_logits: dict[str, np.ndarray],
    parts: dict[str, Dataset],
    results: dict,
    title: str,
    temperature: float | None = None,
    thresholds: Thresholds | None = None,
    part: str = "test",
) -> None:
    """Write `evaluation.png`, a page of plots, and `failures.png`, the worst mistakes as pictures.

    Of a group of copies that are mistaken for the same, only the surest is shown. The second picture holds slices of
    the dataset, so it is for the eyes of who has the dataset: keep it out of what is published.

    Args:
        folder: is made if need be.
        raw_logits, parts, temperature, thresholds: as for `evaluate_parts`.
        results: what that returned, or more.
        title: names the dataset and the split.
        part: whose pictures; the weak part tumor_<part> goes with it where there are logits of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in (part, f"tumor_{part}") if name in raw_logits]
    calibrated = {name: raw_logits[name] / (temperature or 1.0) for name in names}
    plot_evaluation(
        results[part],
        calibrated[part],
        np.array(parts[part]["label"]),
        thresholds,
        f"{title}, {part} part",
        folder / "evaluation.png",
        raw=raw_logits[part] if temperature else None,
        weak=calibrated.get(f"tumor_{part}"),
    )
    labels = np.concatenate([np.array(parts[name]["label"]) for name in names])
    found = failures(_probabilities(np.concatenate([calibrated[name] for name in names])), labels)
    place = [(name, i) for name in names for i in range(parts[name].num_rows)]
    columns = {name: {key: parts[name][key] for key in ("group", "source")} for name in names}
    shown: dict[tuple, dict] = {}
    for row in found:
        name, i = place[row["index"]]
        mistake = name, columns[name]["group"][i], row["label"], row["called"]
        if mistake in shown:
            shown[mistake]["copies"] += 1
        else:
            shown[mistake] = row | {"source": columns[name]["source"][i], "copies": 0}
    tiles = list(shown.values())[:FAILURES_SHOWN]

    def opened(number: int):
        name, row = place[tiles[number]["index"]]
        return open_picture(parts[name][row]["image"])

    dangerous_ones = sum(row["dangerous"] for row in found)
    sheet_title = (
        f"{len(found)} mistakes among {len(labels)} slices, {dangerous_ones} of them dangerous; "
        f"{len(tiles)} of {len(shown)} shown, one of each group of copies"
        if found
        else f"No mistakes among {len(labels)} slices."
    )
    write_sheet(failure_tiles(tiles, opened), sheet_title, folder / "failures.png")


# --- the command ------------------------------------------------------------------------------------------------


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
