"""How long a scan takes: the demo's classifier against the plain pipeline, and the forward pass against OpenVINO.

    python -m brain_tumor.publishing.export model     # writes model/onnx/model.onnx, if it is not there
    python -m benchmarks.speed.inference --data FOLDER

The whole call goes from a Pillow picture to labels: `pipeline("image-classification")` of transformers, and
`Classifier.predict`, which also gives heat maps, familiarity and the verdict; and the same of the checkpoint without
its familiarity, which gives what the pipeline does, and the maps. The forward pass alone goes from pixels to arrays:
the classifier's own backend; OpenVINO in float32 on the same ONNX file, compiled for a fixed batch, if it is installed
(requirements-bench.txt); and torch as `transformers` loads the network. Each contestant has a process of its own; they
take turns. Writes `benchmarks/results/speed/inference.json`.
"""

import argparse
import atexit
import shutil
import statistics
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from benchmarks.arguments import add_data_argument
from benchmarks.speed.timing import RESULTS, ROOT, Contestant, picture_files, ratio, spread, take_turns, write_results
from brain_tumor.provenance import public_name

ONNX = "onnx/model.onnx"

PIPELINE, OURS, LABELS = "pipeline", "classifier", "labels"

OPENVINO, BACKEND, TORCH = "openvino", "backend", "torch"

SECONDS = {"one": 1.0, "list": 2.0, "batch": 2.0}
"""How long a turn lasts; at least three calls are measured, after two that are not."""


def whole_call(turns, name: str, folder: str, files: list[Path]) -> None:
    """A contestant: asked for one picture or half of them, it answers the median milliseconds of a call."""
    from brain_tumor.reading.pictures import open_scan

    pictures = [open_scan(path) for path in files]
    batch = len(pictures) // 2

    def some(start: int) -> list:
        return [pictures[(start * batch + i) % len(pictures)] for i in range(batch)]

    if name == PIPELINE:
        from transformers import pipeline

        plain = pipeline("image-classification", model=folder)
        # A list alone goes through the network one by one; in batches it is faster or slower by the machine.
        calls = {
            "one": lambda start: plain(pictures[start % len(pictures)]),
            "list": lambda start: plain(some(start)),
            "batch": lambda start: plain(some(start), batch_size=batch),
        }

        def say(picture) -> dict[str, float]:
            return {row["label"]: row["score"] for row in plain(picture)}
    else:
        from brain_tumor.inference.classifier import Classifier

        classifier = Classifier(folder if name == OURS else _without_familiarity(folder))
        calls = {
            "one": lambda start: classifier.predict([pictures[start % len(pictures)]]),
            "batch": lambda start: classifier.predict(some(start)),
        }

        def say(picture) -> dict[str, float]:
            return classifier.predict([picture])[0].confidences

    for request in turns:
        if request == "answers":
            turns.answer([say(picture) for picture in pictures])
        elif request == "imports torch":
            turns.answer("torch" in sys.modules)
        else:
            turns.answer(_milliseconds(calls[request], SECONDS[request]))


def _without_familiarity(folder: str) -> str:
    from brain_tumor.inference.familiarity import FILE

    copy = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(FILE), dirs_exist_ok=True)
    return copy


def forward_pass(turns, name: str, folder: str, sizes: dict[str, int]) -> None:
    """A contestant: asked for one of the sizes of a batch, it answers the median milliseconds of a forward pass."""
    import numpy as np

    side = 224
    pixels = np.random.default_rng(0).standard_normal((max(sizes.values()), 3, side, side)).astype(np.float32)
    if name == BACKEND:
        from brain_tumor.inference.classifier import Classifier, portions, together

        backend = Classifier(folder)._backend

        def forward(size: int):  # as the classifier does it
            jobs = [(backend.run, part) for part in portions(pixels[:size], backend.portion(size))]
            return lambda _: together(jobs, backend.workers)
    elif name == OPENVINO:
        import openvino

        core = openvino.Core()

        def forward(size: int):
            network = core.read_model(Path(folder, ONNX))
            network.reshape([size, 3, side, side])
            settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
            compiled = core.compile_model(network, "CPU", settings)
            return lambda _: compiled(pixels[:size], share_inputs=True, share_outputs=True)
    else:
        import torch
        from transformers import AutoModelForImageClassification

        network = AutoModelForImageClassification.from_pretrained(folder)

        def forward(size: int):
            def run(_):
                with torch.inference_mode():
                    return network(pixel_values=torch.from_numpy(pixels[:size])).logits.numpy()

            return run

    passes = {what: forward(size) for what, size in sizes.items()}
    for what in turns:
        turns.answer(_milliseconds(passes[what], SECONDS[what]))


def _milliseconds(call, seconds: float) -> float:
    """Median of one call after two that do not count, which wake the caches up after the others' turns."""
    found, number, start = [], 0, time.perf_counter()
    while len(found) < 3 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        call(number)
        if number >= 2:
            found.append(1000 * (time.perf_counter() - before))
        number += 1
    return statistics.median(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "model"), help="checkpoint's folder, with onnx/model.onnx in it")
    add_data_argument(parser)
    parser.add_argument("--batch", type=int, default=32, help="pictures of a batch")
    parser.add_argument("--repeats", type=int, default=7, help="turns of each contestant")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the result")
    arguments = parser.parse_args()
    if not Path(arguments.model, ONNX).is_file():
        print(
            f"There is no {ONNX} in {arguments.model}: python -m brain_tumor.publishing.export CHECKPOINT",
            file=sys.stderr,
        )
        return 1
    results = {"checkpoint": public_name(arguments.model), "repeats": arguments.repeats, "batch": arguments.batch}
    results |= whole_calls(arguments.model, picture_files(arguments.data, 2 * arguments.batch), arguments.repeats)
    results |= forward_passes(arguments.model, {"one": 1, "batch": arguments.batch}, arguments.repeats)
    packages = ("onnxruntime", "openvino")
    print(f"Written to {write_results('inference', results, arguments.output, packages).name}.")
    return 0


def whole_calls(model: str, files: list[Path], repeats: int) -> dict:
    """Milliseconds of a call with one picture and with a batch, how many times faster, and whether both agree."""
    contestants = {name: Contestant(_WHOLE_CALL, name, model, files) for name in (PIPELINE, OURS, LABELS)}
    theirs, ours = (contestants[name].ask("answers") for name in (PIPELINE, OURS))
    same = sum(max(a, key=a.get) == max(b, key=b.get) for a, b in zip(theirs, ours, strict=True))
    apart = max(abs(a[label] - b[label]) for a, b in zip(theirs, ours, strict=True) for label in a)
    takes = {what: {} for what in ("one", "batch")}
    for what in takes:
        takes[what] = take_turns(tuple(contestants), repeats, lambda name, what=what: contestants[name].ask(what))
    listed = [contestants[PIPELINE].ask("list") for _ in range(repeats)]
    imports_torch = contestants[OURS].ask("imports torch")
    for contestant in contestants.values():
        contestant.end()
    # The faster of the two ways to give the pipeline many pictures is what it is compared by.
    way = "batch_size" if statistics.median(takes["batch"][PIPELINE]) <= statistics.median(listed) else "list"
    if way == "list":
        takes["batch"][PIPELINE] = listed
    found = {
        "pictures": len(files),
        "same_label": same,
        "largest_difference_of_confidence": apart,
        "classifier_imports_torch": imports_torch,
        "pipeline_given": way,
        "whole_call_ms": {w: {name: spread(values) for name, values in of.items()} for w, of in takes.items()},
        "times_faster": {what: ratio(of[PIPELINE], of[OURS]) for what, of in takes.items()},
        "times_faster_to_labels": {what: ratio(of[PIPELINE], of[LABELS]) for what, of in takes.items()},
    }
    print(f"The same label on {same} of {len(files)} pictures, confidences within {apart:.1e}.")
    for what, words in (("one", "one scan"), ("batch", f"{len(files) // 2} scans")):
        medians = {name: of["median"] for name, of in found["whole_call_ms"][what].items()}
        print(
            f"{words}: pipeline {medians[PIPELINE]:.1f} ms, classifier {medians[OURS]:.1f} ms, "
            f"{found['times_faster'][what]['median']:.1f} times faster, to labels alone {medians[LABELS]:.1f} ms, "
            f"{found['times_faster_to_labels'][what]['median']:.1f} times faster"
        )
    return found


def forward_passes(model: str, sizes: dict[str, int], repeats: int) -> dict:
    """Milliseconds of a forward pass, and of each contestant's share of OpenVINO's where that is installed."""
    names = [BACKEND, OPENVINO, TORCH]
    if find_spec("openvino") is None:
        print("OpenVINO is not installed (requirements-bench.txt): its row is skipped.")
        names.remove(OPENVINO)
    contestants = {name: Contestant(_FORWARD_PASS, name, model, sizes) for name in names}
    found = {"forward_pass_ms": {}, "times_openvino": {}}
    for what, size in sizes.items():
        takes = take_turns(names, repeats, lambda name, what=what: contestants[name].ask(what))
        found["forward_pass_ms"][what] = {name: spread(values) for name, values in takes.items()}
        if OPENVINO in takes:
            others = [name for name in names if name != OPENVINO]
            found["times_openvino"][what] = {name: ratio(takes[name], takes[OPENVINO]) for name in others}
        print(f"forward pass, {size}: " + ", ".join(f"{n} {statistics.median(v):.1f} ms" for n, v in takes.items()))
    for contestant in contestants.values():
        contestant.end()
    return found


# By name and not as functions: a contestant must import nothing but its own.
_WHOLE_CALL, _FORWARD_PASS = "benchmarks.speed.inference:whole_call", "benchmarks.speed.inference:forward_pass"

if __name__ == "__main__":
    sys.exit(main())
