"""What programs get: the answers of the endpoints `/predict` and `/predict_batch`, and their types."""

import functools
import inspect
import json

import gradio as gr
from gradio import component_meta, utils
from gradio.mcp import GradioMCPServer

from brain_tumor.labels import LABELS

# Gradio writes a stub file (.pyi) beside each module that defines a component; not into this repository.
component_meta.create_or_modify_pyi = lambda *arguments: None

_as_texts = GradioMCPServer.postprocess_output_data


def _as_json(server: GradioMCPServer, data, root_url: str):
    return _as_texts(server, [json.dumps(answer) if isinstance(answer, dict) else answer for answer in data], root_url)


# Gradio writes a tool's answer as Python would print it, which no other language reads.
GradioMCPServer.postprocess_output_data = _as_json

_with_addresses = GradioMCPServer.simplify_filedata_schema


def _with_data_uris(server: GradioMCPServer, schema: dict) -> tuple[dict, list]:
    simple, places = _with_addresses(server, schema)
    return json.loads(json.dumps(simple), object_hook=_format_of_files), places


def _format_of_files(node: dict) -> dict:
    return node | {"format": "data: URI"} if str(node.get("format")).startswith("Gradio File") else node


_as_files = GradioMCPServer.convert_strings_to_filedata


def _data_uris_alone(server: GradioMCPServer, value, places):
    try:
        return _as_files(server, value, places)
    except ValueError:  # base64 that is none is one too
        sentence = "This is no file. Send it as a data: URI: data:image/png;base64, and the file in base64."
        raise ValueError(sentence) from None


# Gradio tells tools' callers to give addresses of files or paths from a tool for uploads, and both are refused here.
GradioMCPServer.simplify_filedata_schema = _with_data_uris

GradioMCPServer.convert_strings_to_filedata = _data_uris_alone

GradioMCPServer._file_data_tool_description = ""

_of_single_lines = utils.get_function_description


def _of_wrapped_lines(function) -> tuple[str, dict[str, str], list[str]]:
    @functools.wraps(function)
    def unwrapped(): ...

    unwrapped.__doc__ = unwrap(inspect.getdoc(function) or "")
    return _of_single_lines(unwrapped)


# Gradio reads docstrings line by line: of a description of an argument the first line, and of what is returned a list.
utils.get_function_description = _of_wrapped_lines


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


def judgment(prediction) -> dict:
    """A `classifier.Prediction` for programs, as `JUDGMENT` says.

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
