"""Logits of a part -> its figures with intervals: a section of `results.json`."""

import re
from pathlib import PurePosixPath

import numpy as np
from datasets import Dataset
from scipy.special import softmax

from brain_tumor.data.split import of_main_set
from brain_tumor.evaluation.calibration import before_and_after
from brain_tumor.evaluation.intervals import (
    class_intervals,
    group_draws,
    probability_intervals,
    rate_intervals,
    share_interval,
    share_intervals,
    sums_by_group,
)
from brain_tumor.evaluation.kinds import (
    diagnosis_figures,
    kind_figures,
    over_sets,
    persons_of,
    sequence_figures,
    set_figures,
)
from brain_tumor.evaluation.metrics import (
    DANGEROUS_CONFIDENCE,
    classification_figures,
    dangerous_misses,
    risk_coverage,
)
from brain_tumor.inference.verdict import UNCERTAIN, Thresholds, decide, to_config
from brain_tumor.labels import LABELS, NO_TUMOR, TUMOR

LEAST_OF_A_SOURCE = 5
"""Slices of a source below which nothing is said about it."""

LISTED_MISSES = 100
"""Dangerous misses that are named at most."""

_COVERAGES = np.linspace(0.05, 1, 20)


def decision_figures(
    probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray, thresholds: Thresholds, seed: int = 0
) -> dict:
    """How good the verdicts are, each share with its 95 % interval over groups of copies.

    Args:
        probabilities: (n, 4), calibrated.
        labels: (n,) class indices or `labels.TUMOR`, whose type is not asked about.

    Returns:
        "thresholds"; sensitivity (tumors not called "no tumor", the uncertain ones among them); specificity (tumor-free
        slices not called a tumor, the uncertain ones among them); uncertain, uncertain_tumors and uncertain_healthy
        (shares without a verdict); type_unclear (tumors called that); accuracy_decided (right verdicts among the slices
        whose verdict names a class and whose class is known); "counts" of numerator and denominator, and "intervals",
        by the same names. None where there is nothing to count.
    """
    verdicts = decide(probabilities, thresholds)
    healthy, open_ = labels == NO_TUMOR, verdicts == UNCERTAIN
    shares = {
        "sensitivity": (verdicts != NO_TUMOR, ~healthy),
        "specificity": (open_ | (verdicts == NO_TUMOR), healthy),
        "uncertain": (open_, np.ones(len(labels), bool)),
        "uncertain_tumors": (open_, ~healthy),
        "uncertain_healthy": (open_, healthy),
        "type_unclear": (verdicts == TUMOR, ~healthy),
        "accuracy_decided": (verdicts == labels, ~open_ & (verdicts != TUMOR) & (labels != TUMOR)),
    }
    draws, member = group_draws(groups, seed)
    hits = sums_by_group(np.stack([hit & of for hit, of in shares.values()], 1), member, draws.shape[1])
    totals = sums_by_group(np.stack([of for _, of in shares.values()], 1), member, draws.shape[1])
    counts = {
        name: [int(hit), int(of)] for name, hit, of in zip(shares, hits.sum(axis=0), totals.sum(axis=0), strict=True)
    }
    return {
        "thresholds": to_config(thresholds),
        **{name: hit / of if of else None for name, (hit, of) in counts.items()},
        "counts": counts,
        "intervals": dict(zip(shares, share_intervals(draws, hits, totals), strict=True)),
    }


def figures(logits: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int = 0) -> dict:
    """All figures of one part, each with its 95 % interval.

    Args:
        logits: (n, 4), calibrated.
        labels: (n,) class indices.
        groups: (n,) groups of copies. The bootstrap draws groups, not slices: ten copies of a slice are one
            piece of evidence.
        seed: of the bootstrap.

    Returns:
        What `metrics.classification_figures` returns, with "slices", "groups" and "intervals": name -> [low, high] or
        None; each class of "per_class" has "intervals" of its own.
    """
    probabilities = probabilities_of(logits)
    result = classification_figures(probabilities, labels)
    draws, member = group_draws(groups, seed)
    intervals = rate_intervals(probabilities.argmax(axis=1), labels, groups, seed)
    intervals |= probability_intervals(probabilities, labels, draws, member)
    for label, bounds in zip(LABELS, class_intervals(probabilities, labels, draws, member), strict=True):
        result["per_class"][label]["intervals"] = bounds
    return {"slices": len(labels), "groups": len(np.unique(groups)), **result, "intervals": intervals}


def part_figures(logits: np.ndarray, part: Dataset, thresholds: Thresholds | None = None) -> dict:
    """Everything about one part with known classes.

    Args:
        logits: (n, 4), calibrated.
        part: with the columns label and group, and where they are known copy_in_train, source and part.
        thresholds: of the verdict; without them there is no "decision".

    Returns:
        `figures`; "decision" (`decision_figures`); "dangerous_misses" (`list_dangerous_misses`); "risk_coverage" with
        the AURC and points of the curve; "by_source" (`figures_by_source`); and where slices have copies in training,
        how many, and `figures` "with_copy_in_train" and "without_copy_in_train".
    """
    labels, groups = np.array(part["label"]), np.array(part["group"])
    probabilities = probabilities_of(logits)
    result = figures(logits, labels, groups)
    if thresholds is not None:
        result["decision"] = decision_figures(probabilities, labels, groups, thresholds)
    result["dangerous_misses"] = list_dangerous_misses(probabilities, part)
    coverage, risk, area = risk_coverage(probabilities, labels)
    at = np.searchsorted(coverage, _COVERAGES - 1e-9).clip(0, len(coverage) - 1)
    result["risk_coverage"] = {
        "aurc": area,
        "points": [[round(float(share), 2), float(risk[i])] for share, i in zip(_COVERAGES, at, strict=True)],
    }
    if "source" in part.column_names:
        result["by_source"] = figures_by_source(probabilities, part)
    if "copy_in_train" in part.column_names:
        copied = np.array(part["copy_in_train"])
        result["slices_with_copy_in_train"] = int(copied.sum())
        if copied.any():
            for name, chosen in (("with_copy_in_train", copied), ("without_copy_in_train", ~copied)):
                if chosen.any():
                    result[name] = figures(logits[chosen], labels[chosen], groups[chosen])
    return result


def list_dangerous_misses(probabilities: np.ndarray, part: Dataset) -> dict:
    """Tumors called "no tumor" with a confidence above `metrics.DANGEROUS_CONFIDENCE`.

    Returns:
        "count", "tumors" (of how many), "confidence" (the limit) and "slices": the surest ones' sources (where the
        part has the column), labels and confidences.
    """
    labels = np.array(part["label"])
    found = dangerous_misses(probabilities, labels)
    sources = part["source"] if "source" in part.column_names else None
    return {
        "count": len(found),
        "tumors": int((labels != NO_TUMOR).sum()),
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


def figures_by_source(probabilities: np.ndarray, part: Dataset) -> list[dict]:
    """Accuracy for each source that file names tell of, where it has at least `LEAST_OF_A_SOURCE` slices.

    A source is the dataset's own part and the letters that a picture's name begins with (`source_of`). Where names
    were kept, that tells apart the collections that a set was put together from; it is neither a hospital nor a
    scanner.

    Returns:
        {"source", "slices", "groups", "accuracy", "interval", "missed_tumors"} each, those with the most slices first.
    """
    labels, groups = np.array(part["label"]), np.array(part["group"])
    called = probabilities.argmax(axis=1)
    own = part["part"] if "part" in part.column_names else [""]
    own = own if len(set(own)) > 1 else [""] * part.num_rows  # a set without parts is not called "train"
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


def patient_figures(called: np.ndarray, part: Dataset) -> dict:
    """Accuracy averaged over patients: each counts once, however many slices there are.

    Args:
        called: (n,) class indices.
        part: with the columns label, group and patient; where no patient is known, a group of copies stands for one.

    Returns:
        accuracy, its 95 % "interval" over groups, "patients", "known" (how many of them are patients, not groups) and
        "mostly_wrong", the patients most of whose slices are wrong: {"patient", "slices", "wrong"}, those with most
        slices first.
    """
    right, groups = called == np.array(part["label"]), np.array(part["group"])
    patients, first, member = np.unique(persons_of(part), return_index=True, return_inverse=True)
    slices, hits = np.bincount(member), np.bincount(member, weights=right)
    share, of_group = hits / slices, groups[first]
    draws, column = group_draws(of_group)
    sums = sums_by_group(np.stack([share, np.ones(len(share))], 1), column, draws.shape[1])
    wrong = sorted(np.flatnonzero(2 * hits < slices), key=lambda i: (-slices[i], patients[i]))
    return {
        "accuracy": float(share.mean()),
        "interval": share_intervals(draws, sums[:, :1], sums[:, 1:])[0],
        "patients": len(patients),
        "known": int(sum(not name.startswith("group ") for name in patients)),
        "mostly_wrong": [
            {"patient": str(patients[i]), "slices": int(slices[i]), "wrong": int(slices[i] - hits[i])} for i in wrong
        ],
    }


def evaluate_parts(
    raw_logits: dict[str, np.ndarray],
    parts: dict[str, Dataset],
    temperature: float | None = None,
    thresholds: Thresholds | None = None,
) -> dict[str, dict]:
    """The sections of `results.json`, one for every part that there are logits of.

    Args:
        raw_logits: part -> (n, 4), before the temperature.
        parts: of `split.split_scans`, of all sets.
        temperature: what the logits are divided by. None where it is not known what the network's own logits were:
            then they are taken as they are, and there is no "calibration".
        thresholds: of the verdict, if there are any.

    Returns:
        part -> `part_figures` of the main set's slices (`split.of_main_set`), "figures_of" (names of the sets that
        these are of: others where the part holds none of the main set), "by_patient" (`patient_figures`) and
        "calibration" (`calibration.before_and_after`) of the same; and of all sets "by_kind" (`kinds.kind_figures`),
        "by_diagnosis" (`kinds.diagnosis_figures`), "over_sets" (`kinds.over_sets`), "by_set"
        (`kinds.set_figures`) and "by_sequence" (`kinds.sequence_figures`). Of a part where all slices are tumors of
        unknown type, these alone.
    """
    sections = {}
    for name, logits in raw_logits.items():
        part, calibrated = parts[name], logits / (temperature or 1.0)
        main = of_main_set(part)
        rows, probabilities = part.select(main), probabilities_of(calibrated)
        section = part_figures(calibrated[main], rows, thresholds) if len(main) else {"slices": 0, "groups": 0}
        section["figures_of"] = [part.features["set"].names[number] for number in np.unique(rows["set"])]
        if len(main):
            section["by_patient"] = patient_figures(probabilities[main].argmax(axis=1), rows)
        if len(main) and temperature:
            section["calibration"] = before_and_after(logits[main], np.array(rows["label"]), temperature)
        section["by_kind"] = kind_figures(probabilities, part, thresholds)
        section["by_diagnosis"] = diagnosis_figures(probabilities, part, thresholds)
        section["over_sets"] = over_sets(probabilities, part, thresholds)
        section["by_set"] = set_figures(probabilities, part, thresholds)
        section["by_sequence"] = sequence_figures(probabilities, part)
        sections[name] = section
    return sections


def probabilities_of(logits: np.ndarray) -> np.ndarray:
    return softmax(logits.astype(np.float64), axis=1)
