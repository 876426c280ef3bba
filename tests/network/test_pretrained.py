"""Any checkpoint becomes a network of our four classes that trains well and that a plain pipeline loads."""

import copy
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    BertConfig,
    BertModel,
    MobileNetV2Config,
    MobileNetV2ForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
    pipeline,
)

from brain_tumor.labels import LABELS
from brain_tumor.network.pretrained import (
    BASELINE,
    ModelError,
    drop_needless_padding,
    final_layer,
    keep_strided_convolutions_in_float32,
    load_model,
    load_processor,
    save_checkpoint,
)
from tests.slices import draw_slice


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """A checkpoint that takes pictures of 32 px and of no other size."""
    folder = tmp_path_factory.mktemp("vit")
    config = ViTConfig(
        image_size=32, patch_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def real(shared):
    return shared / "checkpoints" / "mobilenet_v2_1.0_224"


def batch_norms(model):
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def slices(count: int, side: int) -> torch.Tensor:
    gray = np.stack([np.asarray(draw_slice(i, side=side)) for i in range(count)])
    return torch.from_numpy(gray).float().div(127.5).sub(1).unsqueeze(1).expand(-1, 3, -1, -1).contiguous()


def logits_of(model, pixel_values) -> torch.Tensor:
    with torch.no_grad():
        return model(pixel_values=pixel_values).logits


# --- networks ---------------------------------------------------------------------------------------------------


def test_every_batch_norm_learns_slowly_enough(tiny_checkpoint):
    before = AutoModelForImageClassification.from_pretrained(tiny_checkpoint)
    assert {norm.momentum for norm in batch_norms(before)} == {0.997}, "then this fix is not needed any more"
    model = load_model(str(tiny_checkpoint), 96)
    assert len(batch_norms(model)) == len(batch_norms(before)) == 52
    assert {norm.momentum for norm in batch_norms(model)} == {0.1}


def test_one_step_of_training_keeps_most_of_the_running_statistics(tiny_checkpoint):
    model = load_model(str(tiny_checkpoint), 96)
    before = [norm.running_mean.clone() for norm in batch_norms(model)]
    bright = slices(8, 96) + 2
    logits_of(model.train(), bright)
    for old, norm in zip(before, batch_norms(model), strict=True):
        batch_mean = old + (norm.running_mean - old) / 0.1
        assert torch.allclose(norm.running_mean, 0.9 * old + 0.1 * batch_mean, atol=1e-4)
    assert not torch.equal(before[0], batch_norms(model)[0].running_mean)


@pytest.mark.parametrize("dropout", [0.0, 0.35, None])
def test_dropout_is_what_was_asked_for(dropout, tiny_checkpoint):
    model = load_model(str(tiny_checkpoint), 96, dropout)
    expected = 0.8 if dropout is None else dropout  # MobileNetV2's own is 0.8
    assert [module.p for module in model.modules() if isinstance(module, nn.Dropout)] == [expected]
    assert model.config.classifier_dropout_prob == expected


@pytest.mark.parametrize("dropout", [0.0, 0.35, None])
def test_dropout_of_the_baseline_network_is_what_was_asked_for(dropout):
    model = load_model(BASELINE, 64, dropout)
    expected = 0.3 if dropout is None else dropout
    assert {module.p for module in model.modules() if isinstance(module, nn.Dropout)} == {expected}
    assert model.config.classifier_dropout_prob == expected


def test_a_checkpoint_without_such_a_setting_ignores_dropout(vit):
    assert load_model(str(vit), 32, 0.35).config.num_labels == 4


@pytest.mark.parametrize("name", ["tiny", "vit", BASELINE])
def test_the_four_classes_are_in_the_config_and_in_the_last_layer(name, tiny_checkpoint, vit):
    name_or_path = {"tiny": str(tiny_checkpoint), "vit": str(vit)}.get(name, name)
    size = 32 if name == "vit" else 96
    model = load_model(name_or_path, size)
    assert model.config.id2label == dict(enumerate(LABELS))
    assert model.config.label2id == {label: i for i, label in enumerate(LABELS)}
    assert model.config.num_labels == 4
    assert model.config.problem_type == "single_label_classification"
    assert model.config.image_size == size
    assert logits_of(model.eval(), torch.zeros(2, 3, size, size)).shape == (2, 4)
    assert final_layer(model).weight.shape[0] == 4
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_all_but_the_last_layer_is_the_checkpoints(tiny_checkpoint):
    ours = load_model(str(tiny_checkpoint), 96).state_dict()
    own = AutoModelForImageClassification.from_pretrained(tiny_checkpoint).state_dict()
    assert set(ours) == set(own)
    differing = {
        name
        for name in own
        if not torch.equal(ours[name].reshape(-1)[: own[name].numel()], own[name].reshape(-1)[: ours[name].numel()])
    }
    assert {name.split(".")[0] for name in differing} == {"classifier"}


def test_a_checkpoint_in_half_precision_is_trained_in_float32(tiny_checkpoint, tmp_path):
    AutoModelForImageClassification.from_pretrained(tiny_checkpoint, dtype=torch.bfloat16).save_pretrained(tmp_path)
    assert {p.dtype for p in load_model(str(tmp_path), 96).parameters()} == {torch.float32}


def test_a_checkpoint_of_these_classes_in_this_order_keeps_its_last_layer(tiny_checkpoint, tmp_path):
    model = load_model(str(tiny_checkpoint), 96)
    save_checkpoint(model, load_processor(str(tiny_checkpoint), 96), tmp_path)
    again = load_model(str(tmp_path), 96)
    assert torch.equal(logits_of(again.eval(), slices(3, 96)), logits_of(model.eval(), slices(3, 96)))


# --- padding ----------------------------------------------------------------------------------------------------


def assert_same_with_less_padding(model, side: int, count: int) -> None:
    """Also in training: the same logits, and the same running statistics after it."""
    pixel_values, changed = slices(count, side), copy.deepcopy(model)
    drop_needless_padding(changed)
    paddings = [module.padding for module in changed.modules() if isinstance(module, nn.Conv2d)]
    assert paddings.count((1, 1)) >= 5, "nothing was changed"
    assert torch.equal(logits_of(changed.eval(), pixel_values), logits_of(model.eval(), pixel_values))
    torch.manual_seed(0)
    trained = logits_of(model.train(), pixel_values)
    torch.manual_seed(0)
    assert torch.equal(logits_of(changed.train(), pixel_values), trained)
    for name, value in model.state_dict().items():
        assert torch.equal(changed.state_dict()[name], value), name


@pytest.mark.parametrize("side", [224, 97, 96, 33])
def test_dropping_needless_padding_changes_no_bit(side, tiny_checkpoint):
    assert_same_with_less_padding(AutoModelForImageClassification.from_pretrained(tiny_checkpoint), side, 3)


@pytest.mark.data
@pytest.mark.parametrize("side", [224, 97])
def test_dropping_needless_padding_changes_no_bit_of_the_real_checkpoint(side, real):
    assert_same_with_less_padding(AutoModelForImageClassification.from_pretrained(real), side, 2)


@pytest.mark.parametrize("stride", [8, 16])
def test_dilated_convolutions_keep_their_padding(stride):
    torch.manual_seed(0)
    config = MobileNetV2Config(depth_multiplier=0.35, image_size=96, output_stride=stride)
    assert_same_with_less_padding(MobileNetV2ForImageClassification(config), 97, 2)


def test_a_saved_network_gives_the_same_logits_without_this_package(tiny_checkpoint, tmp_path):
    model = load_model(str(tiny_checkpoint), 96)
    save_checkpoint(model, load_processor(str(tiny_checkpoint), 96), tmp_path)
    plain = AutoModelForImageClassification.from_pretrained(tmp_path)
    assert plain.config.tf_padding is True
    for side in (96, 97):
        assert torch.equal(logits_of(plain.eval(), slices(3, side)), logits_of(model.eval(), slices(3, side)))


def test_gradients_are_the_same_with_less_padding(tiny_checkpoint):
    model = AutoModelForImageClassification.from_pretrained(tiny_checkpoint).eval()
    changed = copy.deepcopy(model)
    drop_needless_padding(changed)
    for network in (model, changed):
        network(pixel_values=slices(2, 97)).logits.square().sum().backward()
    for (name, one), other in zip(model.named_parameters(), changed.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-3, atol=1e-5 + 1e-4 * one.grad.abs().max().item()), name


def test_other_architectures_are_left_alone(vit):
    model = AutoModelForImageClassification.from_pretrained(vit)
    before = repr(model)
    drop_needless_padding(model)
    assert repr(model) == before


# --- processors -------------------------------------------------------------------------------------------------


def test_the_processor_squeezes_the_whole_slice_and_normalizes_as_the_checkpoint_does(tiny_checkpoint, tmp_path):
    processor = load_processor(str(tiny_checkpoint), 80)
    processor.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert settings["size"] == {"height": 80, "width": 80}
    assert settings["image_mean"] == [0.4, 0.5, 0.6] and settings["image_std"] == [0.2, 0.3, 0.4]
    assert settings["rescale_factor"] == pytest.approx(1 / 255)
    assert settings["do_resize"] and settings["do_rescale"] and settings["do_normalize"]
    assert not settings.get("do_center_crop") and "crop_size" not in settings
    halves = Image.new("RGB", (200, 100))
    halves.paste((255, 255, 255), (100, 0, 200, 100))
    for loaded in (processor, AutoImageProcessor.from_pretrained(tmp_path)):
        values = loaded(images=halves, return_tensors="pt")["pixel_values"][0]
        assert values.shape == (3, 80, 80)
        assert torch.allclose(values[:, 40, 0], torch.tensor([-0.4 / 0.2, -0.5 / 0.3, -0.6 / 0.4]), atol=1e-6)
        assert torch.allclose(values[:, 40, -1], torch.tensor([0.6 / 0.2, 0.5 / 0.3, 0.4 / 0.4]), atol=1e-6)


@pytest.mark.data
def test_the_processor_of_the_real_checkpoint_does_not_crop(real):
    processor = load_processor(str(real), 224)
    assert not getattr(processor, "do_center_crop", False)
    assert list(processor.image_mean) == list(processor.image_std) == [0.5, 0.5, 0.5]


def test_the_baseline_network_has_a_processor(tmp_path):
    processor = load_processor(BASELINE, 64)
    assert processor.size["height"] == processor.size["width"] == 64
    assert list(processor.image_mean) == [0.5, 0.5, 0.5]


# --- checkpoints that cannot be used ----------------------------------------------------------------------------


def write(folder, **files):
    for name, content in files.items():
        (folder / name.replace("_json", ".json").replace("_safetensors", ".safetensors")).write_text(content)


@pytest.mark.parametrize(
    "kind",
    ["no such folder", "not on the Hub", "empty folder", "not JSON", "no weights", "damaged weights", "a text model"],
)
def test_a_checkpoint_that_cannot_be_loaded_is_an_error_that_names_it(kind, tmp_path, tiny_checkpoint):
    name = str(tmp_path)
    if kind == "no such folder":
        name = str(tmp_path / "nowhere")
    elif kind == "not on the Hub":
        name = "nobody/no-such-model"
    elif kind == "not JSON":
        write(tmp_path, config_json="{")
    elif kind in ("no weights", "damaged weights"):
        AutoConfig.from_pretrained(tiny_checkpoint).save_pretrained(tmp_path)
        if kind == "damaged weights":
            (tmp_path / "model.safetensors").write_bytes((tiny_checkpoint / "model.safetensors").read_bytes()[:10_000])
    elif kind == "a text model":
        config = BertConfig(
            hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9
        )
        BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        load_model(name, 96)
    assert repr(name) in str(caught.value) and BASELINE in str(caught.value)


@pytest.mark.parametrize("kind", ["no such folder", "not on the Hub", "no processor"])
def test_a_processor_that_cannot_be_loaded_is_an_error_that_names_the_checkpoint(kind, tmp_path):
    name = {"no such folder": str(tmp_path / "nowhere"), "not on the Hub": "nobody/no-such-model"}.get(
        kind, str(tmp_path)
    )
    with pytest.raises(ModelError, match="image processor") as caught:
        load_processor(name, 96)
    assert repr(name) in str(caught.value)


def test_a_size_that_the_checkpoint_does_not_take_is_an_error_that_names_the_one_it_takes(vit):
    with pytest.raises(ModelError, match=r"does not take pictures of 64 px.*--image_size 32"):
        load_model(str(vit), 64)
    assert load_model(str(vit), 32).config.num_labels == 4


# --- the last layer ---------------------------------------------------------------------------------------------


def test_the_last_layer_is_the_one_that_makes_the_logits(tiny_checkpoint, vit):
    for model in (load_model(str(tiny_checkpoint), 96), load_model(str(vit), 32), load_model(BASELINE, 64)):
        assert final_layer(model) is model.classifier
    resnet = ResNetForImageClassification(
        ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1], layer_type="basic", num_labels=4)
    )
    assert final_layer(resnet) is resnet.classifier[1]


def test_a_network_whose_last_layer_makes_no_logits_has_none(vit):
    model = load_model(str(vit), 32)
    model.classifier = nn.Sequential(model.classifier, nn.Linear(4, 7))
    assert final_layer(model) is None
    model.classifier = nn.Identity()
    assert final_layer(model) is None


# --- the baseline network ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [64, 224, 640])
def test_the_baseline_network_takes_slices_of_any_size(side):
    model = load_model(BASELINE, side).train()
    output = model(pixel_values=torch.rand(2, 3, side, side), labels=torch.tensor([0, 3]))
    assert output.logits.shape == (2, 4) and torch.isfinite(output.logits).all()
    output.loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert sum(p.numel() for p in model.parameters()) < 2_000_000


def test_the_baseline_network_can_learn_drawn_slices():
    torch.manual_seed(0)
    model = load_model(BASELINE, 64).train()
    classes = torch.arange(16) % 4
    gray = np.stack([np.asarray(draw_slice(i, LABELS[c])) for i, c in enumerate(classes.tolist())])
    pixel_values = torch.from_numpy(gray).float().div(127.5).sub(1).unsqueeze(1).expand(-1, 3, -1, -1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(30):
        loss = model(pixel_values=pixel_values, labels=classes).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (logits_of(model.eval(), pixel_values).argmax(-1) == classes).float().mean() > 0.9


ELSEWHERE = """
import importlib.util, json, sys
assert importlib.util.find_spec("brain_tumor") is None, "this must run without the package"
from transformers import pipeline
classify = pipeline("image-classification", model=sys.argv[1], trust_remote_code=True, device="cpu")
print(json.dumps(classify(sys.argv[2], top_k=4)))
"""


def test_a_saved_baseline_network_runs_in_a_plain_pipeline_without_this_package(tmp_path):
    torch.manual_seed(1)
    folder, scan, elsewhere = tmp_path / "out put", tmp_path / "scan.png", tmp_path / "elsewhere"
    save_checkpoint(load_model(BASELINE, 64), load_processor(BASELINE, 64), folder)
    assert {"config.json", "model.safetensors", "preprocessor_config.json", "baseline_cnn.py"} <= set(
        os.listdir(folder)
    )
    draw_slice(1, "glioma", 100).save(scan)
    elsewhere.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(folder), str(scan)],
        cwd=elsewhere, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "[y/N]" not in done.stdout + done.stderr
    scores = {row["label"]: row["score"] for row in json.loads(done.stdout)}
    here = pipeline("image-classification", model=str(folder), device="cpu")(str(scan), top_k=4)
    assert scores == pytest.approx({row["label"]: row["score"] for row in here}, abs=1e-6)
    assert set(scores) == set(LABELS) and max(scores.values()) < 1
    assert max(scores.values()) - min(scores.values()) > 0.01


def test_a_saved_baseline_network_can_be_trained_further(tmp_path):
    model = load_model(BASELINE, 64)
    save_checkpoint(model, load_processor(BASELINE, 64), tmp_path)
    again = load_model(str(tmp_path), 64)
    assert torch.equal(logits_of(again.eval(), slices(2, 64)), logits_of(model.eval(), slices(2, 64)))
    assert load_processor(str(tmp_path), 64).to_dict() == load_processor(BASELINE, 64).to_dict()


# --- strided convolutions in float32 ----------------------------------------------------------------------------


def test_strided_convolutions_in_float32_change_nothing_outside_autocast(tiny_checkpoint):
    plain = AutoModelForImageClassification.from_pretrained(tiny_checkpoint).eval()
    changed = copy.deepcopy(plain)
    keep_strided_convolutions_in_float32(changed)
    pixels = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(plain(pixels).logits, changed(pixels).logits)
    assert {name: p.shape for name, p in plain.state_dict().items()} == {
        name: p.shape for name, p in changed.state_dict().items()
    }


def test_within_autocast_the_strided_depthwise_convolutions_and_no_others_compute_in_float32(tiny_checkpoint):
    model = AutoModelForImageClassification.from_pretrained(tiny_checkpoint).train()
    keep_strided_convolutions_in_float32(model)
    seen = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            strided = module.stride == (2, 2) and module.groups > 1
            module.register_forward_hook(lambda m, i, out, key=(name, strided): seen.__setitem__(key, out.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(torch.randn(2, 3, 96, 96)).logits
    logits.float().sum().backward()
    kinds = {strided: {dtype for (_, s), dtype in seen.items() if s == strided} for strided in (True, False)}
    assert kinds == {True: {torch.float32}, False: {torch.bfloat16}}
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())
