"""Show what sets hold before anything is trained on them: classes, kinds of scan, patients, copies, contradictions.

python -m brain_tumor.data.report DATASET ...    # counts, and a sheet of pairs of copies
"""

import argparse
import logging
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from datasets import Dataset

from brain_tumor.data.checks import check_writable
from brain_tumor.data.copies import BLOCK, flips_and_rotations, standardize, thumbnails_of
from brain_tumor.data.dataset import SPLITS, load_scans
from brain_tumor.data.errors import DatasetError
from brain_tumor.data.pixels import open_picture
from brain_tumor.data.sheets import Tile, write_sheet
from brain_tumor.data.split import contradictions, kinds, name_of, pool_scans
from brain_tumor.labels import DISPLAY_NAMES, LABELS
from brain_tumor.provenance import public_name

CONTRADICTIONS_SHOWN = 20

PAIRS_SHOWN = 12
"""Pairs on the sheet: so many at random, and so many of those that look the most different."""


def correlations(thumbnails: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n,) the correlation that `find_copies` compares with its threshold, of each row with the same row of others."""
    left = standardize(thumbnails)
    return np.max([(left * standardize(view)).sum(axis=1) for view in flips_and_rotations(others)], axis=0)


def copy_report(rows: Dataset, every: np.ndarray) -> dict:
    """How much of a set is there more than once.

    Args:
        rows, every: of `split.pool_scans`.

    Returns:
        "slices"; "files" (distinct ones); "patients" that are known, and the slices "with_patient"; "groups" of
        patients and copies, the "largest", and "groups_in_several_parts"; "pairs" of copies, (k, 2) int64 indices, from
        another part than train into train where there are such parts, else within the set; "contradictions", those of
        all pairs whose labels exclude each other; and "parts": {"part", "class", "slices", "with_copy"} each, where
        with_copy counts slices that have a copy in train, or with a single part elsewhere in it.
    """
    part, labels, groups = (np.array(rows[column]) for column in ("part", "label", "group"))
    train, rest = np.flatnonzero(part == "train"), np.flatnonzero(part != "train")
    if len(train) and len(rest):
        crossing = every[(part[every[:, 0]] == "train") != (part[every[:, 1]] == "train")]
        first_trains = part[crossing[:, 0]] == "train"
        pairs = np.where(first_trains[:, None], crossing[:, ::-1], crossing)
        copied = np.isin(np.arange(len(rows)), pairs[:, 0])
    else:
        pairs = every
        copied = np.isin(np.arange(len(rows)), pairs)
    sizes = np.unique(groups, return_counts=True)[1]
    compared = [name for name in SPLITS if name in part and not (len(rest) and len(train) and name == "train")]
    return {
        "slices": len(rows),
        "files": len(set(rows["sha256"])),
        "patients": len(set(rows["patient"]) - {""}),
        "with_patient": sum(map(bool, rows["patient"])),
        "groups": len(sizes),
        "largest": int(sizes.max()),
        "groups_in_several_parts": int(sum(len(np.unique(part[groups == g])) > 1 for g in np.unique(groups))),
        "pairs": pairs,
        "contradictions": contradictions(rows, every),
        "parts": [
            {
                "part": name,
                "class": _class_name(number),
                "slices": int(chosen.sum()),
                "with_copy": int(copied[chosen].sum()),
            }
            for name in compared
            for number in np.unique(labels)
            if (chosen := (part == name) & (labels == number)).any()
        ],
    }


def report_text(report: dict, name: str) -> str:
    """`copy_report` as a table to print."""
    where = "in train" if any(row["part"] != "train" for row in report["parts"]) else "in the set"
    lines = [
        f"{name}: {report['slices']} slices, {report['files']} different files "
        f"({report['slices'] - report['files']} exact duplicates), {report['patients']} patients known "
        f"for {report['with_patient']} slices, {report['groups']} groups of patients and copies, the largest of "
        f"{report['largest']} slices",
        f"{'part':<12}{'class':<18}{'slices':>8}{'with a copy ' + where:>26}{'share':>9}",
    ]
    for part in dict.fromkeys(row["part"] for row in report["parts"]):
        own = [row for row in report["parts"] if row["part"] == part]
        total = {key: sum(row[key] for row in own) for key in ("slices", "with_copy")} | {"class": "all"}
        lines += [
            f"{part if where == 'in train' else '-':<12}{row['class']:<18}{row['slices']:>8}{row['with_copy']:>26}"
            f"{row['with_copy'] / row['slices']:>9.1%}"
            for row in [*own, total]
        ]
    if where == "in train":
        lines.append(f"{report['groups_in_several_parts']} groups are in more than one part.")
    lines.append(f"{len(report['contradictions'])} pairs of copies have labels that exclude each other.")
    return "\n".join(lines)


def kinds_text(rows: Dataset) -> str:
    """How many slices of each class there are of each set, sequence and plane, as a table to print."""
    where = [f"{kind}{f', {plane}' if plane else ''}" for kind, plane in zip(kinds(rows), rows["plane"], strict=True)]
    counts = Counter(zip(where, rows["label"], strict=True))
    present = sorted({label for _, label in counts})
    width = max([len(kind) for kind in where] + [len("kind of scan")]) + 2
    lines = [f"{'kind of scan':<{width}}" + "".join(f"{_class_name(label):>17}" for label in present)]
    for kind in sorted(set(where)):
        lines.append(f"{kind:<{width}}" + "".join(f"{counts[kind, label] or '-':>17}" for label in present))
    return "\n".join(lines)


def pairs_to_show(rows: Dataset, pairs: np.ndarray, seed: int = 0) -> list[tuple[int, int, float, str]]:
    """A fixed random sample of the pairs, then those of the lowest correlation: (index, index, correlation, why)."""
    if not len(pairs):
        return []
    thumbnails = thumbnails_of(rows)
    alike = np.concatenate(
        [
            correlations(thumbnails[block[:, 0]], thumbnails[block[:, 1]])
            for block in np.array_split(pairs, -(-len(pairs) // BLOCK))
        ]
    )
    at_random = np.random.default_rng(seed).permutation(len(pairs))[:PAIRS_SHOWN]
    lowest = [i for i in np.argsort(alike, kind="stable")[: 2 * PAIRS_SHOWN] if i not in at_random][:PAIRS_SHOWN]
    return [
        (int(pairs[i, 0]), int(pairs[i, 1]), float(alike[i]), why)
        for chosen, why in ((at_random, "at random"), (lowest, "least alike"))
        for i in chosen
    ]


def write_pairs(rows: Dataset, pairs: np.ndarray, title: str, path: Path) -> None:
    """A sheet of copies side by side, as a PNG: see for yourself whether they are the same slice."""
    tiles, parted, sets = [], len(set(rows["part"])) > 1, rows.features["set"].names
    for left, right, alike, why in pairs_to_show(rows, pairs):
        both = rows[left], rows[right]
        places = " | ".join(f"{row['part']}, " * parted + _class_name(row["label"]) for row in both)
        names = [(f"{sets[row['set']]}: " if len(sets) > 1 else "") + row["source"] for row in both]
        pictures = tuple(open_picture(row["image"]) for row in both)
        tiles.append(Tile(pictures, (f"correlation {alike:.4f} ({why})", places, *names)))
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = f"{len(tiles)} of {len(pairs)} pairs of copies" if tiles else "no copies"
    write_sheet(tiles, f"{title}: {shown}", path, columns=4)


def _class_name(label: int) -> str:
    return DISPLAY_NAMES[LABELS[label]] if label < len(LABELS) else "Tumor, any type"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m brain_tumor.data.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("dataset", nargs="+", help="folders or Hub ids of sets of slices, as for train.py")
    parser.add_argument("--data_root", help="folder that holds sets under their names, as for train.py")
    parser.add_argument("--output", type=Path, help="the sheet of pairs; default: runs/copies/DATASET.png")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    names = [public_name(name) for name in arguments.dataset]
    output = arguments.output or Path("runs/copies") / f"{names[0].replace('/', '_')}.png"
    if output.is_dir():
        raise DatasetError(f"--output {output} is a folder. Name the picture to write, such as {output / 'pairs.png'}.")
    check_writable(output.parent, "--output")
    rows, every = pool_scans(load_scans(arguments.dataset, arguments.data_root))
    report = copy_report(rows, every)
    print(report_text(report, ", ".join(names)))
    for pair in report["contradictions"][:CONTRADICTIONS_SHOWN]:
        print(f"  {' and '.join(name_of(rows, index) for index in pair)}")
    print("\n" + kinds_text(rows))
    write_pairs(rows, report["pairs"], ", ".join(names), output)
    print(f"\nA sheet of pairs is in {output}. It holds pictures of the data: keep it to yourself.")


def run() -> int:
    try:
        main()
    except DatasetError as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run())
