"""What programs get: the endpoints `/predict` and `/predict_batch`, and the types of their answers."""

import inspect
from collections.abc import Callable

import gradio as gr

from brain_tumor.answers.words import judged_words, notes_of
from brain_tumor.demo.errors import sentence
from brain_tumor.demo.gradio_patches import NoStubFile
from brain_tumor.demo.one_scan import SCAN_LANE, judge_scan
from brain_tumor.demo.several_scans import BATCH_LANE, PLANES, judge_scans
from brain_tumor.demo.uploads import ScanUpload
from brain_tumor.inference.classifier import Classifier
from brain_tumor.inference.judging import JudgedUpload
from brain_tumor.inference.prediction import UNFAMILIAR, Prediction
from brain_tumor.labels import LABELS
from brain_tumor.reading.uploads import Rejected

TEXT, NUMBER, FLAG = {"type": "string"}, {"type": "number"}, {"type": "boolean"}


def _or_null(schema: dict) -> dict:
    return {"anyOf": [schema, {"type": "null"}]}


JUDGMENT = {
    "verdict": _or_null(TEXT),
    "label": _or_null(TEXT),
    "confidences": _or_null({"type": "object", "properties": dict.fromkeys(LABELS, NUMBER)}),
    "any_tumor": _or_null(NUMBER),
    "familiar": _or_null(FLAG),
}

WORDS = {"headline": TEXT, "sentence": TEXT, "next_step": TEXT, "numbers": TEXT}

FILE = {"facts": {"type": "object", "additionalProperties": TEXT}, "notes": {"type": "array", "items": TEXT}}

SLICE = {"type": "object", "properties": {"name": TEXT, "counts": FLAG} | JUDGMENT}

SLICES = {"peak": _or_null(TEXT), "slices": {"type": "array", "items": SLICE}}

PREDICTION = {"type": "object", "properties": JUDGMENT | WORDS | SLICES | FILE | {"model": TEXT}}

RESULT = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "kind": TEXT,
        "error": _or_null(TEXT),
        "verdict": _or_null(TEXT),
    }
    | {name: _or_null(schema) for name, schema in WORDS.items()}
    | SLICES
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


class SliceNumber(gr.Number, metaclass=NoStubFile):
    """A whole number, or none; anything else is told in a sentence."""

    is_template = True

    def preprocess(self, payload) -> int | None:
        if payload is None:
            return None
        if isinstance(payload, int | float) and not isinstance(payload, bool) and payload % 1 == 0:
            return int(payload)
        raise sentence(
            f"The slice must be a whole number, such as 34 for slice 34, or left out; not {str(payload)[:40]!r}."
        )


def build_api(classifier: Classifier) -> None:
    """One endpoint for a program that has one scan, one for many; nothing of it is seen on the page."""

    @document
    def predict(scan: str | None, slice: int | None = None, progress=gr.Progress()) -> dict:  # noqa: B008
        """Estimate whether an MRI of the brain shows a glioma, meningioma, pituitary tumor or none. Not a diagnosis.

        Args:
            scan: the file: JPEG, PNG, TIFF, WebP, BMP, GIF, DICOM, NIfTI or MGH, or a .zip of one DICOM series; or a
                data: URI of it, such as data:image/png;base64,... Addresses are not fetched. All slices of a series or
                volume are judged together.
            slice: number of one slice that is to be judged alone, as its name has it (34 for slice 34); leave it empty
                for the verdict on the whole.

        Returns:
            verdict (glioma, meningioma, pituitary, tumor where the type is unclear, no_tumor, uncertain or unfamiliar;
            null for pages, which are no one scan) with headline, sentence, next_step and numbers, all in words; label,
            the most probable class; confidences from 0 to 1, which sum to 1; any_tumor, the sum for all tumors; all
            three are null for several slices, none of which stands for the whole; familiar, whether it looks like a
            brain MRI (if not, label and confidences are null); of several slices peak, the one with the highest
            probability of a tumor, and slices, each with its name, whether it counts, and its own verdict, label,
            confidences, any_tumor and familiar; facts and notes about the file; model, its version.
        """
        judged = judge_scan(classifier, scan, slice, progress)
        several = len(judged.predictions) > 1
        own = judgment_of_whole(judged) if several else judgment(judged.predictions[0])
        slices = {"slices": slices_of(judged) if several else [], "model": classifier.version}
        return own | told(judged) | slices

    @document
    def predict_batch(files: list[str], plane: str | None = None, progress=gr.Progress()) -> dict:  # noqa: B008
        """Judge several scans of the brain at once: pictures, DICOM series (files or one .zip), NIfTI. Not a diagnosis.

        Args:
            files: the files, or data: URIs of them. DICOM files of one series become one result. Addresses are not
                fetched.
            plane: axial, coronal or sagittal: how volumes are cut; leave it empty for the plane of the best resolution.

        Returns:
            model, its version, and results, one for each picture, series or volume: name, kind, error (a sentence, if
            the file could not be used), verdict with headline, sentence, next_step and numbers (for volumes
            by the rule that the page states), peak, the slice with the highest probability of a tumor, facts, notes,
            and slices, each with its own verdict, label, confidences, any_tumor and familiar.
        """
        if plane not in (*PLANES.values(), ""):
            raise sentence(f"The plane must be axial, coronal or sagittal, or left out; not {str(plane)[:40]!r}.")
        items = judge_scans(classifier, files, plane or None, progress)
        return {"model": classifier.version, "results": [result(item) for item in items]}

    with gr.Row(visible=False):
        number = SliceNumber(None, precision=0, label="slice")
        scan, files = ScanUpload(label="scan"), ScanUpload(label="files", file_count="multiple")
        plane = gr.Dropdown(["", *filter(None, PLANES.values())], value="", allow_custom_value=True, label="plane")
        answer, answers = Answer(label="answer"), Answers(label="answer")
        one, many = gr.Button(), gr.Button()
    one.click(predict, [scan, number], answer, api_name="predict", **SCAN_LANE)
    many.click(predict_batch, [files, plane], answers, api_name="predict_batch", **BATCH_LANE)


def result(item: JudgedUpload | Rejected) -> dict:
    """An upload for programs, as `RESULT` says."""
    if isinstance(item, Rejected):
        nothing = dict.fromkeys(("verdict", *WORDS, "peak"))
        file = {"slices": [], "facts": {}, "notes": []}
        return (
            {"name": item.name, "kind": "no scan" if item.what else "unreadable", "error": item.reason} | nothing | file
        )
    whole = {"name": item.upload.name, "kind": item.upload.kind, "error": None, "verdict": item.verdict}
    return whole | told(item) | {"slices": slices_of(item)}


def told(judged: JudgedUpload) -> dict:
    """What an upload as a whole has beside its verdict: words, its peak, facts and notes."""
    slices = judged.upload.slices
    peak = None if len(slices) == 1 or judged.peak is None else slices[judged.peak].name
    file = {"facts": judged.upload.facts, "notes": notes_of(judged)}
    return judged_words(judged)._asdict() | {"peak": peak} | file


def slices_of(judged: JudgedUpload) -> list[dict]:
    """The slices of an upload, as `SLICE` says."""
    slices = judged.upload.slices
    counted = judged.volume.counted if judged.volume else [slice_.counts for slice_ in slices]
    return [
        {"name": slice_.name, "counts": counts} | judgment(prediction)
        for slice_, prediction, counts in zip(slices, judged.predictions, counted, strict=True)
    ]


def judgment_of_whole(judged: JudgedUpload) -> dict:
    """Of several slices together: a class and confidences are those of one slice, so the whole has none."""
    known = judged.volume and judged.predictions[0].familiarity is not None
    familiar = judged.verdict != UNFAMILIAR if known else None
    return {"verdict": judged.verdict, "familiar": familiar} | dict.fromkeys(("label", "confidences", "any_tumor"))


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
