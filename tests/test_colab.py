"""The notebook for Colab runs as it is, on the bundled checkpoint in place of a model on the Hub."""

import json
import re

import matplotlib
import pytest
import torch

from brain_tumor.labels import LABELS
from tests.serving import EXAMPLES, ROOT

NOTEBOOK = ROOT / "docs/colab.ipynb"


def code() -> list[str]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_three_cells_load_the_model_name_the_slice_and_show_where_the_score_comes_from(monkeypatch, capsys):
    monkeypatch.setattr(matplotlib, "use", lambda *_: None)
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()))
    values = {"MODEL": str(ROOT / "model"), "SLICE": str(EXAMPLES / "glioma.png")}
    scope, cells = {}, code()
    assert len(cells) == 3
    for name, value in values.items():
        cells[0], found = re.subn(
            rf"^{name} = \"[^\"]*\"", lambda _, n=name, v=value: f"{n} = {v!r}", cells[0], flags=re.M
        )
        assert found == 1
    for cell in cells:
        exec(compile(cell, str(NOTEBOOK), "exec"), scope)
    answers = scope["answers"]
    assert {answer["label"] for answer in answers} == set(LABELS)
    assert sum(answer["score"] for answer in answers) == pytest.approx(1, abs=1e-4)
    said = capsys.readouterr().out
    assert all(f"{answer['label']:<12} {answer['score']:.1%}" in said for answer in answers)
    with torch.no_grad():
        logit = scope["model"](pixel_values=scope["pixels"]).logits[0, scope["number"]]
    bias = scope["model"].classifier.bias[scope["number"]].detach()
    assert float(scope["cam"].mean() + bias) == pytest.approx(float(logit), abs=1e-3)
    (figure,) = shown
    assert len(figure.axes[0].images) == 2
    plt.close("all")


def test_the_notebook_is_kept_without_outputs_and_with_a_model_that_is_nobodys():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert all(
        not cell["outputs"] and cell["execution_count"] is None for cell in notebook["cells"] if "outputs" in cell
    )
    assert 'MODEL = "you/name"' in code()[0], "as in the README"
