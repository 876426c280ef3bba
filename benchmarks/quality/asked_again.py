"""Asked again: how often a slice's answer rests on the marked region, when the verdict is right and when it is wrong.

    python -m benchmarks.quality.asked_again model --data FOLDER --part validation test

Of the slices of a part that are called a tumor: all whose verdict is wrong (there is none, or another type), and as
many whose verdict is right as `--most` says, drawn by a fixed seed. Each is asked again as the demo does at a click.
Writes `benchmarks/results/asked_again.json`. The rule was chosen on the validation part.
"""

import argparse
import json
from collections.abc import Sequence

import numpy as np

from benchmarks.arguments import add_data_argument
from benchmarks.quality.checkpoints import ROOT, load_parts, share
from brain_tumor.data.pixels import open_picture
from brain_tumor.evaluation.intervals import group_draws, percentile_interval, sums_by_group
from brain_tumor.inference.asking import LEAST_FALL, Guise, ask_again
from brain_tumor.inference.classifier import Classifier
from brain_tumor.inference.verdict import TYPE_UNCLEAR
from brain_tumor.labels import LABELS, NO_TUMOR, TUMOR_TYPES, canonical_label
from brain_tumor.provenance import command_line, public_name, versions

RESULT = ROOT / "benchmarks/results/asked_again.json"

BATCH = 32

SURE = 0.9
"""Probability of the named tumor from which on a verdict counts as sure."""

SEED = 0
"""Of the draw of right verdicts."""


TUMORS = {*LABELS, TYPE_UNCLEAR} - {LABELS[NO_TUMOR]}


def is_right(verdict: str, label: int) -> bool:
    """Whether the verdict of a tumor is right.

    Args:
        verdict: one of the three types, or `TYPE_UNCLEAR`.
        label: what the slice shows, an index of `LABELS`, or `labels.TUMOR` for a tumor of unknown or another type.
    """
    if verdict == TYPE_UNCLEAR or label >= len(LABELS):
        return label != NO_TUMOR
    return verdict == LABELS[label]


def difference(said: np.ndarray, right: np.ndarray, groups: np.ndarray) -> dict:
    """How much more often something is said of wrong verdicts than of right ones, with its 95 % interval over groups.

    Args:
        said, right: (n,) bool.
        groups: (n,) patients, or groups of copies.
    """
    draws, member = group_draws(groups)
    columns = np.stack([said & ~right, ~right, said & right, right], axis=1).astype(np.float64)
    sums = sums_by_group(columns, member, draws.shape[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        wrong_said, wrong, right_said, of_right = (draws @ sums).T
        samples = wrong_said / wrong - right_said / of_right
    return {"difference": float(said[~right].mean() - said[right].mean()), "interval": percentile_interval(samples)}


def figures(rows: Sequence[dict]) -> dict:
    """What is measured on slices that were asked again.

    Args:
        rows: with "right", "group", "distrust", "kind" (the tumor in question), "of_kind" (its probability), and the
            probability of any tumor by guise, which is NaN where it was not asked.
    """
    right, distrust = (np.array([row[name] for row in rows], bool) for name in ("right", "distrust"))
    groups = np.array([row["group"] for row in rows])
    sides = {"right": right, "wrong": ~right}
    kinds, sure = np.array([row["kind"] for row in rows]), np.array([row["of_kind"] for row in rows])
    within = {LABELS[number]: kinds == LABELS[number] for number in TUMOR_TYPES}
    within |= {f"at least {SURE}": sure >= SURE, f"less than {SURE}": sure < SURE}
    return {
        "distrusted": {name: share(distrust[side], groups[side]) for name, side in sides.items()},
        "difference": difference(distrust, right, groups),
        "within": {
            name: {of: share(distrust[rows & side], groups[rows & side]) for of, side in sides.items()}
            for name, rows in within.items()
        },
        "mean_tumor_probability": {
            guise.value: {
                name: float(np.nanmean([row[guise] for row, of in zip(rows, side, strict=True) if of]))
                for name, side in sides.items()
            }
            for guise in Guise
        },
    }


def measure(classifier: Classifier, part, most: int) -> dict:
    """Asks the slices of a part again that are called a tumor."""
    told = {}
    for start in range(0, part.num_rows, BATCH):
        images = part.select(range(start, min(start + BATCH, part.num_rows)))["image"]
        firsts = classifier.predict([open_picture(image) for image in images])
        told |= {start + i: first for i, first in enumerate(firsts) if first.verdict in TUMORS}
    labels = part["label"]
    wrong, right = (
        [place for place, first in told.items() if is_right(first.verdict, labels[place]) is of] for of in (False, True)
    )
    rows = []
    for place in sorted([*wrong, *np.random.default_rng(SEED).permutation(right)[:most].tolist()]):
        row, first = part[place], told[place]
        asked = ask_again(classifier.predict, open_picture(row["image"]), first)
        rows.append(
            {"right": is_right(first.verdict, row["label"]), "group": row["group"], "distrust": asked.rests is False}
            | {"kind": canonical_label(asked.kind), "of_kind": asked.of_kind[Guise.AS_IT_IS]}
            | {guise: asked.probabilities.get(guise, np.nan) for guise in Guise}
        )
    return {"verdicts": {"right": len(right), "wrong": len(wrong)}} | figures(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="folder written by train.py")
    add_data_argument(parser)
    parser.add_argument(
        "--part", nargs="+", default=["validation"], choices=["validation", "test"], help="of the split by patients"
    )
    parser.add_argument("--most", type=int, default=400, help="right verdicts of a part that are asked again")
    arguments = parser.parse_args()
    classifier = Classifier(arguments.checkpoint)
    if not classifier.has_heatmaps:
        parser.error(f"{arguments.checkpoint} has no heat maps, so there is no region to cover.")
    parts = load_parts(arguments.data, main_only=False)
    result = {
        "checkpoint": public_name(arguments.checkpoint),
        "least_fall": LEAST_FALL,
        "most": arguments.most,
        "seed": SEED,
    }
    for name in arguments.part:
        result[name] = measure(classifier, parts[name], arguments.most)
        for verdict, of in result[name]["distrusted"].items():
            print(f"{name}, {verdict} verdicts distrusted: {of['share']:.3f} {of['interval']}, {of['pictures']} slices")
        print(f"{name}: {result[name]['difference']}", flush=True)
    RESULT.write_text(
        json.dumps(result | {"command": command_line(), "versions": versions()}, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
