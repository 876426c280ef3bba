"""Figures by kind of scan (set, sequence and plane), and of tumor-free slices by diagnosis."""

import numpy as np
from datasets import Dataset

from brain_tumor.data.split import kinds
from brain_tumor.evaluation.intervals import share_interval
from brain_tumor.evaluation.metrics import is_right, probability_figures
from brain_tumor.inference.verdict import UNCERTAIN, Thresholds, decide
from brain_tumor.inference.weaknesses import LEAST_PATIENTS, LEAST_SLICES
from brain_tumor.labels import NO_TUMOR, TUMOR

LEAST_FOR_A_MEAN = 5
"""Slices of a kind from which on it counts in a mean over kinds."""


def shares(called: np.ndarray, labels: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name -> ((n,) bool, what counts as a hit; (n,) bool, of which slices).

    missed: tumors called "no tumor"; right_type: gliomas, meningiomas and pituitary tumors called what they are;
    specificity: tumor-free slices called "no tumor".
    """
    tumor, typed = labels != NO_TUMOR, (labels != NO_TUMOR) & (labels != TUMOR)
    return {
        "missed": (called == NO_TUMOR, tumor),
        "right_type": (called == labels, typed),
        "specificity": (called == NO_TUMOR, ~tumor),
    }


def mean_over_kinds(called: np.ndarray, labels: np.ndarray, of_kind: np.ndarray) -> dict[str, float]:
    """The figures of `shares`, each the mean over the kinds of scan that have `LEAST_FOR_A_MEAN` slices of it.

    Args:
        called, labels: (n,) class indices; labels may be `labels.TUMOR`.
        of_kind: (n,) str, of `split.kinds`.
    """
    means = {}
    for name, (hits, of) in shares(called, labels).items():
        own = [of & (of_kind == kind) for kind in np.unique(of_kind)]
        values = [hits[chosen].mean() for chosen in own if chosen.sum() >= LEAST_FOR_A_MEAN]
        if values:
            means[name] = float(np.mean(values))
    return means


def kind_figures(probabilities: np.ndarray, part: Dataset, thresholds: Thresholds | None = None) -> list[dict]:
    """One row for each kind of scan in a part, and beside it one for each of its planes where planes are known.

    Args:
        probabilities: (n, 4), calibrated.
        part: of `split.split_scans`.
        thresholds: of the verdict, for the uncertain share and the verdict's sensitivity and specificity.

    Returns:
        {"set", "sequence", "plane" ("" for all), "slices", "patients" (groups of patients and copies)} and missed,
        right_type, specificity, uncertain, verdict_sensitivity, verdict_specificity, type_unclear: each
        {"value", "interval" (95 %, over groups), "slices", "patients"}, or None with fewer than `LEAST_SLICES` slices
        or `LEAST_PATIENTS` groups.
    """
    labels, groups, planes = np.array(part["label"]), np.array(part["group"]), np.array(part["plane"], dtype=str)
    asked = _asked(probabilities, labels, thresholds)
    names, sequences = part.features["set"].names, np.array(part["sequence"], dtype=str)
    numbers, of_kind = np.array(part["set"]), kinds(part)
    rows = []
    for number, sequence, kind in sorted({*zip(numbers.tolist(), sequences.tolist(), of_kind.tolist(), strict=True)}):
        own = of_kind == kind
        known = sorted(set(planes[own]) - {""})
        for plane in ("", *(known if len(known) > 1 else ())):
            chosen = own & (planes == plane) if plane else own
            rows.append(
                {
                    "set": names[number],
                    "sequence": sequence,
                    "plane": plane,
                    "slices": int(chosen.sum()),
                    "patients": len(np.unique(groups[chosen])),
                    **{name: _share(hits, of & chosen, groups) for name, (hits, of) in asked.items()},
                }
            )
    return rows


def diagnosis_figures(probabilities: np.ndarray, part: Dataset, thresholds: Thresholds | None = None) -> list[dict]:
    """What becomes of tumor-free slices whose diagnosis is known: one row for each set and diagnosis.

    A model has no name for a disease that is no tumor, so none of these answers is a diagnosis.

    Args:
        probabilities, part, thresholds: as for `kind_figures`. Without thresholds the most probable class counts, and
            none is uncertain.

    Returns:
        {"set", "diagnosis" (as the set names it), "slices", "patients" (where none is known, groups of copies)} and
        no_tumor, tumor, uncertain: what they are called, each as in `kind_figures`, but of these patients; the interval
        is None with fewer than `LEAST_PATIENTS` groups.
    """
    called = probabilities.argmax(axis=1) if thresholds is None else decide(probabilities, thresholds)
    diagnoses, groups = np.array(part["diagnosis"], dtype=str), np.array(part["group"])
    persons = persons_of(part)
    sets = np.array(part.features["set"].names)[part["set"]]
    known = (np.array(part["label"]) == NO_TUMOR) & (diagnoses != "")
    answers = {"no_tumor": called == NO_TUMOR, "uncertain": called == UNCERTAIN}
    answers["tumor"] = ~(answers["no_tumor"] | answers["uncertain"])
    rows = []
    for name, diagnosis in sorted({*zip(sets[known].tolist(), diagnoses[known].tolist(), strict=True)}):
        own = known & (sets == name) & (diagnoses == diagnosis)
        slices, patients = int(own.sum()), len(np.unique(persons[own]))
        row = {"set": name, "diagnosis": diagnosis, "slices": slices, "patients": patients} | dict.fromkeys(answers)
        if slices >= LEAST_SLICES and patients >= LEAST_PATIENTS:
            several = len(np.unique(groups[own])) >= LEAST_PATIENTS
            for answer, hits in answers.items():
                row[answer] = {
                    "value": float(hits[own].mean()),
                    "interval": share_interval(hits, own, groups) if several else None,
                    "slices": slices,
                    "patients": patients,
                }
        rows.append(row)
    return rows


def persons_of(part: Dataset) -> np.ndarray:
    """(n,) str: whose slice each is; where no patient is known, its group of copies stands for one."""
    return np.array([name or f"group {group}" for name, group in zip(part["patient"], part["group"], strict=True)])


def set_figures(probabilities: np.ndarray, part: Dataset, thresholds: Thresholds | None = None) -> list[dict]:
    """One row for each set, of all its kinds of scan together.

    Args:
        probabilities, part, thresholds: as for `kind_figures`.

    Returns:
        "name" and what `_right` tells, and the shares of `kind_figures`.
    """
    labels, groups, names = np.array(part["label"]), np.array(part["group"]), part.features["set"].names
    asked, sets = _asked(probabilities, labels, thresholds), np.array(names)[part["set"]]
    return [
        row | {name: _share(hits, of & (sets == row["name"]), groups) for name, (hits, of) in asked.items()}
        for row in _right(probabilities, labels, groups, sets)
    ]


def sequence_figures(probabilities: np.ndarray, part: Dataset) -> list[dict]:
    """What `_right` tells of each sequence, whose "name" is "" where it is not known."""
    sequences = np.array(part["sequence"], dtype=str)
    return _right(probabilities, np.array(part["label"]), np.array(part["group"]), sequences)


def _right(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray, names: np.ndarray) -> list[dict]:
    """By "name": the number of "slices", the share of them that are called what they are ("right"; `metrics.is_right`),
    and its "interval" (95 %, over groups)."""
    right = is_right(probabilities.argmax(axis=1), labels)
    return [
        {
            "name": str(name),
            "slices": int(own.sum()),
            "right": float(right[own].mean()),
            "interval": share_interval(right, own, groups),
        }
        for name in np.unique(names)
        for own in [names == name]
    ]


def over_sets(probabilities: np.ndarray, part: Dataset, thresholds: Thresholds | None = None) -> dict[str, float]:
    """Figures that are means over sets, so that no set rules by its size.

    Args:
        probabilities, part, thresholds: as for `kind_figures`.

    Returns:
        missed, right_type, specificity, and with thresholds verdict_sensitivity, verdict_specificity and uncertain, as
        in `kind_figures`, and ece, of the slices whose class is one of the four; each the mean over the sets with
        `LEAST_SLICES` slices of it. worst_uncertain is the largest share of a set.
    """
    numbers, labels = np.array(part["set"]), np.array(part["label"])
    sets = [numbers == number for number in np.unique(numbers)]
    result = {}
    for name, (hits, of) in _asked(probabilities, labels, thresholds).items():
        values = [float(hits[of & own].mean()) for own in sets if (of & own).sum() >= LEAST_SLICES]
        if values:
            result[name] = float(np.mean(values))
        if values and name == "uncertain":
            result["worst_uncertain"] = max(values)
    typed = [own & (labels != TUMOR) for own in sets]
    errors = [probability_figures(probabilities[own], labels[own])["ece"] for own in typed if own.sum() >= LEAST_SLICES]
    return result | ({"ece": float(np.mean(errors))} if errors else {})


def _asked(probabilities: np.ndarray, labels: np.ndarray, thresholds: Thresholds | None) -> dict:
    """`shares` at the most probable class, and with thresholds those of the verdict."""
    asked = shares(probabilities.argmax(axis=1), labels)
    if thresholds is not None:
        verdicts, healthy = decide(probabilities, thresholds), labels == NO_TUMOR
        asked["uncertain"] = (verdicts == UNCERTAIN, np.ones(len(labels), bool))
        asked["verdict_sensitivity"] = (verdicts != NO_TUMOR, ~healthy)
        asked["verdict_specificity"] = (np.isin(verdicts, (NO_TUMOR, UNCERTAIN)), healthy)
        asked["type_unclear"] = (verdicts == TUMOR, ~healthy)
    return asked


def _share(hits: np.ndarray, of: np.ndarray, groups: np.ndarray) -> dict | None:
    slices, patients = int(of.sum()), len(np.unique(groups[of]))
    if slices < LEAST_SLICES or patients < LEAST_PATIENTS:
        return None
    return {
        "value": float(hits[of].mean()),
        "interval": share_interval(hits[of], np.ones(slices, bool), groups[of]),
        "slices": slices,
        "patients": patients,
    }
