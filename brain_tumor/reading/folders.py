"""The walk through a folder of scans, for training sets, other pictures and `predict` alike: `walk`.

Its rule: it ends, sees each thing once, and leaves nothing out without a word.

- Links are followed, to files and to folders, also to those outside. What can be reached without a link is seen so, and
  a link to it is `AGAIN`; so is a link to a folder above itself, and a second link to the same file or folder. Hard
  links are files of their own: nobody can tell which of them is the file.
- Only files are offered for reading: whoever opens a named pipe waits for ever, a device may never end.
- What is no file, or cannot be reached, is in the list too, with what it is; the caller tells of it.
"""

import os
import stat
from collections import deque
from pathlib import Path
from typing import NamedTuple

FILE = "file"
FOLDER = "folder"
HIDDEN = "hidden"
AGAIN = "again"
BROKEN = "broken link"
CLOSED = "closed"
SPECIAL = "special"

REASONS = {
    BROKEN: "This is a link that leads nowhere. Put the file in its place.",
    CLOSED: "This may not be read, or cannot be. Change its permissions, or copy it elsewhere.",
    SPECIAL: "This is a named pipe, a socket or a device, and no file. Save what comes out of it as a file.",
}
"""What may have held scans and cannot be read -> a sentence for the person who gave the folder."""


class Found(NamedTuple):
    """Something in a folder: where it is, by the way on which it was found, and what: `FILE`, `FOLDER`, ..."""

    path: Path
    what: str


def walk(folder: str | Path, each_link: bool = False) -> list[Found]:
    """All that is in a folder and below it, by the rule of this module.

    Args:
        folder: that exists; it may be a link, or hidden itself.
        each_link: every link to a file is a file of its own, also the second one to the same. The cache of the Hub
            keeps files of the same content once, and links to them.

    Returns:
        All of it, in the order of folders and names; a `FOLDER` is one that was entered, the first of them the folder
        itself. Below a hidden folder nothing is looked at.
    """
    top = os.path.realpath(folder)
    found: list[Found] = []
    seen: set[str] = set()
    direct, links = deque([(str(folder), top)]), deque()
    while direct or links:
        is_link = not direct  # every link comes after all that needs none, those behind an earlier link included
        path, place = direct.popleft() if direct else links.popleft()
        try:
            mode = os.stat(path).st_mode
            if stat.S_ISDIR(mode):
                if place in seen or is_link and _is_above(place, os.path.realpath(os.path.dirname(path)), top):
                    found.append(Found(Path(path), AGAIN))
                    continue
                with os.scandir(path) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
                found.append(Found(Path(path), FOLDER))
                for entry in entries:
                    if entry.name.startswith("."):
                        found.append(Found(Path(entry.path), HIDDEN))
                    elif entry.is_symlink():
                        links.append((entry.path, os.path.realpath(entry.path)))
                    else:
                        direct.append((entry.path, os.path.join(place, entry.name)))
            elif not stat.S_ISREG(mode):
                found.append(Found(Path(path), SPECIAL))
            elif place in seen and not each_link:
                found.append(Found(Path(path), AGAIN))
            else:
                found.append(Found(Path(path), FILE))
            seen.add(place)
        except OSError:  # no permission, a path that is too long, a link to nowhere or to itself
            found.append(Found(Path(path), BROKEN if is_link and not os.path.exists(path) else CLOSED))
    return sorted(found, key=lambda entry: (entry.path.parent.parts, entry.path.name))


def _is_above(place: str, *others: str) -> bool:
    """Whether a folder is one of some others, or holds one; all of them without links."""
    return any(other == place or other.startswith(place.rstrip(os.sep) + os.sep) for other in others)
