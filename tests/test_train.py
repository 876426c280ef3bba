"""`train.py`, run as its users run it: as a process of its own, on real slices."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from brain_tumor.evaluation.thresholds import ACCURACY_WORTH_RECALL
from tests.hub_stand_in import HubStandIn

ROOT = Path(__file__).parent.parent
QUICK = ["--max_slices_per_class", "48", "--image_size", "96", "--num_train_epochs", "4", "--report_to", "none"]
FILES = {"config.json", "model.safetensors", "preprocessor_config.json", "results.json", "README.md"}
FILES |= {"familiarity.safetensors"}
PLOTS = {"curves.png", "confusion_matrix.png", "reliability.png"}


@pytest.fixture(scope="module")
def recipe(shared):
    """Flags of a short training on the smaller real set, with tumors of unknown type beside it."""
    data, checkpoint = shared / "data/labeled-mri-brain-tumor", shared / "checkpoints/mobilenet_v2_1.0_224"
    weak = ["--tumor_dataset", str(shared / "data/br35h-tumors"), "--tumor_repeats", "1"]
    return ["--dataset_name", str(data), *weak, "--model_name_or_path", str(checkpoint), *QUICK]


def launch(*flags, launcher=(sys.executable,), env=None, **kwargs) -> subprocess.Popen:
    command = [*launcher, str(ROOT / "train.py"), *map(str, flags)]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""} if env is None else env
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kwargs
    )


def train(*flags, expect=0, **kwargs) -> str:
    process = launch(*flags, **kwargs)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == expect, output[-3000:]
    return output


def results_of(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


@pytest.fixture(scope="module")
def trained(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    output = train(*recipe, "--output_dir", folder, "--report_to", "tensorboard")
    return folder, output


def test_a_short_training_beats_chance_clearly_and_tells_so(trained):
    folder, output = trained
    test = results_of(folder)["test"]
    assert test["intervals"]["accuracy"][0] > 0.45, "four balanced classes: chance is 0.25"
    assert f"accuracy {100 * test['accuracy']:.1f} %" in output


def test_the_folder_holds_checkpoint_results_plots_card_examples_and_tensorboard_log(trained):
    folder, _ = trained
    assert {path.name for path in folder.iterdir()} >= FILES | PLOTS
    assert list(folder.glob("runs/**/events.out.tfevents*"))
    for plot in PLOTS:
        assert Image.open(folder / plot).convert("L").getextrema()[0] < 200, f"{plot} is blank"
    listing = json.loads((folder / "examples/examples.json").read_text())
    labels = [entry["label"] for entry in listing]
    assert sorted(labels) == sorted(2 * ["glioma", "meningioma", "no_tumor", "pituitary"])
    for entry in listing:
        assert entry["file"].startswith(entry["label"])
        assert Image.open(folder / "examples" / entry["file"]).size == (640, 640)
        assert entry["source"].startswith("labeled-mri-brain-tumor: ")


def test_results_hold_what_was_trained_on_what_and_how_it_went(trained):
    folder, _ = trained
    results = results_of(folder)
    assert results["dataset"] == "labeled-mri-brain-tumor"
    assert (results["split"], results["seed"], results["world_size"]) == ("copy_free", 42, 1)
    assert results["counts"]["train"] == dict.fromkeys(["glioma", "meningioma", "no_tumor", "pituitary"], 48)
    assert results["versions"]["torch"].startswith("2.")
    assert "--dataset_name labeled-mri-brain-tumor" in results["command"], "no path of this machine"
    assert [row["epoch"] for row in results["history"]] == [1, 2, 3, 4]
    columns = {"train_loss", "train_accuracy", "validation_nll", "validation_loss", "validation_accuracy"}
    assert all(columns <= set(row) for row in results["history"])
    best = min(results["history"], key=lambda row: row["validation_calibrated_nll"])
    assert results["best_epoch"] == best["epoch"]
    for part in ("validation", "test"):
        figures = results[part]
        assert figures.keys() >= {"accuracy", "macro_recall", "per_class", "confusion_matrix", "ece", "sensitivity"}
        low, high = figures["intervals"]["accuracy"]
        assert low <= figures["accuracy"] <= high
        assert figures["per_class"]["glioma"].keys() >= {"precision", "recall", "f1", "auroc"}
    calibration = results["calibration"]
    assert calibration["folded_into_classifier"]
    assert calibration["validation_nll_after"] <= calibration["validation_nll_before"]


def test_tumors_of_unknown_type_choose_and_are_reported_beside_the_four_classes(trained):
    folder, _ = trained
    results = results_of(folder)
    assert results["tumor_dataset"] == "br35h-tumors"
    assert all("validation_weak_sensitivity" in row for row in results["history"])
    for part in ("tumor_validation", "tumor_test"):
        figures = results[part]
        low, high = figures["intervals"]["called_no_tumor"]
        assert low <= figures["called_no_tumor"] <= high
        assert figures["called_no_tumor"] < 0.5, "a network that learned nothing of them would call most so"


def test_thresholds_of_the_verdict_are_in_the_config_and_their_figures_in_the_results(trained):
    folder, _ = trained
    results, config = results_of(folder), json.loads((folder / "config.json").read_text())
    assert config["decision_thresholds"] == results["decision_thresholds"]
    for part in ("validation", "test"):
        verdicts = results[part]["decision"]
        assert verdicts["sensitivity"] >= results[part]["sensitivity"], "uncertain counts as caught"
        assert 0 <= verdicts["uncertain"] <= 1
    assert (folder / "evaluation/failures.png").exists()
    assert Image.open(folder / "evaluation/evaluation.png").convert("L").getextrema()[0] < 200


def test_a_run_that_chooses_between_recipes_leaves_the_test_part_shut(recipe, tmp_path):
    flags = ["--validation_only", "--num_train_epochs", "1", "--small_first", "0.5", "--mixup", "0.2", "--ema", "0.9"]
    train(*recipe, *flags, "--output_dir", tmp_path)
    results = results_of(tmp_path)
    assert "validation" in results
    assert not {"test", "tumor_test"} & results.keys()
    assert not (tmp_path / "README.md").exists(), "a card would need test figures"


def test_pipeline_loads_the_folder_and_gives_the_figures_of_the_results(trained, shared):
    """The plain pipeline over every test slice gives the NLL of results.json, so its confidences are the calibrated."""
    from transformers import pipeline

    from brain_tumor.data.dataset import load_scans
    from brain_tumor.data.pixels import open_picture
    from brain_tumor.data.split import first_of_each_class, split_scans
    from brain_tumor.evaluation.metrics import ScanMetrics
    from brain_tumor.labels import LABELS

    folder, _ = trained
    part = split_scans(load_scans(shared / "data/labeled-mri-brain-tumor"), "copy_free", 42)["test"]
    part = first_of_each_class(part, 48)
    classifier = pipeline("image-classification", model=str(folder))
    answers = classifier([open_picture(image) for image in part["image"]])
    scores = [[{a["label"]: a["score"] for a in answer}[label] for label in LABELS] for answer in answers]
    figures = ScanMetrics(keep_in_memory=True).compute(predictions=scores, references=part["label"])
    expected = results_of(folder)["test"]
    assert figures["nll"] == pytest.approx(expected["nll"], abs=1e-3)
    assert figures["confusion_matrix"] == expected["confusion_matrix"]


def test_a_killed_training_resumes_to_the_same_number_of_epochs(recipe, trained, tmp_path):
    process = launch(*recipe, "--output_dir", tmp_path, start_new_session=True)
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

    refused = train(*recipe, "--output_dir", tmp_path, expect=1)
    assert "--resume_from_checkpoint" in refused
    assert "--overwrite" in refused

    train(*recipe, "--output_dir", tmp_path, "--resume_from_checkpoint")
    resumed, whole = results_of(tmp_path), results_of(trained[0])
    assert resumed["epochs_trained"] == whole["epochs_trained"] == 4
    assert [row["epoch"] for row in resumed["history"]] == [1, 2, 3, 4]
    low, high = whole["test"]["intervals"]["accuracy"]
    assert low - 0.05 <= resumed["test"]["accuracy"] <= high + 0.05


def test_two_processes_train_on_both_and_write_the_same_files_once(recipe, trained, tmp_path):
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "29577")
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    flags = ["--output_dir", tmp_path, "--per_device_train_batch_size", "16", "--report_to", "tensorboard"]
    output = train(*recipe, *flags, launcher=torchrun, env=environment)
    one, two = results_of(trained[0]), results_of(tmp_path)
    assert two["world_size"] == 2
    assert output.count("Everything is in") == 1

    def schema(value):
        if isinstance(value, dict):
            return {key: schema(item) for key, item in value.items() if key != "intervals"}
        return type(value).__name__ if not isinstance(value, list) else "list"

    assert schema(two) == schema(one)
    names = {path.name for path in trained[0].iterdir() if not path.name.startswith("checkpoint-")}
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith("checkpoint-")} == names
    low, high = one["test"]["intervals"]["accuracy"]
    assert low - 0.05 <= two["test"]["accuracy"] <= high + 0.05
    # A loss that is a mean over one process's batch would come out doubled.
    ratio = two["history"][0]["train_loss"] / one["history"][0]["train_loss"]
    assert 0.7 < ratio < 1.4


def test_push_to_hub_is_one_commit_that_another_process_loads_with_the_same_scores(trained, recipe, tmp_path):
    folder = tmp_path / "run"
    with HubStandIn() as hub:
        environment = hub.env(tmp_path / "cache")
        flags = ["--num_train_epochs", "1", "--output_dir", folder, "--push_to_hub", "--hub_model_id", "you/brains"]
        output = train(*recipe, *flags, env=environment)
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


def test_without_a_token_the_model_is_trained_safe_and_pushed_later_by_the_command_it_names(recipe, tmp_path):
    folder = tmp_path / "run"
    with HubStandIn() as hub:
        environment = hub.env(tmp_path / "cache", token=None)
        flags = ["--num_train_epochs", "1", "--output_dir", folder, "--push_to_hub", "--hub_model_id", "you/later"]
        output = train(*recipe, *flags, expect=1, env=environment)
        assert (folder / "results.json").exists()
        assert output.index("will fail") < output.index("Everything is in"), "warned of before training"
        command = f"--push_only {folder} --hub_model_id you/later"
        assert command in output
        assert "Traceback" not in output
        train(*command.split(), env=hub.env(tmp_path / "cache"))
        assert len(hub.commits("you/later")) == 1


def test_slices_of_640_px_the_size_of_the_original_can_be_trained_on(recipe, tmp_path):
    flags = [
        "--image_size",
        "640",
        "--no_familiarity",
        "--max_slices_per_class",
        "4",
        "--max_steps",
        "2",
        "--eval_strategy",
        "steps",
    ]
    flags += [
        "--eval_steps",
        "2",
        "--save_strategy",
        "steps",
        "--save_steps",
        "2",
        "--per_device_train_batch_size",
        "4",
    ]
    train(*recipe, *flags, "--output_dir", tmp_path)
    processor = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert processor["size"] == {"height": 640, "width": 640}


def test_the_mean_of_finished_runs_is_calibrated_and_evaluated_like_a_run_of_its_own(recipe, trained, tmp_path):
    further = [*recipe, "--model_name_or_path", trained[0], "--num_train_epochs", "1", "--no_familiarity"]
    further += ["--freeze", "3", "--ema", "0.5", "--lesions", "0.3"]
    for seed in (1, 2):
        train(*further, "--keep_start", "--seed", seed, "--output_dir", tmp_path / str(seed))
    shares = results_of(tmp_path / "1")["share_of_start"]
    (chosen,) = (row for row in shares if row["chosen"])
    enough = max(row["accuracy"] for row in shares) - ACCURACY_WORTH_RECALL
    in_question = [row for row in shares if row["accuracy"] >= enough]
    assert chosen == min(in_question, key=lambda row: (row["missed"], row["calibrated_nll"])), "recall comes first"
    train(*recipe, "--soup", tmp_path / "1", tmp_path / "2", "--no_familiarity", "--output_dir", tmp_path / "soup")
    results = results_of(tmp_path / "soup")
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("1", "2", "soup")]
    name = "mobilenet_v2.conv_1x1.convolution.weight"
    assert torch.allclose((weights[0][name] + weights[1][name]) / 2, weights[2][name], atol=1e-6)
    assert [run["seed"] for run in results["soup"]] == [1, 2]
    assert results["model_name_or_path"] == "mobilenet_v2_1.0_224"
    assert results["test"]["intervals"]["accuracy"][0] > 0.45
    assert results["decision_thresholds"] and (tmp_path / "soup/README.md").is_file()
    stem = "mobilenet_v2.conv_stem.first_conv.convolution.weight"
    assert torch.equal(weights[0][stem], load_file(trained[0] / "model.safetensors")[stem]), "frozen"


def test_a_finished_model_is_not_written_over(trained, recipe):
    folder, _ = trained
    before = (folder / "model.safetensors").read_bytes()
    output = train(*recipe, "--output_dir", folder, expect=1)
    assert "already holds a finished model" in output
    assert (folder / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--image_size", "5"], "--image_size 5 is outside 32 to 1024 px"),
        (["--dataset_name", "no/such-set"], "neither a folder here nor a dataset"),
        (["--soup", "nowhere"], "--soup nowhere: no folder written by train.py"),
        (["--freeze", "-1"], "--freeze -1 is below 0"),
        (["--lesions", "2"], "--lesions 2.0 is a share of the slices"),
        (["--small_first", "1"], "--small_first 1.0 is not in [0, 1)"),
        (["--push_to_hub"], "--hub_model_id your-name/model-name"),
        (["--resume_from_checkpoint"], "holds no complete checkpoint"),
        (["--push_only", "nowhere", "--hub_model_id", "you/x"], "not a finished checkpoint"),
    ],
)
def test_what_cannot_be_meant_gets_a_sentence_and_no_traceback(flags, sentence, tmp_path):
    output = train("--output_dir", tmp_path / "none", *flags, expect=1, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    assert sentence in output
    assert "Traceback" not in output


def test_help_teaches_every_flag_of_the_project():
    output = " ".join(train("--help").split())
    for words in ("baseline-cnn", "--image_size", "copy_free", "--push_only", "(default: 0.0005)", "--overwrite"):
        assert words in output
