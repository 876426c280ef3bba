"""Results -> the model's card: the template `model_card.md`, filled with a run's own figures.

What a dataset or a base checkpoint is, is taken from what the run was told, a Hub id, or from the weights' SHA-256.
The name of a folder says nothing.
"""

from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from brain_tumor.evaluation.figures_text import (
    METRICS,
    TEMPLATE,
    figures_section,
    is_hub_id,
    share_of_tumors,
    source_text,
)
from brain_tumor.labels import DISPLAY_NAMES, LABELS

DATASET_LICENSES = {"Simezu/brain-tumour-MRI-scan": "CC0-1.0 (Kaggle set of M. Nickparvar)"}
"""Hub id -> license, where it was looked up; for others the card refers to their own pages."""

BASE_LICENSES = {"google/mobilenet_v2_1.0_224": "Apache-2.0"}

KNOWN_WEIGHTS = {
    "665808e69b770ce7947bba5fb8f34bafe30abeec4dba9ba74bc85b3878655bd5": "google/mobilenet_v2_1.0_224",
}
"""SHA-256 of the weights of a base checkpoint -> Hub id of what they were derived from. These are quantized weights of
that network turned back into float32, so they are close to its own and not identical."""

_PARTS = ("train", "validation", "test")

_BASELINE = "baseline-cnn"


def write_card(results: dict, path: Path, hub_model_id: str | None = None, exported: str = "") -> None:
    """Render the card of a run.

    Args:
        results: the content of the run's `results.json`.
        path: of the README.md to write.
        hub_model_id: id on the Hub, where known; the examples in the card use it.
        exported: what was measured of its export to ONNX, in sentences (see `export.summary`); empty without one.
    """
    tumor_dataset = results.get("tumor_dataset")
    base, derived = base_checkpoint(results)
    card = ModelCard.from_template(
        card_metadata(results, hub_model_id),
        template_path=str(TEMPLATE),
        model_id=hub_model_id or "your-name/brain-tumor-mri",
        results=results,
        exported=exported,
        dataset=source_text(results["dataset"]),
        dataset_on_hub=is_hub_id(results["dataset"]),
        dataset_license=_license(results["dataset"], DATASET_LICENSES),
        tumor_dataset=tumor_dataset and source_text(tumor_dataset),
        tumor_license=tumor_dataset and _license(tumor_dataset, DATASET_LICENSES),
        from_scratch=results["model_name_or_path"] == _BASELINE,
        base=source_text(results["model_name_or_path"] if base is None else base),
        base_on_hub=base,
        base_license=_license(base or results["model_name_or_path"], BASE_LICENSES),
        derived=derived,
        total=sum(results["counts"][part][label] for part in _PARTS for label in LABELS),
        tumor_share=share_of_tumors([sum(results["counts"][part][label] for part in _PARTS) for label in LABELS]),
        figures=figures_section(results, "test"),
        parts=_PARTS,
        labels=LABELS,
        names=DISPLAY_NAMES,
    )
    card.save(path)


def base_checkpoint(results: dict) -> tuple[str | None, bool]:
    """Hub id of the checkpoint that a training started from, and whether its copy there only was derived from that.

    The id is None for a network trained from scratch, and for a folder whose weights are not in `KNOWN_WEIGHTS`.
    """
    if is_hub_id(results["model_name_or_path"]):
        return results["model_name_or_path"], False
    known = KNOWN_WEIGHTS.get(results.get("base_weights_sha256"))
    return known, known is not None


def card_metadata(results: dict, hub_model_id: str | None = None) -> ModelCardData:
    """The front matter, with the test figures as `model-index`."""
    dataset, on_hub = results["dataset"], is_hub_id(results["dataset"])
    evaluated = [
        EvalResult(
            task_type="image-classification",
            task_name="Image classification",
            dataset_type=dataset if on_hub else "imagefolder",
            dataset_name=f"{dataset if on_hub else f'local folder {dataset}'} ({results['split']} split)",
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
        base_model=base_checkpoint(results)[0],
        datasets=[dataset] if on_hub else None,
        metrics=["accuracy", "recall", "precision", "f1", "roc_auc"],
        tags=["image-classification", "medical-imaging", "brain-tumor", "mri", "vision"],
        eval_results=evaluated,
    )


def _license(name: str, known: dict[str, str]) -> str:
    """As the end of a list item; of a folder nothing is known."""
    if not is_hub_id(name):
        return "whose license is not known here"
    return known.get(name, "see its own page for the license")
