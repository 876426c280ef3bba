"""`python -m brain_tumor.data.report` says what sets hold, counts their copies, and shows them."""

import sys

import numpy as np
import pytest
from PIL import Image, ImageOps

from brain_tumor.data.copies import COPY_CORRELATION, thumbnails_of
from brain_tumor.data.dataset import load_scans
from brain_tumor.data.report import PAIRS_SHOWN, copy_report, correlations, pairs_to_show, run
from brain_tumor.data.split import pool_scans
from brain_tumor.labels import LABELS


def plain_correlation(picture: np.ndarray, other: np.ndarray) -> float:
    """The largest over the 8 flips and rotations, as numpy computes it."""
    views = [np.rot90(flipped, turns) for flipped in (picture, picture.T) for turns in range(4)]
    return max(np.corrcoef(view.ravel(), other.ravel())[0, 1] for view in views)


def command(monkeypatch, capsys, *words) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["report", *map(str, words)])
    code = run()
    return code, *capsys.readouterr()


def table_of(out: str) -> dict[tuple[str, str], list[str]]:
    rows = (line.split() for line in out.splitlines() if line.startswith(("train", "validation", "test", "-")))
    return {(row[0], " ".join(row[1:-3])): row[-3:] for row in rows}


def test_the_command_counts_copies_by_part_and_class_and_shows_them(slice_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = slice_folder({f"{part}/{c}": n for part, n in (("Training", 6), ("Testing", 3)) for c in LABELS}, side=100)
    gliomas = sorted((folder / "Training/glioma").iterdir())
    ImageOps.mirror(Image.open(gliomas[0])).save(folder / "Testing/glioma/again.png")
    Image.open(gliomas[1]).rotate(90).save(folder / "Testing/pituitary/again.png")  # under another name
    (folder / "Training/no_tumor/same.png").write_bytes(next((folder / "Training/no_tumor").iterdir()).read_bytes())
    code, out, _ = command(monkeypatch, capsys, folder)
    assert code == 0
    assert table_of(out) == {
        ("test", "Glioma"): ["4", "1", "25.0%"],
        ("test", "Meningioma"): ["3", "0", "0.0%"],
        ("test", "No tumor"): ["3", "0", "0.0%"],
        ("test", "Pituitary tumor"): ["4", "1", "25.0%"],
        ("test", "all"): ["14", "2", "14.3%"],
    }
    assert "39 slices, 38 different files (1 exact duplicates), 0 patients known for 0 slices" in out
    assert "36 groups of patients and copies, the largest of 2 slices" in out
    assert "2 groups are in more than one part" in out
    assert "1 pairs of copies have labels that exclude each other" in out and "again.png (pituitary)" in out
    sheet = tmp_path / "runs/copies" / f"{folder.name}.png"
    assert str(sheet.relative_to(tmp_path)) in out
    with Image.open(sheet) as picture:
        assert min(picture.size) > 200
        assert len(picture.convert("L").getcolors()) > 50


@pytest.mark.parametrize("where", ["/dev/null/x.png", "/proc/none/x.png", "{folder}"])
def test_where_the_sheet_cannot_go_is_told_before_the_work(where, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("brain_tumor.data.report.load_scans", lambda *_: pytest.fail("work was done"))
    where = where.format(folder=tmp_path)
    code, _, error = command(monkeypatch, capsys, "any", "--output", where)
    assert code == 1 and error.startswith("report: ") and where.removesuffix("/x.png") in error and "--output" in error


def test_of_a_set_with_one_part_copies_within_it_are_counted(slice_folder, tmp_path, monkeypatch, capsys):
    folder = slice_folder(dict.fromkeys(LABELS, 4), side=100)
    ImageOps.flip(Image.open(next((folder / "glioma").iterdir()))).save(folder / "glioma/again.png")
    code, out, error = command(monkeypatch, capsys, folder, "--output", tmp_path / "pairs.png")
    assert code == 0, error
    assert table_of(out)[("-", "Glioma")] == ["5", "2", "40.0%"]
    assert table_of(out)[("-", "all")] == ["17", "2", "11.8%"]
    assert (tmp_path / "pairs.png").exists()


def test_several_sets_are_told_by_kind_of_scan_with_copies_between_them(slice_folder, tmp_path, monkeypatch, capsys):
    folder = slice_folder(dict.fromkeys(LABELS, 4), side=100)
    other = slice_folder({"Schwannoma T2": 3, "Glioblastoma T1C+": 2}, side=120)
    ImageOps.mirror(Image.open(next((folder / "no_tumor").iterdir()))).save(other / "Schwannoma T2/again.png")
    code, out, error = command(monkeypatch, capsys, folder, other, "--output", tmp_path / "pairs.png")
    assert code == 0, error
    assert "1 pairs of copies have labels that exclude each other" in out
    rows = [line.split() for line in out.splitlines()]
    assert [other.name + ",", "T2", "-", "-", "-", "-", "4"] in rows
    assert [other.name + ",", "T1C+", "2", "-", "-", "-", "-"] in rows
    assert [folder.name, "4", "4", "4", "4", "-"] in rows


def test_a_set_without_copies_has_a_sheet_that_says_so(slice_folder, tmp_path, monkeypatch, capsys):
    folder = slice_folder(dict.fromkeys(LABELS, 3))
    code, out, _ = command(monkeypatch, capsys, folder, "--output", tmp_path / "pairs.png")
    assert code == 0 and table_of(out)[("-", "all")] == ["12", "0", "0.0%"]
    assert Image.open(tmp_path / "pairs.png").size[1] < 100


def test_a_set_that_is_not_there_gets_a_sentence(tmp_path, monkeypatch, capsys):
    code, _, error = command(monkeypatch, capsys, "no/such-set", "--output", tmp_path / "pairs.png")
    assert code == 1 and "neither a folder here nor a dataset" in error and "Traceback" not in error


def test_pairs_are_shown_with_the_correlation_that_made_them_copies_the_least_alike_after_the_random_ones(slice_folder):
    folder = slice_folder(dict.fromkeys(LABELS, 2), side=100)
    original = Image.open(next((folder / "glioma").iterdir()))
    random = np.random.default_rng(0)
    for number in range(8):
        noise = random.normal(0, 4 * number, (100, 100))
        noisy = np.asarray(original, float) + noise
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"glioma/noisy{number}.png")
    rows, every = pool_scans(load_scans(folder))
    pairs = copy_report(rows, every)["pairs"]
    assert len(pairs) > 2 * PAIRS_SHOWN
    shown = pairs_to_show(rows, pairs)
    pictures = thumbnails_of(rows)
    for left, right, alike, _ in shown:
        assert alike == pytest.approx(plain_correlation(pictures[left], pictures[right]), abs=1e-5)
        assert alike >= COPY_CORRELATION - 1e-6
    assert [why for *_, why in shown] == ["at random"] * 12 + ["least alike"] * 12
    lowest = [alike for *_, alike, why in shown if why == "least alike"]
    assert lowest == sorted(lowest)
    assert min(alike for *_, alike, _ in shown) == pytest.approx(
        min(correlations(pictures[[a]], pictures[[b]])[0] for a, b in pairs), abs=1e-6
    )
    assert shown == pairs_to_show(rows, pairs)
