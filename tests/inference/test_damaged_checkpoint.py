"""A damaged checkpoint gets a sentence that names the damaged file, and nobody is shown what it would have said."""

import json
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageClassification

from brain_tumor.inference import familiarity, onnx_backend
from brain_tumor.inference.checkpoint import CONFIG, PREPROCESSOR, WEIGHTS, CheckpointError
from brain_tumor.inference.classifier import Classifier
from brain_tumor.publishing.export import export_onnx
from tests.serving import demo_environment, free_port

ROOT = Path(__file__).parents[2]
FAMILIARITY, ONNX = familiarity.FILE, onnx_backend.FILE
FILES = (CONFIG, PREPROCESSOR, WEIGHTS, FAMILIARITY, ONNX)


def cut(share: float):
    return lambda path: path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def filled(content: bytes):
    return lambda path: path.write_bytes(content)


def changed(**settings):
    return lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def noise(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(path.stat().st_size))


def without_a_tensor(path: Path) -> None:
    tensors = load_file(path)
    del tensors[max(tensors, key=lambda name: tensors[name].numel())]
    save_file(tensors, path, metadata={"format": "pt"})


def not_a_number(path: Path) -> None:
    tensors = {
        name: torch.full_like(t, torch.nan) if t.is_floating_point() else t for name, t in load_file(path).items()
    }
    save_file(tensors, path, metadata={"format": "pt"})


def empty_graph(path: Path) -> None:
    """Whole, and of no use: it gives its input back."""
    shape = ["batch", 3, 224, 224]
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("pixel_values", "logits")
    ]
    node = onnx.helper.make_node("Identity", ["pixel_values"], ["logits"])
    graph = onnx.helper.make_graph([node], "nothing", ends[:1], ends[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())


# Where a safetensors file is cut: in the length of its header, in the header, in the numbers.
CUT_TENSORS = {"cut in its first bytes": lambda path: path.write_bytes(path.read_bytes()[:5])}
CUT_TENSORS |= {"cut in its header": lambda path: path.write_bytes(path.read_bytes()[:100]), "cut in half": cut(0.5)}
CUT_TENSORS |= {"cut by a byte": lambda path: path.write_bytes(path.read_bytes()[:-1])}
BYTES = {"empty": filled(b""), "noise": noise}
JSON = {
    "cut": cut(0.5),
    "no JSON": filled(b"<html>not found</html>"),
    "a list": filled(b"[]"),
    "nothing": filled(b"null"),
}

DAMAGES = {
    CONFIG: BYTES
    | JSON
    | {
        "no settings": filled(b"{}"),
        "an unknown architecture": changed(model_type="no_such_network"),
        "a class too many": changed(id2label={i: f"class {i}" for i in range(5)}),
        "missing": Path.unlink,
    },
    PREPROCESSOR: BYTES | JSON | {"a size that is none": changed(size="large"), "missing": Path.unlink},
    WEIGHTS: BYTES
    | CUT_TENSORS
    | {"a tensor missing": without_a_tensor, "not a number": not_a_number, "missing": Path.unlink},
    FAMILIARITY: BYTES | CUT_TENSORS | {"a tensor missing": without_a_tensor},
    ONNX: BYTES | {f"cut at {share:.0%}": cut(share) for share in (0.001, 0.5, 0.999)} | {"no network": empty_graph},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The bundled checkpoint with its ONNX file. Read only."""
    folder = Path(shutil.copytree(ROOT / "model", tmp_path_factory.mktemp("whole") / "model"))
    if not (folder / ONNX).is_file():
        export_onnx(AutoModelForImageClassification.from_pretrained(folder), folder / ONNX, weights=folder / WEIGHTS)
    return folder


@pytest.fixture
def copy(whole, tmp_path) -> Path:
    """The same, for a test that damages it."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def files_named(message: str) -> set[str]:
    return {
        name for name in FILES if re.search(rf"(?<![\w/]){re.escape(name)}\b", message.replace(f"/{name}", f" {name}"))
    }


def assert_names_the_file(message: str, folder: Path, name: str) -> None:
    assert files_named(message) == {name}
    assert str(folder) in message
    assert "MODEL_ID" in message, "what to do"
    assert "\n" not in message.strip() and "Traceback" not in message
    assert len(message) < 1000, "somebody has to read it"


CASES = [
    (name, damage, served_from)
    for name in DAMAGES
    for damage in DAMAGES[name]
    for served_from in ("ONNX", "torch")
    if (name, served_from) != (ONNX, "torch")
    # Served from ONNX, these make no difference.
    and (name, damage, served_from) not in ((CONFIG, "an unknown architecture", "ONNX"), (WEIGHTS, "missing", "ONNX"))
]


@pytest.mark.parametrize(("name", "damage", "served_from"), CASES)
def test_a_damaged_file_is_named(copy, name, damage, served_from):
    if served_from == "torch":
        shutil.rmtree((copy / ONNX).parent)
    DAMAGES[name][damage](copy / name)
    with pytest.raises(CheckpointError) as error:
        Classifier(copy)
    assert_names_the_file(str(error.value), copy, name)


@pytest.mark.parametrize("served_from", ["ONNX", "torch"])
def test_a_whole_checkpoint_loads(copy, served_from):
    """Without this, a classifier that refuses everything would pass."""
    if served_from == "torch":
        shutil.rmtree((copy / ONNX).parent)
    assert Classifier(copy).has_familiarity


@pytest.mark.parametrize("name", [ONNX, *(pytest.param(n, marks=pytest.mark.slow) for n in FILES if n != ONNX)])
def test_the_demo_ends_with_that_sentence(copy, tmp_path, name):
    if name == WEIGHTS:
        shutil.rmtree((copy / ONNX).parent)
    cut(0.5)(copy / name)
    environment = demo_environment(tmp_path / "demo", MODEL_ID=str(copy), PORT=str(free_port()), PYTHONUNBUFFERED="1")
    (tmp_path / "demo").mkdir()
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = []
    for line in process.stdout:  # to its end, or until the demo serves, which would never end
        lines.append(line)
        if "Running on" in line:
            process.kill()
    assert process.wait(timeout=60) == 1, "".join(lines)
    assert_names_the_file(lines[-1], copy, name)
    assert "Traceback" not in "".join(lines)
