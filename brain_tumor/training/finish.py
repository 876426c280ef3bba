"""A trained network -> everything that `--output_dir` holds: calibration, figures, plots, card, export."""

import functools
import json
import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import Dataset
from scipy.special import softmax
from transformers import PreTrainedModel

from brain_tumor.data.dataset import counts_by_class
from brain_tumor.data.split import cells, first_of_each_class, of_main_set, slice_weights
from brain_tumor.evaluation import plots
from brain_tumor.evaluation.calibration import fit_temperature, fold_temperature, nll
from brain_tumor.evaluation.card import write_card
from brain_tumor.evaluation.figures import evaluate_parts, probabilities_of
from brain_tumor.evaluation.figures_text import sets_tested, split_named
from brain_tumor.evaluation.logits import predict_logits
from brain_tumor.evaluation.pictures import write_pictures
from brain_tumor.evaluation.thresholds import choose_thresholds
from brain_tumor.inference.verdict import CONFIG_KEY, to_config
from brain_tumor.network.pretrained import save_checkpoint
from brain_tumor.provenance import RESULTS, command_line, public_name, versions
from brain_tumor.publishing.example_scans import export_examples
from brain_tumor.publishing.export import ExportError, export_checkpoint, summary
from brain_tumor.training.arguments import Arguments
from brain_tumor.training.fit_familiarity import fit_familiarity, measure
from brain_tumor.training.other_pictures import OtherPicture, familiarity_figures

logger = logging.getLogger(__name__)

EXAMPLES_PER_CLASS = 2


@dataclass(frozen=True)
class TrainedNetwork:
    """A network as its training left it, in float32.

    Attributes:
        model: the network.
        processor: its image processor.
        parts: name -> part of `split.split_scans`, with the column pixels.
        others: pictures that are no brain MRI, those that fit the check of uploads and those that test it.
        record: what results.json says of how the network came to be: its start, history, epochs, seconds and the like.
    """

    model: PreTrainedModel
    processor: object
    parts: dict[str, Dataset]
    others: tuple[list[OtherPicture], list[OtherPicture]]
    record: dict


def finish(trained: TrainedNetwork, arguments: Arguments, folder: Path) -> dict:
    """Calibrate and choose thresholds on validation, evaluate, and write everything into `folder`.

    Returns:
        What results.json holds.
    """
    model, processor, parts = trained.model, trained.processor, trained.parts
    endings = ("validation",) if arguments.data.validation_only else ("validation", "test")
    raw = {
        name: predict_logits(model, part, processor, f"Evaluating ({name})")
        for name, part in parts.items()
        if name in endings and part.num_rows
    }
    validation, logits = parts["validation"], raw["validation"]
    labels, weights = np.array(validation["label"]), slice_weights(validation)
    temperature = fit_temperature(logits, labels, weights)
    folded = fold_temperature(model, temperature)
    thresholds = choose_thresholds(
        softmax(logits.astype(np.float64) / temperature, axis=1),
        labels,
        np.array(validation["group"]),
        cells(validation),
    )
    setattr(model.config, CONFIG_KEY, to_config(thresholds))
    save_checkpoint(model, processor, folder)

    results = {
        **_describe(trained, arguments),
        "calibration": {
            "temperature": temperature,
            "folded_into_classifier": folded,
            "validation_nll_before": nll(logits, labels, weights),
            "validation_nll_after": nll(logits / temperature, labels, weights),
        },
        CONFIG_KEY: to_config(thresholds),
        **evaluate_parts(raw, parts, temperature, thresholds),
    }
    _write(results, folder)
    plots.plot_curves(results["history"], folder / "curves.png")
    if arguments.data.validation_only:
        return results
    if arguments.data.familiarity:
        add_familiarity(trained, results, folder)
    tested = ", ".join(sets_tested(results, "test"))
    title = f"{tested}, {split_named(results, 'test')}"
    main = of_main_set(parts["test"])
    own = parts["test"].select(main)
    if len(main):  # with --hold_out the test part may hold tumors of unknown type alone
        _plot(results, raw["test"][main], np.array(own["label"]), title, folder)
    plots.plot_kinds(results["test"]["by_kind"], folder / "kinds.png")
    # The worst mistakes are pictures of the dataset: in a folder of their own, which is not published.
    write_pictures(folder / "evaluation", raw, parts, results, title, temperature, thresholds)
    exported = _export(trained, folder)
    if len(main):
        export_examples(first_of_each_class(own, EXAMPLES_PER_CLASS), tested, folder / "examples")
    write_card(results, folder / "README.md", hub_model_id=arguments.training.hub_model_id, exported=exported)
    return results


def add_familiarity(trained: TrainedNetwork, results: dict, folder: Path) -> None:
    """Fit the check of uploads, test it, and write both into `folder`, if the network has an embedding."""
    fitting, testing = trained.others
    familiarity = fit_familiarity(trained.model, trained.processor, trained.parts, fitting, seed=results["seed"])
    if familiarity is not None:
        familiarity.save(folder)
        seen = functools.partial(measure, trained.model, trained.processor)
        results["familiarity"] = familiarity_figures(familiarity, seen, trained.parts["test"], testing)
        _write(results, folder)


def _write(results: dict, folder: Path) -> None:
    (folder / RESULTS).write_text(json.dumps(results, indent=1) + "\n")


def _plot(results: dict, raw: np.ndarray, labels: np.ndarray, title: str, folder: Path) -> None:
    """The plots that are published with the checkpoint."""
    name = f"{title}, test part"
    plots.plot_confusion_matrix(results["test"], name, folder / "confusion_matrix.png")
    calibrated = raw / results["calibration"]["temperature"]
    plots.plot_reliability(raw, calibrated, labels, name, folder / "reliability.png")
    plots.plot_roc(probabilities_of(calibrated), labels, name, folder / "roc.png")


def _describe(trained: TrainedNetwork, arguments: Arguments) -> dict:
    """What was trained, on what and how: the head of results.json."""
    parts, data = trained.parts, arguments.data
    sets = parts["train"].features["set"].names
    return {
        "dataset": sets[0],
        "datasets": sets,
        "about_sets": {public_name(name): of for name, of in json.loads(data.about_sets or "{}").items()},
        "other_pictures": [public_name(name) for name in data.other_pictures] if data.familiarity else [],
        "weights_license": data.weights_license,
        "split": data.split,
        "split_seed": data.split_seed,
        "hold_out": [public_name(what) for what in data.hold_out],
        "counts": {name: counts_by_class(part) for name, part in parts.items()},
        "counts_by_set": {name: dict(Counter(_sets_of(part))) for name, part in parts.items()},
        "patients": {name: len(set(part["group"])) for name, part in parts.items()},
        "image_size": arguments.model.image_size,
        "parameters": sum(p.numel() for p in trained.model.parameters()),
        "seed": arguments.training.seed,
        "command": command_line(),
        "versions": versions(),
        **trained.record,
    }


def _sets_of(part: Dataset) -> list[str]:
    names = part.features["set"].names
    return [names[number] for number in part["set"]]


def _export(trained: TrainedNetwork, folder: Path) -> str:
    """Write the network for ONNX Runtime and browsers; one that cannot be written so is served by torch.

    Returns:
        What was measured, in sentences; empty without an export.
    """
    try:
        return summary(export_checkpoint(folder, trained.model.cpu(), trained.processor, trained.parts))
    except ExportError as error:
        logger.warning("%s", error)
        return ""
