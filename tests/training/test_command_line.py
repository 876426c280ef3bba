"""How `train.py` is told what to do: flags, a JSON file of arguments, and the two pages of help."""

import json
import re

import numpy as np
import pytest
from transformers import EvalPrediction, TrainingArguments

from brain_tumor.labels import LABELS
from brain_tumor.training.arguments import DataArguments, ModelArguments, UsageError
from brain_tumor.training.command_line import OFTEN_USED, parse_arguments
from brain_tumor.training.trainer import metrics_on
from tests.evaluation.drawn_logits import part_of

SEE_HELP = " python train.py --help lists the flags."


def parse(*words):
    return parse_arguments([*map(str, words)], "Trains.")


def refusal(*words) -> str:
    with pytest.raises(UsageError) as caught:
        parse(*words)
    return str(caught.value)


def show(capsys, *words) -> list[str]:
    with pytest.raises(SystemExit) as end:
        parse(*words)
    assert end.value.code == 0
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def recipe(tmp_path):
    """Writes a JSON file of arguments, or any text in its place."""

    def write(content) -> str:
        path = tmp_path / "recipe.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write


# --- what best means --------------------------------------------------------------------------------------------


def test_whether_more_is_better_follows_from_the_figure_that_chooses_the_epoch():
    labels = np.arange(40) % len(LABELS)
    logits = np.random.default_rng(0).normal(size=(40, 4)) + np.eye(4)[labels]
    validation = part_of(labels, np.arange(40), [False] * 40)
    known = metrics_on(validation)(EvalPrediction(predictions=logits, label_ids=labels))
    less = {name for name in known if not parse("--metric_for_best_model", name).training.greater_is_better}
    assert less == {"nll", "calibrated_nll", "brier", "ece", "classwise_ece", "kinds_missed"}
    assert {"accuracy", "macro_recall", "sensitivity", "specificity", "kinds_right_type"} <= set(known) - less
    for name, more in (("loss", False), ("eval_loss", False), ("eval_accuracy", True), ("eval_ece", False)):
        assert parse("--metric_for_best_model", name).training.greater_is_better is more
    assert parse().training.greater_is_better is False


@pytest.mark.parametrize("more", [True, False])
def test_a_flag_for_whether_more_is_better_goes_first(more, recipe):
    for name in ("accuracy", "nll"):
        words = ["--metric_for_best_model", name, "--greater_is_better", more]
        assert parse(*words).training.greater_is_better is more
        file = recipe({"metric_for_best_model": name, "greater_is_better": more})
        assert parse(file).training.greater_is_better is more


# --- help -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_shows_what_people_change_each_in_a_line_on_two_screens(flag, capsys):
    lines = show(capsys, "--seed", 1, flag)
    assert len(lines) <= 50 and max(map(len, lines)) <= 100
    assert lines[0].startswith("usage: python train.py ") and lines[2] == "Trains."
    groups, group = {}, None
    for line in lines[3:]:
        if re.fullmatch(r"\w+:", line):
            group = groups.setdefault(line[:-1], [])
        elif line.startswith("  --"):
            name, what = line.split(maxsplit=1)
            group.append(name.removeprefix("--"))
            assert re.match(r"\w[^\[]{10,}", what), f"{name} is not explained"
    assert groups == OFTEN_USED
    assert groups["Model"] == ["model_name_or_path", "image_size", "dropout"]
    shown = [line.split() for line in lines]
    assert next(words for words in shown if "--learning_rate" in words)[-1] == "[0.0005]"
    assert next(words for words in shown if "--familiarity" in words)[-1] == "[on]"
    assert next(words for words in shown if "--augmentation" in words)[-1] == "[1.0]", (
        "1.0 equals True, and is a number"
    )
    assert any("--help_all" in words for words in shown)


def test_help_all_shows_every_flag_once_in_groups(capsys):
    text = "\n".join(show(capsys, "--help_all"))
    flags = re.findall(r"^  (--\w+)", text, re.M)
    assert len(flags) == len(set(flags))
    own = {f"--{name}" for kind in (ModelArguments, DataArguments, TrainingArguments) for name in kind.__annotations__}
    assert set(flags) >= own
    assert [line for line in text.splitlines() if re.fullmatch(r"\w[\w ]+:", line)] == [
        "model:",
        "data:",
        "training and Hub:",
    ]
    assert "%%" not in text


def test_a_flag_that_help_does_not_show_works_too():
    arguments = parse("--adam_beta2", 0.98, "--gradient_accumulation_steps", 2, "--no_load_best_model_at_end")
    training = arguments.training
    assert (training.adam_beta2, training.gradient_accumulation_steps) == (0.98, 2)
    assert training.load_best_model_at_end is False


# --- flags ------------------------------------------------------------------------------------------------------


def test_flags_go_to_the_arguments_that_they_name_and_others_keep_their_defaults():
    arguments = parse("--image_size", 96, "--split=published", "--no_familiarity", "--seed", 7, "--learning-rate", 1e-3)
    assert arguments.model == ModelArguments(image_size=96)
    assert arguments.data == DataArguments(split="published", familiarity=False)
    assert (arguments.training.seed, arguments.training.learning_rate) == (7, 1e-3)
    assert arguments.training.num_train_epochs == 12


def test_resuming_takes_the_last_checkpoint_or_the_one_that_is_named():
    assert parse().training.resume_from_checkpoint is None
    assert parse("--resume_from_checkpoint").training.resume_from_checkpoint == "last"
    assert parse("--resume_from_checkpoint", "runs/x").training.resume_from_checkpoint == "runs/x"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--lerning_rate", "1"],
            "--lerning_rate is no flag of train.py; the nearest one is --learning_rate." + SEE_HELP,
        ),
        (["--image-sice=96"], "--image-sice is no flag of train.py; the nearest one is --image-size." + SEE_HELP),
        (["--help-al"], "--help-al is no flag of train.py; the nearest one is --help_all." + SEE_HELP),
        (["--qqq"], "--qqq is no flag of train.py." + SEE_HELP),
        (["--see", "1"], "--see is no flag of train.py; the nearest one is --seed." + SEE_HELP),
        (["--seed", "1", "2"], "'2' belongs to no flag; a recipe comes first." + SEE_HELP),
        (["--seed", "one"], "--seed: invalid int value: 'one'." + SEE_HELP),
        (["--seed"], "--seed: expected one argument." + SEE_HELP),
        (
            ["--split", "random"],
            "--split: invalid choice: 'random' (choose from 'patients', 'published')." + SEE_HELP,
        ),
        (["--image_size", "5"], "--image_size 5 is outside 32 to 1024 px. Try 224."),
    ],
)
def test_a_flag_that_is_unknown_or_wrong_gets_a_sentence_with_the_nearest_known_one(words, message):
    assert refusal(*words) == message


def test_what_transformers_refuses_is_a_sentence_too():
    assert "--load_best_model_at_end requires the save and eval strategy to match" in refusal("--eval_strategy", "no")


# --- a JSON file ------------------------------------------------------------------------------------------------


def test_sets_in_a_json_file_bring_where_they_are_from_and_under_which_terms(recipe):
    sets = [{"name": "owner/scans", "from": "the Hub", "terms": "CC0"}, "other"]
    data = parse(recipe({"dataset_name": sets})).data
    assert data.dataset_name == ["owner/scans", "other"]
    assert json.loads(data.about_sets) == {"owner/scans": sets[0]}
    assert parse(recipe({"dataset_name": sets}), "--dataset_name", "third").data.dataset_name == ["third"]
    others = [{"name": "others/ct", "from": "a clinic", "terms": "credit asked"}]
    data = parse(recipe({"dataset_name": sets, "other_pictures": others})).data
    assert data.other_pictures == ["others/ct"]
    assert json.loads(data.about_sets) == {"owner/scans": sets[0], "others/ct": others[0]}


def test_a_json_file_takes_the_place_of_flags(recipe):
    values = {
        "model_name_or_path": "baseline-cnn",
        "image_size": 96,
        "learning_rate": 2e-4,
        "split": "published",
        "familiarity": False,
        "overwrite": True,
        "data_root": None,
        "dataset_name": "owner/scans",
        "hold_out": ["one", {"name": "two", "why": "a reader wants to know"}],
        "save_total_limit": None,
        "label_names": ["labels"],
        "lr_scheduler_kwargs": {"num_cycles": 1},
    }
    arguments = parse(recipe(values))
    assert arguments.model == ModelArguments(model_name_or_path="baseline-cnn", image_size=96)
    assert arguments.data == DataArguments(
        dataset_name=["owner/scans"], split="published", familiarity=False, hold_out=["one", "two"]
    )
    training = arguments.training
    assert (training.learning_rate, training.overwrite, training.save_total_limit) == (2e-4, True, None)
    assert (training.label_names, training.lr_scheduler_kwargs) == (["labels"], {"num_cycles": 1})
    assert parse().training.save_total_limit == 2


def test_flags_after_the_file_override_it(recipe):
    path = recipe({"seed": 1, "image_size": 96, "familiarity": True, "max_slices_per_class": None})
    arguments = parse(path, "--seed", 2, "--no_familiarity", "--max_slices_per_class", 5)
    assert (arguments.training.seed, arguments.model.image_size) == (2, 96)
    assert (arguments.data.familiarity, arguments.data.max_slices_per_class) == (False, 5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"seed": 1', "is not JSON: Expecting ',' delimiter: line 1 column 11 (char 10)."),
        ("[1, 2]", 'must hold one JSON object, such as {"num_train_epochs": 3}.'),
        (
            {"seed": 1, "lerning_rate": 1},
            ": lerning_rate is no argument of train.py; the nearest one is learning_rate.",
        ),
        ({"qqq": 1}, ": qqq is no argument of train.py."),
        ({"seed": "one"}, ": seed: invalid int value: 'one'."),
        ({"seed": 1.5}, ": seed: invalid int value: '1.5'."),
        ({"seed": None}, ": seed: expected one value, found null."),
        ({"seed": [1, 2]}, ": seed: expected one value, found [1, 2]."),
        ({"seed": True}, ": seed: invalid int value: 'True'."),
        ({"dataset_name": 5}, ": dataset_name: expected a text, found 5."),
        ({"dataset_name": {"a": 1}}, ': dataset_name: expected a text, found {"a": 1}.'),
        ({"overwrite": "perhaps"}, ": overwrite: Truthy value expected: got perhaps but expected one of "),
        ({"split": "random"}, ": split: invalid choice: 'random' (choose from 'patients', 'published')."),
    ],
)
def test_a_json_file_that_cannot_be_used_gets_a_sentence_that_names_it(content, message, recipe):
    path = recipe(content)
    told = refusal(path)
    separator = "" if message.startswith(":") else " "
    if message.endswith("one of "):
        assert told.startswith(f"{path}{separator}{message}")
    else:
        assert told == f"{path}{separator}{message}"


def test_what_training_arguments_refuses_in_any_way_is_a_sentence(recipe):
    assert "bogus" in refusal(recipe({"accelerator_config": {"bogus": 1}}))
    assert "nowhere.json" in refusal("--accelerator_config", "nowhere.json")
    assert "is not JSON" in refusal(recipe("[" * 100_000))


def test_a_json_file_that_is_not_there_gets_a_sentence(tmp_path):
    for path, reason in ((tmp_path / "none.json", "No such file or directory"), (tmp_path, "Is a directory")):
        assert refusal(path) == (f"{path} cannot be read as a JSON file of arguments ({reason}). Flags begin with --.")
