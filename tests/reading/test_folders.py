"""A walk through a folder ends, sees each thing once, and tells of all that it does not read."""

import os
import socket

import pytest

from brain_tumor.reading.folders import AGAIN, BROKEN, CLOSED, FILE, FOLDER, HIDDEN, REASONS, SPECIAL, walk
from brain_tumor.reading.readers import read_uploads


@pytest.fixture
def tree(tmp_path):
    """set/{a.txt, one/b.txt, two/c.txt}, and beside it elsewhere/d.txt."""
    for name in ("set/a.txt", "set/one/b.txt", "set/two/c.txt", "elsewhere/d.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path / "set"


def found(folder, *what: str, **options) -> list[str]:
    return [path.relative_to(folder).as_posix() for path, kind in walk(folder, **options) if kind in what]


def test_folders_come_one_after_the_other_each_with_its_own_files_first(tree):
    assert [(path.relative_to(tree).as_posix(), what) for path, what in walk(tree)] == [
        (".", FOLDER), ("a.txt", FILE), ("one", FOLDER), ("two", FOLDER), ("one/b.txt", FILE), ("two/c.txt", FILE)
    ]  # fmt: skip


def link_to_above(tree):
    (tree / "one/loop").symlink_to(tree)


def link_to_far_above(tree):
    (tree / "one/loop").symlink_to("/")


def link_to_itself(tree):
    (tree / "loop").symlink_to("loop")


def links_to_each_other(tree):
    (tree / "one/loop").symlink_to(tree / "two")
    (tree / "two/loop").symlink_to(tree / "one")


def link_out_that_comes_back(tree):
    (tree.parent / "elsewhere/back").symlink_to(tree)
    (tree / "one/loop").symlink_to(tree.parent / "elsewhere")


def link_to_above_behind_a_link(tree):
    (tree.parent / "elsewhere/up").symlink_to(tree.parent)
    (tree / "loop").symlink_to(tree.parent / "elsewhere")


@pytest.mark.parametrize(
    "make",
    [
        link_to_above, link_to_far_above, link_to_itself, links_to_each_other, link_out_that_comes_back,
        link_to_above_behind_a_link,
    ],
)  # fmt: skip
def test_a_loop_of_links_ends_and_every_file_is_seen_once(make, tree):
    make(tree)
    places = [os.path.realpath(tree / name) for name in found(tree, FILE)]
    assert len(places) == len(set(places))
    assert {os.path.relpath(place, tree) for place in places} >= {"a.txt", "one/b.txt", "two/c.txt"}
    assert {os.path.relpath(place, tree) for place in places} <= {
        *("a.txt", "one/b.txt", "two/c.txt"),
        "../elsewhere/d.txt",
    }
    assert found(tree, AGAIN, BROKEN), "the loop is told of"


def test_links_are_followed_and_what_needs_none_is_seen_by_its_own_name(tree):
    (tree / "0 other").symlink_to(tree.parent / "elsewhere")
    (tree / "0 same").symlink_to(tree / "two")
    (tree / "0.txt").symlink_to(tree / "a.txt")
    (tree / "1.txt").symlink_to(tree.parent / "elsewhere/e.txt")
    (tree.parent / "elsewhere/e.txt").write_text("e")
    assert found(tree, FILE) == ["a.txt", "0 other/d.txt", "0 other/e.txt", "one/b.txt", "two/c.txt"]
    assert found(tree, AGAIN) == ["0 same", "0.txt", "1.txt"]


def test_a_second_link_to_the_same_is_not_read_again_but_in_the_cache_of_the_hub(tree):
    for name in ("1.txt", "2.txt"):
        (tree / name).symlink_to(tree.parent / "elsewhere/d.txt")
    assert found(tree, FILE) == ["1.txt", "a.txt", "one/b.txt", "two/c.txt"]
    assert found(tree, FILE, each_link=True) == ["1.txt", "2.txt", "a.txt", "one/b.txt", "two/c.txt"]


def test_hard_links_are_files_of_their_own(tree):
    os.link(tree / "a.txt", tree / "one/a.txt")
    assert found(tree, FILE) == ["a.txt", "one/a.txt", "one/b.txt", "two/c.txt"]


def test_what_is_no_file_is_named_and_never_opened(tree):
    os.mkfifo(tree / "pipe.png")
    (tree / "null.png").symlink_to("/dev/null")
    (tree / "zero.png").symlink_to("/dev/zero")
    (tree / "nowhere.png").symlink_to(tree / "missing")
    (tree / ".hidden").mkdir()
    (tree / ".hidden/x.png").write_text("x")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tree / "socket"))
        assert found(tree, SPECIAL) == ["null.png", "pipe.png", "socket", "zero.png"]
    assert found(tree, BROKEN) == ["nowhere.png"]
    assert found(tree, HIDDEN) == [".hidden"]


def test_a_folder_that_may_not_be_read_is_named_and_the_others_are_read(tree, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if os.path.basename(path) == "one":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert found(tree, CLOSED) == ["one"] and found(tree, FILE) == ["a.txt", "two/c.txt"]


def test_a_folder_given_by_a_link_or_hidden_itself_is_walked(tree):
    (tree.parent / ".link").symlink_to(tree)
    assert found(tree.parent / ".link", FILE) == ["a.txt", "one/b.txt", "two/c.txt"]


def test_the_walk_is_the_same_from_within_the_folder(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert found(".", FILE) == found(tree, FILE)


@pytest.mark.parametrize("name", ["pipe", "socket", "/dev/zero"])
def test_a_reader_who_is_given_what_is_no_file_says_so_at_once(name, tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        os.mkfifo(tmp_path / "pipe")
        server.bind(str(tmp_path / "socket"))
        (rejected,) = read_uploads([tmp_path / name])
    assert rejected.reason == REASONS[SPECIAL]
