"""The verdict, recall first: "no tumor" and a tumor must each be probable enough, or the verdict is "uncertain".

A missed tumor costs more than a second look, so the two errors have limits of their own and what lies between the
thresholds goes to a specialist. A tumor gets the name of its type only if that is clear.
"""

from dataclasses import dataclass

import numpy as np

from brain_tumor.labels import LABELS, NO_TUMOR, TUMOR, TUMOR_TYPES

UNCERTAIN = -1

UNCERTAIN_VERDICT = "uncertain"

TYPE_UNCLEAR = "tumor"
"""The verdict on a tumor whose type is not clear."""

CONFIG_KEY = "decision_thresholds"


@dataclass(frozen=True)
class Thresholds:
    """From which probability on a verdict is given, each in (0, 1].

    Attributes:
        no_tumor: least p(no_tumor) of the verdict "no tumor" (t_high).
        tumor: least p(any tumor) = 1 - p(no_tumor) of the verdict of a tumor (t_low). It is more than
            1 - no_tumor, so that no slice gets both.
        type: least p(type) / p(any tumor) of a verdict that names the type, in [0, 1); 0 always names one.
    """

    no_tumor: float
    tumor: float
    type: float = 0.0

    def __post_init__(self):
        if not 0 <= self.type < 1:
            raise ValueError(f"The decision threshold type {self.type} must lie in [0, 1).")
        if not (0 < self.no_tumor <= 1 and 0 < self.tumor <= 1 and self.tumor > 1 - self.no_tumor):
            raise ValueError(
                f"Decision thresholds no_tumor {self.no_tumor} and tumor {self.tumor} must lie in (0, 1] and sum to "
                "more than 1, or a slice could get both verdicts."
            )

    @property
    def of_any_tumor(self) -> tuple[float, float]:
        """P(any tumor) up to which a slice is called no tumor, and from which on a tumor."""
        return 1 - self.no_tumor, self.tumor


def decide(probabilities: np.ndarray, thresholds: Thresholds) -> np.ndarray:
    """The verdict on each slice.

    Args:
        probabilities: (n, 4), calibrated, rows sum to 1.

    Returns:
        (n,) int64: `NO_TUMOR`, the class index of the most probable of the three tumors, `labels.TUMOR` if none of
        them is clear, or `UNCERTAIN`.
    """
    types = np.array(TUMOR_TYPES)
    healthy = probabilities[:, NO_TUMOR]
    verdicts = np.full(len(probabilities), UNCERTAIN, np.int64)
    verdicts[healthy >= thresholds.no_tumor] = NO_TUMOR
    # The tumor comes last: should rounding let a slice reach both thresholds, recall wins.
    found = 1 - healthy >= thresholds.tumor
    of_types = probabilities[np.ix_(found, types)]
    clear = of_types.max(axis=1) >= thresholds.type * of_types.sum(axis=1)
    verdicts[found] = np.where(clear, types[of_types.argmax(axis=1)], TUMOR)
    return verdicts


def judge_slice(probabilities: np.ndarray, thresholds: Thresholds) -> str:
    """The verdict on one slice: a label of `labels.LABELS`, "tumor" or "uncertain". probabilities: (4,).

    >>> judge_slice([0.30, 0.05, 0.60, 0.05], Thresholds(no_tumor=0.95, tumor=0.5))
    'uncertain'
    >>> judge_slice([0.30, 0.25, 0.40, 0.05], Thresholds(no_tumor=0.95, tumor=0.5))
    'glioma'
    >>> judge_slice([0.40, 0.35, 0.20, 0.05], Thresholds(no_tumor=0.95, tumor=0.5, type=0.6))
    'tumor'
    """
    number = int(decide(np.asarray(probabilities, np.float64)[None], thresholds)[0])
    return UNCERTAIN_VERDICT if number == UNCERTAIN else (*LABELS, TYPE_UNCLEAR)[number]


def to_config(thresholds: Thresholds) -> dict[str, float]:
    """What `config.json` holds under `CONFIG_KEY`."""
    return {"no_tumor": thresholds.no_tumor, "tumor": thresholds.tumor, "type": thresholds.type}


def from_config(config) -> Thresholds | None:
    """The thresholds of a checkpoint; None where it has none, or none that make sense.

    Args:
        config: a `PretrainedConfig`, or the dict that `config.json` holds.
    """
    stored = config.get(CONFIG_KEY) if isinstance(config, dict) else getattr(config, CONFIG_KEY, None)
    try:
        return Thresholds(float(stored["no_tumor"]), float(stored["tumor"]), float(stored.get("type", 0)))
    except (TypeError, KeyError, ValueError, AttributeError):
        return None
