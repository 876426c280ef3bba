"""A trained checkpoint is loaded in one place: whole, or not at all, and with its classes in our order."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageClassification

from brain_tumor.inference.checkpoint import CheckpointError, DamagedError
from brain_tumor.labels import LABELS, canonical_label
from brain_tumor.network.checkpoint import load_checkpoint, load_network
from brain_tumor.network.pretrained import BASELINE, load_model, load_processor, save_checkpoint


@pytest.fixture
def folder(tmp_path):
    save_checkpoint(load_model(BASELINE, 64), load_processor(BASELINE, 64), tmp_path / "mine")
    return tmp_path / "mine"


def rename(folder, names) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    (folder / "config.json").write_text(json.dumps(config))


def test_the_network_is_in_float32_and_ready_to_evaluate(tiny_checkpoint, tmp_path):
    copy = shutil.copytree(tiny_checkpoint, tmp_path / "half")
    AutoModelForImageClassification.from_pretrained(copy, dtype=torch.bfloat16).save_pretrained(copy)
    model, processor = load_network(copy)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32} and not model.training
    assert list(processor.image_mean) == [0.4, 0.5, 0.6]


@pytest.mark.parametrize(
    ("names", "order"),
    [(LABELS, [0, 1, 2, 3]), (("no-tumor", "1-glioma", "Pituitary Tumor", "meningioma_tumor"), [1, 3, 0, 2])],
)
def test_the_order_tells_which_output_is_which_of_our_classes(folder, names, order):
    rename(folder, names)
    *_, found = load_checkpoint(folder)
    assert found == order
    assert [canonical_label(names[i]) for i in found] == list(LABELS)


def test_other_classes_are_refused_with_their_names(tiny_checkpoint):
    with pytest.raises(CheckpointError, match="other classes than glioma, meningioma, no_tumor, pituitary.*LABEL_0"):
        load_checkpoint(tiny_checkpoint)


def test_weights_that_lack_a_tensor_are_never_filled_with_random_numbers(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DamagedError, match="model.safetensors lacks 1 of the network's tensors"):
        load_network(folder)
    with pytest.raises(CheckpointError, match="cannot be loaded: its model.safetensors"):
        load_checkpoint(folder)


def test_what_is_nowhere_is_one_sentence():
    with pytest.raises(CheckpointError, match="Give a folder written by train.py or the id") as error:
        load_checkpoint("no/such-checkpoint")
    assert "\n" not in str(error.value)
