"""A checkpoint -> onnx/model.onnx: one forward pass that yields logits, class activation maps and embedding.

    python -m brain_tumor.export CHECKPOINT    # a folder written by train.py; writes CHECKPOINT/onnx/model.onnx

The file runs in ONNX Runtime, several times faster than in torch, and in a browser by transformers.js.
"""

import argparse
import contextlib
import logging
import sys
import warnings
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from brain_tumor.model import drop_needless_padding, final_layer

FILE = "onnx/model.onnx"
"""Where transformers.js looks for it."""
OPSET = 17


class ExportError(ValueError):
    """A checkpoint that cannot be exported. The message says why and what to do."""


class WithMaps(nn.Module):
    """A network with its class activation maps and embedding beside the logits.

    The map of a class is exact for MobileNetV2: the classifier's weights applied to the last feature map before it is
    averaged (Zhou et al. 2016, "Learning Deep Features for Discriminative Localization"), so that a map's mean and the
    class's bias add up to its logit. Other networks give logits alone.

    Args:
        model: an image-classification network of `transformers`.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model.eval()
        layer = final_layer(model)
        self.has_maps = hasattr(model, "mobilenet_v2") and isinstance(layer, nn.Linear)
        self.classifier = layer if self.has_maps else None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the outputs, in their order."""
        return ("logits", "maps", "embedding") if self.has_maps else ("logits",)

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(n, 3, height, width) float32 -> logits (n, classes), maps (n, classes, h, w), embedding (n, d)."""
        if not self.has_maps:
            return (self.model(pixel_values=pixel_values).logits,)
        features = self.model.mobilenet_v2(pixel_values).last_hidden_state
        embedding = features.mean(dim=(2, 3))
        maps = functional.conv2d(features, self.classifier.weight[:, :, None, None])
        return self.classifier(embedding), maps, embedding


def export_onnx(model: nn.Module, path: str | Path, image_size: int = 224) -> Path:
    """Write a network as ONNX, with its batch norms folded into the convolutions and any number of slices a batch.

    Args:
        model: an image-classification network of `transformers`, on the CPU.
        path: of the file; its folder is made if need be. It is written beside it first, so that an export which
            fails leaves no half of a file.
        image_size: side of the input in pixels.

    Raises:
        ExportError: the network uses what ONNX has no word for.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = WithMaps(model)
    drop_needless_padding(model)
    model.to(memory_format=torch.contiguous_format)
    partial = path.with_suffix(".partial")
    try:
        with warnings.catch_warnings(), _quiet():
            warnings.simplefilter("ignore")
            # The exporter of torch.export needs onnxscript, and writes the same graph.
            torch.onnx.export(
                whole,
                (torch.zeros(2, 3, image_size, image_size),),
                str(partial),
                input_names=["pixel_values"],
                output_names=list(whole.names),
                dynamic_axes={name: {0: "batch"} for name in ("pixel_values", *whole.names)},
                opset_version=OPSET,
                dynamo=False,
            )
    except Exception as error:
        partial.unlink(missing_ok=True)
        reason = " ".join(str(error).split())[:300]
        raise ExportError(
            f"This network cannot be written as ONNX ({type(error).__name__}: {reason}). It works without, in torch."
        ) from error
    return partial.replace(path)


@contextlib.contextmanager
def _quiet():
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="folder written by train.py")
    arguments = parser.parse_args()
    from transformers import AutoModelForImageClassification

    import brain_tumor.baseline_cnn  # noqa: F401  registers the baseline network

    try:
        if not (arguments.checkpoint / "config.json").is_file():
            raise ExportError(f"{arguments.checkpoint} is no folder written by train.py: it holds no config.json.")
        try:
            model = AutoModelForImageClassification.from_pretrained(arguments.checkpoint)
        except Exception as error:
            raise ExportError(f"{arguments.checkpoint} cannot be loaded: {' '.join(str(error).split())}") from error
        print(export_onnx(model, arguments.checkpoint / FILE, getattr(model.config, "image_size", 224)))
    except ExportError as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
