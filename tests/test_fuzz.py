"""Some seconds of damaged files and of series of every structure; `python -m tests.fuzz --minutes 10` is for longer."""

import itertools
import math
import re
import subprocess
import sys

import numpy as np
import pytest

from brain_tumor.reading import pictures, readers
from brain_tumor.reading.dicom import frames, grays, series, stacks
from brain_tumor.reading.readers import read_uploads
from brain_tumor.reading.uploads import Upload
from brain_tumor.reading.windows import middle_of
from tests.fuzz import check, damage_file, fuzz, seeds
from tests.serving import ROOT


def run_fuzz(seconds: float, kind: str) -> int:
    """Fuzz in a process of its own: what other tests have loaded is no memory of the readers. Returns the inputs."""
    command = [sys.executable, "-m", "tests.fuzz", "--minutes", str(seconds / 60), "--kind", kind]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    return int(re.search(r"^(\d+) inputs", done.stdout, re.MULTILINE).group(1))


@pytest.mark.parametrize("seconds", [5, pytest.param(30, marks=pytest.mark.slow)])
def test_damaged_files_are_read_or_refused_with_a_sentence_soon_and_in_little_memory(seconds):
    assert run_fuzz(seconds, "damage") > 20


@pytest.mark.parametrize("seconds", [5, pytest.param(30, marks=pytest.mark.slow)])
def test_series_of_every_structure_show_what_pydicom_and_nibabel_make_of_them(seconds):
    assert run_fuzz(seconds, "structure") > 5


@pytest.mark.parametrize(
    ("module", "name", "instead"),
    [
        (series, "believe", lambda values, own: None if None in own else [middle_of(own)] * len(own)),
        (grays, "find_padding", lambda frame, *_: np.zeros(frame.shape, bool)),
        (grays, "_read_table", lambda *_: None),
        (stacks, "SAME_PLACE", -1),
        (stacks, "note_gaps", lambda distances: []),
        (frames, "PARALLEL", 1e-8),
        (frames, "_SETTINGS", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_reader_that_breaks_one_of_the_rules_is_found(module, name, instead, monkeypatch):
    monkeypatch.setattr(module, name, instead)
    rounds = itertools.islice(fuzz(math.inf, kind="structure"), 8)  # of the same series, however busy the machine is
    assert any(isinstance(error, AssertionError) for _, _, error in rounds)


@pytest.mark.parametrize("name", seeds())
def test_the_files_that_are_damaged_are_good_ones(name, tmp_path):
    (tmp_path / "scan").write_bytes(seeds()[name])
    found = list(read_uploads([tmp_path / "scan"]))
    assert found and all(isinstance(one, Upload) for one in found), found


def test_damage_is_damage_and_an_error_of_another_kind_is_found(tmp_path, monkeypatch):
    damage = [("set", 0.5, 7), ("repeat", 0.1, 20), ("splice", 0.2, "png", 0.3, 40), ("leave out", 0.7, 5)]
    data = damage_file("jpg", damage)
    assert data == damage_file("jpg", damage) != seeds()["jpg"]
    panic = type("Panic", (BaseException,), {})
    monkeypatch.setattr(pictures.ImageOps, "exif_transpose", lambda image: (_ for _ in ()).throw(panic()))
    with pytest.raises(panic):
        check("png", seeds()["png"], None, tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(readers, "explain", lambda error: f"{type(error).__name__}: {error}")
    with pytest.raises(AssertionError):
        check("nii.gz", seeds()["nii.gz"][:500], None, tmp_path)
