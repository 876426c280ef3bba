"""The same slice again: finding copies, grouping them, splitting by group.

Public sets hold many slices twice, mirrored, rotated, re-encoded or from the neighboring position. If one copy
trains and the other tests, the test measures memory. Groups of copies are not patients: no public set here says
whose slice it is, so a split by groups is called "copy-free", never "patient-level".

    python -m brain_tumor.leakage DATASET    # before any training: how many copies there are, and a sheet of them
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from brain_tumor.dataset import SPLITS, THUMBNAIL_SIDE, DatasetError, counts_by_class, load_scans, open_picture
from brain_tumor.labels import DISPLAY_NAMES, LABELS
from brain_tumor.run import public_name

COPY_CORRELATION = 0.98
"""Gray-level correlation at 32x32 from which two slices are copies. At 0.95 unrelated slices merge into groups
of hundreds."""
FOLDS = 25
"""Folds of about 4 % each, of which parts are made: 18 train, 2 validation, 5 test (72 / 8 / 20 %)."""
TEST_FOLDS = 5
VALIDATION_FOLDS = 2
WEAK_FOLDS = 20
"""Folds of a weakly labeled set, by groups: 12 train, 3 validation, 5 test. It has some 70 groups, so a part needs
more of them to say anything."""
WEAK_VALIDATION_FOLDS = 3
_BLOCK = 1024


def thumbnails_of(part: Dataset) -> np.ndarray:
    """(slices, 32, 32) uint8, from the column that `dataset.load_scans` made."""
    joined = b"".join(part["thumbnail"])
    return np.frombuffer(joined, np.uint8).reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)


def find_copies(
    thumbnails: np.ndarray, others: np.ndarray | None = None, threshold: float = COPY_CORRELATION
) -> np.ndarray:
    """Pairs of slices that are copies of each other, found exactly: every pair is compared, in blocks.

    Args:
        thumbnails: (n, side, side) gray levels, any real dtype.
        others: (m, side, side) to compare with; without it, each pair within `thumbnails` is found once.
        threshold: least Pearson correlation of gray levels, the largest over the 8 flips and rotations.

    Returns:
        (pairs, 2) int64: index into `thumbnails`, index into `others` (or, larger, into `thumbnails`).
        A picture of one flat gray has no correlation and no copies.
    """
    within = others is None
    right = thumbnails if within else others
    left = np.empty((len(thumbnails), thumbnails[0].size if len(thumbnails) else 0), np.float32)
    for start in range(0, len(left), _BLOCK):
        left[start : start + _BLOCK] = _standardized(thumbnails[start : start + _BLOCK])
    found = {}
    # The eight views are made of one block at a time: of all slices at once they would take 32 KB a slice.
    for other in range(0, len(right), _BLOCK):
        views = [_standardized(view) for view in _flips_and_rotations(right[other : other + _BLOCK])]
        for start in range(0, min(other + 1, len(left)) if within else len(left), _BLOCK):
            rows = left[start : start + _BLOCK]
            best = rows @ views[0].T
            for view in views[1:]:
                np.maximum(best, rows @ view.T, out=best)
            pairs = np.argwhere(best >= threshold) + (start, other)
            found[start, other] = pairs[pairs[:, 0] < pairs[:, 1]] if within else pairs
    return np.concatenate([np.empty((0, 2), np.int64), *(found[place] for place in sorted(found))])


def group_copies(thumbnails: np.ndarray, sha256: list[str]) -> np.ndarray:
    """Group ids such that copies, copies of copies, and identical files share one.

    Args:
        thumbnails: (n, side, side) gray levels.
        sha256: hashes of the n files.

    Returns:
        (n,) int64, numbered from 0 in the order of each group's smallest hash, so that the order of files does
        not matter.
    """
    n = len(thumbnails)
    _, same_file = np.unique(sha256, return_inverse=True)
    pairs = find_copies(thumbnails)
    # Identical files are linked through n extra nodes, one for each distinct hash.
    rows = np.concatenate([pairs[:, 0], np.arange(n)])
    columns = np.concatenate([pairs[:, 1], n + same_file])
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(2 * n, 2 * n))
    component = connected_components(graph, directed=False)[1][:n]
    order = np.argsort(sha256, kind="stable")
    _, first = np.unique(component[order], return_index=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[np.searchsorted(np.unique(component), component)]


def split_scans(
    scans: DatasetDict, how: str, seed: int, weak: DatasetDict | None = None, extra: DatasetDict | None = None
) -> DatasetDict:
    """Train, validation and test parts of a dataset.

    Args:
        scans: as `dataset.load_scans` returns it.
        how: "copy_free" pools all parts and splits by groups of copies, about 72 / 8 / 20 %, with the
            proportions of classes kept; "published" takes the dataset's own parts, and makes validation of a
            tenth of train, by group, where there is none.
        seed: of the random split.
        weak: a set of tumors of unknown type, as `load_scans(..., weak=True)` returns it. The parts of `scans` are
            the same with it and without it.
        extra: another set of the four classes, which only trains: all of its slices but those with a copy in a
            validation or test part, and the copies of these. The other parts are the same with it and without it.

    Returns:
        The three parts (with `weak` also tumor_train, tumor_validation and tumor_test, with `extra` also extra_train),
        sorted by file hash, with the columns group (int64, over the whole dataset), part (the dataset's own name of the
        part) and copy_in_train (bool: a copy is in the part "train" of this split, before validation was taken from
        it).

    Raises:
        DatasetError: a part would be empty or lack a class.
    """
    pooled = _pooled(scans)
    labels, groups = np.array(pooled["label"]), np.array(pooled["group"])
    if how == "copy_free":
        part = _copy_free_parts(labels, groups, seed)
        trained_on = part == "train"
    elif how == "published":
        part, trained_on = _published_parts(pooled, labels, groups, seed)
    else:
        raise DatasetError(f"Unknown split {how!r}; use copy_free or published.")
    thumbnails = thumbnails_of(pooled)
    has_copy = np.zeros(len(pooled), bool)
    has_copy[np.flatnonzero(~trained_on)[find_copies(thumbnails[~trained_on], thumbnails[trained_on])[:, 0]]] = True
    pooled = pooled.add_column("copy_in_train", has_copy.tolist())
    result = DatasetDict({name: pooled.select(np.flatnonzero(part == name)) for name in SPLITS})
    for name, rows in result.items():
        lacking = [label for label, count in counts_by_class(rows).items() if count == 0]
        if lacking:
            raise DatasetError(
                f"The {name} part of the {how} split has no pictures of {', '.join(lacking)} "
                f"({rows.num_rows} pictures in all). More pictures, or another --split, are needed."
            )
    if weak is not None:
        result = DatasetDict({**result, **_weak_parts(weak, pooled, part, seed)})
    if extra is not None:
        result["extra_train"] = _extra_part(extra, result)
    return result


def _weak_parts(weak: DatasetDict, main: Dataset, main_part: np.ndarray, seed: int) -> dict[str, Dataset]:
    """The parts of a weakly labeled set, about 60 / 15 / 25 % of its groups.

    A group with a copy in the main set goes where that copy is; with copies in several parts it is left out. Its
    group numbers follow those of the main set.
    """
    rows = _pooled(weak)
    groups, thumbnails = np.array(rows["group"]), thumbnails_of(rows)
    if len(np.unique(groups)) < WEAK_FOLDS:
        raise DatasetError(
            f"Too few pictures of tumors of unknown type to split: {len(np.unique(groups))} groups of copies, and at "
            f"least {WEAK_FOLDS} are needed."
        )
    fold = np.empty(len(rows), np.int64)
    splitter = GroupKFold(n_splits=WEAK_FOLDS, shuffle=True, random_state=seed)
    for number, (_, members) in enumerate(splitter.split(groups, groups=groups)):
        fold[members] = number
    names = ["test"] * TEST_FOLDS + ["validation"] * WEAK_VALIDATION_FOLDS
    part = np.array([*names, *["train"] * (WEAK_FOLDS - len(names))], dtype="<U10")[fold]
    pairs = find_copies(thumbnails, thumbnails_of(main))
    for group in np.unique(groups[pairs[:, 0]]):
        found = np.unique(main_part[pairs[groups[pairs[:, 0]] == group, 1]])
        part[groups == group] = found[0] if len(found) == 1 else "left out"
    trained = part == "train"
    has_copy = np.zeros(len(rows), bool)
    has_copy[np.flatnonzero(~trained)[find_copies(thumbnails[~trained], thumbnails[trained])[:, 0]]] = True
    rows = _groups_after(main, rows).add_column("copy_in_train", has_copy.tolist())
    return {f"tumor_{name}": rows.select(np.flatnonzero(part == name)) for name in SPLITS}


def _groups_after(others: Dataset, rows: Dataset) -> Dataset:
    """The rows with group numbers that go on after those of the others."""
    groups = np.array(rows["group"]) + max(others["group"]) + 1
    return rows.remove_columns("group").add_column("group", groups.tolist())


def _extra_part(extra: DatasetDict, parts: DatasetDict) -> Dataset:
    """What of another set may train: no group with a copy in a part that does not. Its group numbers go on after all
    others."""
    rows = _pooled(extra)
    groups, thumbnails = np.array(rows["group"]), thumbnails_of(rows)
    judged = [thumbnails_of(part) for name, part in parts.items() if not name.endswith("train")]
    copies = find_copies(thumbnails, np.concatenate(judged))[:, 0]
    rows = _groups_after(concatenate_datasets([part.select_columns("group") for part in parts.values()]), rows)
    rows = rows.add_column("copy_in_train", [False] * len(rows))
    return rows.select(np.flatnonzero(~np.isin(groups, groups[copies])))


def _pooled(scans: DatasetDict) -> Dataset:
    """All parts in one, sorted by file hash: the order in which files were found must not matter."""
    parts = [rows.add_column("part", [name] * rows.num_rows) for name, rows in scans.items()]
    pooled = concatenate_datasets(parts)
    order = sorted(range(pooled.num_rows), key=list(zip(pooled["sha256"], pooled["source"], strict=True)).__getitem__)
    pooled = pooled.select(order)
    groups = group_copies(thumbnails_of(pooled), pooled["sha256"])
    return pooled.add_column("group", groups.tolist())


def _copy_free_parts(labels: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    folds = _folds(labels, groups, FOLDS, seed)
    names = np.array(["test"] * TEST_FOLDS + ["validation"] * VALIDATION_FOLDS)
    names = np.concatenate([names, np.full(FOLDS - len(names), "train")])
    return names[folds]


def _published_parts(pooled: Dataset, labels: np.ndarray, groups: np.ndarray, seed: int):
    part = np.array(pooled["part"], dtype="<U10")
    trained_on = part == "train"
    for needed in ("train", "test"):
        if needed not in part:
            raise DatasetError(f"The dataset has no {needed} part of its own. Use --split copy_free.")
    if "validation" not in part:
        rows = np.flatnonzero(trained_on)
        part[rows[_folds(labels[rows], groups[rows], 10, seed) == 0]] = "validation"
    return part, trained_on


def _folds(labels: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Fold number of each slice: whole groups, proportions of classes kept, folds in random order.

    The splitter deals out groups from large to small, so its first folds differ from its last; the random order
    keeps every part a fair mixture.
    """
    least = min(np.bincount(labels, minlength=len(LABELS)))
    if least < folds:
        raise DatasetError(
            f"Too few pictures to split: the smallest class has {least}, and at least {folds} are needed."
        )
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    fold = np.empty(len(labels), np.int64)
    for number, (_, members) in enumerate(splitter.split(labels, labels, groups)):
        fold[members] = number
    return np.random.default_rng(seed).permutation(folds)[fold]


def _flips_and_rotations(thumbnails: np.ndarray) -> list[np.ndarray]:
    quarter_turns = [np.rot90(thumbnails, turns, axes=(1, 2)) for turns in range(4)]
    return quarter_turns + [turned[:, :, ::-1] for turned in quarter_turns]


def _standardized(thumbnails: np.ndarray) -> np.ndarray:
    """Mean 0 and length 1, so that a dot product is the Pearson correlation. Flat pictures become 0."""
    rows = thumbnails.reshape(len(thumbnails), thumbnails.shape[1] * thumbnails.shape[2]).astype(np.float32)
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-3)


def whole_set(scans: DatasetDict) -> Dataset:
    """All slices of a set as one part, with the columns group and part of `split_scans`."""
    return _pooled(scans)


# --- the command ------------------------------------------------------------------------------------------------

PAIRS_SHOWN = 12
"""Pairs on the sheet: so many at random, and so many of those that look the most different."""


def correlations(thumbnails: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n,) the correlation that `find_copies` compares with its threshold, of each row with the same row of others."""
    left = _standardized(thumbnails)
    return np.max([(left * _standardized(view)).sum(axis=1) for view in _flips_and_rotations(others)], axis=0)


def copy_report(rows: Dataset) -> dict:
    """How much of a set is there again.

    Args:
        rows: of `whole_set`.

    Returns:
        "slices"; "files" (distinct ones); "groups" of copies, the "largest", and "groups_in_several_parts"; "pairs",
        (k, 2) int64 indices, from another part than train into train where there are such parts, else within the set;
        "pairs_of_two_classes"; and "parts": {"part", "class", "slices", "with_copy"} each, where with_copy counts
        slices that have a copy in train, or with a single part elsewhere in it.
    """
    part, labels, groups = (np.array(rows[column]) for column in ("part", "label", "group"))
    thumbnails = thumbnails_of(rows)
    train, rest = np.flatnonzero(part == "train"), np.flatnonzero(part != "train")
    if len(train) and len(rest):
        pairs = find_copies(thumbnails[rest], thumbnails[train])
        pairs = np.stack([rest[pairs[:, 0]], train[pairs[:, 1]]], axis=1)
        copied = np.isin(np.arange(len(rows)), pairs[:, 0])
    else:
        pairs = find_copies(thumbnails)
        copied = np.isin(np.arange(len(rows)), pairs)
    sizes = np.unique(groups, return_counts=True)[1]
    compared = [name for name in SPLITS if name in part and not (len(rest) and len(train) and name == "train")]
    return {
        "slices": len(rows),
        "files": len(set(rows["sha256"])),
        "groups": len(sizes),
        "largest": int(sizes.max()),
        "groups_in_several_parts": int(sum(len(np.unique(part[groups == g])) > 1 for g in np.unique(groups))),
        "pairs": pairs,
        "pairs_of_two_classes": int((labels[pairs[:, 0]] != labels[pairs[:, 1]]).sum()),
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
        f"({report['slices'] - report['files']} exact duplicates), {report['groups']} groups of copies, the largest of "
        f"{report['largest']} slices",
        f"{'part':<12}{'class':<18}{'slices':>8}{'with a copy ' + where:>26}{'share':>9}",
    ]
    for part in dict.fromkeys(row["part"] for row in report["parts"]):
        own = [row for row in report["parts"] if row["part"] == part]
        total = {key: sum(row[key] for row in own) for key in ("slices", "with_copy")} | {"part": part, "class": "all"}
        lines += [
            f"{row['part']:<12}{row['class']:<18}{row['slices']:>8}{row['with_copy']:>26}"
            f"{row['with_copy'] / row['slices']:>9.1%}"
            for row in [*own, total]
        ]
    if where == "in train":
        lines.append(f"{report['groups_in_several_parts']} groups are in more than one part.")
    lines.append(f"{report['pairs_of_two_classes']} of {len(report['pairs'])} pairs of copies have different labels.")
    return "\n".join(lines)


def pairs_to_show(rows: Dataset, pairs: np.ndarray, seed: int = 0) -> list[tuple[int, int, float, str]]:
    """A fixed random sample of the pairs, then those of the lowest correlation: (index, index, correlation, why)."""
    if not len(pairs):
        return []
    thumbnails = thumbnails_of(rows)
    alike = np.concatenate(
        [
            correlations(thumbnails[block[:, 0]], thumbnails[block[:, 1]])
            for block in np.array_split(pairs, -(-len(pairs) // _BLOCK))
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
    from brain_tumor.plots import Tile, write_sheet  # training has no need of it

    tiles = []
    for left, right, alike, why in pairs_to_show(rows, pairs):
        both = rows[left], rows[right]
        places = " | ".join(f"{row['part']}, {_class_name(row['label'])}" for row in both)
        names = [row["source"].rpartition("/")[2] for row in both]
        pictures = tuple(open_picture(row["image"]) for row in both)
        tiles.append(Tile(pictures, (f"correlation {alike:.4f} ({why})", places, *names)))
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = f"{len(tiles)} of {len(pairs)} pairs of copies" if tiles else "no copies"
    write_sheet(tiles, f"{title}: {shown}", path, columns=4)


def _class_name(label: int) -> str:
    return DISPLAY_NAMES[LABELS[label]] if label < len(LABELS) else "Tumor, any type"


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Show the copies that a set holds, before anything is trained on it.", allow_abbrev=False
    )
    parser.add_argument("dataset", help="folder or Hub id of a set of slices, as for train.py")
    parser.add_argument("--tumor_dataset", help="a set of one class, tumors of unknown type, as for train.py")
    parser.add_argument("--output", type=Path, help="the sheet of pairs; default: runs/leakage/DATASET.png")
    arguments = parser.parse_args()
    name = public_name(arguments.dataset)
    output = arguments.output or Path("runs/leakage") / f"{name.replace('/', '_')}.png"
    rows = whole_set(load_scans(arguments.dataset))
    report = copy_report(rows)
    print(report_text(report, name))
    write_pairs(rows, report["pairs"], name, output)
    if arguments.tumor_dataset:
        weak = whole_set(load_scans(arguments.tumor_dataset, weak=True))
        between = find_copies(thumbnails_of(weak), thumbnails_of(rows))
        print("\n" + report_text(copy_report(weak), public_name(arguments.tumor_dataset)))
        print(f"{len(np.unique(between[:, 0]))} of its slices have a copy in {name}.")
    print(f"\nA sheet of pairs is in {output}. It holds pictures of the data: keep it to yourself.")


def run() -> int:
    try:
        main()
    except DatasetError as error:
        print(f"leakage: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run())
