"""A trained network -> everything that `--output_dir` holds: calibration, figures, plots, card, export."""

import json
import logging
from pathlib import Path

import numpy as np
from scipy.special import softmax

from brain_tumor.data.dataset import counts_by_class
from brain_tumor.data.split import first_of_each_class
from brain_tumor.evaluation import calibration, plots
from brain_tumor.evaluation import figures as evaluation
from brain_tumor.evaluation import thresholds as thresholds_
from brain_tumor.evaluation.card import write_card
from brain_tumor.evaluation.logits import predict_logits
from brain_tumor.evaluation.pictures import write_pictures
from brain_tumor.inference import verdict as decision
from brain_tumor.network.pretrained import save_checkpoint
from brain_tumor.provenance import command_line, public_name, versions
from brain_tumor.publishing.example_scans import export_examples
from brain_tumor.publishing.export import ExportError, export_checkpoint, summary
from brain_tumor.training.fit_familiarity import fit_familiarity

logger = logging.getLogger(__name__)

EXAMPLES_PER_CLASS = 2


def finish(model, processor, parts, made: dict, model_args, data_args, args, output_dir: Path) -> None:
    """Calibrate and choose thresholds on validation, evaluate, write everything that `output_dir` holds.

    `made` tells how the network came to be: history, epochs, seconds and the like, for results.json.
    """
    endings = ("validation",) if data_args.validation_only else ("validation", "test")
    raw = {
        name: predict_logits(model, part, processor, f"Evaluating ({name})")
        for name, part in parts.items()
        if name.endswith(endings) and part.num_rows
    }
    labels = {name: np.array(parts[name]["label"]) for name in raw}
    temperature = calibration.fit_temperature(raw["validation"], labels["validation"])
    folded = calibration.fold_temperature(model, temperature)
    judged = [name for name in ("validation", "tumor_validation") if name in raw]
    thresholds = thresholds_.choose_thresholds(
        softmax(np.concatenate([raw[name] for name in judged]).astype(np.float64) / temperature, axis=1),
        np.concatenate([labels[name] for name in judged]),
        np.concatenate([np.array(parts[name]["group"]) for name in judged]),
    )
    model.config.decision_thresholds = decision.to_config(thresholds)
    save_checkpoint(model, processor, output_dir)

    earlier = made["earlier_trainings"]
    results = {
        "dataset": public_name(data_args.dataset_name),
        "tumor_dataset": public_name(data_args.tumor_dataset) if data_args.tumor_dataset else None,
        "extra_dataset": public_name(data_args.extra_dataset) if data_args.extra_dataset else None,
        "split": data_args.split,
        "split_seed": data_args.split_seed,
        "counts": {name: counts_by_class(parts[name]) for name in ("train", "validation", "test")},
        "tumor_counts": {name: part.num_rows for name, part in parts.items() if name.startswith("tumor_")},
        "extra_counts": counts_by_class(parts["extra_train"]) if "extra_train" in parts else {},
        "model_name_or_path": earlier[0]["model_name_or_path"]
        if earlier
        else public_name(model_args.model_name_or_path),
        "image_size": model_args.image_size,
        "parameters": sum(p.numel() for p in model.parameters()),
        "seed": args.seed,
        "command": command_line(),
        "versions": versions(),
        **made,
        "calibration": {
            "temperature": temperature,
            "folded_into_classifier": folded,
            "validation_nll_before": calibration.nll(raw["validation"], labels["validation"]),
            "validation_nll_after": calibration.nll(raw["validation"] / temperature, labels["validation"]),
        },
        "decision_thresholds": decision.to_config(thresholds),
        **evaluation.evaluate_parts(raw, parts, temperature, thresholds),
    }
    (output_dir / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    plots.plot_curves(made["history"], output_dir / "curves.png")
    if data_args.validation_only:
        return
    if data_args.familiarity and (familiarity := fit_familiarity(model, processor, parts, seed=args.seed)):
        familiarity.save(output_dir)
    title = f"{results['dataset']}, {results['split']} split"
    name = f"{title}, test part"
    plots.plot_confusion_matrix(results["test"], name, output_dir / "confusion_matrix.png")
    plots.plot_reliability(raw["test"], raw["test"] / temperature, labels["test"], name, output_dir / "reliability.png")
    # The worst mistakes are pictures of the dataset: in a folder of their own, which is not published.
    write_pictures(output_dir / "evaluation", raw, parts, results, title, temperature, thresholds)
    exported = export(model, processor, parts, output_dir)
    examples = first_of_each_class(parts["test"], EXAMPLES_PER_CLASS)
    export_examples(examples, results["dataset"], output_dir / "examples")
    write_card(results, output_dir / "README.md", hub_model_id=args.hub_model_id, exported=exported)
    test = results["test"]
    low, high = test["intervals"]["accuracy"]
    logger.info(
        "Test (%s, %s): accuracy %.1f %% (95 %% interval %.1f to %.1f), macro recall %.1f %%, ECE %.3f, tumor "
        "sensitivity %.1f %%, specificity %.1f %%. Everything is in %s.",
        results["dataset"], results["split"], 100 * test["accuracy"], 100 * low, 100 * high,
        100 * test["macro_recall"], test["ece"], 100 * test["sensitivity"], 100 * test["specificity"], args.output_dir,
    )  # fmt: skip


def export(model, processor, parts, output_dir: Path) -> str:
    """Write the network for ONNX Runtime and browsers; one that cannot be written so is served by torch.

    Returns:
        What was measured, in sentences; empty without an export.
    """
    try:
        return summary(export_checkpoint(output_dir, model.cpu(), processor, parts))
    except ExportError as error:
        logger.warning("%s", error)
        return ""
