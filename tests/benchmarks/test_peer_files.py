"""The files that other readers test themselves with become what the table in docs/files.md says, and never an error."""

import collections
import doctest

import pytest

from benchmarks.quality import peer_files
from brain_tumor.provenance import read_results
from brain_tumor.reading import readers
from brain_tumor.reading.levels import ScanError
from brain_tumor.reading.uploads import Rejected, Upload
from tests.scan_files import picture
from tests.sentences import assert_is_a_sentence


def test_reasons_are_told_without_their_numbers():
    assert doctest.testmod(peer_files).attempted > 0 == doctest.testmod(peer_files).failed
    assert peer_files._reason("This file is a .bz2 archive, not a scan. Use one of PNG.") == (
        "This file is a .bz2 archive, not a scan"
    )
    assert peer_files._reason("This volume is too large (4,000 x 3 voxels); at most 9.") == "This volume is too large"


def test_an_exception_that_nobody_expected_is_counted_as_one(tmp_path, monkeypatch):
    (tmp_path / "scan").write_bytes(picture("PNG"))
    assert peer_files.outcome(tmp_path / "scan") == "picture"
    monkeypatch.setattr(readers, "read_pages", lambda file: 1 / 0)
    assert peer_files.outcome(tmp_path / "scan") == peer_files.UNFORESEEN
    (tmp_path / "text").write_bytes(b"hello")
    assert peer_files.outcome(tmp_path / "text") == "This file is text, not a scan"


@pytest.mark.slow
@pytest.mark.parametrize("package", peer_files.COLLECTIONS)
def test_the_test_files_of_other_readers_become_what_the_table_says(package):
    recorded = read_results(peer_files.RESULTS)["packages"][package]
    if peer_files.version(package) != recorded["version"]:
        pytest.skip(f"the table is about {package} {recorded['version']}")
    outcomes = {name: peer_files.outcome(path) for name, path in peer_files.files_of(package)}
    assert peer_files.UNFORESEEN not in outcomes.values()
    changed = {name: (recorded["files"].get(name), now) for name, now in outcomes.items() if
               recorded["files"].get(name) != now}  # fmt: skip
    assert changed == {}, "run: python -m benchmarks.quality.peer_files, then python -m benchmarks.readme"
    assert collections.Counter(outcomes.values()) == collections.Counter(recorded["files"].values())


@pytest.mark.slow
@pytest.mark.parametrize("package", peer_files.COLLECTIONS)
def test_the_test_files_of_other_readers_may_come_all_at_once(package, monkeypatch):
    unforeseen, explain = [], readers.explain
    monkeypatch.setattr(
        readers, "explain", lambda error: explain(error) if isinstance(error, ScanError) else unforeseen.append(error)
    )
    found = list(readers.read_uploads([path for _, path in peer_files.files_of(package)]))
    assert unforeseen == []
    assert any(isinstance(one, Upload) for one in found)
    for one in found:
        if isinstance(one, Rejected):
            assert_is_a_sentence(one.reason)
