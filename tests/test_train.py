"""What `train.py` promises, on drawn slices within this process; as its users start it, and on real slices, if slow."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import pipeline

import train as program
from brain_tumor.data.dataset import load_scans
from brain_tumor.data.pixels import open_picture
from brain_tumor.data.split import first_of_each_class, of_main_set, split_scans
from brain_tumor.demo import about
from brain_tumor.evaluation.metrics import classification_figures
from brain_tumor.inference.checkpoint import sha256_of
from brain_tumor.labels import LABELS
from brain_tumor.training import fit_familiarity
from tests.hub_stand_in import HubStandIn
from tests.slices import draw_slice, write_slices
from tests.trainings import launch, one_thread, results_of, train, train_apart  # noqa: F401  a fixture

FILES = {"config.json", "model.safetensors", "preprocessor_config.json", "results.json", "README.md"}
FILES |= {"familiarity.safetensors"}
PLOTS = {"curves.png", "confusion_matrix.png", "kinds.png", "reliability.png", "roc.png"}
REAL = pytest.param("real", marks=[pytest.mark.slow, pytest.mark.data])


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Folders of drawn slices: 40 of each class, and 24 tumors of unknown type."""
    folder = tmp_path_factory.mktemp("sets")
    four, tumors = write_slices(folder / "four", dict.fromkeys(LABELS, 40)), folder / "tumors/tumor"
    tumors.mkdir(parents=True)
    for number in range(24):
        draw_slice(1000 + number, "glioma").save(tumors / f"{number}.png")
    return four, tumors.parent


@pytest.fixture(scope="module")
def quick(sets, tiny_checkpoint):
    """Flags of a training of seconds on drawn slices, with tumors of unknown type beside them."""
    flags = ["--dataset_name", *sets]
    flags += ["--model_name_or_path", tiny_checkpoint, "--image_size", 64, "--augmentation", 0.1]
    flags += ["--num_train_epochs", 14, "--learning_rate", 3e-3, "--per_device_train_batch_size", 16]
    return [*flags, "--bf16", False, "--report_to", "none"]


@pytest.fixture(scope="module")
def baseline(sets):
    """Flags of a training of the small network on drawn slices, without a test part: a second or two."""
    flags = ["--dataset_name", sets[0], "--model_name_or_path", "baseline-cnn", "--image_size", 32]
    flags += ["--num_train_epochs", 2, "--learning_rate", 1e-3, "--per_device_train_batch_size", 16]
    return [*flags, "--bf16", False, "--validation_only", "--report_to", "none"]


@pytest.fixture(scope="module")
def real(shared):
    """Flags of a short training on the smaller public set, with tumors of unknown type beside it."""
    flags = ["--dataset_name", shared / "data/labeled-mri-brain-tumor", shared / "data/br35h-tumors"]
    flags += ["--model_name_or_path", shared / "checkpoints/mobilenet_v2_1.0_224", "--max_slices_per_class", 48]
    return [*flags, "--image_size", 96, "--num_train_epochs", 4, "--report_to", "none"]


@pytest.fixture(scope="module", params=["drawn", REAL])
def trained(request, tmp_path_factory):
    """A finished training: its folder, what it said, and its flags."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    if request.param == "real":
        flags = request.getfixturevalue("real")
        output = train_apart(*flags, "--output_dir", folder, "--report_to", "tensorboard")
        return folder, output, flags
    flags = request.getfixturevalue("quick")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_familiarity, "SLICES", 60)
        patch.setattr(fit_familiarity, "STRANGERS", 60)
        output = train(*flags, "--output_dir", folder, "--report_to", "tensorboard")
    return folder, output, flags


def flag_of(flags: list, name: str):
    return flags[flags.index(name) + 1]


# --- a finished training ----------------------------------------------------------------------------------------


def test_a_short_training_beats_chance_clearly_and_says_so(trained):
    folder, output, _ = trained
    test = results_of(folder)["test"]
    assert test["intervals"]["accuracy"][0] > 0.45, "four balanced classes: chance is 0.25"
    assert f"accuracy {100 * test['accuracy']:.1f} %" in output
    assert f"Everything is in {folder}." in output
    assert output.count("Everything is in ") == 1 and f"MODEL_ID={folder} python app.py" in output


def test_the_folder_holds_checkpoint_results_plots_card_examples_and_tensorboard_log(trained):
    folder, _, flags = trained
    assert {path.name for path in folder.iterdir()} >= FILES | PLOTS
    assert list(folder.glob("runs/**/events.out.tfevents*"))
    pictures = [*(folder / name for name in PLOTS), folder / "evaluation/evaluation.png"]
    for plot in pictures:
        assert Image.open(plot).convert("L").getextrema()[0] < 200, f"{plot} is blank"
    card = (folder / "README.md").read_text()
    assert all(f"]({name})" in card for name in PLOTS) and set(about.PLOTS) == PLOTS
    assert (folder / "evaluation/failures.png").exists()
    listing = json.loads((folder / "examples/examples.json").read_text())
    assert sorted(entry["label"] for entry in listing) == sorted(2 * LABELS)
    data = flag_of(flags, "--dataset_name")
    for entry in listing:
        assert entry["file"].startswith(entry["label"])
        name, source = entry["source"].split(": ")
        assert name == data.name
        with Image.open(folder / "examples" / entry["file"]) as example, Image.open(data / source) as original:
            assert np.array_equal(np.asarray(example.convert("L")), np.asarray(original.convert("L")))


def test_results_hold_what_was_trained_on_what_and_how_it_went(trained):
    folder, _, flags = trained
    results, epochs = results_of(folder), flag_of(flags, "--num_train_epochs")
    assert results["dataset"] == flag_of(flags, "--dataset_name").name == results["datasets"][0]
    assert (results["split"], results["seed"], results["world_size"]) == ("patients", 42, 1)
    assert results["versions"]["torch"] == torch.__version__
    assert f"--dataset_name {results['dataset']} " in results["command"], "no path of this machine"
    start = flag_of(flags, "--model_name_or_path")
    assert results["model_name_or_path"] == start.name
    assert results["base_weights_sha256"] == sha256_of(start / "model.safetensors")
    assert results["earlier_trainings"] == []
    assert [row["epoch"] for row in results["history"]] == [*range(1, epochs + 1)]
    columns = {"train_loss", "train_accuracy", "validation_nll", "validation_loss", "validation_accuracy"}
    assert all(columns <= set(row) for row in results["history"])
    best = min(results["history"], key=lambda row: row["validation_calibrated_nll"])
    assert results["best_epoch"] == best["epoch"]
    for part in ("validation", "test"):
        figures, counts = results[part], main_counts(folder, flags)[part]
        assert [sum(row) for row in figures["confusion_matrix"]] == [counts[label] for label in LABELS]
        right = sum(figures["confusion_matrix"][i][i] for i in range(4))
        assert figures["accuracy"] == pytest.approx(right / sum(counts.values()))
        assert figures["per_class"]["glioma"].keys() >= {"precision", "recall", "f1", "auroc"}


def main_counts(folder, flags) -> dict[str, dict[str, int]]:
    """Slices of each class of the main set in each part: all but the tumors of unknown type, which are the others'."""
    counts = results_of(folder)["counts"]
    return {part: {label: counts[part][label] for label in LABELS} for part in counts}


def test_tumors_of_unknown_type_choose_and_are_reported_beside_the_four_classes(trained):
    folder, _, flags = trained
    results, tumors = results_of(folder), flags[flags.index("--dataset_name") + 2].name
    assert results["datasets"][1] == tumors
    for part in ("validation", "test"):
        count = results["counts"][part]["tumor"]
        assert results["counts_by_set"][part][tumors] == count > 0
        if count >= 5:
            (row,) = [row for row in results[part]["by_kind"] if row["set"] == tumors]
            assert row["slices"] == count and row["right_type"] is None
        assert results[part]["over_sets"].keys() >= {"ece", "uncertain"}
    assert results["history"][-1]["validation_kinds_missed"] < 0.6, "a network that learned nothing would miss most"


def test_the_check_of_uploads_is_measured_on_each_set(trained):
    folder, _, flags = trained
    results = results_of(folder)
    assert [row["name"] for row in results["familiarity"]] == [
        f"{name}: slices turned away" for name in results["datasets"]
    ]
    assert all(0 <= row["value"] <= 1 for row in results["familiarity"])


def test_thresholds_of_the_verdict_are_in_the_config_and_their_figures_in_the_results(trained):
    folder, _, _ = trained
    results, config = results_of(folder), json.loads((folder / "config.json").read_text())
    assert config["decision_thresholds"] == results["decision_thresholds"]
    for part in ("validation", "test"):
        verdicts = results[part]["decision"]
        assert verdicts["thresholds"] == results["decision_thresholds"]
        assert verdicts["sensitivity"] >= results[part]["sensitivity"], "uncertain counts as caught"
        assert verdicts["counts"]["uncertain"][1] == results[part]["slices"]


def test_a_plain_pipeline_gives_the_calibrated_figures_of_the_results(trained):
    """With the temperature folded in: without it the pipeline would give another NLL."""
    folder, _, flags = trained
    at = flags.index("--dataset_name")
    part = split_scans(load_scans(flags[at + 1 : at + 3]), "patients", 42)["test"]
    if "--max_slices_per_class" in flags:
        part = first_of_each_class(part, flag_of(flags, "--max_slices_per_class"))
    part = part.select(of_main_set(part))
    classify = pipeline("image-classification", model=str(folder))
    answers = classify([open_picture(image) for image in part["image"]])
    scores = np.array([[{a["label"]: a["score"] for a in answer}[label] for label in LABELS] for answer in answers])
    figures, results = classification_figures(scores, np.array(part["label"])), results_of(folder)
    calibration = results["test"]["calibration"]
    difference = abs(calibration["before"]["nll"] - calibration["after"]["nll"])
    assert difference > 1e-4, "then this test could not fail"
    assert figures["nll"] == pytest.approx(results["test"]["nll"], abs=min(2e-4, difference / 3))
    assert figures["confusion_matrix"] == results["test"]["confusion_matrix"]
    assert results["calibration"]["folded_into_classifier"]


def test_the_epoch_that_was_best_on_validation_is_kept_and_not_the_last(baseline, tmp_path, monkeypatch):
    figures = iter((0.0, 0.5, 0.1, 0.9))  # the first is that of the rehearsal
    monkeypatch.setattr(program, "metrics_on", lambda part: lambda prediction: {"calibrated_nll": next(figures)})
    train(*baseline, "--num_train_epochs", 3, "--output_dir", tmp_path)
    assert results_of(tmp_path)["best_epoch"] == 2
    best, last = sorted(tmp_path.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    name = "features.0.weight"  # no temperature is folded into these
    kept, of_best, of_last = (load_file(folder / "model.safetensors")[name] for folder in (tmp_path, best, last))
    assert torch.equal(kept, of_best) and not torch.equal(kept, of_last)


def test_a_run_that_chooses_between_recipes_does_not_use_the_test_part(baseline, tmp_path):
    train(*baseline, "--output_dir", tmp_path)
    results = results_of(tmp_path)
    assert "validation" in results
    assert "test" not in results
    assert not (tmp_path / "README.md").exists(), "a card would need test figures"


def test_slices_of_640_px_the_size_of_the_original_can_be_trained_on(baseline, tmp_path):
    flags = ["--image_size", 640, "--max_slices_per_class", 2, "--max_steps", 1, "--per_device_train_batch_size", 4]
    flags += ["--eval_strategy", "no", "--save_strategy", "no", "--load_best_model_at_end", False]
    flags += ["--early_stopping_patience", 0]
    train(*baseline, *flags, "--output_dir", tmp_path)
    processor = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert processor["size"] == {"height": 640, "width": 640}


# --- going on ---------------------------------------------------------------------------------------------------


class Stop(Exception):
    """Thrown out of a training, as if it had been stopped."""


def stop_after_first_checkpoint(*flags) -> None:
    def stop(*args, **kwargs):
        raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program.EarlyStoppingCallback, "on_save", stop)
        with pytest.raises(Stop):
            train(*flags)


def test_a_resumed_training_ends_with_the_weights_of_one_that_nothing_stopped(baseline, tmp_path):
    """To the bit, which takes the optimizer's state, the learning rate, the random numbers and the order of slices."""
    train(*baseline, "--output_dir", tmp_path / "whole")
    stop_after_first_checkpoint(*baseline, "--output_dir", tmp_path / "stopped")
    refused = train(*baseline, "--output_dir", tmp_path / "stopped", expect=1)
    assert "already holds checkpoints of a stopped training" in refused and "--resume_from_checkpoint" in refused
    shutil.copytree(tmp_path / "stopped", tmp_path / "without optimizer")
    train(*baseline, "--output_dir", tmp_path / "stopped", "--resume_from_checkpoint")
    whole, resumed = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "stopped"))
    assert resumed == whole
    assert results_of(tmp_path / "stopped")["history"] == results_of(tmp_path / "whole")["history"]
    assert results_of(tmp_path / "stopped")["resumed_at_epoch"] == 1
    assert results_of(tmp_path / "whole")["resumed_at_epoch"] is None

    # The comparison would notice a lost optimizer.
    (checkpoint,) = (tmp_path / "without optimizer").glob("checkpoint-*")
    (checkpoint / "optimizer.pt").unlink()
    train(*baseline, "--output_dir", tmp_path / "without optimizer", "--resume_from_checkpoint")
    assert (tmp_path / "without optimizer/model.safetensors").read_bytes() != whole


def test_a_finished_model_is_not_written_over(trained):
    folder, _, flags = trained
    before = (folder / "model.safetensors").read_bytes()
    output = train(*flags, "--output_dir", folder, expect=1)
    assert f"{folder} already holds a finished model." in output
    assert (folder / "model.safetensors").read_bytes() == before


def test_a_training_that_goes_on_from_another_one_names_both_and_warns_if_slices_may_have_been_seen(
    baseline, trained, tmp_path
):
    folder, _, flags = trained
    if "--max_slices_per_class" in flags:
        pytest.skip("the drawn set says it all")
    at = flags.index("--dataset_name")
    further = [
        *baseline,
        *flags[at : at + 3],
        "--model_name_or_path",
        folder,
        "--image_size",
        64,
        "--num_train_epochs",
        1,
    ]
    output = train(*further, "--output_dir", tmp_path / "same")
    assert "and then the test figures are too good" not in output
    results, first = results_of(tmp_path / "same"), results_of(folder)
    for name in ("model_name_or_path", "base_weights_sha256"):
        assert results[name] == first[name], "where the first training started"
    assert [run["command"] for run in results["earlier_trainings"]] == [first["command"]]

    output = train(*further, "--split_seed", 7, "--output_dir", tmp_path / "other")
    assert f"{folder} was trained on {', '.join(first['datasets'])}, split patients, split seed 42." in output
    assert "and then the test figures are too good" in output


# --- pushing ----------------------------------------------------------------------------------------------------


def test_what_was_trained_is_pushed_once_at_the_end(baseline, tmp_path, monkeypatch):
    pushes = []

    def push_checkpoint(folder, repo_id, **settings):
        pushes.append((folder, repo_id, settings, (folder / "results.json").exists()))
        return "the commit"

    monkeypatch.setattr(program, "push_checkpoint", push_checkpoint)
    monkeypatch.setattr(program, "check_token", lambda token: "A push will fail without a token.")
    flags = ["--output_dir", tmp_path, "--push_to_hub", "--hub_model_id", "you/brains", "--hub_token", "hf_x"]
    output = train(*baseline, *flags, "--hub_private_repo", True)
    assert pushes == [(tmp_path, "you/brains", {"private": True, "token": "hf_x"}, True)]
    assert f"Pushed {tmp_path} to the commit" in output
    assert output.index("A push will fail") < output.index("'train_runtime'"), "warned of before training"
    train("--push_only", tmp_path, "--hub_model_id", "you/later")
    assert pushes[1:] == [(tmp_path, "you/later", {"private": None, "token": None}, True)]


@pytest.mark.slow
def test_push_to_hub_is_one_commit_that_another_process_loads_with_the_same_scores(quick, tmp_path):
    folder = tmp_path / "run"
    with HubStandIn() as hub:
        flags = ["--num_train_epochs", 1, "--output_dir", folder, "--push_to_hub", "--hub_model_id", "you/brains"]
        output = train_apart(*quick, *flags, env=hub.env(tmp_path / "cache"))
        assert "Pushed" in output
        (commit,) = hub.commits("you/brains")
        examples = {f"examples/{path.name}" for path in (folder / "examples").iterdir()}
        network = {f"onnx/{path.name}" for path in (folder / "onnx").iterdir()}
        assert network >= {"onnx/model.onnx", "onnx/results.json"}
        assert set(commit.paths) == FILES | PLOTS | network | examples

        picture = next((folder / "examples").glob("glioma_*.png"))
        script = (
            "import sys, json; from transformers import pipeline;"
            "print('SCORES' + json.dumps(pipeline('image-classification', model=sys.argv[1])(sys.argv[2])))"
        )

        def scores(model, cache):
            command = [sys.executable, "-c", script, model, str(picture)]
            run = subprocess.run(command, env=hub.env(cache), cwd=tmp_path, capture_output=True, text=True, check=True)
            return json.loads(run.stdout.partition("SCORES")[2])

        assert scores("you/brains", tmp_path / "empty cache") == scores(str(folder), tmp_path / "other cache")


@pytest.mark.slow
def test_without_a_token_the_model_is_trained_safe_and_pushed_later_by_the_command_it_names(quick, tmp_path):
    folder = tmp_path / "run"
    with HubStandIn() as hub:
        flags = ["--num_train_epochs", 1, "--output_dir", folder, "--push_to_hub", "--hub_model_id", "you/later"]
        output = train_apart(*quick, *flags, expect=1, env=hub.env(tmp_path / "cache", token=None))
        assert (folder / "results.json").exists()
        assert output.index("will fail") < output.index("Everything is in"), "warned of before training"
        command = f"--push_only {folder} --hub_model_id you/later"
        assert command in output
        assert "Traceback" not in output
        train_apart(*command.split(), env=hub.env(tmp_path / "cache"))
        assert len(hub.commits("you/later")) == 1


# --- processes of their own -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.data
def test_a_killed_training_on_real_slices_resumes_to_the_same_number_of_epochs(real, tmp_path):
    process = launch(*real, "--output_dir", tmp_path, start_new_session=True)
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("checkpoint-*/trainer_state.json")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "results.json").exists(), "killed too late to test anything"
    half_written = tmp_path / "checkpoint-9999"
    half_written.mkdir()
    (half_written / "model.safetensors").write_bytes(b"half a file")

    train_apart(*real, "--output_dir", tmp_path, "--resume_from_checkpoint")
    resumed = results_of(tmp_path)
    assert [row["epoch"] for row in resumed["history"]] == [1, 2, 3, 4]
    assert resumed["epochs_trained"] == 4
    assert resumed["test"]["intervals"]["accuracy"][0] > 0.4


@pytest.mark.slow
def test_two_processes_train_on_both_and_write_the_same_files_once(quick, tmp_path):
    train_apart(*quick, "--output_dir", tmp_path / "one")
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    environment = os.environ | {"ACCELERATE_USE_CPU": "true"}
    flags = ["--output_dir", tmp_path / "two", "--per_device_train_batch_size", 8]
    output = train_apart(*quick, *flags, launcher=torchrun, env=environment)
    one, two = results_of(tmp_path / "one"), results_of(tmp_path / "two")
    assert two["world_size"] == 2
    assert output.count("Everything is in") == 1

    def schema(value):
        if isinstance(value, dict):
            return {key: schema(item) for key, item in value.items() if key != "intervals"}
        return type(value).__name__ if not isinstance(value, list) else "list"

    assert schema({**two, "test": None}) == schema({**one, "test": None})
    names = [
        {path.name for path in (tmp_path / run).iterdir() if not path.name.startswith("checkpoint-")}
        for run in ("one", "two")
    ]
    assert names[0] == names[1]
    # A loss that is a mean over one process's batch would come out doubled.
    ratio = two["history"][0]["train_loss"] / one["history"][0]["train_loss"]
    assert 0.7 < ratio < 1.4


# --- what makes no sense ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--image_size", "5"], "--image_size 5 is outside 32 to 1024 px. Try 224."),
        (["--dropout", "1"], "--dropout 1.0 is not in [0, 1). Try 0.2."),
        (["--augmentation", "3"], "--augmentation 3.0 is outside 0 to 2. 1 is the recipe."),
        (["--epoch_slices", "0"], "--epoch_slices 0 must be at least 1."),
        (["--num_train_epochs", "0"], "--num_train_epochs 0.0 trains nothing; give at least 1."),
        (["--push_to_hub"], "Say where to push: --hub_model_id your-name/model-name."),
        (
            ["--push_to_hub", "--push_only", "x", "--hub_model_id", "you/x"],
            "--push_only pushes a finished folder and trains nothing; leave --push_to_hub out.",
        ),
    ],
)
def test_an_argument_that_makes_no_sense_gets_one_sentence(flags, sentence, tmp_path):
    output = train("--output_dir", tmp_path / "none", *flags, expect=1)
    assert output == f"train.py: {sentence}\n"


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--dataset_name", "no/such-set"], "'no/such-set' is neither a folder here nor a dataset"),
        (
            ["--resume_from_checkpoint"],
            "holds no complete checkpoint to resume from. Leave --resume_from_checkpoint out",
        ),
        (["--resume_from_checkpoint", "nowhere"], "'nowhere' is not a complete checkpoint of a training. Found in "),
        (["--push_only", "nowhere", "--hub_model_id", "you/x"], "nowhere is not a finished checkpoint, "),
    ],
)
def test_what_is_not_there_gets_a_sentence_and_no_traceback(flags, sentence, tmp_path):
    output = train("--output_dir", tmp_path / "none", *flags, expect=1)
    assert output.startswith("train.py: ") and sentence in output
    assert "Traceback" not in output
    assert not (tmp_path / "none").exists()


def test_without_room_for_the_slices_their_cache_is_named(baseline, tmp_path, monkeypatch):
    def fail(*names):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(program, "load_scans", fail)
    assert train(*baseline, "--output_dir", tmp_path, expect=1) == (
        f"train.py: There is no room to write in {datasets.config.HF_DATASETS_CACHE} (No space left on device). "
        "Make room, or set HF_HOME to a folder on another disk, and run the same command again.\n"
    )


@pytest.mark.slow
def test_the_command_ends_with_1_and_a_sentence():
    output = train_apart("--lerning_rate", "1", expect=1)
    assert output.endswith(
        "train.py: --lerning_rate is no flag of train.py; the nearest one is --learning_rate. "
        "python train.py --help lists the flags.\n"
    )
