"""Kinds of scan on which a checkpoint is known to do worse, as a file's header tells them and its results measure them.

Data, not words: `answers.words` says it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from brain_tumor.inference.checkpoint import find_file
from brain_tumor.provenance import RESULTS, read_results
from brain_tumor.reading.dicom.words import NOT_STATED

REFERENCE = "T1C+"
"""T1 with contrast: the sequence that the others are compared with, for it is the one that most tumors are seen in."""

LEAST_SLICES, LEAST_PATIENTS = 20, 3
"""Below this nothing is claimed about a kind of scan."""

MARGIN = 0.02
"""A figure is worse from this difference on; test parts of some ten patients cannot tell smaller ones from chance."""

LESS_IS_BETTER = {"missed": True, "right_type": False, "specificity": False}
"""Figures of `evaluation.kinds.shares` that are compared."""

_HEAD = ("brain", "pituitary", "orbits", "head", NOT_STATED)

_UNKNOWN_MODALITIES = ("other", "secondary capture")
"""Those of pictures that may have been taken of an MRI."""


@dataclass(frozen=True)
class Share:
    """A share in [0, 1] of so many slices."""

    value: float
    slices: int


@dataclass(frozen=True)
class Weakness:
    """One thing about a file for which its verdict is worth less.

    Attributes:
        says: what the file says: "T1", "T2", "FLAIR", a modality that is not MRI, or a part of the body.
        about: "sequence", "modality", "body part", or "familiarity": unlike a brain MRI, and judged all the same.
        agent: of "T1" alone, whether the file says that no contrast agent was given; else it says nothing of one.
        worse: name of a figure of `LESS_IS_BETTER` -> its value here, and in T1 with contrast; never empty for a
            sequence.
        caught: of slices that are no brain MRI of this kind, those that the check of uploads turns away; None if
            unknown.
        other_people: whether the figures are of people that the checkpoint has not seen in training.
    """

    says: str
    about: str
    agent: bool = False
    worse: dict[str, tuple[Share, Share]] = field(default_factory=dict)
    caught: Share | None = None
    other_people: bool = False


class Weaknesses:
    """What a checkpoint's results.json says of kinds of scan.

    Args:
        results: what the file holds, as `provenance.read_results` returns it.

    Raises:
        Exception: it is not built as `train.py` writes it.
    """

    def __init__(self, results: Mapping):
        self._other_people = results.get("split") == "patients"
        rows = [row for row in results.get("test", {}).get("by_kind", []) if not row["plane"]]
        self._sequences = {
            name: {figure: _pool([row[figure] for row in rows if row["sequence"] == name]) for figure in LESS_IS_BETTER}
            for name in {row["sequence"] for row in rows}
        }
        self._caught = {}
        for row in results.get("familiarity", []):
            kind, colon, what = row["name"].rpartition(": ")
            pictures = re.match(r"(\d+) pictures", row["note"])
            if colon and what == "caught" and pictures and int(pictures[1]) >= LEAST_SLICES:
                self._caught[kind] = Share(float(row["value"]), int(pictures[1]))

    @classmethod
    def load(cls, model_id: str | Path) -> "Weaknesses":
        """Of a checkpoint; of one without results, or with damaged ones, no figure is known."""
        try:
            return cls(read_results(find_file(model_id, RESULTS)))
        except Exception:  # a checkpoint of somebody else's may have anything of this name
            return cls({})

    def of(self, facts: Mapping[str, str]) -> list[Weakness]:
        """What speaks against the verdict on a file; what its header does not say does not.

        Args:
            facts: of the file, `Upload.facts`.
        """
        found = []
        modality, part = facts.get("Modality", "MRI"), facts.get("Body part", NOT_STATED)
        head, mri = part in _HEAD, modality in ("MRI", *_UNKNOWN_MODALITIES)
        if not mri:
            caught = self._caught.get(f"{'head' if head else 'body'}-{modality.lower()}")
            found.append(Weakness(modality, "modality", caught=caught))
        if not head:
            found.append(Weakness(part, "body part", caught=self._caught.get("body-mr") if mri else None))
        says, agent = _sequence(facts)
        worse = self._worse(says) if says and mri and head else {}
        if worse:
            found.append(Weakness(says, "sequence", agent, worse, other_people=self._other_people))
        return found

    def _worse(self, sequence: str) -> dict[str, tuple[Share, Share]]:
        worse = {}
        for name, less_is_better in LESS_IS_BETTER.items():
            here, there = (self._sequences.get(one, {}).get(name) for one in (sequence, REFERENCE))
            if here and there and (here.value - there.value) * (1 if less_is_better else -1) >= MARGIN:
                worse[name] = here, there
        return worse


def _pool(figures: list[dict | None]) -> Share | None:
    """One share of several sets' slices together."""
    known = [figure for figure in figures if figure]
    slices = sum(figure["slices"] for figure in known)
    if slices < LEAST_SLICES or sum(figure["patients"] for figure in known) < LEAST_PATIENTS:
        return None
    return Share(sum(figure["value"] * figure["slices"] for figure in known) / slices, slices)


def _sequence(facts: Mapping[str, str]) -> tuple[str, bool]:
    """The sequence that a header tells, as results name it, "" if none or several, and whether it denies an agent."""
    words = set(facts.get("Sequence", "").split(", "))
    agent = facts.get("Contrast agent")
    t1 = bool(words & {"T1", "gradient echo T1 (3D)"})
    if "FLAIR" in words and not t1:  # T2 FLAIR is FLAIR; T1 FLAIR is T1, which looks dark where there is fluid anyway
        return "FLAIR", False
    if t1 == ("T2" in words):
        return "", False
    return ("T1" if t1 and agent != "yes" else REFERENCE if t1 else "T2"), t1 and agent == "no"
