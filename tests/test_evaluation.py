"""Figures say how certain they are, count copies once, and are those of the saved checkpoint."""

import json

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value
from PIL import Image
from scipy.special import softmax
from transformers import pipeline

from brain_tumor import evaluation
from brain_tumor.dataset import load_scans, pixels_for
from brain_tumor.evaluation import bootstrap_intervals, figures, part_figures, predict_logits
from brain_tumor.labels import LABELS, NO_TUMOR
from brain_tumor.model import load_model, load_processor, save_checkpoint
from tests.slices import draw_slice, write_slices

RATES = ("accuracy", "macro_recall", "sensitivity", "specificity")


def random_logits(count: int, seed: int, skill: float = 2.0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, count)
    return (random.normal(size=(count, 4)) + skill * np.eye(4)[labels]).astype(np.float32), labels


def part_of(labels, groups, copied) -> Dataset:
    return Dataset.from_dict(
        {"label": labels, "group": groups, "copy_in_train": copied},
        Features({"label": ClassLabel(names=list(LABELS)), "group": Value("int64"), "copy_in_train": Value("bool")}),
    )


# --- predictions ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network(tiny_checkpoint):
    torch.manual_seed(0)
    model = load_model(str(tiny_checkpoint), 96)
    with torch.no_grad():
        model.classifier.weight.mul_(300)
    return model, load_processor(str(tiny_checkpoint), 96)


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    folder = write_slices(tmp_path_factory.mktemp("slices"), dict.fromkeys(LABELS, 5), side=150)
    draw_slice(50).convert("RGB").convert("CMYK").save(folder / "glioma" / "cmyk.jpg")
    Image.merge("RGB", [draw_slice(i, side=130) for i in range(3)]).save(folder / "no_tumor" / "colour.jpg")
    return folder, load_scans(folder)["train"]


def test_predictions_are_those_of_a_plain_pipeline_on_the_same_files(network, slices, tmp_path):
    model, processor = network
    folder, part = slices
    part = pixels_for(part, processor, "Resizing")
    logits = predict_logits(model, part, processor, "Evaluating", batch_size=8)
    assert logits.dtype == np.float32 and logits.shape == (22, 4)
    save_checkpoint(model, processor, tmp_path)
    classify = pipeline("image-classification", model=str(tmp_path), device="cpu")
    for source, row in zip(part["source"], logits, strict=True):
        answers = classify(str(folder / source), top_k=4, function_to_apply="none")
        scores = {answer["label"]: answer["score"] for answer in answers}
        assert [scores[label] for label in LABELS] == pytest.approx(
            row.tolist(), abs=1e-5 * float(np.abs(logits).max())
        )
    assert logits.std(axis=0).min() > 0.1, "all slices look alike to this network, so nothing was compared"


def test_predictions_do_not_depend_on_the_batch_size_or_on_training_mode(network, slices):
    model, processor = network
    part = pixels_for(slices[1], processor, "Resizing")
    model.train()
    one = predict_logits(model, part, processor, "Evaluating", batch_size=7)
    many = predict_logits(model, part, processor, "Evaluating", batch_size=64)
    assert np.allclose(one, many, rtol=1e-5, atol=1e-5)
    assert not model.training


def test_a_temperature_kept_in_the_config_is_applied(network, slices):
    model, processor = network
    part = pixels_for(slices[1], processor, "Resizing")
    plain = predict_logits(model, part, processor, "Evaluating")
    model.config.confidence_temperature = 2.0
    try:
        assert np.allclose(predict_logits(model, part, processor, "Evaluating"), plain / 2, rtol=1e-5)
    finally:
        del model.config.confidence_temperature


# --- intervals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_an_interval_holds_the_figure_that_it_belongs_to(seed):
    logits, labels = random_logits(200, seed)
    result = figures(logits, labels, np.arange(200))
    assert set(result["intervals"]) == set(RATES)
    for name in RATES:
        low, high = result["intervals"][name]
        assert 0 <= low <= result[name] <= high <= 1
        assert high - low > 0.02


def test_an_interval_is_as_wide_as_the_binomial_one_for_independent_slices():
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 400)
    called = np.where(random.random(400) < 0.8, labels, (labels + 1) % 4)
    low, high = bootstrap_intervals(called, labels, np.arange(400))["accuracy"]
    share = (called == labels).mean()
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(share * (1 - share) / 400), rel=0.1)


def test_ten_copies_of_a_slice_are_one_piece_of_evidence():
    random = np.random.default_rng(1)
    labels = random.integers(0, 4, 60)
    called = np.where(random.random(60) < 0.75, labels, (labels + 1) % 4)
    alone = bootstrap_intervals(called, labels, np.arange(60))
    labels, called, groups = (np.repeat(values, 10) for values in (labels, called, np.arange(60)))
    as_groups = bootstrap_intervals(called, labels, groups)
    as_slices = bootstrap_intervals(called, labels, np.arange(600))
    for name in RATES:
        widths = [np.diff(intervals[name])[0] for intervals in (alone, as_groups, as_slices)]
        assert widths[1] == pytest.approx(widths[0], rel=0.01)  # copies make nothing more certain
        assert widths[1] > 2 * widths[2]


def test_intervals_do_not_depend_on_the_numbers_of_the_groups_and_are_the_same_again():
    logits, labels = random_logits(120, 3)
    groups = np.arange(120) // 3
    first, again = (figures(logits, labels, groups)["intervals"] for _ in range(2))
    assert first == again == figures(logits, labels, groups * 1_000 + 5)["intervals"]
    assert first != figures(logits, labels, groups, seed=1)["intervals"]


def test_a_figure_that_is_not_defined_has_no_interval():
    tumours = np.array([0, 1, 3, 0, 1, 3])
    result = figures(np.eye(4)[tumours] * 5, tumours, np.arange(6))
    assert result["specificity"] is None and result["intervals"]["specificity"] is None
    assert result["sensitivity"] == 1 and result["intervals"]["sensitivity"] == [1, 1]
    json.dumps(result, allow_nan=False)


def test_figures_count_slices_and_groups_and_are_those_of_the_probabilities():
    logits, labels = random_logits(90, 4)
    result = figures(logits, labels, np.arange(90) // 9)
    assert (result["slices"], result["groups"]) == (90, 10)
    assert result["accuracy"] == pytest.approx((logits.argmax(1) == labels).mean())
    chosen = softmax(logits.astype(np.float64), axis=1)[np.arange(90), labels]
    assert result["nll"] == pytest.approx(-np.log(chosen).mean())
    missed = (logits.argmax(1) == NO_TUMOR)[labels != NO_TUMOR].mean()
    assert result["sensitivity"] == pytest.approx(1 - missed)


# --- with and without copies ------------------------------------------------------------------------------------


def test_figures_are_given_apart_for_slices_with_and_without_a_copy_in_train():
    logits, labels = random_logits(100, 5, skill=1.0)
    copied = np.arange(100) % 3 == 0
    logits[copied] = 9 * np.eye(4)[labels[copied]]  # what was memorised is right
    result = part_figures(logits, part_of(labels, np.arange(100), copied))
    assert result["slices_with_copy_in_train"] == 34
    assert result["with_copy_in_train"]["accuracy"] == 1 and result["with_copy_in_train"]["slices"] == 34
    without = result["without_copy_in_train"]
    assert without["slices"] == 66
    assert without["accuracy"] == pytest.approx((logits.argmax(1) == labels)[~copied].mean())
    assert without["accuracy"] < result["accuracy"] < 1
    assert result["slices"] == 100
    json.dumps(result, allow_nan=False)


def test_a_part_without_copies_has_one_set_of_figures():
    logits, labels = random_logits(40, 6)
    result = part_figures(logits, part_of(labels, np.arange(40), np.zeros(40, bool)))
    assert result["slices_with_copy_in_train"] == 0
    assert "with_copy_in_train" not in result and "without_copy_in_train" not in result


def test_a_part_of_nothing_but_copies_has_no_figures_without_them():
    logits, labels = random_logits(40, 7)
    result = part_figures(logits, part_of(labels, np.arange(40), np.ones(40, bool)))
    assert result["slices_with_copy_in_train"] == 40
    assert result["with_copy_in_train"]["accuracy"] == result["accuracy"]
    assert "without_copy_in_train" not in result


# --- plots ------------------------------------------------------------------------------------------------------


HISTORY = [
    {
        "epoch": epoch,
        "train_loss": 1 / epoch,
        "train_accuracy": 1 - 0.5 / epoch,
        "validation_loss": 1.2 / epoch,
        "validation_accuracy": 1 - 0.6 / epoch,
    }
    for epoch in range(1, 6)
]


def draw(kind: str, path) -> None:
    logits, labels = random_logits(200, 8)
    if kind == "curves":
        evaluation.plot_curves(HISTORY, path)
    elif kind == "confusion matrix":
        result = figures(logits, labels, np.arange(200))
        evaluation.plot_confusion_matrix(result, "a set, copy_free split, test part", path)
    else:
        evaluation.plot_reliability(logits * 3, logits, labels, "a set, copy_free split, test part", path)


@pytest.mark.parametrize("kind", ["curves", "confusion matrix", "reliability"])
def test_a_plot_shows_something_and_is_the_same_file_again(kind, tmp_path):
    for name in ("one.png", "two.png"):
        draw(kind, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as picture:
        assert min(picture.size) > 300
        assert not picture.info.get("Software")
        pixels = np.asarray(picture.convert("RGB"))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    assert 0.005 < (pixels != 255).any(axis=-1).mean() < 0.9


def test_plots_tell_different_runs_apart(tmp_path):
    draw("curves", tmp_path / "one.png")
    evaluation.plot_curves(HISTORY[:3], tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "two.png").read_bytes()


@pytest.mark.filterwarnings("ignore:No artists with labels:UserWarning")
@pytest.mark.parametrize(
    "history", [[], [{"epoch": 1.0, "validation_loss": 0.4}], [{"epoch": 1.0, "train_loss": None}]]
)
def test_curves_are_drawn_of_whatever_was_logged(history, tmp_path):
    evaluation.plot_curves(history, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1_000


def test_a_confusion_matrix_with_an_empty_class_can_be_drawn(tmp_path):
    matrix = [[3, 0, 1, 0], [0, 0, 0, 0], [1, 0, 5, 0], [0, 0, 0, 0]]
    evaluation.plot_confusion_matrix({"confusion_matrix": matrix}, "a set", tmp_path / "matrix.png")
    assert (tmp_path / "matrix.png").stat().st_size > 1_000
