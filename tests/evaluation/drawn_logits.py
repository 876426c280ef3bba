"""Logits and parts drawn at random, for tests of figures."""

import numpy as np
from datasets import ClassLabel, Dataset, Features, Value

from brain_tumor.labels import LABELS


def random_logits(count: int, seed: int, skill: float = 2.0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, count)
    return (random.normal(size=(count, 4)) + skill * np.eye(4)[labels]).astype(np.float32), labels


def part_of(labels, groups, copied) -> Dataset:
    names = [*LABELS, "tumor"]
    return Dataset.from_dict(
        {"label": labels, "group": groups, "copy_in_train": copied},
        Features({"label": ClassLabel(names=names), "group": Value("int64"), "copy_in_train": Value("bool")}),
    )
