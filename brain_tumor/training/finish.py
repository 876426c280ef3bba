"""A trained network -> everything that `--output_dir` holds: calibration, figures, plots, card, export."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import Dataset
from scipy.special import softmax
from transformers import PreTrainedModel

from brain_tumor.data.dataset import counts_by_class
from brain_tumor.data.split import first_of_each_class
from brain_tumor.evaluation import plots
from brain_tumor.evaluation.calibration import fit_temperature, fold_temperature, nll
from brain_tumor.evaluation.card import write_card
from brain_tumor.evaluation.figures import evaluate_parts
from brain_tumor.evaluation.logits import predict_logits
from brain_tumor.evaluation.pictures import write_pictures
from brain_tumor.evaluation.thresholds import choose_thresholds
from brain_tumor.inference.verdict import CONFIG_KEY, to_config
from brain_tumor.network.pretrained import save_checkpoint
from brain_tumor.provenance import RESULTS, command_line, public_name, versions
from brain_tumor.publishing.example_scans import export_examples
from brain_tumor.publishing.export import ExportError, export_checkpoint, summary
from brain_tumor.training.arguments import Arguments
from brain_tumor.training.fit_familiarity import fit_familiarity

logger = logging.getLogger(__name__)

EXAMPLES_PER_CLASS = 2


@dataclass(frozen=True)
class TrainedNetwork:
    """A network as its training left it, in float32.

    Attributes:
        model: the network.
        processor: its image processor.
        parts: name -> part of `split.split_scans`, with the column pixels.
        record: what results.json says of how the network came to be: its start, history, epochs, seconds and the like.
    """

    model: PreTrainedModel
    processor: object
    parts: dict[str, Dataset]
    record: dict


def finish(trained: TrainedNetwork, arguments: Arguments, folder: Path) -> None:
    """Calibrate and choose thresholds on validation, evaluate, and write everything into `folder`."""
    model, processor, parts = trained.model, trained.processor, trained.parts
    endings = ("validation",) if arguments.data.validation_only else ("validation", "test")
    raw = {
        name: predict_logits(model, part, processor, f"Evaluating ({name})")
        for name, part in parts.items()
        if name.endswith(endings) and part.num_rows
    }
    labels = {name: np.array(parts[name]["label"]) for name in raw}
    temperature = fit_temperature(raw["validation"], labels["validation"])
    folded = fold_temperature(model, temperature)
    choosing = [name for name in ("validation", "tumor_validation") if name in raw]
    thresholds = choose_thresholds(
        softmax(np.concatenate([raw[name] for name in choosing]).astype(np.float64) / temperature, axis=1),
        np.concatenate([labels[name] for name in choosing]),
        np.concatenate([np.array(parts[name]["group"]) for name in choosing]),
    )
    setattr(model.config, CONFIG_KEY, to_config(thresholds))
    save_checkpoint(model, processor, folder)

    results = {
        **_describe(trained, arguments),
        "calibration": {
            "temperature": temperature,
            "folded_into_classifier": folded,
            "validation_nll_before": nll(raw["validation"], labels["validation"]),
            "validation_nll_after": nll(raw["validation"] / temperature, labels["validation"]),
        },
        CONFIG_KEY: to_config(thresholds),
        **evaluate_parts(raw, parts, temperature, thresholds),
    }
    (folder / RESULTS).write_text(json.dumps(results, indent=1) + "\n")
    plots.plot_curves(results["history"], folder / "curves.png")
    if arguments.data.validation_only:
        return
    if arguments.data.familiarity:
        familiarity = fit_familiarity(model, processor, parts, seed=arguments.training.seed)
        if familiarity is not None:
            familiarity.save(folder)
    title = f"{results['dataset']}, {results['split']} split"
    name = f"{title}, test part"
    plots.plot_confusion_matrix(results["test"], name, folder / "confusion_matrix.png")
    plots.plot_reliability(raw["test"], raw["test"] / temperature, labels["test"], name, folder / "reliability.png")
    # The worst mistakes are pictures of the dataset: in a folder of their own, which is not published.
    write_pictures(folder / "evaluation", raw, parts, results, title, temperature, thresholds)
    exported = _export(trained, folder)
    examples = first_of_each_class(parts["test"], EXAMPLES_PER_CLASS)
    export_examples(examples, results["dataset"], folder / "examples")
    write_card(results, folder / "README.md", hub_model_id=arguments.training.hub_model_id, exported=exported)
    test = results["test"]
    low, high = test["intervals"]["accuracy"]
    logger.info(
        "Test (%s, %s): accuracy %.1f %% (95 %% interval %.1f to %.1f), macro recall %.1f %%, ECE %.3f, tumor "
        "sensitivity %.1f %%, specificity %.1f %%. Everything is in %s.",
        results["dataset"], results["split"], 100 * test["accuracy"], 100 * low, 100 * high,
        100 * test["macro_recall"], test["ece"], 100 * test["sensitivity"], 100 * test["specificity"],
        arguments.training.output_dir,
    )  # fmt: skip


def _describe(trained: TrainedNetwork, arguments: Arguments) -> dict:
    """What was trained, on what and how: the head of results.json."""
    parts, data = trained.parts, arguments.data
    return {
        "dataset": public_name(data.dataset_name),
        "tumor_dataset": public_name(data.tumor_dataset) if data.tumor_dataset else None,
        "split": data.split,
        "split_seed": data.split_seed,
        "counts": {name: counts_by_class(parts[name]) for name in ("train", "validation", "test")},
        "tumor_counts": {name: part.num_rows for name, part in parts.items() if name.startswith("tumor_")},
        "image_size": arguments.model.image_size,
        "parameters": sum(p.numel() for p in trained.model.parameters()),
        "seed": arguments.training.seed,
        "command": command_line(),
        "versions": versions(),
        **trained.record,
    }


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
