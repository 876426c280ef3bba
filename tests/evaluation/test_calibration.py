"""One temperature makes confidences honest, changes no decision, and is part of the checkpoint."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transformers import (
    AutoModelForImageClassification,
    PreTrainedModel,
    ResNetConfig,
    ResNetForImageClassification,
    pipeline,
)
from transformers.modeling_outputs import ImageClassifierOutputWithNoAttention

from brain_tumor.evaluation.calibration import TEMPERATURE_RANGE, fit_temperature, fold_temperature, nll
from brain_tumor.inference.classifier import Classifier
from brain_tumor.network.pretrained import BASELINE, load_model, load_processor, save_checkpoint
from tests.slices import draw_slice


def honest_logits(count: int, seed: int):
    """Logits of a network that is right as often as it says, and labels drawn accordingly."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(count, 4)) * 2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (probabilities.cumsum(axis=1) > random.random((count, 1))).argmax(axis=1)
    return logits, labels


def slices(count: int, side: int) -> list[Image.Image]:
    return [draw_slice(i, ("glioma", "no_tumor", "pituitary")[i % 3], side).convert("RGB") for i in range(count)]


def logits_of(model, pixel_values) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(pixel_values=pixel_values).logits


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5, 8.0])
def test_the_temperature_that_spoiled_the_confidences_is_found(temperature):
    logits, labels = honest_logits(20_000, 0)
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.05)


def test_no_other_temperature_has_a_lower_nll():
    logits, labels = honest_logits(500, 1)
    logits = logits * 3
    best = fit_temperature(logits, labels)
    least = nll(logits / best, labels)
    assert all(nll(logits / t, labels) >= least - 1e-9 for t in np.geomspace(0.05, 20, 400))
    assert least < nll(logits, labels) - 0.1


def test_the_nll_is_the_one_of_pytorch_also_for_large_logits():
    logits, labels = honest_logits(100, 2)
    for scale in (1, 1_000):
        expected = nn.functional.cross_entropy(torch.tensor(logits * scale), torch.tensor(labels)).item()
        assert nll(logits * scale, labels) == pytest.approx(expected)
        assert nll((logits * scale).astype(np.float32), labels) == pytest.approx(expected, rel=1e-5)


def test_without_mistakes_the_temperature_stays_finite():
    labels = np.arange(40) % 4
    low, high = TEMPERATURE_RANGE
    assert low <= fit_temperature(np.eye(4)[labels] * 5, labels) < 0.5
    assert 2 < fit_temperature(-np.eye(4)[labels] * 5, labels) <= high


@pytest.fixture
def network(tiny_checkpoint):
    model = load_model(str(tiny_checkpoint), 96)
    with torch.no_grad():
        model.classifier.weight.mul_(300)
        model.classifier.bias.copy_(torch.tensor([0.5, -0.5, 0.3, 0.1]))
    return model.eval(), load_processor(str(tiny_checkpoint), 96)


def test_folding_keeps_the_ranking_and_divides_the_logits(network):
    model, processor = network
    pixel_values = processor(images=slices(24, 96), return_tensors="pt")["pixel_values"]
    before = logits_of(model, pixel_values)
    assert fold_temperature(model, 2.5) is True
    after = logits_of(model, pixel_values)
    assert torch.allclose(after, before / 2.5, rtol=1e-4, atol=1e-4)
    assert torch.equal(after.argsort(-1), before.argsort(-1))
    assert not hasattr(model.config, "confidence_temperature")


def test_the_folded_network_has_the_nll_that_the_fit_promised(network):
    model, processor = network
    pixel_values = processor(images=slices(48, 96), return_tensors="pt")["pixel_values"]
    before = logits_of(model, pixel_values)
    overconfident = before * 4
    labels = torch.distributions.Categorical(logits=before / before.std()).sample().numpy()
    with torch.no_grad():
        model.classifier.weight.mul_(4)
        model.classifier.bias.mul_(4)
    temperature = fit_temperature(overconfident.numpy(), labels)
    fold_temperature(model, temperature)
    after = logits_of(model, pixel_values).numpy()
    assert temperature > 1.5, "it was made overconfident"
    assert nll(after, labels) == pytest.approx(nll(overconfident.numpy() / temperature, labels), rel=1e-4)


def test_a_plain_pipeline_gives_the_calibrated_confidences(network, tmp_path):
    model, processor = network
    pixel_values = processor(images=slices(6, 96), return_tensors="pt")["pixel_values"]
    expected = (logits_of(model, pixel_values) / 3.0).softmax(-1)
    fold_temperature(model, 3.0)
    save_checkpoint(model, processor, tmp_path)
    classify = pipeline("image-classification", model=str(tmp_path), device="cpu")
    for slice_, row in zip(slices(6, 96), expected, strict=True):
        scores = {answer["label"]: answer["score"] for answer in classify(slice_, top_k=4)}
        assert [scores[model.config.id2label[i]] for i in range(4)] == pytest.approx(row.tolist(), abs=1e-5)
    assert expected.max() - expected.min() > 0.1


def test_a_temperature_of_one_changes_nothing(network):
    model, _ = network
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert fold_temperature(model, 1.0) is True
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_only_the_last_layer_is_touched(network):
    model, _ = network
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fold_temperature(model, 1.7)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


class Plus(nn.Module):
    """Something after the last layer that does not scale with it."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, features):
        return torch.tanh(self.layer(features))


class ConvolutionalHead(PreTrainedModel):
    """A small network that makes its logits by a 1x1 convolution and the mean over the picture."""

    config_class = ResNetConfig

    def __init__(self, config, bias=True):
        super().__init__(config)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4), nn.ReLU())
        self.head = nn.Conv2d(8, config.num_labels, 1, bias=bias)
        self.post_init()

    def forward(self, pixel_values):
        return ImageClassifierOutputWithNoAttention(logits=self.head(self.body(pixel_values)).mean(dim=(2, 3)))


@pytest.mark.parametrize("bias", [True, False])
def test_heads_of_every_kind_are_folded(bias, tiny_checkpoint):
    torch.manual_seed(0)
    resnet = ResNetForImageClassification(
        ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1], layer_type="basic", num_labels=4)
    )
    mobilenet = load_model(str(tiny_checkpoint), 96)
    if not bias:
        resnet.classifier[1] = nn.Linear(8, 4, bias=False)
        mobilenet.classifier = nn.Linear(mobilenet.classifier.in_features, 4, bias=False)
    convolutional = ConvolutionalHead(ResNetConfig(num_labels=4), bias)
    pixel_values = load_processor(BASELINE, 64)(images=slices(5, 64), return_tensors="pt")["pixel_values"]
    for model in (resnet, mobilenet, convolutional, load_model(BASELINE, 64)):
        before = logits_of(model, pixel_values)
        assert fold_temperature(model, 0.3) is True, type(model)
        assert torch.allclose(logits_of(model, pixel_values), before / 0.3, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("temperature", [0.2, 3.0])
def test_a_network_that_cannot_be_folded_keeps_its_weights_and_its_config_gets_the_temperature(temperature, network):
    model, processor = network
    model.classifier = Plus(model.classifier)
    pixel_values = processor(images=slices(5, 96), return_tensors="pt")["pixel_values"]
    before, weights = logits_of(model, pixel_values), {k: v.clone() for k, v in model.state_dict().items()}
    assert fold_temperature(model, temperature) is False
    assert model.config.confidence_temperature == temperature
    assert torch.equal(logits_of(model, pixel_values), before)
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_a_network_of_logits_without_a_linear_layer_keeps_the_temperature_in_its_config(network):
    model, _ = network
    model.classifier = nn.Sequential(nn.LazyLinear(9), nn.LazyBatchNorm1d(), nn.Unflatten(1, (3, 3)), nn.Flatten())
    model.config.id2label = {i: f"class {i}" for i in range(7)}  # 9 outputs, 7 labels: no layer fits
    assert fold_temperature(model, 2.0) is False
    assert model.config.confidence_temperature == 2.0


def test_a_temperature_in_the_config_is_saved_and_applied_by_the_demo(network, tmp_path):
    model, processor = network
    model.config.confidence_temperature = 2.5
    save_checkpoint(model, processor, tmp_path)
    assert AutoModelForImageClassification.from_pretrained(tmp_path).config.confidence_temperature == 2.5
    pixel_values = processor(images=slices(3, 96), return_tensors="pt")["pixel_values"]
    expected = (logits_of(model, pixel_values) / 2.5).softmax(-1)
    for prediction, row in zip(Classifier(tmp_path).predict(slices(3, 96)), expected, strict=True):
        assert list(prediction.confidences.values()) == pytest.approx(row.tolist(), abs=1e-5)
