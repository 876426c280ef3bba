"""A trained checkpoint -> its network and image processor in torch, from a folder or the Hub."""

from pathlib import Path

import torch
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification, PreTrainedModel

import brain_tumor.network.baseline_cnn  # noqa: F401  registers the baseline network, so that its checkpoints load
from brain_tumor.inference.checkpoint import CONFIG, PREPROCESSOR, WEIGHTS, CheckpointError, DamagedError, blame
from brain_tumor.labels import LABELS, canonical_label


def load_network(name_or_path: str | Path) -> tuple[PreTrainedModel, object]:
    """The network in float32, in evaluation mode, and its own image processor; any classes.

    Raises:
        DamagedError: a file of the checkpoint cannot be used; the message names it.
    """
    with blame(CONFIG):
        config = AutoConfig.from_pretrained(name_or_path)
    with blame(PREPROCESSOR):
        # The PIL backend is the one that training used; torchvision resizes a little differently.
        processor = AutoImageProcessor.from_pretrained(name_or_path, backend="pil")
    with blame(WEIGHTS):
        # What does not fit is filled with random numbers and only logged, unless one asks.
        model, loaded = AutoModelForImageClassification.from_pretrained(
            name_or_path, config=config, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True
        )
        if loaded["mismatched_keys"]:
            raise DamagedError(f"its {CONFIG} describes another network than the one its weights belong to")
        if loaded["missing_keys"]:
            raise DamagedError(f"its {WEIGHTS} lacks {len(loaded['missing_keys'])} of the network's tensors")
    return model.eval(), processor


def load_checkpoint(name_or_path: str | Path) -> tuple[PreTrainedModel, object, list[int]]:
    """A checkpoint of the four classes, whoever trained it.

    Returns:
        The network in float32, in evaluation mode; its own image processor; and for each of `labels.LABELS` the index
        of its output.

    Raises:
        CheckpointError: it cannot be loaded, or its classes are not the four.
    """
    try:
        model, processor = load_network(name_or_path)
    except DamagedError as error:
        raise CheckpointError(
            f"The checkpoint {str(name_or_path)!r} cannot be loaded: {error}. Give a folder written by train.py or the "
            "id of an image-classification model on the Hugging Face Hub."
        ) from error
    names = [str(model.config.id2label[i]) for i in range(model.config.num_labels)]
    own = [canonical_label(name) for name in names]
    if sorted(map(str, own)) != sorted(LABELS):
        listing = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
        raise CheckpointError(
            f"The checkpoint {str(name_or_path)!r} has other classes than {', '.join(LABELS)}; its own are {listing}."
        )
    return model, processor, [own.index(label) for label in LABELS]
