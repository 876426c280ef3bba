"""Where a training starts, what it says of where it comes from, and what it does not write over."""

import json
import logging

import pytest

from brain_tumor.inference.checkpoint import sha256_of
from brain_tumor.training.arguments import DataArguments, RecipeArguments, UsageError
from brain_tumor.training.resume import find_resume_point, warn_of_seen_slices
from brain_tumor.training.run import describe_start, earlier_trainings

RUN = {
    "model_name_or_path": "google/mobilenet_v2_1.0_224",
    "base_weights_sha256": "abc",
    "datasets": ["owner/scans", "owner/more"],
    "split": "patients",
    "split_seed": 42,
    "seed": 1,
    "epochs_trained": 3.0,
    "command": "python train.py",
}


@pytest.fixture
def run(tmp_path):
    """A folder with the results.json of a finished training."""
    (tmp_path / "results.json").write_text(json.dumps(RUN | {"history": []}))
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


# --- where it comes from ----------------------------------------------------------------------------------------


def test_a_start_on_the_hub_is_named_by_its_id_and_a_folder_by_its_name_and_weights(tmp_path):
    assert describe_start("owner/model") == {
        "model_name_or_path": "owner/model",
        "base_weights_sha256": None,
        "earlier_trainings": [],
    }
    folder = tmp_path / "google" / "mobilenet_v2_1.0_224"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"anything")
    start = describe_start(str(folder))
    assert start["model_name_or_path"] == "mobilenet_v2_1.0_224", "its name alone, which is no Hub id"
    assert start["base_weights_sha256"] == sha256_of(folder / "model.safetensors")


def test_a_start_that_was_trained_is_named_by_where_its_first_training_started(run):
    start = describe_start(str(run))
    assert (start["model_name_or_path"], start["base_weights_sha256"]) == (RUN["model_name_or_path"], "abc")
    assert start["earlier_trainings"] == [RUN]
    (run / "checkpoint-12").mkdir()
    assert describe_start(str(run / "checkpoint-12")) == start, "also from one of its checkpoints"

    second = RUN | {"earlier_trainings": [RUN], "model_name_or_path": "another", "command": "python train.py --seed 2"}
    (run / "results.json").write_text(json.dumps(second))
    assert [row["command"] for row in earlier_trainings(str(run))] == [RUN["command"], second["command"]]
    assert describe_start(str(run))["model_name_or_path"] == RUN["model_name_or_path"]


def test_runs_of_before_2_0_name_their_sets_in_another_way(run):
    old = {name: value for name, value in RUN.items() if name != "datasets"}
    old |= {"dataset": "owner/scans", "tumor_dataset": "owner/tumors"}
    (run / "results.json").write_text(json.dumps(old))
    assert earlier_trainings(str(run))[0]["datasets"] == ["owner/scans", "owner/tumors"]


@pytest.mark.parametrize(
    ("changed", "warned"),
    [
        ({}, False),
        ({"dataset_name": ["owner/other"]}, True),
        ({"dataset_name": ["owner/scans"]}, True),
        ({"split": "published"}, True),
        ({"split_seed": 43}, True),
    ],
)
def test_slices_that_a_start_may_have_seen_are_warned_of(changed, warned, run, caplog):
    data = DataArguments(**({"dataset_name": RUN["datasets"]} | changed))
    with caplog.at_level(logging.WARNING):
        warn_of_seen_slices(str(run), data)
        warn_of_seen_slices("google/mobilenet_v2_1.0_224", data)
    assert [
        "was trained on owner/scans, owner/more, split patients, split seed 42" in row.message for row in caplog.records
    ] == ([True] if warned else [])


# --- where it goes on -------------------------------------------------------------------------------------------


def arguments(folder, **options) -> RecipeArguments:
    return RecipeArguments(output_dir=str(folder), report_to="none", **options)


def test_a_new_folder_is_started_in_and_a_used_one_only_with_overwrite(run, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    assert find_resume_point(arguments(empty), empty) is None
    with pytest.raises(UsageError, match="already holds a finished model. Choose another --output_dir"):
        find_resume_point(arguments(run), run)
    assert find_resume_point(arguments(run, overwrite=True), run) is None


def test_there_is_nothing_to_go_on_from_without_a_complete_checkpoint(run):
    (run / "checkpoint-5").mkdir()
    for given, sentence in (
        ("last", f"{run} holds no complete checkpoint to resume from. Leave --resume_from_checkpoint out"),
        (str(run / "checkpoint-5"), f"'{run / 'checkpoint-5'}' is not a complete checkpoint of a training. Found in "),
        ("", "'' is not a complete checkpoint of a training. Found in "),  # of an empty variable of the shell
    ):
        with pytest.raises(UsageError) as refusal:
            find_resume_point(arguments(run, resume_from_checkpoint=given), run)
        assert str(refusal.value).startswith(sentence)
