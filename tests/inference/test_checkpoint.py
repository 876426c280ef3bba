"""Files of a checkpoint are found in a folder, on the Hub, or among those downloaded before, without long waits."""

import json

import pytest
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from brain_tumor.inference import checkpoint
from brain_tumor.inference.checkpoint import DamagedError, blame, find_file, find_files, read_settings, sha256_of


class Hub:
    """Stands for the client: which files the Hub has, which were downloaded before, and what it was asked."""

    def __init__(self, has=(), cached=(), reachable=True):
        self.has, self.cached, self.reachable = has, cached, reachable
        self.asked, self.options = 0, []

    def get_hf_file_metadata(self, url, timeout):
        self.asked += 1
        if not self.reachable:
            raise OSError("no route to host")
        if not any(url.endswith(name) for name in self.has):
            raise EntryNotFoundError("404")

    def hf_hub_download(self, repo_id, name, **options):
        self.options.append(options)
        known = self.cached if options["local_files_only"] or not self.reachable else {*self.has, *self.cached}
        if name not in known:
            raise LocalEntryNotFoundError(name) if options["local_files_only"] else EntryNotFoundError(name)
        return f"/cache/{repo_id}/{name}"


@pytest.fixture
def hub(monkeypatch):
    def install(**state) -> Hub:
        hub = Hub(**state)
        for name in ("get_hf_file_metadata", "hf_hub_download"):
            monkeypatch.setattr(checkpoint, name, getattr(hub, name))
        return hub

    return install


def test_a_file_of_a_folder_is_found_without_the_hub(tmp_path, hub):
    stand_in = hub()
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx/model.onnx").touch()
    assert find_file(tmp_path, "onnx/model.onnx", timeout=1) == tmp_path / "onnx/model.onnx"
    assert find_file(str(tmp_path), "results.json") is None
    assert find_file(tmp_path, "onnx") is None, "a folder is no file"
    assert not stand_in.asked and not stand_in.options


def test_files_of_the_hub_are_downloaded_and_missing_ones_are_none(hub):
    stand_in = hub(has=["config.json"])
    found, missing = find_files("me/model", ["config.json", "results.json"])
    assert found.as_posix() == "/cache/me/model/config.json" and missing is None
    assert not stand_in.asked


def test_with_a_timeout_a_hub_out_of_reach_is_asked_once_and_then_only_the_cache(hub):
    stand_in = hub(has=["a", "b"], cached=["b"], reachable=False)
    assert [path and path.name for path in find_files("me/model", ["a", "b"], timeout=5)] == [None, "b"]
    assert stand_in.asked == 1
    assert all(options["local_files_only"] for options in stand_in.options)


def test_with_a_timeout_a_hub_that_lacks_the_first_file_still_gives_the_others(hub):
    stand_in = hub(has=["b"])
    assert [path and path.name for path in find_files("me/model", ["a", "b"], timeout=5)] == [None, "b"]
    assert not any(options["local_files_only"] for options in stand_in.options)
    assert all(options["etag_timeout"] == 5 for options in stand_in.options)


def test_a_dataset_is_asked_for_as_one(hub):
    stand_in = hub(has=["a"])
    find_file("me/scans", "a", repo_type="dataset")
    assert stand_in.options[0]["repo_type"] == "dataset"


def test_settings_are_an_object_and_damage_names_the_file(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"a": 1}))
    assert read_settings(tmp_path, "config.json") == {"a": 1}
    assert read_settings(tmp_path, "other.json") is None
    for content in ("[]", "{", "null"):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(DamagedError, match="its config.json"):
            read_settings(tmp_path, "config.json")


def test_blame_names_one_file_and_no_other_that_a_library_looked_for():
    with pytest.raises(DamagedError) as error, blame("weights"):
        raise OSError("neither model.safetensors nor\n pytorch_model.bin")
    assert str(error.value) == "its weights cannot be used (OSError)"


def test_a_digest_is_that_of_sha256sum(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_of(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
