"""Results -> the model's card: the template `model_card.md`, filled with a run's own figures."""

from pathlib import Path

import jinja2
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from brain_tumor.labels import DISPLAY_NAMES, LABELS

TEMPLATE = Path(__file__).parent.parent / "model_card.md"
FIGURES_TEMPLATE = TEMPLATE.with_name("model_card_figures.md")
"""What a card and the evaluation command say of one part, the same words for both."""
BASE_MODEL = "google/mobilenet_v2_1.0_224"
# What is known about sets that a run may name; any other is named without a license.
DATASET_LICENSES = {
    "Simezu/brain-tumour-MRI-scan": "CC0-1.0 (Kaggle set of M. Nickparvar)",
    "labeled-mri-brain-tumor": 'CC BY 4.0 (Roboflow "Labeled MRI Brain Tumor Dataset")',
    "br35h-tumors": 'no license stated (part of the "yes" pictures of the Kaggle set Br35H by A. Hamada)',
}
_PARTS = ("train", "validation", "test")
_HUB_NAMES = {"brain-tumour-MRI-scan": "Simezu/brain-tumour-MRI-scan", "mobilenet_v2_1.0_224": BASE_MODEL}
_METRICS = {
    "accuracy": "Accuracy",
    "macro_recall": "Macro recall",
    "sensitivity": "Tumor sensitivity",
    "specificity": '"No tumor" specificity',
    "ece": "Expected calibration error",
}
_MORE_METRICS = {
    "classwise_ece": "Class-wise calibration error",
    "brier": "Brier score (0 to 2)",
    "nll": "Negative log-likelihood (nats)",
}
_VERDICT_FIGURES = {
    "sensitivity": 'Sensitivity: tumors not called "no tumor"',
    "specificity": "Specificity: healthy slices not called a tumor",
    "uncertain": "Uncertain: slices without a verdict",
    "uncertain_tumors": "... of the tumors",
    "uncertain_healthy": "... of the healthy slices",
    "accuracy_decided": "Right class, where there is a verdict",
}
_NOT_SHARES = {"ece", "classwise_ece", "brier", "nll", "auroc", "aurc"}
_SECTIONS = {
    "robustness": "When the picture is not as it should be",
    "probes": "Does it look at the tumor?",
    "familiarity": "Pictures of another kind",
}
"""Keys of results that hold rows of {"name", "value", "interval", "note"}, and the titles that they get."""


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
        derived=results["model_name_or_path"] in _HUB_NAMES,
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


def figures_section(results: dict, part: str) -> str:
    """The figures of one part as Markdown: tables with intervals and what they mean.

    Args:
        results: the content of a `results.json`, of a run or of the evaluation command.
        part: whose figures; those of the weakly labeled part tumor_<part> go with them where there are any.
    """
    own = results[part]
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.ChainableUndefined)
    return environment.from_string(FIGURES_TEMPLATE.read_text(encoding="utf-8")).render(
        results=results,
        dataset=hub_name(results["dataset"]),
        part=part,
        own=own,
        validation=results.get("validation") if part == "test" else None,
        weak=results.get(f"tumor_{part}"),
        metrics={name: title for name, title in (_METRICS | _MORE_METRICS).items() if name in own},
        verdict_figures=_VERDICT_FIGURES,
        calibration_figures={"nll": "NLL", "brier": "Brier", "ece": "ECE", "classwise_ece": "class-wise ECE"},
        sections={key: title for key, title in _SECTIONS.items() if results.get(key)},
        tumor_share=own.get("confusion_matrix") and _share_of_tumors([sum(row) for row in own["confusion_matrix"]]),
        labels=LABELS,
        names=DISPLAY_NAMES,
        percent=lambda value: shown_value("", value),
        value=shown_value,
        bounds=shown_bounds,
    )


def evaluation_page(results: dict, part: str) -> str:
    """`evaluation.md`: what the evaluation command found, as a page of Markdown."""
    notes = "\n".join(f"- {note}" for note in results["notes"])
    pictures = "![Plots](evaluation.png)\n\n![The worst mistakes](failures.png)"
    return (
        f"# {results['checkpoint']} on {results['dataset']}\n\n{notes}\n\n{figures_section(results, part)}\n"
        f"{pictures}\n\n```\n{results['command']}\n```\n"
    )


def shown_value(metric: str, value) -> str:
    """A figure as a reader gets it: shares in per cent, other figures with three decimals, none as a dash."""
    if value is None:
        return "-"
    if isinstance(value, str | int):
        return str(value)
    return f"{value:.{4 if metric in ('auroc', 'aurc') else 3}f}" if metric in _NOT_SHARES else f"{100 * value:.1f} %"


def shown_bounds(metric: str, bounds) -> str:
    """An interval in the unit of `shown_value`, e.g. "96.1 to 98.3"; a dash where there is none."""
    if not bounds or isinstance(bounds, str):
        return bounds or "-"
    return " to ".join(shown_value(metric, float(bound)).removesuffix(" %") for bound in bounds)


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
    return shown_bounds("", figures.get("intervals", {}).get(metric))


def _share_of_tumors(counts: list[int]) -> float:
    """Of counts in the order of `LABELS`."""
    return 1 - counts[LABELS.index("no_tumor")] / max(sum(counts), 1)


def _tumor_share(counts: dict[str, dict[str, int]]) -> float:
    return _share_of_tumors([sum(counts[part][label] for part in _PARTS) for label in LABELS])


def _is_baseline(results: dict) -> bool:
    return results["model_name_or_path"] == "baseline-cnn"
