"""The figures of `metrics` as an `evaluate.Metric`, which takes predictions in batches and asks no network."""

import datasets
import evaluate
import numpy as np

from brain_tumor.evaluation.metrics import classification_figures

_DESCRIPTION = """Accuracy, macro recall, per-class precision, recall, F1 and one-vs-rest AUROC, confusion matrix,
negative log-likelihood, expected and class-wise calibration error, Brier score, tumor sensitivity and "no tumor"
specificity."""

_INPUTS = """
Args:
    predictions: (n, 4) probabilities of glioma, meningioma, no_tumor, pituitary; rows sum to 1.
    references: (n,) class indices.
Returns:
    a dict, see `metrics.classification_figures`.
Examples:
    >>> metric = ScanMetrics(keep_in_memory=True)
    >>> figures = metric.compute(predictions=[[0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.7, 0.1]], references=[0, 2])
    >>> figures["accuracy"], figures["sensitivity"], figures["specificity"], round(figures["ece"], 3)
    (1.0, 1.0, 1.0, 0.3)
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _INPUTS)
class ScanMetrics(evaluate.Metric):
    def _info(self):
        features = datasets.Features(
            {"predictions": datasets.Sequence(datasets.Value("float64")), "references": datasets.Value("int64")}
        )
        return evaluate.MetricInfo(description=_DESCRIPTION, citation="", inputs_description=_INPUTS, features=features)

    def _compute(self, predictions, references):
        return classification_figures(np.asarray(predictions, np.float64), np.asarray(references))
