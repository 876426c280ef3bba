"""A checkpoint, loaded once, says what it makes of slices, why, and where in the picture; whatever checkpoint it is."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification, ViTConfig, ViTForImageClassification

from brain_tumor.answers.words import verdict_words
from brain_tumor.inference import onnx_backend, torch_backend
from brain_tumor.inference.checkpoint import CheckpointError
from brain_tumor.inference.classifier import Classifier, together
from brain_tumor.inference.familiarity import FILE
from brain_tumor.inference.onnx_backend import OnnxBackend
from brain_tumor.inference.picture_statistics import picture_statistics
from brain_tumor.inference.prediction import UNFAMILIAR
from brain_tumor.inference.torch_backend import TorchBackend
from brain_tumor.inference.verdict import Thresholds
from brain_tumor.labels import LABELS
from brain_tumor.network.embedding import embeddings
from brain_tumor.network.pretrained import BASELINE, load_model, load_processor, save_checkpoint
from brain_tumor.publishing.export import export_checkpoint
from brain_tumor.reading.pictures import open_scan
from tests.serving import EXAMPLES, ROOT, checkpoint, photograph


@pytest.fixture(scope="module", params=["torch", "onnx"])
def folder(request, tmp_path_factory):
    """A checkpoint without and with its exported network: nothing that a test here asks may depend on it."""
    source = checkpoint(tmp_path_factory.mktemp("checkpoint"))
    folder = tmp_path_factory.mktemp(request.param) / "model"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("onnx"))
    if request.param == "onnx":
        processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        export_checkpoint(folder, AutoModelForImageClassification.from_pretrained(folder), processor)
    return folder


@pytest.fixture(scope="module")
def classifier(folder):
    classifier = Classifier(folder)
    expected = OnnxBackend if (folder / onnx_backend.FILE).is_file() else TorchBackend
    assert isinstance(classifier._backend, expected)
    return classifier


@pytest.fixture(scope="module")
def examples() -> list[Image.Image]:
    return [open_scan(EXAMPLES / f"{label}.png") for label in LABELS]


def copied(folder, to, leave_out=(), **settings):
    """A copy of a checkpoint with other settings in its config; None takes a setting out."""
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("*.png", "results.json", *leave_out))
    config = json.loads((to / "config.json").read_text()) | settings
    (to / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
    return to


def test_a_slice_is_judged_the_same_alone_and_among_others(classifier, examples):
    together = classifier.predict(examples)
    for image, expected in zip(examples, together, strict=True):
        (alone,) = classifier.predict([image])
        assert alone.confidences == pytest.approx(expected.confidences, abs=1e-5)
        assert alone.verdict == expected.verdict
        assert alone.familiarity == pytest.approx(expected.familiarity, abs=1e-3)


def test_more_slices_than_go_through_the_network_at_once_come_out_in_their_order(classifier, examples, monkeypatch):
    sizes = []
    monkeypatch.setattr(torch_backend, "AT_ONCE", 3)
    forward = classifier._backend.forward
    monkeypatch.setattr(classifier._backend, "forward", lambda slices: sizes.append(len(slices)) or forward(slices))
    most = classifier._backend.portion(1000)
    slices = [examples[i % 4] for i in range(3 * most + 2)]
    predictions = classifier.predict(slices)
    assert sorted(sizes) == [2, most, most, most]
    assert len(predictions) == len(slices)
    assert len({p.confidences["glioma"] for p in predictions[:4]}) == 4
    for number, prediction in enumerate(predictions):
        assert prediction.confidences == pytest.approx(predictions[number % 4].confidences, abs=1e-5)
    assert classifier.predict([]) == []


@pytest.mark.parametrize("busy", [False, True])
def test_jobs_come_back_in_their_order_and_wait_for_no_busy_worker(busy):
    leave = threading.Event()
    with ThreadPoolExecutor(1) as workers:
        if busy:
            workers.submit(leave.wait, 30)
        try:
            jobs = [(lambda number: (number, threading.current_thread()), number) for number in range(20)]
            found = together(jobs, workers)
            assert not leave.is_set()
        finally:
            leave.set()
    assert [number for number, _ in found] == list(range(20))
    if busy:
        assert {thread for _, thread in found} == {threading.current_thread()}
    assert together(jobs, None) == [(number, threading.current_thread()) for number in range(20)]


def test_confidences_are_those_of_the_plain_network_and_sum_to_one(classifier, folder, examples):
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    pixels = AutoImageProcessor.from_pretrained(folder, backend="pil")(images=examples, return_tensors="pt")
    with torch.inference_mode():
        expected = model(**pixels).logits.softmax(-1).numpy()
    for prediction, row in zip(classifier.predict(examples), expected, strict=True):
        assert list(prediction.confidences.values()) == pytest.approx(row.tolist(), abs=1e-4)
        assert sum(prediction.confidences.values()) == pytest.approx(1, abs=1e-9)
        assert prediction.label == max(prediction.confidences, key=prediction.confidences.get)
        assert prediction.tumor_probability == pytest.approx(1 - prediction.confidences["no_tumor"])


def test_one_pass_through_the_network_gives_everything(classifier, examples, monkeypatch):
    backend, calls = classifier._backend, []
    network, name = (backend, "run") if isinstance(backend, OnnxBackend) else (backend.model, "forward")
    run = getattr(network, name)
    monkeypatch.setattr(network, name, lambda *a, **k: calls.append(1) or run(*a, **k))
    (prediction,) = classifier.predict(examples[:1])
    assert calls == [1]
    assert prediction.heatmaps is not None


def test_several_visitors_at_once_get_their_own_answers(classifier, examples):
    alone = [classifier.predict([image])[0] for image in examples]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda i: classifier.predict([examples[i % 4]])[0], range(12)))
    for number, answer in enumerate(answers):
        assert answer.confidences == pytest.approx(alone[number % 4].confidences, abs=1e-5)
        assert np.allclose(answer.heatmaps["glioma"], alone[number % 4].heatmaps["glioma"], atol=1e-3)


def test_the_version_names_the_checkpoint_and_the_sha256_of_its_weights(classifier, folder):
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert classifier.version == f"{folder.name}, {digest[:7]}"
    assert str(folder.parent) not in classifier.version


def test_an_exported_checkpoint_is_served_without_torch_and_transformers(folder):
    """They take seconds to load, and more memory than all else."""
    if not (folder / onnx_backend.FILE).is_file():
        pytest.skip("not exported")
    code = (
        "import sys; import app; from brain_tumor.reading.pictures import open_scan; "
        f"app.classifier.predict([open_scan({str(EXAMPLES / 'glioma.png')!r})]); "
        "print(*sorted({'torch', 'transformers', 'datasets', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    environment = os.environ | {"MODEL_ID": str(folder), "HF_HUB_OFFLINE": "1"}
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == []


def test_a_checkpoint_that_needs_torch_says_so_where_there_is_none(tiny_checkpoint, monkeypatch):
    monkeypatch.delitem(sys.modules, "brain_tumor.inference.torch_backend", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    with pytest.raises(
        CheckpointError, match="needs PyTorch and transformers.*pip install -r requirements.txt"
    ) as error:
        Classifier(tiny_checkpoint)
    assert "MODEL_ID" not in str(error.value), "another checkpoint is not what is missing"


@pytest.mark.parametrize("temperature", [1.7])
def test_the_mean_of_a_heat_map_and_the_bias_are_the_logit(folder, tmp_path, examples, temperature):
    copy = copied(folder, tmp_path / "model", confidence_temperature=temperature)
    classifier = Classifier(copy)
    assert classifier.has_heatmaps
    model = AutoModelForImageClassification.from_pretrained(copy).eval()
    pixels = AutoImageProcessor.from_pretrained(copy, backend="pil")(images=examples, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**pixels).logits.numpy() / temperature
    bias = model.classifier.bias.detach().numpy() / temperature
    for prediction, expected in zip(classifier.predict(examples), logits, strict=True):
        assert list(prediction.heatmaps) == classifier.labels
        for number, heatmap in enumerate(prediction.heatmaps.values()):
            assert heatmap.shape == (model.config.image_size // 32,) * 2
            assert heatmap.dtype == np.float32
            assert heatmap.sum() / heatmap.size + bias[number] == pytest.approx(expected[number], abs=1e-4)


def test_each_place_of_a_heat_map_is_what_the_features_of_that_place_add(classifier, folder, examples):
    """So the map stands as the picture does, whatever the weights: rows are rows, and the first is at the top."""
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    pixels = AutoImageProcessor.from_pretrained(folder, backend="pil")(images=examples, return_tensors="pt")
    with torch.inference_mode():
        features = model.mobilenet_v2(**pixels).last_hidden_state
        expected = model.classifier.weight @ features.flatten(2)
    side = features.shape[-1]
    for prediction, maps in zip(classifier.predict(examples), expected.numpy(), strict=True):
        assert np.allclose(np.stack(list(prediction.heatmaps.values())), maps.reshape(-1, side, side), atol=1e-3)
        assert not np.allclose(prediction.heatmaps["no_tumor"], prediction.heatmaps["no_tumor"].T, atol=0.1)


def test_a_network_without_average_pooling_before_its_logits_has_no_heat_map(tmp_path, examples):
    save_checkpoint(load_model(BASELINE, 64), load_processor(BASELINE, 64), tmp_path)
    classifier = Classifier(tmp_path)
    assert not classifier.has_heatmaps
    (prediction,) = classifier.predict(examples[:1])
    assert prediction.heatmaps is None
    assert set(prediction.confidences) == set(LABELS)


def test_a_checkpoint_of_other_classes_gives_its_most_probable_class_and_nothing_about_tumors(
    tiny_checkpoint, examples
):
    classifier = Classifier(tiny_checkpoint)
    (prediction,) = classifier.predict(examples[:1])
    assert len(classifier.labels) == 10
    assert classifier.thresholds is None and not classifier.has_familiarity
    assert prediction.verdict == prediction.label
    assert prediction.tumor_probability is None
    assert prediction.familiarity is None
    headline, *_, sentence = verdict_words(prediction)
    assert prediction.label in headline
    assert "other classes" in sentence


def test_a_transformer_is_classified_with_too(tmp_path, examples):
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=64, patch_size=16,
        id2label=dict(enumerate(LABELS)), label2id={label: i for i, label in enumerate(LABELS)},
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(tmp_path)
    load_processor(BASELINE, 64).save_pretrained(tmp_path)
    classifier = Classifier(tmp_path)
    (prediction,) = classifier.predict(examples[:1])
    assert not classifier.has_heatmaps
    assert set(prediction.confidences) == set(LABELS)


def test_a_network_without_a_final_linear_layer_still_gives_confidences(tmp_path, tiny_checkpoint):
    model = AutoModelForImageClassification.from_pretrained(tiny_checkpoint)
    model.classifier = torch.nn.Sequential(model.classifier, torch.nn.Linear(10, 10), torch.nn.Linear(10, 3))
    backend = TorchBackend(model, AutoImageProcessor.from_pretrained(tiny_checkpoint, backend="pil"))
    logits, maps, embedding = backend.forward([Image.effect_noise((96, 96), 50).convert("RGB")] * 2)
    assert logits.shape == (2, 3)
    assert maps is None and embedding is None


def test_names_and_order_of_the_classes_may_be_others(folder, tmp_path, examples, classifier):
    names = {"0": "Glioma", "1": "2-meningioma", "2": "notumor", "3": "pituitary_tumor"}
    other = Classifier(copied(folder, tmp_path / "model", id2label=names, label2id={v: k for k, v in names.items()}))
    for one, same in zip(other.predict(examples), classifier.predict(examples), strict=True):
        assert list(one.confidences) == list(names.values())
        assert one.verdict == same.verdict
        assert one.tumor_probability == pytest.approx(same.tumor_probability)


@pytest.mark.parametrize("damage", ["nowhere", "weights", FILE])
def test_a_checkpoint_that_cannot_be_loaded_is_one_sentence_that_says_what_to_do(folder, tmp_path, damage):
    copy = tmp_path / "nowhere"
    if damage != "nowhere":
        copy = copied(folder, tmp_path / "model")
        name = FILE if damage == FILE else "model.safetensors"
        (copy / name).write_bytes((copy / name).read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cannot be loaded") as error:
        Classifier(copy)
    assert "set MODEL_ID to one" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_familiarity_file_of_another_network_is_refused(folder, tmp_path, tiny_checkpoint):
    if not (folder / FILE).is_file():
        pytest.skip("needs the bundled checkpoint")
    # The tiny network's embedding has as many numbers; the baseline's has not.
    save_checkpoint(load_model(BASELINE, 64), load_processor(BASELINE, 64), tmp_path)
    shutil.copy(folder / FILE, tmp_path / FILE)
    with pytest.raises(CheckpointError, match="belongs to another network"):
        Classifier(tmp_path)


def test_familiarity_is_the_score_above_the_threshold(classifier, folder, examples):
    if not classifier.has_familiarity:
        pytest.skip("needs the bundled checkpoint")
    pixels = AutoImageProcessor.from_pretrained(folder, backend="pil")(images=examples, return_tensors="pt")
    features, _ = embeddings(AutoModelForImageClassification.from_pretrained(folder), pixels["pixel_values"])
    stored = classifier._familiarity
    expected = stored.score(features, picture_statistics(examples)) - stored.threshold
    assert [p.familiarity for p in classifier.predict(examples)] == pytest.approx(expected.tolist(), abs=1e-2)


def test_slices_are_familiar_and_a_photograph_gets_no_verdict(classifier, examples):
    if not classifier.has_familiarity:
        pytest.skip("needs the bundled checkpoint")
    *slices, photo = classifier.predict([*examples, photograph().convert("RGB")])
    assert all(p.familiarity >= 0 and p.verdict != UNFAMILIAR for p in slices)
    assert photo.familiarity < 0
    assert photo.verdict == UNFAMILIAR
    headline, *_, sentence = verdict_words(photo)
    assert headline == "Not sure that this is a brain MRI"
    assert not any(name in sentence.lower() for name in ("glioma", "meningioma", "pituitary", "no tumor"))


@pytest.mark.data
def test_real_slices_mostly_get_the_verdict_of_their_class(classifier, shared):
    if not (ROOT / "model" / "config.json").is_file():
        pytest.skip("needs the bundled checkpoint")
    for number, label in enumerate(("notumor", "glioma", "meningioma", "pituitary"), start=1):
        # Every eighth: the first of a class are a few people's, and four of the first twelve without a tumor are CT.
        paths = sorted((shared / f"data/brain-tumour-MRI-scan/Testing/{number}-{label}").iterdir())[::8]
        predictions = classifier.predict([open_scan(path) for path in paths])
        expected = "no_tumor" if label == "notumor" else label
        assert sum(p.verdict == expected for p in predictions) > 2 / 3 * len(paths)
        # Some of that set's slices are CT, which it holds against them.
        assert sum(p.verdict == UNFAMILIAR for p in predictions) < 1 / 8 * len(paths)


def test_verdicts_follow_the_thresholds_of_the_config(folder, tmp_path, examples):
    strict = Classifier(
        copied(folder, tmp_path / "strict", [FILE], decision_thresholds={"no_tumor": 1.0, "tumor": 1.0})
    )
    assert strict.thresholds == Thresholds(1.0, 1.0)
    assert {p.verdict for p in strict.predict(examples)} == {"uncertain"}
    eager = Classifier(
        copied(folder, tmp_path / "eager", [FILE], decision_thresholds={"no_tumor": 1.0, "tumor": 0.0001})
    )
    assert eager.thresholds == Thresholds(no_tumor=1.0, tumor=0.0001)
    assert not {p.verdict for p in eager.predict(examples)} & {"no_tumor", "uncertain"}, "all reach 0.01 %"
    none = Classifier(copied(folder, tmp_path / "none", [FILE], decision_thresholds=None))
    assert none.thresholds is None
    assert all(p.verdict == p.label for p in none.predict(examples))
