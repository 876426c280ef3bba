"""The verdict, recall first: "no tumor" and a tumor must each be probable enough, or the verdict is "uncertain".

A missed tumor costs more than a second look, so the two errors have limits of their own and what lies between the
thresholds goes to a specialist.
"""

from dataclasses import dataclass

import numpy as np

from brain_tumor.labels import LABELS, NO_TUMOR, TUMOR_TYPES

UNCERTAIN = -1

UNCERTAIN_VERDICT = "uncertain"

CONFIG_KEY = "decision_thresholds"


@dataclass(frozen=True)
class Thresholds:
    """From which probability on a verdict is given, each in (0, 1].

    Attributes:
        no_tumor: least p(no_tumor) of the verdict "no tumor" (t_high).
        tumor: least p(any tumor) = 1 - p(no_tumor) of the verdict of a tumor (t_low). It is more than
            1 - no_tumor, so that no slice gets both.
    """

    no_tumor: float
    tumor: float

    def __post_init__(self):
        if not (0 < self.no_tumor <= 1 and 0 < self.tumor <= 1 and self.tumor > 1 - self.no_tumor):
            raise ValueError(
                f"Decision thresholds no_tumor {self.no_tumor} and tumor {self.tumor} must lie in (0, 1] and sum to "
                "more than 1, or a slice could get both verdicts."
            )


def decide(probabilities: np.ndarray, thresholds: Thresholds) -> np.ndarray:
    """The verdict on each slice.

    Args:
        probabilities: (n, 4), calibrated, rows sum to 1.

    Returns:
        (n,) int64: `NO_TUMOR`, the class index of the most probable of the three tumors, or `UNCERTAIN`.
    """
    types = np.array(TUMOR_TYPES)
    healthy = probabilities[:, NO_TUMOR]
    verdicts = np.full(len(probabilities), UNCERTAIN, np.int64)
    verdicts[healthy >= thresholds.no_tumor] = NO_TUMOR
    # The tumor comes last: should rounding let a slice reach both thresholds, recall wins.
    found = 1 - healthy >= thresholds.tumor
    verdicts[found] = types[probabilities[np.ix_(found, types)].argmax(axis=1)]
    return verdicts


def judge_slice(probabilities: np.ndarray, thresholds: Thresholds) -> str:
    """The verdict on one slice: a label of `labels.LABELS` or "uncertain". probabilities: (4,).

    >>> judge_slice([0.30, 0.05, 0.60, 0.05], Thresholds(no_tumor=0.95, tumor=0.5))
    'uncertain'
    >>> judge_slice([0.30, 0.25, 0.40, 0.05], Thresholds(no_tumor=0.95, tumor=0.5))
    'glioma'
    """
    number = int(decide(np.asarray(probabilities, np.float64)[None], thresholds)[0])
    return UNCERTAIN_VERDICT if number == UNCERTAIN else LABELS[number]


def to_config(thresholds: Thresholds) -> dict[str, float]:
    """What `config.json` holds under `CONFIG_KEY`."""
    return {"no_tumor": thresholds.no_tumor, "tumor": thresholds.tumor}


def from_config(config) -> Thresholds | None:
    """The thresholds of a checkpoint; None where it has none, or none that make sense.

    Args:
        config: a `PretrainedConfig`, or the dict that `config.json` holds.
    """
    stored = config.get(CONFIG_KEY) if isinstance(config, dict) else getattr(config, CONFIG_KEY, None)
    try:
        return Thresholds(float(stored["no_tumor"]), float(stored["tumor"]))
    except (TypeError, KeyError, ValueError):
        return None
