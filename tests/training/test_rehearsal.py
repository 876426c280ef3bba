"""What would stop a training stops it before its slices are opened, with a sentence and nothing left behind."""

import os
import shutil

import pytest
import torch
from transformers import EarlyStoppingCallback

import train as program
from brain_tumor.data.checks import check_writable
from brain_tumor.data.errors import DatasetError
from brain_tumor.labels import LABELS
from tests.slices import write_slices
from tests.trainings import one_thread, train  # noqa: F401  a fixture


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    """A training of a second."""
    data = write_slices(tmp_path_factory.mktemp("slices"), dict.fromkeys(LABELS, 30))
    flags = ["--dataset_name", data, "--model_name_or_path", "baseline-cnn", "--image_size", 32, "--bf16", False]
    flags += ["--num_train_epochs", 2, "--per_device_train_batch_size", 8, "--report_to", "none", "--no_familiarity"]
    return [*flags, "--validation_only"]


@pytest.fixture
def refusal(flags, tmp_path, monkeypatch):
    """What `train.py` says and ends with; opening the slices fails the test."""

    def fail(*_):
        raise AssertionError("the slices were opened")

    monkeypatch.setattr(program, "load_parts", fail)

    def ask(*words) -> str:
        said = train(*flags, "--output_dir", tmp_path / "run", *words, expect=1)
        *warnings, last = said.splitlines(keepends=True)
        # transformers warns of slow compilation, unless something before in this process has turned its warnings off.
        assert all(line.startswith("The speedups for torchdynamo mostly come with GPU") for line in warnings), said
        assert last.startswith("train.py: ") and last.endswith(".\n")
        assert not (tmp_path / "run").exists()
        return last

    return ask


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--fp16"], "--fp16 needs a GPU."),
        (["--tf32", True], "--tf32 requires Ampere"),
        (["--optim", "adamw_bnb_8bit"], "You need to install `bitsandbytes`"),
        (["--optim", "lomo"], "You need to install `lomo_optim`"),
        (["--deepspeed", "nowhere.json"], "deepspeed"),
        (["--use_liger_kernel"], "liger-kernel"),
        (["--torch_compile", "--torch_compile_backend", "nonsense"], "is not a valid DynamoBackend"),
        (["--report_to", "wandb"], "--report_to wandb needs a package that is not installed."),
        (["--report_to", "nonsense"], "nonsense is not supported, only "),
        (["--lr_scheduler_type", "nonsense"], "nonsense is not a valid SchedulerType"),
        (["--lr_scheduler_type", "warmup_stable_decay"], "num_decay_steps"),
        (["--lr_scheduler_kwargs", '{"bogus": 1}'], "bogus"),
        (["--lr_scheduler_kwargs", "{broken"], "--lr_scheduler_kwargs is not JSON: "),
        (["--learning_rate", -1], "--learning_rate -1.0 must be 0 or more."),
        (["--learning_rate", "nan"], "--learning_rate nan must be 0 or more."),
        (["--per_device_train_batch_size", 0], "--per_device_train_batch_size 0 must be 1 or more."),
        (["--gradient_accumulation_steps", 0], "--gradient_accumulation_steps 0 must be 1 or more."),
        (["--num_train_epochs", "inf"], "--num_train_epochs inf trains nothing"),
        (["--seed", -1], "--seed -1 must be 0 or more, and less than 4294967296."),
        (["--split_seed", -1], "--split_seed -1 must be 0 to 4294967295."),
        (["--label_smoothing_factor", 2], "--label_smoothing_factor 2.0 must be 0 or more, and less than 1."),
        (["--adam_beta1", 2], "Invalid beta parameter"),
        (["--early_stopping_patience", -1], "--early_stopping_patience -1 must be 0 or more."),
        (["--eval_strategy", "no", "--no_load_best_model_at_end"], "Pass --early_stopping_patience 0 as well."),
        (["--metric_for_best_model", "unknown"], "The available evaluation metrics are: ['eval_loss'"),
        (["--activation_checkpointing"], "does not support"),
        (["--dataloader_persistent_workers"], "num_workers"),
        (["--remove_unused_columns"], "--remove_unused_columns cannot be changed in this training."),
        (["--dataloader_drop_last"], "--dataloader_drop_last cannot be changed in this training."),
        (["--hub_model_id", "a/b/c"], "--hub_model_id 'a/b/c' is not the id of a repository ("),
        (["--push_to_hub", "--hub_model_id", "you/.."], "--hub_model_id 'you/..' is not the id of a repository ("),
        (["--data_root", "nowhere"], "--data_root nowhere is no folder."),
        (["--hold_out", "nothing"], "--hold_out nothing is neither one of the sets"),
        (["--other_pictures", "nowhere", "--familiarity"], "--other_pictures nowhere is no folder that holds pictures"),
        (["--about_sets", "{broken"], "--about_sets is not JSON: "),
        (["--about_sets", "[1]"], "--about_sets must be JSON such as"),
        (["--weights_license", "Free!"], "--weights_license 'Free!' is no identifier of a license."),
        (["--split", "published"], "The main set has no test part of its own."),
        (["--dataset_name", "/none"], "'/none' is neither a folder here nor a dataset"),
        (["--model_name_or_path", "nowhere"], "'nowhere' has no image processor that can be loaded"),
        (["--model_name_or_path", "../nowhere"], "can be loaded: there is no such folder. Give a folder, a Hub id"),
        (["--output_dir", "/dev/null/x"], "/dev/null/x cannot be written to (Not a directory). Set --output_dir to"),
        (["--output_dir", "x" * 300], "cannot be written to (File name too long). Set --output_dir to another folder."),
    ],
    ids=lambda value: " ".join(map(str, value))[:60] if isinstance(value, list) else "",
)  # fmt: skip
def test_a_training_that_cannot_start_says_so_before_its_slices_are_opened(words, sentence, refusal):
    assert sentence in refusal(*words)


def test_what_is_unusual_and_works_passes(flags, tmp_path):
    """The rehearsal makes one step, and neither refuses nor changes what only more of them can do."""
    words = ["--lr_scheduler_type", "polynomial", "--warmup_steps", 3, "--eval_strategy", "steps", "--eval_steps", 5]
    words += ["--save_strategy", "steps", "--save_steps", 5, "--eval_delay", 4, "--eval_on_start", "--optim", "sgd"]
    said = train(*flags, *words, "--output_dir", tmp_path)
    assert "'epoch': '2'" in said and len(list(tmp_path.glob("checkpoint-*"))) == 2


def test_a_rehearsal_leaves_nothing_behind_and_changes_nothing(flags, tmp_path, monkeypatch):
    train(*flags, "--output_dir", tmp_path / "one")
    monkeypatch.setattr(program, "rehearse", lambda *_: None)
    train(*flags, "--output_dir", tmp_path / "two")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two")]
    assert weights[0] == weights[1]
    names = [{p.name for p in (tmp_path / name).iterdir()} for name in ("one", "two")]
    assert names[0] == names[1] and not list(tmp_path.glob("*/.*"))


def test_a_checkpoint_of_another_network_or_optimizer_is_no_start(flags, refusal, tmp_path, monkeypatch):
    class Stop(Exception):
        """As if a training had been stopped."""

    def stop(*args, **kwargs):
        raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.undo()
        monkeypatch.undo()
        patch.setattr(EarlyStoppingCallback, "on_save", stop)
        with pytest.raises(Stop):
            train(*flags, "--output_dir", tmp_path / "stopped")
    (checkpoint,) = (tmp_path / "stopped").glob("checkpoint-*")
    state = torch.load(checkpoint / "optimizer.pt", weights_only=True)
    state["param_groups"].pop()
    other = shutil.copytree(checkpoint, tmp_path / "checkpoint-other")
    torch.save(state, other / "optimizer.pt")
    for words in (["--image_size", 64, "--resume_from_checkpoint", other], ["--resume_from_checkpoint", other]):
        said = train(*flags, "--output_dir", tmp_path / "run", *words, expect=1)
        assert f"The training cannot start with these arguments, from {other}: " in said and "Traceback" not in said


def test_a_training_that_goes_astray_says_so(flags, tmp_path):
    said = train(*flags, "--learning_rate", 1e30, "--warmup_steps", 0, "--output_dir", tmp_path, expect=1)
    assert "Train again with a lower --learning_rate" in said and "Traceback" not in said


def test_an_epoch_whose_last_batch_would_be_one_slice_is_trained(flags, tiny_checkpoint, tmp_path):
    """At 32 px MobileNetV2's maps end up as one pixel, and a batch norm needs more than one number."""
    words = ["--model_name_or_path", tiny_checkpoint, "--epoch_slices", 17, "--output_dir", tmp_path]
    train(*flags, *words)
    assert (tmp_path / "results.json").exists()


def test_whether_a_folder_can_be_written_to_is_tried_and_leaves_nothing(tmp_path):
    check_writable(tmp_path / "a/b/c", "--output_dir")
    check_writable(tmp_path, "--output_dir")
    assert not list(tmp_path.iterdir())
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for folder in (tmp_path / "link", tmp_path / "link/x", "/proc/none"):
        with pytest.raises(DatasetError, match="cannot be written to"):
            check_writable(folder, "--output_dir")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(DatasetError, match="Permission denied"):
        check_writable(tmp_path / "run", "HF_HOME")
