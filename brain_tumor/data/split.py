"""Train, validation and test parts such that no patient, and no copy of a slice, is in two of them."""

import logging
import warnings
from collections.abc import Sequence

import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets
from sklearn.model_selection import StratifiedGroupKFold

from brain_tumor.data.checks import check_classes, check_published, read_hold_out
from brain_tumor.data.copies import find_copies, group_slices, thumbnails_of
from brain_tumor.data.dataset import SPLITS, DatasetError, counts_by_class
from brain_tumor.labels import LABELS, NO_TUMOR, TUMOR, kind_name
from brain_tumor.provenance import public_name

logger = logging.getLogger(__name__)

FOLDS = 25
"""Folds of about 4 % each, of which parts are made: 17 train, 3 validation, 5 test (68 / 12 / 20 %)."""

TEST_FOLDS = 5
VALIDATION_FOLDS = 3

DEALS = 5000
"""Random orders of the folds of which the one is taken whose parts hold the shares best."""

LISTED = 5
"""Contradictions that are named at most."""


def split_scans(scans: DatasetDict, how: str, seed: int, hold_out: Sequence[str] = ()) -> DatasetDict:
    """Train, validation and test parts of all sets together.

    Args:
        scans: as `dataset.load_scans` returns it.
        how: "patients" pools all parts and splits by groups of patients and copies, about 68 / 12 / 20 %, with the
            shares of classes, sets and sequences held as well as groups allow; "published" takes the main set's own
            parts, and makes validation of a tenth of train, by group, where there is none. Other sets are split by
            groups there too, and what belongs to a group of the main set's test part trains nothing.
        seed: of the random split.
        hold_out: names of sets, or CSV files with the columns set and source. If there are any, the test part is these
            slices, and what shares a group with them is in no part. What would have been the test part trains, but
            with "published", whose test slices may have copies in validation, is in no part.

    Returns:
        The three parts, sorted by file hash, with the columns group (int64, over all sets), part (the set's own name
        of the part) and copy_in_train (bool: a copy is in the part "train" of this split, before validation was taken
        from it).

    Raises:
        DatasetError: a class is in none of the sets, a part would be empty or lack a class, nothing is held out by a
            name in `hold_out`.
    """
    pooled, pairs = pool_scans(scans)
    report_contradictions(pooled, pairs)
    check_classes(counts_by_class(pooled), pooled.features["set"].names)
    groups = np.array(pooled["group"])
    if how == "patients":
        part = _patient_parts(pooled, groups, seed)
        trained_on = part == "train"
    elif how == "published":
        part, trained_on = _published_parts(pooled, groups, seed)
    else:
        raise DatasetError(f"Unknown split {how!r}; use patients or published.")
    if hold_out:
        held = _held_out(pooled, hold_out)
        part[part == "test"] = "train" if how == "patients" else "left out"
        part[np.isin(groups, groups[held])] = "left out"
        part[held] = "test"
        trained_on = part == "train"
    crossing = pairs[trained_on[pairs[:, 0]] != trained_on[pairs[:, 1]]]
    copied = np.isin(np.arange(len(pooled)), crossing) & ~trained_on
    pooled = pooled.add_column("copy_in_train", copied.tolist())
    result = DatasetDict({name: pooled.select(np.flatnonzero(part == name)) for name in SPLITS})
    for name, rows in result.items():
        lacking = [label for label, count in counts_by_class(rows).items() if count == 0]
        if lacking and not (hold_out and name == "test"):
            needed = "--hold_out of less" if hold_out else "Pictures of more patients, or another --split,"
            raise DatasetError(
                f"The {name} part of the {how} split has no pictures of {', '.join(lacking)} "
                f"({rows.num_rows} pictures in all). {needed} {'is' if hold_out else 'are'} needed."
            )
    return result


def whole_set(scans: DatasetDict) -> Dataset:
    """All slices of all sets as one part, with the columns group and part of `split_scans`.

    They are sorted by file hash: the order in which files were found must not matter.
    """
    return pool_scans(scans)[0]


def pool_scans(scans: DatasetDict) -> tuple[Dataset, np.ndarray]:
    """`whole_set`, and the pairs (n, 2) of its copies."""
    parts = [rows.add_column("part", [name] * rows.num_rows) for name, rows in scans.items()]
    pooled = concatenate_datasets(parts)
    keys = list(zip(pooled["sha256"], pooled["source"], pooled["set"], strict=True))
    pooled = pooled.select(sorted(range(pooled.num_rows), key=keys.__getitem__))
    pairs = find_copies(thumbnails_of(pooled))
    return pooled.add_column("group", group_slices(pairs, pooled["sha256"], pooled["patient"]).tolist()), pairs


def of_main_set(part: Dataset) -> np.ndarray:
    """Indices of the slices of the main set, the first that was named, whose class is one of the four.

    Without any, those of all sets.
    """
    typed = np.array(part["label"]) != TUMOR
    main = typed & (np.array(part["set"]) == 0)
    return np.flatnonzero(main if main.any() else typed)


def kinds(part: Dataset) -> np.ndarray:
    """(n,) str: the `kind_name` of each slice."""
    names = part.features["set"].names
    return np.array([kind_name(names[s], q) for s, q in zip(part["set"], part["sequence"], strict=True)], dtype=str)


def cells(rows: Dataset) -> np.ndarray:
    """(n,) int64: the number of each slice's class, set and sequence together."""
    names = np.char.add(np.array(rows["label"]).astype(str), kinds(rows))
    return np.unique(names, return_inverse=True)[1]


def slice_weights(part: Dataset) -> np.ndarray:
    """(n,) float64 with mean 1: how much each slice counts, so that no class, set or sequence rules by its size.

    The slices of one class, set and sequence together weigh the square root of their number: more slices say more, but
    ten times as many, of the same scanners and often the same patients, not ten times as much.
    """
    numbers = cells(part)
    weights = 1 / np.sqrt(np.bincount(numbers)[numbers])
    return weights / weights.mean() if len(weights) else weights


def contradictions(rows: Dataset, pairs: np.ndarray) -> np.ndarray:
    """Those of the pairs (n, 2) of copies whose labels exclude each other."""
    labels = np.array(rows["label"])
    left, right = labels[pairs[:, 0]], labels[pairs[:, 1]]
    of_unknown_type = ((left == TUMOR) & (right != NO_TUMOR)) | ((right == TUMOR) & (left != NO_TUMOR))
    return pairs[(left != right) & ~of_unknown_type]


def report_contradictions(rows: Dataset, pairs: np.ndarray) -> None:
    """Log how many pairs of copies have labels that exclude each other, and name some."""
    found = contradictions(rows, pairs)
    if len(found):
        logger.warning(
            "%d pairs of copies have labels that exclude each other, such as %s. They stay in, in one part.",
            len(found), "; ".join(" and ".join(name_of(rows, i) for i in pair) for pair in found[:LISTED]),
        )  # fmt: skip


def name_of(rows: Dataset, index: int) -> str:
    """Set, source and label of a slice, to print."""
    row = rows[int(index)]
    return (
        f"{rows.features['set'].int2str(row['set'])}/{row['source']} ({rows.features['label'].int2str(row['label'])})"
    )


def first_of_each_class(part: Dataset, count: int) -> Dataset:
    """At most `count` slices of each class, in the order of the part (which is that of the hashes)."""
    labels = np.array(part["label"])
    return part.select(np.sort(np.concatenate([np.flatnonzero(labels == i)[:count] for i in np.unique(labels)])))


def _patient_parts(pooled: Dataset, groups: np.ndarray, seed: int) -> np.ndarray:
    """(n,) names of parts, of folds dealt out so that each class, set and sequence has about its share in each part."""
    folds = _folds(pooled, groups, FOLDS, seed)
    counts = np.zeros((len(np.unique(numbers := _nameless_cells(pooled))), FOLDS))
    np.add.at(counts, (numbers, folds), 1)
    slots = np.array(["test"] * TEST_FOLDS + ["validation"] * VALIDATION_FOLDS)
    slots = np.concatenate([slots, np.full(FOLDS - len(slots), "train")])
    random = np.random.default_rng(seed)
    best, least = slots, np.inf
    for _ in range(DEALS):
        dealt = random.permutation(slots)
        off = 0.0
        for name, share in (("test", TEST_FOLDS / FOLDS), ("validation", VALIDATION_FOLDS / FOLDS)):
            held = counts[:, dealt == name].sum(axis=1) / counts.sum(axis=1)
            off += float((np.sqrt(counts.sum(axis=1)) * np.abs(held / share - 1)).sum())
        if off < least:
            best, least = dealt, off
    return best[folds]


def _published_parts(pooled: Dataset, groups: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Name of each slice's part, and whether this split has it in train or validation taken from that."""
    main = np.array(pooled["set"]) == 0
    part = np.array(pooled["part"], dtype="<U10")
    check_published(set(part[main]))
    if not main.all():
        part[~main] = _patient_parts(pooled, groups, seed)[~main]
        for name in ("train", "validation", "test"):  # a slice in several groups' parts goes with the last of these
            part[~main & np.isin(groups, groups[main & (part == name)])] = name
    trained_on = part == "train"
    if "validation" not in part[main]:
        rows = np.flatnonzero(trained_on & main)
        # The splitter deals out groups from large to small, so its first folds differ from its last.
        folds = _folds(pooled.select(rows), groups[rows], 10, seed, parts=2)
        own = rows[folds == np.random.default_rng(seed).integers(folds.max() + 1)]
        part[own] = "validation"
        part[~main & trained_on & np.isin(groups, groups[own])] = "validation"
    return part, trained_on


def _folds(rows: Dataset, groups: np.ndarray, folds: int, seed: int, parts: int = 3) -> np.ndarray:
    """Fold number of each slice: whole groups, shares of classes, sets and sequences kept as well as groups allow.

    There are `folds` of them, or as many as groups; each part needs a group of each class.

    Raises:
        DatasetError: a class has too few pictures, or its pictures are in too few groups.
    """
    labels = np.array(rows["label"])
    least = min(np.bincount(labels, minlength=len(LABELS))[: len(LABELS)])
    if least < folds:
        raise DatasetError(
            f"Too few pictures to split: the smallest class has {least}, and at least {folds} are needed."
        )
    held_by = [len(np.unique(groups[labels == number])) for number in range(len(LABELS))]
    if (fewest := min(held_by)) < parts:
        raise DatasetError(
            f"Too few patients: one of {parts} parts would have no pictures of {LABELS[held_by.index(fewest)]}, all of "
            f"which are in {fewest} groups of patients and copies. Pictures of more patients are needed, or folders "
            "train, validation and test, and --split published."
        )
    folds = min(folds, len(np.unique(groups)))
    of_cell = _nameless_cells(rows)
    if np.bincount(of_cell).max() < folds:  # more sequences and sets than the splitter can keep shares of
        of_cell = labels
    fold = np.empty(len(labels), np.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # a sequence that a set has little of
        splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
        for number, (_, members) in enumerate(splitter.split(of_cell, of_cell, groups)):
            fold[members] = number
    return fold


def _nameless_cells(rows: Dataset) -> np.ndarray:
    """`cells`, numbered from the largest to the smallest, those of one size by their first file hash.

    The splitter breaks ties by number: a set under another name, or in another place of the list, must not lead to
    other parts.
    """
    _, first, numbers, sizes = np.unique(cells(rows), return_index=True, return_inverse=True, return_counts=True)
    hashes = np.array(rows["sha256"])[first]
    order = sorted(range(len(sizes)), key=lambda cell: (-sizes[cell], hashes[cell]))
    return np.argsort(order)[numbers]


def _held_out(pooled: Dataset, hold_out: Sequence[str]) -> np.ndarray:
    """(n,) bool: the slices that `split_scans` shall hold out."""
    names = np.array(pooled.features["set"].names)[pooled["set"]]
    keys = [f"{name}/{source}" for name, source in zip(names, pooled["source"], strict=True)]
    held = np.zeros(pooled.num_rows, bool)
    for what in hold_out:
        wanted = read_hold_out(what, pooled.features["set"].names)
        found = names == public_name(what) if wanted is None else np.isin(keys, sorted(wanted))
        if not found.any():
            raise DatasetError(
                f"--hold_out {what} names no slice that is in the sets {', '.join(pooled.features['set'].names)}."
            )
        if lacking := sorted((wanted or set()) - set(keys)):
            logger.warning("--hold_out %s: %d slices are not there, such as %s.", what, len(lacking), lacking[0])
        held |= found
    return held
