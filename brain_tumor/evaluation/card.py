"""Results -> the model's card: the template `model_card.md`, filled with a run's own figures.

What a dataset or a base checkpoint is, is taken from what the run was told, a Hub id, or from the weights' SHA-256.
The name of a folder says nothing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from brain_tumor.answers.citation import names_of, read_citations
from brain_tumor.evaluation.figures_text import (
    METRICS,
    TEMPLATE,
    cell,
    fails_first,
    figures_section,
    is_hub_id,
    sets_tested,
    share_of_tumors,
    source_text,
    split_named,
)
from brain_tumor.labels import DISPLAY_NAMES, LABELS
from brain_tumor.provenance import VERSION

DATASET_LICENSES = {"Simezu/brain-tumour-MRI-scan": "CC0-1.0 (Kaggle set of M. Nickparvar)"}
"""Hub id -> license, where it was looked up; for others the card refers to their own pages."""

UNKNOWN = "unknown"
"""As the Hub's metadata call a license that is not stated."""

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
    base, derived = base_checkpoint(results)
    counts = results["counts"]
    totals = [sum(counts[part].get(label, 0) for part in _PARTS) for label in (*LABELS, "tumor")]
    card = ModelCard.from_template(
        card_metadata(results, hub_model_id),
        template_path=str(TEMPLATE),
        model_id=hub_model_id or "your-name/brain-tumor-mri",
        version=VERSION,
        makers=", ".join(name for work in read_citations()[:1] for name in names_of(work)),
        owner=hub_model_id.split("/")[0] if hub_model_id and "/" in hub_model_id else "",
        results=results,
        exported=exported,
        sets=sets_of(results),
        strangers=strangers_text(results),
        several=_both_in_several_sequences(results["test"].get("by_kind", [])),
        worst=fails_first(results["test"].get("by_kind", [])),
        license=weights_license(results),
        unknown=UNKNOWN,
        from_scratch=results["model_name_or_path"] == _BASELINE,
        base=source_text(results["model_name_or_path"] if base is None else base),
        base_on_hub=base,
        base_license=_license(base or results["model_name_or_path"], BASE_LICENSES),
        derived=derived,
        local_names=not all(map(is_hub_id, [*results["datasets"], results["model_name_or_path"]])),
        total=sum(sum(counts[part].values()) for part in _PARTS),
        tumor_share=share_of_tumors(totals),
        figures=figures_section(results, "test"),
        cell=cell,
        parts=_PARTS,
        counted=[*LABELS, *(["tumor"] if any("tumor" in counts[part] for part in _PARTS) else [])],
        labels=LABELS,
        names=DISPLAY_NAMES | {"tumor": "Other tumor"},
    )
    card.save(path)


def sets_of(results: dict) -> list[dict[str, str]]:
    """What a card says of each set of a run: {"name", "slices", "source", "terms"}."""
    about, by_set = results.get("about_sets") or {}, results.get("counts_by_set", {})
    return [
        {
            "name": name,
            "slices": sum(part.get(name, 0) for part in by_set.values()),
            "source": about.get(name, {}).get("from") or source_text(name),
            "terms": about.get(name, {}).get("terms") or _license(name, DATASET_LICENSES),
        }
        for name in results["datasets"]
    ]


def strangers_text(results: dict) -> str:
    """What the check of uploads learned from beside the sets, as a sentence with credits; empty if from nothing."""
    about = results.get("about_sets") or {}
    told = [
        f"`{name}` (" + "; ".join(about[name][key] for key in ("from", "terms") if key in about[name]) + ")"
        if name in about
        else f"`{name}`"
        for name in results.get("other_pictures", [])
    ]
    return f"The check of uploads also learned from pictures that are no brain MRI: {', '.join(told)}." if told else ""


def made_from(results: dict) -> str:
    """Network, sets and licenses of a run, as Markdown."""
    base, derived = base_checkpoint(results)
    start = source_text(results["model_name_or_path"] if base is None else base)
    if results["model_name_or_path"] == _BASELINE:
        network = "A small network, trained from scratch"
    else:
        network = f"{'Derived' if derived else 'Fine-tuned'} from {start}, {_license(base or start, BASE_LICENSES)},"
    rows = "\n".join(
        f"| {cell(one['name'])} | {one['slices'] or '-'} | {cell(one['source'])} | {cell(one['terms'])} |"
        for one in sets_of(results)
    )
    license = weights_license(results)
    weights = "No license of the weights is stated" if license == UNKNOWN else f"The weights: {license.upper()}"
    return (
        f"{network} on slices of these sets. {weights}; the code: Apache-2.0.\n\n| set | slices | from | terms |\n"
        f"|---|---|---|---|\n{rows}\n\n{strangers_text(results)}"
    ).strip()


def weights_license(results: dict) -> str:
    """As the Hub writes it in a card's metadata, such as "apache-2.0"; `UNKNOWN` where nobody stated it and a set's
    terms are not known."""
    free = all(name in DATASET_LICENSES for name in results["datasets"])
    return results.get("weights_license") or ("apache-2.0" if free else UNKNOWN)


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
    tested = sets_tested(results, "test")
    dataset, on_hub = tested[0], len(tested) == 1 and is_hub_id(tested[0])
    named = ", ".join(name if is_hub_id(name) else f"local folder {name}" for name in tested)
    evaluated = [
        EvalResult(
            task_type="image-classification",
            task_name="Image classification",
            dataset_type=dataset if on_hub else "imagefolder",
            dataset_name=f"{named} ({split_named(results, 'test')})",
            dataset_split="test",
            metric_type=metric,
            metric_name=name,
            metric_value=round(results["test"][metric], 4),
        )
        for metric, name in METRICS.items()
        if results["test"].get(metric) is not None
    ]
    return ModelCardData(
        language="en",
        license=weights_license(results),
        library_name="transformers",
        pipeline_tag="image-classification",
        model_name=(hub_model_id or "brain-tumor-mri").split("/")[-1],
        base_model=base_checkpoint(results)[0],
        datasets=[name for name in results["datasets"] if is_hub_id(name)] or None,
        metrics=["accuracy", "recall", "precision", "f1", "roc_auc"],
        tags=["image-classification", "medical-imaging", "brain-tumor", "mri", "vision"],
        eval_results=evaluated,
    )


def _both_in_several_sequences(by_kind: Sequence[Mapping]) -> bool:
    """Whether tumors and tumor-free slices were both tested in more than one sequence."""
    found = (
        {row["sequence"] for row in by_kind if row["sequence"] and row[name]} for name in ("missed", "specificity")
    )
    return all(len(sequences) > 1 for sequences in found)


def _license(name: str, known: dict[str, str]) -> str:
    """As the end of a list item; of a folder nothing is known."""
    if not is_hub_id(name):
        return "whose license is not known here"
    return known.get(name, "see its own page for the license")
