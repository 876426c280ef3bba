"""Asked again: how often a slice's answer rests on the marked region, when the verdict is right and when it is wrong.

    python -m benchmarks.quality.asked_again model --data FOLDER

Of the slices of a part that are called a tumor: all whose verdict is wrong (there is none, or another type), and as
many whose verdict is right as `--most` says, drawn by a fixed seed. Each is asked again as the demo does at a click.
Writes `benchmarks/results/asked_again.json`: both parts' figures, the validation part's, on which the rule was chosen,
beside the test part's.
"""

import argparse
import json
from collections.abc import Sequence

import numpy as np

from benchmarks.arguments import add_data_argument
from benchmarks.quality.checkpoints import ROOT, load_parts, share
from brain_tumor.data.pixels import open_picture
from brain_tumor.evaluation.intervals import group_draws, percentile_interval, sums_by_group
from brain_tumor.inference.asking import Guise, ask_again
from brain_tumor.inference.classifier import Classifier
from brain_tumor.inference.verdict import TYPE_UNCLEAR
from brain_tumor.labels import LABELS, NO_TUMOR
from brain_tumor.provenance import command_line, public_name, versions

RESULT = ROOT / "benchmarks/results/asked_again.json"

BATCH = 32

SEED = 0
"""Of the draw of right verdicts."""


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
        rows: with "right", "group", "distrust" and the tumor probability by guise, which is NaN where it was not asked.
    """
    right, distrust = (np.array([row[name] for row in rows], bool) for name in ("right", "distrust"))
    groups = np.array([row["group"] for row in rows])
    sides = {"right": right, "wrong": ~right}
    return {
        "distrusted": {name: share(distrust[side], groups[side]) for name, side in sides.items()},
        "difference": difference(distrust, right, groups),
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
    firsts = []
    for start in range(0, part.num_rows, BATCH):
        images = part.select(range(start, min(start + BATCH, part.num_rows)))["image"]
        firsts += [
            (first.verdict, start + i) for i, first in enumerate(classifier.predict(list(map(open_picture, images))))
        ]
    labels = part["label"]
    told = [(place, is_right(verdict, labels[place])) for verdict, place in firsts if verdict in TUMORS]
    wrong, right = ([place for place, is_it in told if is_it is of] for of in (False, True))
    drawn = np.random.default_rng(SEED).permutation(right)[:most].tolist()
    rows = []
    for place in sorted([*wrong, *drawn]):
        row = part[place]
        image = open_picture(row["image"])
        (first,) = classifier.predict([image])
        asked = ask_again(classifier.predict, image, first)
        rows.append(
            {"right": is_right(first.verdict, row["label"]), "group": row["group"], "distrust": asked.rests is False}
            | {guise: asked.probabilities.get(guise, np.nan) for guise in Guise}
        )
    return {"verdicts": {"right": len(right), "wrong": len(wrong)}} | figures(rows)


TUMORS = {*LABELS, TYPE_UNCLEAR} - {LABELS[NO_TUMOR]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="folder written by train.py")
    add_data_argument(parser)
    parser.add_argument("--part", default="test", choices=["validation", "test"], help="of the split by patients")
    parser.add_argument("--most", type=int, default=600, help="right verdicts that are asked again")
    arguments = parser.parse_args()
    part = load_parts(arguments.data, main_only=False)[arguments.part]
    found = measure(Classifier(arguments.checkpoint), part, arguments.most)
    result = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    result |= {"checkpoint": public_name(arguments.checkpoint), "most": arguments.most, "seed": SEED}
    result[arguments.part] = found | {"command": command_line()}
    result["versions"] = versions()
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for name, of in found["distrusted"].items():
        print(f"distrusted where the verdict is {name}: {of['share']:.3f} {of['interval']}, {of['pictures']} slices")
    print(f"difference: {found['difference']}")


if __name__ == "__main__":
    main()
