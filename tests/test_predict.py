"""A folder becomes a table: every file is a row or more, a bad one with its reason, and no name goes into the log."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from brain_tumor import predict
from brain_tumor.answers.table import COLUMNS
from brain_tumor.inference.classifier import Classifier
from brain_tumor.reading.folders import walk
from brain_tumor.reading.pictures import open_scan
from tests.scan_files import HEAD, dicom, picture, zip_files
from tests.serving import EXAMPLES, ROOT, bad_files, dicom_series, photograph


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def run(*arguments: object, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "brain_tumor.predict", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=300, **options)


def write_volume(path) -> None:
    """A small NIfTI volume: a bright ball in black air, 24 slices."""
    import nibabel

    z, y, x = np.mgrid[-1:1:24j, -1:1:48j, -1:1:48j]
    values = (200 * (np.sqrt(x**2 + y**2 + z**2) < 0.8)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values.T, np.diag([4, 4, 8, 1])), path)


def test_a_folder_of_all_kinds_of_files_becomes_one_table(tmp_path, model_id):
    folder = tmp_path / "MUSTERMANN"
    (folder / "more/deeper").mkdir(parents=True)
    shutil.copy(EXAMPLES / "glioma.png", folder / "=1+1.png")
    shutil.copy(EXAMPLES / "glioma.png", folder / "more/same name.png")
    shutil.copy(EXAMPLES / "no_tumor.png", folder / "more/deeper/same name.png")
    shutil.copy(EXAMPLES / "glioma.png", folder / ".hidden.png")
    photograph().save(folder / "flower.jpg")
    write_volume(folder / "more/volume.nii.gz")
    dicom_series(folder / "series", slices=6)
    for name, content in bad_files().items():
        (folder / "more" / name).write_bytes(content)

    done = run(folder, "--model", model_id)
    assert done.returncode == 0, done.stderr.decode()
    found = rows(done.stdout.decode("utf-8"))
    assert tuple(found[0]) == COLUMNS
    by_name: dict[str, list[dict]] = {}
    for row in found:
        by_name.setdefault(row["File"], []).append(row)
    assert {"'=1+1.png", "more/same name.png", "more/deeper/same name.png"} < set(by_name)
    assert not any("hidden" in name for name in by_name)
    assert by_name["flower.jpg"][0]["Verdict"] == "Not sure that this is a brain MRI"
    for name in bad_files():
        (row,) = by_name[f"more/{name}"]
        assert row["Verdict"] == "Unreadable"
        assert row["Reason"].endswith(".")
    whole, *slices = by_name["more/volume.nii.gz"]
    assert whole["Slice"] == "all" and whole["Reason"].endswith(".")
    assert len(slices) == 24
    series = by_name["series/DICOM series (t1), 6 slices"]
    assert [row["Slice"] for row in series].count("all") == 1
    assert len(series) == 7

    (expected,) = Classifier(model_id).predict([open_scan(EXAMPLES / "glioma.png")])
    (row,) = by_name["more/same name.png"]
    assert float(row["P(glioma)"]) == pytest.approx(expected.confidences["glioma"], abs=1e-3)

    log = done.stderr.decode()
    assert "100%" in log, "there is a progress bar"
    assert not any(name in log for name in ("MUSTERMANN", "same name", "volume.nii", "flower", "truncated"))


def test_rows_come_as_they_are_read_and_a_reader_may_leave_early(tmp_path, model_id):
    for number in range(8):
        shutil.copy(EXAMPLES / "glioma.png", tmp_path / f"{number}.png")
    command = f"{sys.executable} -m brain_tumor.predict {tmp_path} --model {model_id} | head -n 1"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.stdout.startswith("File,Slice,Verdict")
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ([], "The following arguments are required: FOLDER"),
        (["nowhere"], "'nowhere' does not exist. Give the folder"),
        (["app.py"], "'app.py' is a file, not a folder. Give the folder"),
        (["{empty}"], "holds no files. Give the folder"),
        (["examples", "--plane", "axial"], "Unrecognized arguments: --plane"),
        (["examples", "--model", "{empty}/model"], "cannot be loaded"),
    ],
)
def test_a_wrong_command_is_answered_with_one_sentence_and_exit_code_1(
    arguments, sentence, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["predict", *(argument.format(empty=tmp_path) for argument in arguments)])
    with pytest.raises(SystemExit) as stop:
        predict.main()
    said = stop.value.code if isinstance(stop.value.code, str) else capsys.readouterr().err
    assert stop.value.code == 1 or isinstance(stop.value.code, str)  # a string is printed, and the code is 1
    assert sentence in said
    assert "MODEL_ID" not in said
    assert said.strip().count("\n") == 0


def test_a_checkpoint_that_cannot_be_loaded_says_to_give_another_as_model(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["predict", str(EXAMPLES), "--model", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit, match="give one as --model"):
        predict.main()


def test_files_are_read_in_portions_that_the_reader_takes(tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "MAX_FILES", 3)
    monkeypatch.setattr(predict, "MAX_TOTAL_BYTES", 100)
    for folder, count in (("", 7), ("a", 2), ("b", 3)):
        (tmp_path / folder).mkdir(exist_ok=True)
        for number in range(count):
            (tmp_path / folder / f"{number}").write_bytes(b"x" * (60 if folder == "b" else 1))
    (tmp_path / "a" / "0.zip").write_bytes(zip_files({"x.png": b"x", "w.png": b"w"}))
    (tmp_path / "b" / "3.zip").write_bytes(zip_files({"x.png": b"x" * 60}))
    portions = predict.portions_of(walk(tmp_path), tmp_path)
    assert [(portion.place, portion.names) for portion in portions] == [
        *[("", ["0", "1", "2"]), ("", ["3", "4", "5"]), ("", ["6"]), ("a", ["0", "0.zip/w.png", "0.zip/x.png"])],
        *[("a", ["1"]), ("b", ["0"]), ("b", ["1"]), ("b", ["2"]), ("b", ["3.zip/x.png"])],
    ]


@pytest.fixture
def table(monkeypatch, capsys):
    """`predict FOLDER` with the bundled checkpoint, in this process -> its rows, and what it wrote to stderr."""

    def make(folder) -> tuple[list[dict[str, str]], str]:
        monkeypatch.setattr(sys, "argv", ["predict", str(folder)])
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw := io.BytesIO(), encoding="utf-8"))
        predict.main()
        sys.stdout.flush()
        return rows(raw.getvalue().decode()), capsys.readouterr().err

    return make


def test_links_are_followed_each_thing_is_read_once_and_all_that_is_left_out_is_told(tmp_path, table):
    folder, other = tmp_path / "scans", tmp_path / "other"
    for place in (folder, other):
        place.mkdir()
    shutil.copy(EXAMPLES / "glioma.png", folder / "a.png")
    shutil.copy(EXAMPLES / "glioma.png", other / "b.png")
    shutil.copy(EXAMPLES / "glioma.png", folder / ".hidden.png")
    (folder / "link").symlink_to(other)
    (folder / "loop").symlink_to(folder)
    (other / "back").symlink_to(folder)
    (folder / "same.png").symlink_to(folder / "a.png")
    (folder / "nowhere.png").symlink_to(tmp_path / "missing")
    (folder / "null.png").symlink_to("/dev/null")
    os.mkfifo(folder / "pipe.png")
    found, log = table(folder)
    assert {row["File"]: row["Verdict"] for row in found} == {
        "a.png": "Glioma",
        "link/b.png": "Glioma",
        **dict.fromkeys(("nowhere.png", "null.png", "pipe.png"), "Unreadable"),
    }
    assert len(found) == 5 and all(row["Reason"].endswith(".") for row in found if row["Verdict"] == "Unreadable")
    assert "Left out: 1 hidden files or folders" in log
    assert "Left out: 3 links to what has rows under another name." in log
    assert not any(name in log for name in ("hidden.png", "same", "loop", "pipe"))


def test_two_zips_of_two_patients_are_two_names_and_each_series_says_which_files_it_is(tmp_path, table):
    folder = tmp_path / "scans"
    series = dicom_series(tmp_path / "one", slices=5)
    first = {f"A/{path.name}": path.read_bytes() for path in series} | {"B/same.png": picture("PNG")}
    (folder / "ward").mkdir(parents=True)
    (folder / "ward/first.zip").write_bytes(zip_files(first))
    (folder / "ward/second.zip").write_bytes(zip_files({"same.png": picture("PNG"), "bad.png": b"bad"}))
    (folder / "ward/broken.zip").write_bytes(zip_files(first)[:-50])
    for number, path in enumerate(dicom_series(tmp_path / "two", slices=6)):
        shutil.copy(path, folder / f"{'ab'[number == 3]}{path.name}")
    shutil.copy(EXAMPLES / "glioma.png", folder / "aIM0002 and more.png")
    found, _ = table(folder)
    notes = {row["File"]: row["Notes"] for row in reversed(found)}
    assert set(notes) == {
        *("aIM0002 and more.png", "DICOM series (t1), 6 slices", "ward/broken.zip", "ward/second.zip/same.png"),
        *("ward/second.zip/bad.png", "ward/first.zip/B/same.png", "ward/first.zip/DICOM series (t1), 5 slices"),
    }
    in_zip = notes["ward/first.zip/DICOM series (t1), 5 slices"]
    assert in_zip.startswith("Files: first.zip/A/IM0001.dcm to first.zip/A/IM0005.dcm.")
    assert notes["DICOM series (t1), 6 slices"].startswith("Files: aIM0001.dcm, aIM0002.dcm to bIM0004.dcm.")


def test_a_series_in_two_zips_of_a_folder_is_one_and_scouts_and_reports_are_not_judged(tmp_path, table):
    series = dicom_series(tmp_path / "one", slices=6)
    tags = {"Modality": "MR", "SeriesInstanceUID": "1.2.3", "SeriesDescription": "localizer", "SeriesNumber": 1}
    others = {"report": dicom(None, Modality="SR")} | {f"s{i}": dicom(HEAD + np.uint16(i), **tags) for i in (0, 1)}
    (tmp_path / "scans").mkdir()
    for name, some in (("a", series[:3]), ("b", series[3:])):
        content = {path.name: path.read_bytes() for path in some} | (others if name == "b" else {})
        (tmp_path / f"scans/{name}.zip").write_bytes(zip_files(content))
    found, _ = table(tmp_path / "scans")
    whole = "a.zip and 1 more/DICOM series (t1), 6 slices"
    assert [row["File"] for row in found] == [whole] * 7 + [
        "b.zip/report",
        "b.zip/DICOM series 1 (localizer), 2 slices",
    ]
    assert [row["Verdict"] for row in found[7:]] == ["Not judged"] * 2
    assert "holds a report" in found[7]["Reason"] and "is a scout" in found[8]["Reason"]
    assert found[0]["Notes"].startswith("Files: a.zip/IM0001.dcm to b.zip/IM0006.dcm.")


def test_a_folder_of_hidden_files_alone_says_so(tmp_path, table):
    (tmp_path / ".a.png").write_bytes(picture("PNG"))
    with pytest.raises(SystemExit, match="holds no files but hidden ones. Give the folder that holds the scans."):
        table(tmp_path)


def test_another_checkpoint_than_the_bundled_one_is_used(tmp_path, model_id):
    other = tmp_path / "other"
    shutil.copytree(model_id, other)
    config = json.loads((other / "config.json").read_text())
    config["id2label"] = {"0": "glioma", "1": "meningioma", "2": "no_tumor", "3": "teapot"}
    (other / "config.json").write_text(json.dumps(config))
    (tmp_path / "scans").mkdir()
    shutil.copy(EXAMPLES / "glioma.png", tmp_path / "scans")
    done = run(tmp_path / "scans", "--model", other)
    (row,) = rows(done.stdout.decode())
    assert row["P(glioma)"] == "" and row["Most probable class"]
