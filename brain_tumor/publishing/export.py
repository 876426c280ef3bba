"""Export a checkpoint to onnx/model.onnx: one forward pass that yields logits, class activation maps and embedding.

    python -m brain_tumor.publishing.export CHECKPOINT                   # writes CHECKPOINT/onnx/model.onnx
    python -m brain_tumor.publishing.export CHECKPOINT --dataset SET     # and, if as accurate, one in 8-bit integers

The file runs in ONNX Runtime, several times faster than in torch, and in a browser with transformers.js. With a
dataset, which is split as in the checkpoint's own training, onnx/results.json says what was measured. `train.py` does
all this at its end.
"""

import argparse
import contextlib
import json
import logging
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn
from torch.nn import functional

from brain_tumor.answers.words import tenths
from brain_tumor.data.dataset import DatasetError, load_scans
from brain_tumor.data.pixels import pixels_for
from brain_tumor.data.split import split_scans
from brain_tumor.data.transforms import EvalTransform
from brain_tumor.evaluation.logits import predict_logits
from brain_tumor.evaluation.metrics import share_right
from brain_tumor.inference.checkpoint import CONFIG, WEIGHTS, DamagedError, sha256_of
from brain_tumor.inference.onnx_backend import FILE, WEIGHTS_KEY
from brain_tumor.network.checkpoint import load_network
from brain_tumor.network.pretrained import drop_needless_padding, final_layer
from brain_tumor.provenance import command_line, public_name, results_of_run

OPSET = 17

QUANTIZED_FILE = "onnx/model_quantized.onnx"
"""Where transformers.js looks for 8-bit weights."""

RESULTS_FILE = "onnx/results.json"

CALIBRATION_SLICES = 256
"""Training slices whose activations set the ranges of the 8-bit integers."""

MOST_LOST = 0.003
"""Accuracy that the network in 8-bit integers may lose, on validation and on the test part. If it loses more it is not
written."""


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


def export_onnx(model: nn.Module, path: str | Path, image_size: int = 224, weights: Path | None = None) -> Path:
    """Write a network as ONNX, with its batch norms folded into the convolutions and any number of slices a batch.

    Args:
        model: an image-classification network of `transformers`, on the CPU.
        path: of the file; its folder is created if need be. What is written first has another name, so that an export
            that fails leaves no partial file.
        image_size: side of the input in pixels.
        weights: the file that the network was loaded from or saved to; its SHA-256 goes into the metadata.

    Raises:
        ExportError: the network has operations that ONNX lacks.
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
        if weights:
            graph = onnx.load(partial)
            onnx.helper.set_model_props(graph, {WEIGHTS_KEY: sha256_of(weights)})
            onnx.save(graph, partial)
    except Exception as error:
        partial.unlink(missing_ok=True)
        reason = " ".join(str(error).split())[:300]
        raise ExportError(
            f"This network cannot be written as ONNX ({type(error).__name__}: {reason}). Without that it "
            "works too, in torch."
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


def export_checkpoint(folder: str | Path, model: nn.Module, processor, parts=None) -> dict:
    """Write `FILE` into a checkpoint's folder and, with slices to measure on, `QUANTIZED_FILE` and `RESULTS_FILE`.

    Args:
        folder: holds the `WEIGHTS` of this network.
        model: the finished network, on the CPU.
        processor: its image processor.
        parts: name -> part, with the columns pixels and label (see `pixels.pixels_for`): train, for the ranges of the
            integers, validation, and test if it may be looked at.

    Returns:
        What `RESULTS_FILE` holds: parity with torch ("slices", "largest_difference" of the logits, "same_class") and
        quantized ("kept", "calibration_slices", "bytes" and the accuracy of both by part); empty without parts.

    Raises:
        ExportError: see `export_onnx`.
    """
    folder = Path(folder)
    for name in (QUANTIZED_FILE, RESULTS_FILE):  # of an earlier training
        (folder / name).unlink(missing_ok=True)
    image_size = getattr(model.config, "image_size", None) or processor.size["height"]
    path = export_onnx(model, folder / FILE, image_size, folder / WEIGHTS)
    if not parts:
        return {}
    measured = {name: parts[name] for name in ("validation", "test") if name in parts and parts[name].num_rows}
    temperature = getattr(model.config, "confidence_temperature", 1.0)  # `predict_logits` divides by it
    expected = {
        name: temperature * predict_logits(model, part, processor, f"Comparing with torch ({name})")
        for name, part in measured.items()
    }
    labels = {name: np.array(part["label"]) for name, part in measured.items()}
    logits = {name: _logits(path, part, processor) for name, part in measured.items()}
    ours, torchs = np.concatenate(list(logits.values())), np.concatenate(list(expected.values()))
    results = {
        "command": command_line(),
        "parity": {
            "slices": len(ours),
            "largest_difference": float(abs(ours - torchs).max()),
            "same_class": int((ours.argmax(axis=1) == torchs.argmax(axis=1)).sum()),
        },
    }
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        small = Path(scratch, "model.onnx")
        quantize(path, small, parts["train"], processor)
        found = {
            name: {
                "float32": share_right(logits[name].argmax(axis=1), labels[name]),
                "int8": share_right(_logits(small, part, processor).argmax(axis=1), labels[name]),
            }
            for name, part in measured.items()
        }
        kept = all(row["float32"] - row["int8"] <= MOST_LOST for row in found.values())
        results["quantized"] = {
            "kept": kept,
            "calibration_slices": min(CALIBRATION_SLICES, parts["train"].num_rows),
            "bytes": {"float32": path.stat().st_size, "int8": small.stat().st_size},
            "accuracy": found,
        }
        if kept:
            small.replace(folder / QUANTIZED_FILE)
    (folder / RESULTS_FILE).write_text(json.dumps(results, indent=1) + "\n")
    return results


def _batches(part, processor, size: int = 32):
    """A part's slices as the network's inputs, (n, 3, height, width) float32."""
    transform = EvalTransform(processor)
    for start in range(0, part.num_rows, size):
        yield transform(part[start : start + size])["pixel_values"].numpy()


def _logits(path: Path, part, processor) -> np.ndarray:
    """(n, classes) float32 of the network in a file."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.concatenate(
        [session.run(["logits"], {"pixel_values": pixels})[0] for pixels in _batches(part, processor)]
    )


def quantize(path: Path, to: Path, train, processor) -> None:
    """Write the network with 8-bit weights, a scale for each channel, and 8-bit activations in the ranges that they
    have on training slices."""
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        chosen = np.random.default_rng(0).permutation(train.num_rows)[:CALIBRATION_SLICES]

        def __init__(self):
            self.batches = _batches(train.select(np.sort(self.chosen)), processor, 16)

        def get_next(self):
            pixels = next(self.batches, None)
            return None if pixels is None else {"pixel_values": pixels}

    with _quiet():
        quantization.quantize_static(
            path,
            to,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
            extra_options={"CalibMovingAverage": True},
        )
    graph = onnx.load(to)
    drop_unused(graph.graph)
    onnx.save(graph, to)


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove the constants that no node reads. Quantizing leaves the bounds of every ReLU6 behind, whose clipping the
    8-bit range does, and ONNX Runtime would warn of each whenever the file is opened.
    """
    read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    for constants, name in ((graph.initializer, lambda tensor: tensor.name), (graph.node, lambda node: node.output[0])):
        for constant in [*constants]:
            if name(constant) not in read and getattr(constant, "op_type", "Constant") == "Constant":
                constants.remove(constant)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m brain_tumor.publishing.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", type=Path, help="folder written by train.py")
    parser.add_argument("--dataset", nargs="+", help="the sets that it was trained on, folders or Hub ids")
    parser.add_argument("--data_root", help="folder that holds sets under their names, as for train.py")
    arguments = parser.parse_args()
    folder = arguments.checkpoint
    try:
        if not (folder / CONFIG).is_file():
            raise ExportError(f"{folder} was not written by train.py: it holds no {CONFIG}.")
        try:
            model, processor = load_network(folder)
        except DamagedError as error:
            raise ExportError(f"{folder} cannot be loaded: {error}.") from error
        results = export_checkpoint(folder, model, processor, _parts(folder, arguments, processor))
    except (ExportError, DatasetError) as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    print(folder / FILE)
    print(summary(results))
    return 0


def _parts(folder: Path, arguments: argparse.Namespace, processor):
    """The parts of the sets of the checkpoint's own training, split as there, with their pixels."""
    if arguments.dataset is None:
        return None
    run, sets = results_of_run(folder), [public_name(name) for name in arguments.dataset]
    if run is None or run["datasets"] != sets:
        trained = "unknown sets" if run is None else ", ".join(run["datasets"])
        raise ExportError(
            f"{folder} was trained on {trained}, so it may have seen slices of {', '.join(sets)} that it would be "
            "measured on. Give the sets of its training, in the same order, or leave --dataset out."
        )
    parts = split_scans(load_scans(arguments.dataset, arguments.data_root), run["split"], run["split_seed"])
    return {name: pixels_for(part, processor, f"Resizing slices ({name})") for name, part in parts.items()}


def summary(results: dict) -> str:
    """`RESULTS_FILE` in sentences; empty if nothing was measured."""
    if not results:
        return ""
    parity, small = results["parity"], results["quantized"]
    accuracy = ", ".join(
        f"{name} {tenths(row['int8'])} against {tenths(row['float32'])}" for name, row in small["accuracy"].items()
    )
    return (
        f"Compared with torch on {parity['slices']} slices, logits differ by {parity['largest_difference']:.1g} at "
        f"most, and the class is the same on {parity['same_class']}. In 8-bit integers, accuracy over all sets is "
        f"{accuracy} in 32 bits; "
        f"{'that file is here too' if small['kept'] else 'that file was not written, since it loses too much of one'}."
    )


if __name__ == "__main__":
    sys.exit(main())
