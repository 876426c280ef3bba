"""docs/peers.md: each row of its table is held by tests that exist, and each peer's by files that are named."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "peers.md").read_text(encoding="utf-8")


def table_after(words: str) -> list[list[str]]:
    """Rows of the first table after these words, without its head."""
    lines = PAGE.split(words, 1)[1].splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows[2:]


FEATURES, READ, HELD = (
    table_after("# Peers"),
    table_after("## Where it was read"),
    table_after("## What holds our column"),
)


def test_every_row_is_held_by_tests_that_exist():
    assert [row for row, _ in HELD] == [row[0] for row in FEATURES]
    for row, tests in HELD:
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", tests)
        assert named, row
        for file, test in named:
            tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
            assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file}::{test}"


def test_of_every_peer_it_is_said_in_which_version_of_which_files_it_was_read():
    peers = re.findall(r"^- \*\*(.+?)\*\*: `([\w-]+/[\w-]+)`", PAGE, re.MULTILINE)
    assert len(peers) == 5 == len({repository for _, repository in peers})
    assert {name for name, _, _ in READ} == {name for name, _ in peers}
    assert all(re.fullmatch(r"`[0-9a-f]{12}`", commit) and file.startswith("`") for _, file, commit in READ)
    assert all(len(row) == 2 + len(peers) and all(row) for row in FEATURES), "no cell is empty"
