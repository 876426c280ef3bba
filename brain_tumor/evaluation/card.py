"""Results -> the model's card: the template `model_card.md`, filled with a run's own figures."""

from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from brain_tumor.evaluation.figures_text import (
    HUB_NAMES,
    METRICS,
    TEMPLATE,
    figures_section,
    hub_name,
    share_of_tumors,
)
from brain_tumor.labels import DISPLAY_NAMES, LABELS

# What is known about sets that a run may name; any other is named without a license.
DATASET_LICENSES = {
    "Simezu/brain-tumour-MRI-scan": "CC0-1.0 (Kaggle set of M. Nickparvar)",
    "labeled-mri-brain-tumor": 'CC BY 4.0 (Roboflow "Labeled MRI Brain Tumor Dataset")',
    "br35h-tumors": 'no license stated (part of the "yes" pictures of the Kaggle set Br35H by A. Hamada)',
}

_PARTS = ("train", "validation", "test")


def write_card(results: dict, path: Path, hub_model_id: str | None = None, exported: str = "") -> None:
    """Render the card of a run.

    Args:
        results: the content of the run's `results.json`.
        path: of the README.md to write.
        hub_model_id: id on the Hub, where known; the examples in the card use it.
        exported: what was measured of its export to ONNX, in sentences (see `export.summary`); empty without one.
    """
    card = ModelCard.from_template(
        card_metadata(results, hub_model_id),
        template_path=str(TEMPLATE),
        model_id=hub_model_id or "your-name/brain-tumor-mri",
        results=results,
        exported=exported,
        dataset=hub_name(results["dataset"]),
        dataset_license=DATASET_LICENSES.get(hub_name(results["dataset"]), "see the dataset's own page"),
        extra_license=DATASET_LICENSES.get(results.get("extra_dataset"), "see the dataset's own page"),
        tumor_license=DATASET_LICENSES.get(results.get("tumor_dataset"), "see the dataset's own page"),
        base_model=None if _is_baseline(results) else hub_name(results["model_name_or_path"]),
        derived=results["model_name_or_path"] in HUB_NAMES,
        command=command_for_everyone(results["command"]),
        everyone=command_for_everyone,
        total=sum(results["counts"][part][label] for part in _PARTS for label in LABELS),
        tumor_share=_tumor_share(results["counts"]),
        figures=figures_section(results, "test"),
        parts=_PARTS,
        labels=LABELS,
        names=DISPLAY_NAMES,
    )
    card.save(path)


def card_metadata(results: dict, hub_model_id: str | None = None) -> ModelCardData:
    """The front matter, with the test figures as `model-index`."""
    dataset = hub_name(results["dataset"])
    evaluated = [
        EvalResult(
            task_type="image-classification",
            task_name="Image classification",
            dataset_type=dataset,
            dataset_name=f"{dataset} ({results['split']} split)",
            dataset_split="test",
            metric_type=metric,
            metric_name=name,
            metric_value=round(results["test"][metric], 4),
        )
        for metric, name in METRICS.items()
        if results["test"][metric] is not None
    ]
    return ModelCardData(
        language="en",
        license="apache-2.0",
        library_name="transformers",
        pipeline_tag="image-classification",
        model_name=(hub_model_id or "brain-tumor-mri").split("/")[-1],
        base_model=None if _is_baseline(results) else hub_name(results["model_name_or_path"]),
        datasets=[dataset] if "/" in dataset else None,
        metrics=["accuracy", "recall", "precision", "f1", "roc_auc"],
        tags=["image-classification", "medical-imaging", "brain-tumor", "mri", "mobilenet_v2", "vision"],
        eval_results=evaluated,
    )


def command_for_everyone(command: str) -> str:
    """A run's command with the Hub's ids where folders stood in for them, so that it works on any machine."""
    return " ".join(hub_name(word) for word in command.split(" "))


def _tumor_share(counts: dict[str, dict[str, int]]) -> float:
    return share_of_tumors([sum(counts[part][label] for part in _PARTS) for label in LABELS])


def _is_baseline(results: dict) -> bool:
    return results["model_name_or_path"] == "baseline-cnn"
