"""What new patients cost: slices of the other public set that have no copy in the one that trained.

    python -m benchmarks.quality.other_patients model --data FOLDER

A copy-free test part has other slices of the same patients, so its figures are too good for a patient whom the network
has never seen. The two public sets share most of their pictures in two renderings; what the smaller one has beyond, in
no part of the larger one's split, are tumors of other examinations. The same figures of the slices that do have a
copy there say whether it is the rendering.
Writes `benchmarks/results/other_patients/<NAME or the checkpoint's name>.json`.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from datasets import Dataset
from sklearn.metrics import confusion_matrix

from benchmarks.arguments import add_data_argument
from benchmarks.quality.accuracy import LABELED
from benchmarks.quality.checkpoints import SPLIT, SPLIT_SEED, Checkpoint, load_parts, open_slices, share
from brain_tumor.data.copies import find_copies, group_copies, thumbnails_of
from brain_tumor.data.dataset import load_scans
from brain_tumor.data.split import whole_set
from brain_tumor.labels import LABELS, NO_TUMOR
from brain_tumor.provenance import command_line, public_name, versions

ROOT = Path(__file__).parents[2]

RESULTS = ROOT / "benchmarks/results/other_patients"

NEW = "no copy"
"""Name of the slices with no copy in the set that trained; the others go by the part that their copy is in."""


def by_copy(rows: Dataset, parts: dict[str, Dataset]) -> dict[str, np.ndarray]:
    """Of slices of another set, (n,) bool: which have no copy in any part (`NEW`), and which have one in each."""
    thumbnails = thumbnails_of(rows)
    found = {}
    for name, part in parts.items():
        found[f"copy in {name}"] = np.zeros(len(rows), bool)
        found[f"copy in {name}"][find_copies(thumbnails, thumbnails_of(part))[:, 0]] = True
    return {NEW: ~np.any(list(found.values()), axis=0), **found}


def figures(called: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> dict:
    """Accuracy, and that of each class there is, tumors called "no tumor", and who is taken for whom."""
    tumor = labels != NO_TUMOR
    present = np.unique(labels)
    return {
        "accuracy": share(called == labels, groups),
        "recall": {LABELS[c]: share((called == labels)[labels == c], groups[labels == c]) for c in present},
        "called_no_tumor": share((called == NO_TUMOR)[tumor], groups[tumor]),
        "confusion": confusion_matrix(labels, called, labels=range(len(LABELS))).tolist(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="folder written by train.py")
    add_data_argument(parser)
    parser.add_argument("--name", help="of the result; default: the folder's name")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    rows = whole_set(load_scans(arguments.data / LABELED))
    labels, groups = np.array(rows["label"]), group_copies(thumbnails_of(rows), rows["sha256"])
    called = Checkpoint(arguments.checkpoint).probabilities(open_slices(rows)).argmax(axis=1)
    results = {
        "checkpoint": public_name(arguments.checkpoint),
        "split": SPLIT,
        "split_seed": SPLIT_SEED,
        "dataset": LABELED,
        "command": command_line(),
        "versions": versions(),
    }
    for name, chosen in by_copy(rows, load_parts(arguments.data)).items():
        results[name] = figures(called[chosen], labels[chosen], groups[chosen])
        accuracy = results[name]["accuracy"]
        low, high = (100 * bound for bound in accuracy["interval"])
        print(
            f"{name}: {accuracy['pictures']} slices in {accuracy['groups']} groups, accuracy "
            f"{100 * accuracy['share']:.1f} % ({low:.1f} to {high:.1f}); "
            + ", ".join(f"{label} {100 * of['share']:.1f} %" for label, of in results[name]["recall"].items())
        )
    arguments.output.mkdir(parents=True, exist_ok=True)
    name = arguments.name or Path(public_name(arguments.checkpoint)).name
    (arguments.output / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
