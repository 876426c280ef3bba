"""Figures say how certain they are, count copies once, and are those of the saved checkpoint."""

import json
import re
import shutil
import sys

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from scipy.special import softmax
from transformers import pipeline

from brain_tumor.data import sheets
from brain_tumor.data.dataset import load_scans
from brain_tumor.data.pixels import pixels_for
from brain_tumor.evaluation import pictures, plots
from brain_tumor.evaluation.__main__ import run
from brain_tumor.evaluation.figures import (
    evaluate_parts,
    figures,
    part_figures,
    patient_figures,
    source_of,
)
from brain_tumor.evaluation.intervals import rate_intervals, share_interval
from brain_tumor.evaluation.logits import predict_logits
from brain_tumor.evaluation.pictures import failures, write_pictures
from brain_tumor.inference.verdict import Thresholds, to_config
from brain_tumor.labels import DISPLAY_NAMES, LABELS, NO_TUMOR, TUMOR
from brain_tumor.network.pretrained import load_model, load_processor, save_checkpoint
from tests.evaluation.drawn_logits import part_of, random_logits
from tests.slices import draw_slice, write_slices

RATES = ("accuracy", "macro_recall", "sensitivity", "specificity")


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
    Image.merge("RGB", [draw_slice(i, side=130) for i in range(3)]).save(folder / "no_tumor" / "color.jpg")
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
    assert np.allclose(one, many, rtol=1e-5, atol=1e-5 * float(np.abs(many).max()))
    assert not model.training


def test_slices_that_were_not_resized_before_give_the_same_logits(network, slices):
    model, processor = network
    resized = predict_logits(model, pixels_for(slices[1], processor, "Resizing"), processor, "Evaluating")
    opened = predict_logits(model, slices[1], processor, "Evaluating", batch_size=8)
    assert np.allclose(resized, opened, rtol=1e-5, atol=1e-5 * float(np.abs(resized).max()))


def test_a_temperature_kept_in_the_config_is_applied(network, slices):
    model, processor = network
    part = pixels_for(slices[1], processor, "Resizing")
    plain = predict_logits(model, part, processor, "Evaluating")
    model.config.confidence_temperature = 2.0
    try:
        assert np.allclose(predict_logits(model, part, processor, "Evaluating"), plain / 2, rtol=1e-5)
    finally:
        del model.config.confidence_temperature


def test_every_figure_has_an_interval_that_more_groups_make_narrower():
    few, many = ({} for _ in range(2))
    for found, count in ((few, 100), (many, 1600)):
        logits, labels = random_logits(count, 0, skill=1.0)
        result = figures(logits, labels, np.arange(count))
        assert set(result["intervals"]) == {*RATES, "nll", "brier", "ece", "classwise_ece"}
        found |= result["intervals"]
        for label, row in result["per_class"].items():
            found |= {f"{label} {name}": row["intervals"][name] for name in ("precision", "recall", "f1", "auroc")}
    for name in few:
        narrower = np.diff(many[name])[0] / np.diff(few[name])[0]
        assert 0.1 < narrower < 0.7, f"{name}: 16 times as many groups should make it about 4 times as narrow"
    assert all(low >= 0 and (high <= 1 or name in ("nll", "brier")) for name, (low, high) in many.items())


def test_an_interval_is_as_wide_as_the_binomial_one_for_independent_slices():
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 400)
    called = np.where(random.random(400) < 0.8, labels, (labels + 1) % 4)
    low, high = rate_intervals(called, labels, np.arange(400))["accuracy"]
    share = (called == labels).mean()
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(share * (1 - share) / 400), rel=0.1)


def test_ten_copies_of_a_slice_are_one_piece_of_evidence():
    random = np.random.default_rng(1)
    labels = random.integers(0, 4, 60)
    called = np.where(random.random(60) < 0.75, labels, (labels + 1) % 4)
    alone = rate_intervals(called, labels, np.arange(60))
    labels, called, groups = (np.repeat(values, 10) for values in (labels, called, np.arange(60)))
    as_groups = rate_intervals(called, labels, groups)
    as_slices = rate_intervals(called, labels, np.arange(600))
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
    tumors = np.array([0, 1, 3, 0, 1, 3])
    result = figures(np.eye(4)[tumors] * 5, tumors, np.arange(6))
    assert result["specificity"] is None and result["intervals"]["specificity"] is None
    # Six of six is no certainty: the exact interval.
    assert result["sensitivity"] == 1 and result["intervals"]["sensitivity"] == [pytest.approx(0.025 ** (1 / 6)), 1]
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


THRESHOLDS = Thresholds(no_tumor=0.9, tumor=0.6)


def test_dangerous_misses_are_counted_and_named():
    labels = np.array([0, 1, 3, NO_TUMOR, 0])
    healthy = np.array([0, 0, 9.0, 0])
    logits = np.stack([healthy, healthy / 9, healthy / 3, healthy, [9.0, 0, 0, 0]])
    part = part_of(labels, np.arange(5), np.zeros(5, bool)).add_column("source", [f"a/{c}.png" for c in "abcde"])
    misses = part_figures(logits, part)["dangerous_misses"]
    assert (misses["count"], misses["tumors"], misses["confidence"]) == (1, 4, 0.9)
    assert misses["slices"] == [{"source": "a/a.png", "label": "glioma", "confidence": pytest.approx(0.9996, abs=1e-4)}]


def test_verdicts_are_judged_where_there_are_thresholds():
    logits, labels = random_logits(80, 11)
    part = part_of(labels, np.arange(80), np.zeros(80, bool))
    assert "decision" not in part_figures(logits, part)
    decision = part_figures(logits, part, THRESHOLDS)["decision"]
    assert decision["thresholds"] == to_config(THRESHOLDS)
    assert 0 < decision["uncertain"] < 1


def test_accuracy_over_patients_counts_each_once_and_names_those_that_are_mostly_wrong():
    labels = np.array([0] * 8 + [1, 1, 3])
    called = np.array([0] * 8 + [0, 0, 3])
    part = part_of(labels, np.array([0] * 8 + [1, 1, 2]), np.zeros(11, bool), patients=["a"] * 8 + ["b"] * 2 + [""])
    found = patient_figures(called, part)
    assert (found["accuracy"], found["patients"], found["known"]) == (pytest.approx(2 / 3), 3, 2)
    assert found["mostly_wrong"] == [{"patient": "b", "slices": 2, "wrong": 2}]
    assert found["interval"][0] < 2 / 3 < found["interval"][1]


def test_sections_are_made_of_every_part_and_calibration_is_given_before_and_after():
    logits, labels = random_logits(120, 12, skill=3.0)
    parts = {name: part_of(labels, np.arange(120), np.zeros(120, bool)) for name in ("validation", "test")}
    parts["tumors"] = part_of(np.full(120, TUMOR), np.arange(120), np.zeros(120, bool))
    raw = dict.fromkeys(parts, 12 * logits)  # 3 * logits are honest
    sections = evaluate_parts(raw, parts, temperature=4.0, thresholds=THRESHOLDS)
    assert list(sections) == ["validation", "test", "tumors"]
    for name in ("validation", "test"):
        calibration = sections[name]["calibration"]
        assert calibration["after"]["nll"] == pytest.approx(sections[name]["nll"])
        assert calibration["before"]["nll"] == pytest.approx(figures(12 * logits, labels, np.arange(120))["nll"])
        assert calibration["before"].keys() == {"nll", "brier", "ece", "classwise_ece"}
        assert calibration["after"]["ece"] < calibration["before"]["ece"]
    assert "accuracy" not in sections["tumors"] and sections["tumors"]["slices"] == 0
    (row,) = sections["tumors"]["by_kind"]
    assert row["slices"] == row["missed"]["slices"] == 120 and row["right_type"] is None
    assert sections["test"]["over_sets"]["ece"] == pytest.approx(sections["test"]["ece"])
    assert "calibration" not in evaluate_parts(raw, parts)["test"]
    json.dumps(sections, allow_nan=False)


def test_sources_are_what_file_names_and_parts_tell():
    names = {
        "Tr-no_0010": "Tr-no",
        "Tr-noTr_0003": "Tr-noTr",
        "Tr-gl_0001_jpg.rf.0a1b": "Tr-gl",
        "y12": "y",
        "12": "(a number)",
    }
    assert {name: source_of(f"a/b/{name}.jpg") for name in names} == names
    sources = [f"x/Tr-no_{i}.jpg" for i in range(6)] + [f"x/y{i}.jpg" for i in range(7)] + ["x/z.jpg"] * 4
    labels = np.array([NO_TUMOR] * 6 + [0] * 11)
    logits = 5 * np.eye(4)[[NO_TUMOR] * 6 + [NO_TUMOR] * 2 + [0] * 9]
    part = part_of(labels, np.arange(17), np.zeros(17, bool)).add_column("source", sources)
    rows = part_figures(logits, part.add_column("part", ["train"] * 17))["by_source"]
    assert [(row["source"], row["slices"], row["missed_tumors"]) for row in rows] == [("y", 7, 2), ("Tr-no", 6, 0)]
    parted = part_figures(logits, part.add_column("part", ["train"] * 13 + ["test"] * 4))["by_source"]
    assert [row["source"] for row in parted] == ["train y", "train Tr-no"]
    assert rows[0]["accuracy"] == pytest.approx(5 / 7)
    assert rows[0]["interval"] == share_interval(np.arange(7) > 1, np.ones(7, bool), np.arange(7))


def test_mistakes_are_listed_with_the_dangerous_ones_first():
    rows = np.array(
        [
            [0.97, 0.01, 0.01, 0.01],  # a meningioma called glioma
            [0.02, 0.02, 0.95, 0.01],  # a glioma called no tumor: dangerous
            [0.20, 0.10, 0.60, 0.10],  # a pituitary tumor called no tumor
            [0.02, 0.02, 0.01, 0.95],  # a healthy slice called pituitary
            [0.00, 0.01, 0.99, 0.00],  # a tumor of unknown type called no tumor: dangerous, and the surest
            [0.90, 0.05, 0.05, 0.00],  # a tumor of unknown type called glioma: no mistake
            [0.90, 0.05, 0.05, 0.00],  # right
        ]
    )
    found = failures(rows, np.array([1, 0, 3, NO_TUMOR, TUMOR, TUMOR, 0]))
    assert [row["index"] for row in found] == [4, 1, 2, 0, 3]
    assert [row["dangerous"] for row in found] == [True, True, False, False, False]


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
        plots.plot_curves(HISTORY, path)
    elif kind == "confusion matrix":
        result = figures(logits, labels, np.arange(200))
        plots.plot_confusion_matrix(result, "a set, patients split, test part", path)
    elif kind == "ROC":
        plots.plot_roc(softmax(logits, axis=1), labels, "a set, patients split, test part", path)
    else:
        plots.plot_reliability(logits * 3, logits, labels, "a set, patients split, test part", path)


@pytest.mark.parametrize("kind", ["curves", "confusion matrix", "reliability", "ROC"])
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
    plots.plot_curves(HISTORY[:3], tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "two.png").read_bytes()


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, as matplotlib has them."""
    saved, save = [], Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *args, **words: saved.append(self) or save(self, *args, **words)
    )
    return saved


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_curves_of_few_epochs_are_seen_and_their_ticks_are_whole_epochs(epochs, drawn, tmp_path):
    plots.plot_curves(HISTORY[:epochs], tmp_path / "curves.png")
    for axis in drawn[0].axes:
        low, high = axis.get_xlim()
        ticks = [tick for tick in axis.get_xticks() if low <= tick <= high]
        assert ticks and all(tick == int(tick) for tick in ticks) and (epochs > 1 or ticks == [1])
        assert len(axis.lines) == 2
        assert all(line.get_marker() != "None" for line in axis.lines)
    shown = np.asarray(Image.open(tmp_path / "curves.png").convert("RGB")).astype(int)
    assert (np.abs(shown - (31, 119, 180)).sum(axis=-1) < 30).sum() > 60, "of the training"


def test_roc_and_precision_recall_curves_are_those_of_the_figures(drawn, tmp_path):
    logits, labels = random_logits(300, 11)
    probabilities = softmax(logits, axis=1)
    plots.plot_roc(probabilities, labels, "a set", tmp_path / "roc.png")
    roc, pr = drawn[0].axes
    result = figures(logits, labels, np.arange(300))
    said = [text.get_text() for text in roc.get_legend().get_texts()]
    for label, line in zip(LABELS, roc.lines, strict=False):
        auroc = result["per_class"][label]["auroc"]
        assert np.trapezoid(line.get_ydata(), line.get_xdata()) == pytest.approx(auroc)
        assert f"{DISPLAY_NAMES[label]}: area {auroc:.3f}" in said
    # The network's own operating point, "no tumor" or a tumor at half the probability each, lies on the last curve.
    tumor, called = labels != NO_TUMOR, probabilities[:, NO_TUMOR] < 0.5
    at = [(called & ~tumor).sum() / (~tumor).sum(), (called & tumor).sum() / tumor.sum()]
    false, recall = roc.lines[-1].get_data()
    assert np.interp(at[0], false, recall) == pytest.approx(at[1], abs=0.02)
    assert len(roc.lines) == len(pr.lines) == 5 and len(pr.get_legend().get_texts()) == 5


@pytest.mark.parametrize(("labels", "curves"), [([0] * 9, 0), ([0] * 5 + [NO_TUMOR] * 4, 3), ([1] * 5 + [3] * 4, 2)])
def test_a_class_without_slices_has_no_roc_curve(labels, curves, drawn, tmp_path):
    logits, _ = random_logits(9, 3)
    plots.plot_roc(softmax(logits, axis=1), np.array(labels), "a set", tmp_path / "roc.png")
    assert [len(axis.lines) for axis in drawn[0].axes] == [curves, curves]


@pytest.mark.filterwarnings("ignore:No artists with labels:UserWarning")
@pytest.mark.parametrize(
    "history", [[], [{"epoch": 1.0, "validation_loss": 0.4}], [{"epoch": 1.0, "train_loss": None}]]
)
def test_curves_are_drawn_of_whatever_was_logged(history, tmp_path):
    plots.plot_curves(history, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1_000


@pytest.mark.parametrize("known", [True, False])
def test_the_page_of_an_evaluation_is_drawn_with_whatever_is_known(known, tmp_path):
    logits, labels = random_logits(200, 9)
    if not known:
        labels = np.where(labels == 1, 0, labels)  # a class without slices
    result = figures(logits, labels, np.arange(200))
    extra = {"raw": 3 * logits, "weak": logits[:20]} if known else {}
    for name in ("one.png", "two.png"):
        thresholds = THRESHOLDS if known else None
        plots.plot_evaluation(result, logits, labels, thresholds, "a set", tmp_path / name, **extra)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as picture:
        assert min(picture.size) > 800


def test_a_sheet_shows_its_tiles_in_order_with_their_frames(tmp_path):
    tiles = [sheets.Tile((Image.new("L", (50, 90), 200),), ("a", "b" * 90), color) for color in ("#ff0000", "#00ff00")]
    sheets.write_sheet(tiles, "two", tmp_path / "sheet.png")
    pixels = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB"))
    red, green = (np.argwhere((pixels == color).all(axis=-1)) for color in ((255, 0, 0), (0, 255, 0)))
    assert len(red) and len(green) and red[:, 1].max() < green[:, 1].min()
    assert ((pixels == 200).all(axis=-1)).sum() > 2 * 80 * 150


def test_a_confusion_matrix_with_an_empty_class_can_be_drawn(tmp_path):
    matrix = [[3, 0, 1, 0], [0, 0, 0, 0], [1, 0, 5, 0], [0, 0, 0, 0]]
    plots.plot_confusion_matrix({"confusion_matrix": matrix}, "a set", tmp_path / "matrix.png")
    assert (tmp_path / "matrix.png").stat().st_size > 1_000


@pytest.fixture(scope="module")
def strange_checkpoint(network, tmp_path_factory):
    """A checkpoint of somebody else: our classes under other names and in another order, with thresholds."""
    folder = tmp_path_factory.mktemp("checkpoints") / "strange"
    model, processor = network
    config = model.config
    own = config.id2label, config.label2id
    names = ["no-tumor", "1-glioma", "Pituitary Tumor", "meningioma_tumor"]
    config.id2label, config.label2id = dict(enumerate(names)), {name: i for i, name in enumerate(names)}
    config.decision_thresholds = to_config(THRESHOLDS)
    save_checkpoint(model, processor, folder)
    config.id2label, config.label2id = own
    del config.decision_thresholds
    return folder


def command(monkeypatch, capsys, *words) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["evaluation", *map(str, words)])
    code = run()
    return code, *capsys.readouterr()


def test_the_command_evaluates_any_checkpoint_on_any_set_and_writes_it_all_in_one_folder(
    strange_checkpoint, slice_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    folder = slice_folder(dict.fromkeys(LABELS, 6), side=100)
    code, out, _ = command(monkeypatch, capsys, strange_checkpoint, folder, "--split", "all")
    assert code == 0
    output = tmp_path / "runs/evaluation" / f"strange-{folder.name}"
    assert {path.name for path in output.iterdir()} == {
        "results.json",
        "evaluation.md",
        "evaluation.png",
        "failures.png",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs"]
    results = json.loads((output / "results.json").read_text())
    every = results["all"]
    assert (every["slices"], every["groups"]) == (24, 24)
    # The order of the checkpoint's own classes was put right: the same figures as a pipeline's answers.
    classify = pipeline("image-classification", model=str(strange_checkpoint), device="cpu")
    names = {
        "no-tumor": "no_tumor",
        "Pituitary Tumor": "pituitary",
        "1-glioma": "glioma",
        "meningioma_tumor": "meningioma",
    }
    paths = sorted(folder.rglob("*.png"))
    matrix = np.zeros((4, 4), int)
    for path in paths:
        called = names[classify(str(path))[0]["label"]]
        matrix[LABELS.index(path.parent.name), LABELS.index(called)] += 1
    assert every["confusion_matrix"] == matrix.tolist()
    assert every["accuracy"] == pytest.approx(np.trace(matrix) / 24)
    assert every["decision"]["thresholds"] == to_config(THRESHOLDS)
    text = (output / "evaluation.md").read_text()
    for words in ("not known", "24 slices", "accuracy".capitalize(), "The verdict", f"{100 * every['accuracy']:.1f} %"):
        assert words in text, words
    assert "not known" in out and f"{100 * every['accuracy']:.1f} %" in out
    assert str(tmp_path) not in text + json.dumps(results)


def test_the_command_takes_a_part_of_a_split_and_tumors_of_unknown_type(
    strange_checkpoint, slice_folder, tmp_path, monkeypatch, capsys
):
    folder = slice_folder(dict.fromkeys(LABELS, 26), side=64)
    tumors = slice_folder({"tumor": 24}, side=66)
    flags = [tumors, "--part", "validation", "--output_dir", tmp_path / "out"]
    code, out, error = command(monkeypatch, capsys, strange_checkpoint, folder, *flags)
    assert code == 0, error
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["split"] == "patients" and results["validation"]["slices_with_copy_in_train"] == 0
    assert {row["set"] for row in results["validation"]["by_kind"]} == {folder.name, tumors.name}
    assert "By kind of scan" in (tmp_path / "out" / "evaluation.md").read_text()
    assert "by kind of scan" in out and tumors.name in out


@pytest.mark.parametrize(
    "classes", [["glioma"], ["no_tumor"], ["tumor"], ["no_tumor", "tumor"], ["meningioma", "no_tumor"]]
)
def test_a_set_that_lacks_classes_is_evaluated_with_the_figures_that_there_are(
    classes, strange_checkpoint, slice_folder, tmp_path, monkeypatch, capsys, recwarn
):
    folder = slice_folder(dict.fromkeys(classes, 21), side=64)
    code, out, error = command(monkeypatch, capsys, strange_checkpoint, folder, "--output_dir", tmp_path / "out")
    assert code == 0, error

    def refuse(name):
        raise AssertionError(f"{name} in results.json")

    results = json.loads((tmp_path / "out/results.json").read_text(), parse_constant=refuse)
    page = (tmp_path / "out/evaluation.md").read_text()
    assert results["split"] == "all" and f"every slice: {21 * len(classes)} slices" in out
    for text in (out, page):
        assert not re.search(r"\bnan\b|\bNone\b|Undefined", text, re.IGNORECASE)
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning | UserWarning)]
    typed = [name for name in classes if name != "tumor"]
    assert results["all"]["slices"] == 21 * len(typed)
    assert sum(row["slices"] for row in results["all"]["by_set"]) == 21 * len(classes)
    (row,) = results["all"]["by_kind"]
    assert (row["missed"] is None) == (classes == ["no_tumor"])
    assert (row["specificity"] is None) == ("no_tumor" not in classes)
    for title, measured in (
        ("Tumor sensitivity", set(typed) - {"no_tumor"}),
        ('"No tumor" specificity', {*typed} & {"no_tumor"}),
    ):
        assert (f"| {title} | - | - |" in page) == bool(typed and not measured), "a dash for what cannot be measured"
    assert "no decision thresholds" not in out


def test_a_split_by_patients_of_a_set_that_lacks_classes_is_refused_when_asked_for(
    strange_checkpoint, slice_folder, monkeypatch, capsys, tmp_path
):
    folder, words = slice_folder({"glioma": 5}, side=64), ["--split", "patients", "--output_dir", tmp_path / "out"]
    code, _, error = command(monkeypatch, capsys, strange_checkpoint, folder, *words)
    assert code == 1 and "no pictures of the class meningioma" in error


def test_an_evaluation_does_not_write_over_a_checkpoint_nor_takes_any_seed(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("brain_tumor.evaluation.__main__.load_checkpoint", lambda *_: pytest.fail("work was done"))
    (tmp_path / "config.json").write_text("{}")
    code, _, error = command(monkeypatch, capsys, tmp_path, "any", "--output_dir", tmp_path)
    assert code == 1 and "holds a checkpoint" in error and "Name another folder." in error
    code, _, error = command(monkeypatch, capsys, tmp_path, "any", "--split_seed", "-1")
    assert code == 1 and "--split_seed -1 must be 0 to 4294967295." in error


@pytest.mark.parametrize("where", ["/dev/null/x", "/proc/none"])
def test_an_output_folder_that_cannot_be_written_to_is_told_before_the_work(where, monkeypatch, capsys):
    monkeypatch.setattr("brain_tumor.evaluation.__main__.load_checkpoint", lambda *_: pytest.fail("work was done"))
    code, _, error = command(monkeypatch, capsys, "any", "any", "--output_dir", where)
    assert code == 1 and f"{where} cannot be written to" in error and "Set --output_dir to another folder." in error


def test_the_gallery_shows_the_dangerous_misses_first(network, slices, tmp_path, monkeypatch):
    part = slices[1].add_column("group", list(range(22)))
    labels = np.array(part["label"])
    logits = 9.0 * np.eye(4)[labels]
    wrong = np.flatnonzero(labels != NO_TUMOR)[[3, 5]]
    logits[wrong] = [[0, 0, 9.0, 0], [0, 0, 0.5, 0]]
    shown = []
    monkeypatch.setattr(pictures, "write_sheet", lambda tiles, title, path: shown.append((tiles, title)))
    results = evaluate_parts({"test": logits}, {"test": part})
    write_pictures(tmp_path, {"test": logits}, {"test": part}, results, "a set")
    (tiles, title), names = shown[0], part["source"]
    assert [tile.caption[3] for tile in tiles] == [names[int(i)] for i in wrong]
    assert tiles[0].caption[1:3] == ("called no tumor", "100.0 %")
    assert tiles[0].color != tiles[1].color
    assert "2 mistakes among 22 slices, 1 of them dangerous" in title


def test_of_a_group_of_copies_the_gallery_shows_the_surest_and_counts_the_rest(slices, tmp_path, monkeypatch):
    labels = np.array(slices[1]["label"])
    part = slices[1].add_column("group", labels.tolist())
    logits = 9.0 * np.eye(4)[labels]
    gliomas = np.flatnonzero(labels == 0)
    logits[gliomas] = np.eye(4)[NO_TUMOR] * np.arange(3, 3 + len(gliomas))[:, None]
    shown = []
    monkeypatch.setattr(pictures, "write_sheet", lambda tiles, title, path: shown.extend(tiles))
    results = evaluate_parts({"test": logits}, {"test": part})
    write_pictures(tmp_path, {"test": logits}, {"test": part}, results, "a set")
    assert [tile.caption[3] for tile in shown] == [part["source"][int(gliomas[-1])]]
    assert shown[0].caption[2].endswith(f", {len(gliomas) - 1} more")


def test_without_mistakes_the_gallery_says_so(slices, tmp_path):
    part = slices[1].add_column("group", list(range(22)))
    logits = {"test": 9.0 * np.eye(4)[np.array(part["label"])]}
    results = evaluate_parts(logits, {"test": part})
    write_pictures(tmp_path, logits, {"test": part}, results, "a set")
    with Image.open(tmp_path / "failures.png") as picture:
        assert picture.size[1] < 100 and np.asarray(picture.convert("L")).min() < 128


@pytest.mark.parametrize(
    ("checkpoint", "dataset", "sentence"),
    [
        ("tiny", "slices", "has other classes than glioma, meningioma, no_tumor, pituitary"),
        ("no/such-checkpoint", "slices", "cannot be loaded"),
        ("strange", "no/such-set", "neither a folder here nor a dataset"),
        ("strange", "slices", "Too few pictures to split"),
    ],
)
def test_what_cannot_be_evaluated_gets_a_sentence(
    checkpoint, dataset, sentence, tiny_checkpoint, strange_checkpoint, slices, monkeypatch, capsys, tmp_path
):
    monkeypatch.chdir(tmp_path)
    checkpoint = {"tiny": tiny_checkpoint, "strange": strange_checkpoint}.get(checkpoint, checkpoint)
    dataset = slices[0] if dataset == "slices" else dataset
    code, _, error = command(monkeypatch, capsys, checkpoint, dataset)
    assert code == 1 and sentence in error and "Traceback" not in error
    assert not (tmp_path / "runs").exists()


def test_a_folded_temperature_is_taken_from_the_results_beside_the_checkpoint(
    strange_checkpoint, slice_folder, tmp_path, monkeypatch, capsys
):
    import shutil

    checkpoint = tmp_path / "mine"
    shutil.copytree(strange_checkpoint, checkpoint)
    calibration = {"temperature": 2.0, "folded_into_classifier": True}
    (checkpoint / "results.json").write_text(json.dumps({"calibration": calibration}))
    folder = slice_folder(dict.fromkeys(LABELS, 4), side=64)
    command(monkeypatch, capsys, checkpoint, folder, "--split", "all", "--output_dir", tmp_path / "out")
    every = json.loads((tmp_path / "out" / "results.json").read_text())["all"]
    assert every["calibration"]["after"]["nll"] == pytest.approx(every["nll"])
    assert every["calibration"]["before"]["nll"] != pytest.approx(every["nll"])


def test_the_command_knows_the_checkpoint_s_own_parts_and_the_sets_that_trained_it(
    strange_checkpoint, slice_folder, tmp_path, monkeypatch, capsys
):
    folder = slice_folder(dict.fromkeys(LABELS, 26), side=64)
    checkpoint = tmp_path / "trained"
    shutil.copytree(strange_checkpoint, checkpoint)
    told = {
        "datasets": [folder.name],
        "split": "patients",
        "split_seed": 7,
        "counts_by_set": {"train": {folder.name: 70, "another": 0}},
    }
    (checkpoint / "results.json").write_text(json.dumps(told))
    flags = ["--data_root", folder.parent, "--output_dir", tmp_path / "out"]
    code, out, error = command(monkeypatch, capsys, checkpoint, *flags)
    assert code == 0, error
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["datasets"] == [folder.name] and results["split_seed"] == 7
    assert "its own test part" in out
    for others in ([folder, "--split_seed", "8"], [folder, "--split", "all"]):
        code, out, error = command(monkeypatch, capsys, checkpoint, *others, *flags)
        assert code == 0 and f"was trained on slices of {folder.name}" in out, error
    (checkpoint / "results.json").write_text(json.dumps(told | {"hold_out": ["another"]}))
    code, _, error = command(monkeypatch, capsys, checkpoint, *flags)
    assert code == 1 and "--hold_out" in error
    code, _, error = command(monkeypatch, capsys, strange_checkpoint, *flags)
    assert code == 1 and "does not tell which sets it was trained on" in error
