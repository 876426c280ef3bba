"""What programs get: the answers of the endpoints `/predict` and `/predict_batch`, and their types."""

import json

import gradio as gr
from gradio import component_meta
from gradio.mcp import GradioMCPServer

from brain_tumor.labels import LABELS

# Gradio writes a stub file (.pyi) beside each module that defines a component; not into this repository.
component_meta.create_or_modify_pyi = lambda *arguments: None

_as_texts = GradioMCPServer.postprocess_output_data


def _as_json(server: GradioMCPServer, data, root_url: str):
    return _as_texts(server, [json.dumps(answer) if isinstance(answer, dict) else answer for answer in data], root_url)


# Gradio writes a tool's answer as Python would print it, which no other language reads.
GradioMCPServer.postprocess_output_data = _as_json

TEXT, NUMBER, FLAG = {"type": "string"}, {"type": "number"}, {"type": "boolean"}


def _or_null(schema: dict) -> dict:
    return {"anyOf": [schema, {"type": "null"}]}


JUDGEMENT = {
    "verdict": TEXT,
    "label": _or_null(TEXT),
    "confidences": _or_null({"type": "object", "properties": dict.fromkeys(LABELS, NUMBER)}),
    "any_tumor": _or_null(NUMBER),
    "familiar": _or_null(FLAG),
}
WORDS = {"headline": TEXT, "sentence": TEXT}
FILE = {"facts": {"type": "object", "additionalProperties": TEXT}, "notes": {"type": "array", "items": TEXT}}
SLICE = {"type": "object", "properties": {"name": TEXT, "counts": FLAG} | JUDGEMENT}
PREDICTION = {"type": "object", "properties": JUDGEMENT | WORDS | FILE | {"model": TEXT}}
BATCH = {
    "type": "object",
    "properties": {
        "model": TEXT,
        "results": {
            "type": "array",
            "items": {
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
            },
        },
    },
}


class Answer(gr.JSON):
    """JSON whose shape the API's documentation tells, as `PREDICTION` says: gr.JSON says "any" of every answer."""

    is_template = True  # the browser's side is that of gr.JSON

    def api_info(self) -> dict:
        return PREDICTION


class Answers(gr.JSON):  # no subclass of `Answer`: gradio looks for the browser's side under the parent's name
    """The same for several scans, as `BATCH` says."""

    is_template = True

    def api_info(self) -> dict:
        return BATCH


def judgement(prediction) -> dict:
    """A `classifier.Prediction` for programs, as `JUDGEMENT` says.

    A picture that is no brain MRI gets no label and no confidences: a program must not take them for an answer.
    """
    familiar = None if prediction.familiarity is None else bool(prediction.familiarity >= 0)
    known = familiar is not False
    return {
        "verdict": prediction.verdict,
        "label": prediction.label if known else None,
        "confidences": prediction.confidences if known else None,
        "any_tumor": prediction.tumor_probability if known else None,
        "familiar": familiar,
    }
