"""Results -> the model's card: the template `model_card.md`, filled with a run's own figures."""

from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from brain_tumor.labels import DISPLAY_NAMES, LABELS

TEMPLATE = Path(__file__).parent.parent / "model_card.md"
BASE_MODEL = "google/mobilenet_v2_1.0_224"
# What is known about sets that a run may name; any other is named without a licence.
DATASET_LICENSES = {
    "Simezu/brain-tumour-MRI-scan": "CC0-1.0 (Kaggle set of M. Nickparvar)",
    "labeled-mri-brain-tumor": 'CC BY 4.0 (Roboflow "Labeled MRI Brain Tumor Dataset")',
}
_HUB_NAMES = {"brain-tumour-MRI-scan": "Simezu/brain-tumour-MRI-scan", "mobilenet_v2_1.0_224": BASE_MODEL}
_METRICS = {
    "accuracy": "Accuracy",
    "macro_recall": "Macro recall",
    "sensitivity": "Tumour sensitivity",
    "specificity": '"No tumor" specificity',
    "ece": "Expected calibration error",
}


def write_card(results: dict, path: Path, hub_model_id: str | None = None) -> None:
    """Render the card of a run.

    Args:
        results: the content of the run's `results.json`.
        path: of the README.md to write.
        hub_model_id: id on the Hub, where known; the examples in the card use it.
    """
    card = ModelCard.from_template(
        card_metadata(results, hub_model_id),
        template_path=str(TEMPLATE),
        model_id=hub_model_id or "your-name/brain-tumor-mri",
        results=results,
        dataset=hub_name(results["dataset"]),
        dataset_license=DATASET_LICENSES.get(hub_name(results["dataset"]), "see the dataset's own page"),
        base_model=None if _is_baseline(results) else hub_name(results["model_name_or_path"]),
        derived=results["model_name_or_path"] in _HUB_NAMES,
        command=command_for_everyone(results["command"]),
        total=sum(count for part in results["counts"].values() for count in part.values()),
        labels=LABELS,
        names=DISPLAY_NAMES,
        metrics=_METRICS,
        percent=lambda value: "-" if value is None else f"{100 * value:.1f} %",
        interval=interval,
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
        for metric, name in _METRICS.items()
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


def hub_name(name: str) -> str:
    """The Hub's id of a local folder that stands in for it; any other name as it is."""
    return _HUB_NAMES.get(name, name)


def command_for_everyone(command: str) -> str:
    """A run's command with the Hub's ids where folders stood in for them, so that it works on any machine."""
    return " ".join(hub_name(word) for word in command.split(" "))


def interval(figures: dict, metric: str) -> str:
    """The 95 % interval in per cent, e.g. "96.1 to 98.3"; a dash where there is none."""
    bounds = figures.get("intervals", {}).get(metric)
    return "-" if bounds is None else f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f}"


def _is_baseline(results: dict) -> bool:
    return results["model_name_or_path"] == "baseline-cnn"
