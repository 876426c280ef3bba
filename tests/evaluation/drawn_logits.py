"""Logits and parts drawn at random, for tests of figures."""

import numpy as np
from datasets import ClassLabel, Dataset, Features, Value

from brain_tumor.labels import LABELS


def random_logits(count: int, seed: int, skill: float = 2.0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, count)
    return (random.normal(size=(count, 4)) + skill * np.eye(4)[labels]).astype(np.float32), labels


def part_of(
    labels, groups, copied, patients=None, sets=("main",), numbers=None, sequences=None, planes=None, diagnoses=None
) -> Dataset:
    """A part of `split.split_scans` without pictures: of one set unless `numbers` says of which each slice is."""
    n = len(labels)
    columns = {
        "label": (labels, ClassLabel(names=[*LABELS, "tumor"])),
        "group": (groups, Value("int64")),
        "copy_in_train": (copied, Value("bool")),
        "patient": (patients or [""] * n, Value("string")),
        "set": ([0] * n if numbers is None else numbers, ClassLabel(names=list(sets))),
        "sequence": (sequences or [""] * n, Value("string")),
        "plane": (planes or [""] * n, Value("string")),
        "diagnosis": (diagnoses or [""] * n, Value("string")),
    }
    return Dataset.from_dict(
        {name: values for name, (values, _) in columns.items()},
        Features({name: feature for name, (_, feature) in columns.items()}),
    )
