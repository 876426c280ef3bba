"""What programs get: the endpoints `/predict` and `/predict_batch`, and the types of their answers."""

import inspect
from collections.abc import Callable

import gradio as gr

from brain_tumor.answers.words import verdict_words, volume_words
from brain_tumor.demo.errors import sentence
from brain_tumor.demo.gradio_patches import NoStubFile
from brain_tumor.demo.one_scan import SCAN_LANE, judge_scan
from brain_tumor.demo.several_scans import BATCH_LANE, PLANES, judge_scans
from brain_tumor.demo.uploads import ScanUpload
from brain_tumor.inference.classifier import Classifier
from brain_tumor.inference.judging import JudgedUpload
from brain_tumor.inference.prediction import Prediction
from brain_tumor.labels import LABELS
from brain_tumor.reading.uploads import Rejected

TEXT, NUMBER, FLAG = {"type": "string"}, {"type": "number"}, {"type": "boolean"}


def _or_null(schema: dict) -> dict:
    return {"anyOf": [schema, {"type": "null"}]}


JUDGMENT = {
    "verdict": TEXT,
    "label": _or_null(TEXT),
    "confidences": _or_null({"type": "object", "properties": dict.fromkeys(LABELS, NUMBER)}),
    "any_tumor": _or_null(NUMBER),
    "familiar": _or_null(FLAG),
}

WORDS = {"headline": TEXT, "sentence": TEXT}

FILE = {"facts": {"type": "object", "additionalProperties": TEXT}, "notes": {"type": "array", "items": TEXT}}

SLICE = {"type": "object", "properties": {"name": TEXT, "counts": FLAG} | JUDGMENT}

PREDICTION = {"type": "object", "properties": JUDGMENT | WORDS | FILE | {"model": TEXT}}

RESULT = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "kind": TEXT,
        "error": _or_null(TEXT),
        "verdict": _or_null(TEXT),
        "headline": _or_null(TEXT),
        "sentence": _or_null(TEXT),
        "peak": _or_null(TEXT),
        "slices": {"type": "array", "items": SLICE},
    }
    | FILE,
}

BATCH = {"type": "object", "properties": {"model": TEXT, "results": {"type": "array", "items": RESULT}}}


class Answer(gr.JSON, metaclass=NoStubFile):
    """JSON whose shape the API's documentation tells, as `PREDICTION` says: gr.JSON says "any" of every answer."""

    is_template = True  # the browser's side is that of gr.JSON

    def api_info(self) -> dict:
        return PREDICTION


class Answers(gr.JSON, metaclass=NoStubFile):  # not of `Answer`: gradio finds the browser's side by the parent's name
    """The same for several scans, as `BATCH` says."""

    is_template = True

    def api_info(self) -> dict:
        return BATCH


def build_api(classifier: Classifier) -> None:
    """One endpoint for a program that has one scan, one for many; nothing of it is seen on the page."""

    @document
    def predict(scan: str | None) -> dict:
        """Estimate whether a slice of a brain MRI shows a glioma, meningioma, pituitary tumor or none. Not a diagnosis.

        Args:
            scan: the file: JPEG, PNG, TIFF, WebP, BMP, GIF, DICOM, NIfTI or MGH; or a data: URI of it, such as
                data:image/png;base64,... Addresses are not fetched. Of a file with several slices the middle one is
                taken.

        Returns:
            verdict (glioma, meningioma, pituitary, tumor where the type is unclear, no_tumor, uncertain or unfamiliar)
            with headline and sentence;
            label, the most probable class; confidences, calibrated, from 0 to 1, which sum to 1; any_tumor, the sum
            for all tumors; familiar, whether it looks like a brain MRI (if not, label and confidences are null); facts
            and notes about the file; model, its version.
        """
        judged = judge_scan(classifier, scan)
        headline, why = verdict_words(judged.prediction)
        file = {"facts": judged.facts, "notes": judged.notes, "model": classifier.version}
        return judgment(judged.prediction) | {"headline": headline, "sentence": why} | file

    @document
    def predict_batch(files: list[str], plane: str | None = None, progress=gr.Progress()) -> dict:  # noqa: B008
        """Judge several scans of the brain at once: pictures, DICOM series (files or one .zip), NIfTI. Not a diagnosis.

        Args:
            files: the files, or data: URIs of them. DICOM files of one series become one result. Addresses are not
                fetched.
            plane: axial, coronal or sagittal: how volumes are cut; leave it empty for the plane of the best resolution.

        Returns:
            model, its version, and results, one for each picture, series or volume: name, kind, error (a sentence, if
            the file could not be used), verdict with headline and sentence (for volumes by the rule that the page
            states), peak, the slice with the highest probability of a tumor, facts, notes, and slices, each with its
            own verdict, label, confidences, any_tumor and familiar.
        """
        if plane not in (*PLANES.values(), ""):
            raise sentence(f"The plane must be axial, coronal or sagittal, or left out; not {str(plane)[:40]!r}.")
        items = judge_scans(classifier, files, plane or None, progress)
        return {"model": classifier.version, "results": [result(item) for item in items]}

    with gr.Row(visible=False):
        scan, files = ScanUpload(label="scan"), ScanUpload(label="files", file_count="multiple")
        plane = gr.Dropdown(["", *filter(None, PLANES.values())], value="", allow_custom_value=True, label="plane")
        answer, answers = Answer(label="answer"), Answers(label="answer")
        one, many = gr.Button(), gr.Button()
    one.click(predict, scan, answer, api_name="predict", **SCAN_LANE)
    many.click(predict_batch, [files, plane], answers, api_name="predict_batch", **BATCH_LANE)


def result(item: JudgedUpload | Rejected) -> dict:
    """An upload for programs, as `RESULT` says."""
    if isinstance(item, Rejected):
        nothing = dict.fromkeys(("verdict", "headline", "sentence", "peak"))
        file = {"slices": [], "facts": {}, "notes": []}
        return {"name": item.name, "kind": "unreadable", "error": item.reason} | nothing | file
    upload, volume = item.upload, item.volume
    headline, why = volume_words(volume) if volume else verdict_words(item.predictions[0])
    counted = volume.counted if volume else [slice_.counts for slice_ in upload.slices]
    return {
        "name": upload.name,
        "kind": upload.kind,
        "error": None,
        "verdict": volume.verdict if volume else item.predictions[0].verdict,
        "headline": headline,
        "sentence": why,
        "peak": upload.slices[volume.peak].name if volume and volume.peak is not None else None,
        "slices": [
            {"name": slice_.name, "counts": counts} | judgment(prediction)
            for slice_, prediction, counts in zip(upload.slices, item.predictions, counted, strict=True)
        ],
        "facts": upload.facts,
        "notes": upload.notes,
    }


def judgment(prediction: Prediction) -> dict:
    """A prediction for programs, as `JUDGMENT` says.

    A picture that is no brain MRI gets no label and no confidences: a program must not take them for an answer.
    """
    familiar = None if prediction.familiarity is None else bool(prediction.familiarity >= 0)
    shown = familiar is not False
    return {
        "verdict": prediction.verdict,
        "label": prediction.label if shown else None,
        "confidences": prediction.confidences if shown else None,
        "any_tumor": prediction.tumor_probability if shown else None,
        "familiar": familiar,
    }


def document(function: Callable) -> Callable:
    """Gives a function a docstring as gradio reads it for MCP tools: one line for each argument and for the result."""
    function.__doc__ = unwrap(inspect.getdoc(function))
    return function


def unwrap(docstring: str) -> str:
    """Each argument of a docstring on one line, and all that is returned on one line.

    >>> print(unwrap("Do it.\\n\\nArgs:\\n    a: one,\\n        or two.\\n\\nReturns:\\n    all that\\n    there is."))
    Do it.
    <BLANKLINE>
    Args:
        a: one, or two.
    <BLANKLINE>
    Returns:
        all that there is.
    """
    lines, section = [], ""
    for line in docstring.splitlines():
        indent = len(line) - len(line.lstrip())
        if line.strip() and not indent:
            section = line if line.endswith(":") else ""
        continued = section and line.strip() and lines[-1] not in ("", section)
        if continued and (indent > 4 or section == "Returns:"):
            lines[-1] += " " + line.strip()
        else:
            lines.append(line)
    return "\n".join(lines)
