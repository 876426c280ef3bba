"""A finished checkpoint gets another check of uploads, and everything that is said of it."""

import json
import shutil
from pathlib import Path

from PIL import Image

from benchmarks.quality import refit_familiarity
from brain_tumor.data.dataset import load_scans
from brain_tumor.data.split import whole_set
from brain_tumor.labels import LABELS

ROOT = Path(__file__).resolve().parents[2]


def test_a_refit_rewrites_the_check_its_figures_and_the_card_and_nothing_else(slice_folder, tmp_path, monkeypatch):
    folder = shutil.copytree(ROOT / "model", tmp_path / "model")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for number in range(12):
        path = tmp_path / "data/knees" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (40, 40), 20 * number).save(path)
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps({"other_pictures": ["knees"]}))
    part = whole_set(load_scans(slice_folder(dict.fromkeys(LABELS, 4))))
    parts = dict.fromkeys(("train", "validation", "test"), part)
    monkeypatch.setattr(refit_familiarity, "load_parts", lambda data, main_only: parts)
    monkeypatch.setattr("brain_tumor.training.fit_familiarity.STRANGERS", 20)
    results = refit_familiarity.refit(folder, tmp_path / "data", recipe)
    names = [row["name"] for row in results["familiarity"]]
    assert len(names) == 2 and names[0].endswith("slices turned away") and names[1] == "knees: caught"
    assert json.loads((folder / "results.json").read_text()) == results
    card = (folder / "README.md").read_text()
    assert "knees" in card and "Compared with torch" in card
    changed = {path.name for path, content in before.items() if path.read_bytes() != content}
    assert changed == {"familiarity.safetensors", "results.json", "README.md"}
    assert {path for path in folder.rglob("*") if path.is_file()} == set(before)
