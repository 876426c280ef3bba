"""Calibrated confidence: one temperature, fitted on validation and folded into the checkpoint."""

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp, softmax
from transformers import PreTrainedModel

from brain_tumor.evaluation.metrics import probability_figures
from brain_tumor.labels import TUMOR, TUMOR_TYPES
from brain_tumor.network.pretrained import final_layer

TEMPERATURE_RANGE = (0.05, 20.0)


def nll(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean negative log-likelihood in nats. logits (n, classes) float, labels (n,) int, weights (n,) of the mean.

    For `labels.TUMOR` the likelihood is the summed probability of the three tumors.
    """
    logs = log_softmax(logits.astype(np.float64), axis=1)
    if (labels == TUMOR).any():
        logs = np.concatenate([logs, logsumexp(logs[:, TUMOR_TYPES], axis=1, keepdims=True)], axis=1)
    return float(np.average(-logs[np.arange(len(labels)), labels], weights=weights))


def fit_temperature(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The temperature T whose logits / T have the least NLL (Guo et al. 2017, "On Calibration of Modern Neural
    Networks").

    Args:
        logits: (n, classes) float, of slices that did not train the network.
        labels: (n,) int.
        weights: (n,) how much each slice counts.

    Returns:
        T, between the ends of `TEMPERATURE_RANGE`; above 1 makes confidences lower.
    """
    low, high = np.log(TEMPERATURE_RANGE)

    def loss(log_t: float) -> float:
        return nll(logits / np.exp(log_t), labels, weights)

    result = minimize_scalar(loss, bounds=(low, high), method="bounded")
    return float(np.exp(result.x))


def before_and_after(logits: np.ndarray, labels: np.ndarray, temperature: float) -> dict[str, dict[str, float]]:
    """NLL, Brier score, ECE and class-wise ECE of the network's own logits and with the temperature.

    Args:
        logits: (n, 4), before the temperature.
        labels: (n,) class indices.

    Returns:
        {"before": ..., "after": ...}, each as `metrics.probability_figures` returns it.
    """
    rows = logits.astype(np.float64)
    return {
        name: probability_figures(softmax(rows / divisor, axis=1), labels)
        for name, divisor in (("before", 1.0), ("after", temperature))
    }


@torch.no_grad()
def fold_temperature(model: PreTrainedModel, temperature: float) -> bool:
    """Divide the final layer by the temperature, so that any plain pipeline gives calibrated confidences.

    A network without such a layer, or one that does something after it, keeps its weights; the temperature then
    goes to `config.confidence_temperature`, which `classifier.Classifier` applies.

    Returns:
        True if it was folded.
    """
    layer, size = final_layer(model), getattr(model.config, "image_size", 224)
    side = size if isinstance(size, int) else 224
    probe = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    before = model.eval()(pixel_values=probe).logits
    if layer is not None:
        tensors = [tensor for tensor in (layer.weight, layer.bias) if tensor is not None]
        originals = [tensor.clone() for tensor in tensors]
        for tensor in tensors:
            tensor.div_(temperature)
        after = model(pixel_values=probe).logits
        if torch.allclose(after * temperature, before, rtol=1e-3, atol=1e-4):
            return True
        for tensor, original in zip(tensors, originals, strict=True):
            tensor.copy_(original)
    # Not `temperature`: transformers takes that name for a setting of text generation and refuses to save it.
    model.config.confidence_temperature = temperature
    return False
