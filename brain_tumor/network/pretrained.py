"""A pretrained checkpoint -> a network with our four classes and its image processor, both made ready for training."""

import contextlib
import copy
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    PreTrainedModel,
    ViTImageProcessorPil,
)
from transformers.models.mobilenet_v2.modeling_mobilenet_v2 import MobileNetV2ConvLayer
from transformers.utils import logging

from brain_tumor.labels import LABELS
from brain_tumor.network.baseline_cnn import BaselineCnnConfig, BaselineCnnForImageClassification

BASELINE = "baseline-cnn"

BATCH_NORM_MOMENTUM = 0.1
"""PyTorch's convention: the weight of the newest batch in the running statistics."""


class ModelError(ValueError):
    """A checkpoint that cannot be fine-tuned as asked. The message says why and what to do."""


def load_model(name_or_path: str, image_size: int, dropout: float | None = None) -> PreTrainedModel:
    """An image-classification network with four outputs, ready to fine-tune.

    Args:
        name_or_path: Hub id or folder of an image-classification checkpoint, or `BASELINE`.
        image_size: side of the input in pixels.
        dropout: of the classifier, where the architecture has such a setting; None keeps the checkpoint's own.

    Raises:
        ModelError: no such checkpoint, or it does not take pictures of this size.
    """
    labels = {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}
    if name_or_path == BASELINE:
        settings = {} if dropout is None else {"classifier_dropout_prob": dropout}
        model = BaselineCnnForImageClassification(BaselineCnnConfig(image_size=image_size, **settings, **labels))
    else:
        try:
            config = AutoConfig.from_pretrained(name_or_path, **labels)
            if dropout is not None and hasattr(config, "classifier_dropout_prob"):
                config.classifier_dropout_prob = dropout
            with _quiet_about_new_head():
                model = AutoModelForImageClassification.from_pretrained(
                    name_or_path, config=config, ignore_mismatched_sizes=True, dtype=torch.float32
                )
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise ModelError(
                f"The checkpoint {name_or_path!r} cannot be loaded for image classification: {error} "
                "Give a folder, a Hub id that this machine can reach, or "
                f"{BASELINE!r}."
            ) from error
    model.config.problem_type = "single_label_classification"
    fix_batch_norm(model)
    drop_needless_padding(model)
    keep_strided_convolutions_in_float32(model)
    try:
        with torch.no_grad():
            model.eval()(pixel_values=torch.zeros(1, 3, image_size, image_size))
    except (ValueError, RuntimeError) as error:
        own_size = getattr(model.config, "image_size", "another size")
        raise ModelError(
            f"{name_or_path!r} does not take pictures of {image_size} px ({error}). Try --image_size {own_size}."
        ) from error
    if hasattr(model.config, "image_size"):
        model.config.image_size = image_size
    return model


@contextlib.contextmanager
def _quiet_about_new_head():
    """The library reports that the classifier does not fit. That is the point: it has four outputs now."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def fix_batch_norm(model: nn.Module) -> None:
    """Set the momentum of every batch norm to `BATCH_NORM_MOMENTUM`.

    `transformers` builds MobileNetV2's with 0.997, TensorFlow's weight of the *past*. PyTorch takes it for the
    weight of the present, so that the running statistics become those of the last batch alone.
    """
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = BATCH_NORM_MOMENTUM


def drop_needless_padding(model: nn.Module) -> None:
    """Let MobileNetV2's convolutions of stride 1 pad by themselves; the outputs stay the same to the bit.

    With `tf_padding`, `transformers` copies the input of every convolution into a padded tensor, also where
    TensorFlow's padding is symmetric (3x3, stride 1) or nothing (1x1). The copies cost time in every step.
    """
    for layer in model.modules():
        if type(layer).__name__ == "MobileNetV2ConvLayer" and layer.config.tf_padding:
            convolution, side = layer.convolution, layer.convolution.kernel_size[0]
            if convolution.stride == convolution.dilation == (1, 1) and side % 2 == 1:
                layer.config = copy.copy(layer.config)
                layer.config.tf_padding = False
                convolution.padding = (side // 2, side // 2)


def keep_strided_convolutions_in_float32(model: nn.Module) -> None:
    """Run MobileNetV2's depthwise convolutions of stride 2 in float32, also within bfloat16 autocast.

    Their backward pass in bfloat16 falls back to a slow reference on CPUs; without it a step takes a fifth less time.
    In float32 nothing changes.
    """
    for layer in model.modules():
        if type(layer) is MobileNetV2ConvLayer and layer.convolution.stride == (2, 2) and layer.convolution.groups > 1:
            layer.__class__ = _Float32ConvLayer


class _Float32ConvLayer(MobileNetV2ConvLayer):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if features.device.type != "cpu" or features.dtype == torch.float32:
            return super().forward(features)
        with torch.autocast("cpu", enabled=False):
            return super().forward(features.float())


def load_processor(name_or_path: str, image_size: int) -> ViTImageProcessorPil:
    """The image processor for a checkpoint: squeeze to a square, rescale, normalize as the checkpoint was trained.

    No crop, because many checkpoints' own (MobileNetV2's among them) would cut the edge of the skull off. The
    class is the generic one, which every architecture, `pipeline` and transformers.js can load, and the backend is
    Pillow's, in training and in serving.
    """
    own = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 255}
    if name_or_path != BASELINE:
        try:
            pretrained = AutoImageProcessor.from_pretrained(name_or_path, backend="pil")
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            if str(name_or_path).startswith((".", "/", "~")) and not Path(name_or_path).exists():
                reason = "there is no such folder"
            raise ModelError(
                f"{name_or_path!r} has no image processor that can be loaded: {reason}. Give a folder, a Hub id that "
                f"this machine can reach, or {BASELINE!r}."
            ) from error
        own = {key: getattr(pretrained, key, None) or value for key, value in own.items()}
    return ViTImageProcessorPil(size={"height": image_size, "width": image_size}, **own)


def final_layer(model: PreTrainedModel) -> nn.Linear | nn.Conv2d | None:
    """The last layer, if it is a linear one or a 1x1 convolution that makes the logits; None otherwise."""
    layers = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    outputs = getattr(layers[-1], "out_features", None) or getattr(layers[-1], "out_channels", None) if layers else None
    return layers[-1] if outputs == model.config.num_labels else None


def save_checkpoint(model: PreTrainedModel, processor, folder: str | Path) -> None:
    """Write what `pipeline("image-classification", model=folder)` loads, in float32."""
    model.to(memory_format=torch.contiguous_format).save_pretrained(folder)
    processor.save_pretrained(folder)
