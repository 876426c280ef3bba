"""Every scan in a folder -> a table: pictures, DICOM series, volumes and zips of them, in all folders below it.

    python -m brain_tumor.predict FOLDER > results.csv
    python -m brain_tumor.predict FOLDER --model runs/mine > results.csv     # another checkpoint: a folder or a Hub id

One row for each slice, and for a series or volume one before them for the whole. A file that cannot be read is a row
with its reason. Each is named by its path below FOLDER: what is in a zip by the zip's and that in it, a series by its
folder's or zip's, with the names of its files in the notes. Links are followed, and each file and folder is read
once. The table is CSV in UTF-8; progress goes to stderr and names no file.
"""

import argparse
import itertools
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from brain_tumor.answers import table
from brain_tumor.inference.checkpoint import CheckpointError
from brain_tumor.inference.classifier import Classifier
from brain_tumor.inference.judging import JudgedUpload, judge_files
from brain_tumor.reading.archives import UploadedFile, list_files
from brain_tumor.reading.folders import AGAIN, CLOSED, FILE, HIDDEN, REASONS, Found, walk
from brain_tumor.reading.uploads import MAX_FILES, MAX_TOTAL_BYTES, Rejected

BUNDLED_MODEL = Path(__file__).resolve().parent.parent / "model"


@dataclass(frozen=True)
class Portion:
    """Files that are read together.

    Attributes:
        place: the folder's name below the one that was given, "" for that itself; it stands before their names in the
            table.
        paths: of files and zips.
        names: of all files, those in zips included, as `read_uploads` calls them.
    """

    place: str
    paths: list[Path]
    names: list[str]


def portions_of(found: Sequence[Found], folder: Path) -> Iterator[Portion]:
    """The files of a walk (`reading.folders.walk`), folder by folder, in portions that `read_uploads` takes.

    The files of a DICOM series lie in one folder, also if zips hold them, so a series stays together unless it has more
    files than `MAX_FILES`, or the folder more bytes than `MAX_TOTAL_BYTES`.
    """
    files = (path for path, what in found if what == FILE)
    for place, together in itertools.groupby(files, key=lambda path: path.parent):
        portion, size = Portion(_below(folder, place), [], []), 0
        for path in together:
            with ExitStack() as stack:
                inside = list_files(path, stack)
            bytes_inside = sum(file.size for file in inside if isinstance(file, UploadedFile))
            too_many = len(portion.names) + len(inside) > MAX_FILES or size + bytes_inside > MAX_TOTAL_BYTES
            if portion.paths and too_many:
                yield portion
                portion, size = Portion(portion.place, [], []), 0
            portion.paths.append(path)
            portion.names.extend(sorted(file.name for file in inside))
            size += bytes_inside
        yield portion


def _below(folder: Path, place: Path) -> str:
    name = place.relative_to(folder).as_posix()
    return "" if name == "." else "".join(c if c.isprintable() else "?" for c in name)


def rows_of_folder(found: Sequence[Found], folder: Path, classifier: Classifier) -> Iterator[dict]:
    """Rows of `table.COLUMNS` for all that a walk found, as it is read, with a progress bar on stderr.

    What is neither file nor folder, or may not be read, has a row that says so. What is hidden, and links to what has
    rows under another name, are counted on stderr, without their names.
    """
    portions = list(portions_of(found, folder))
    with tqdm(total=sum(len(p.names) for p in portions), desc="Reading", unit="file", file=sys.stderr) as bar:
        done = slices = 0
        for portion in portions:
            for item in judge_files(classifier, portion.paths):
                yield from table.rows_of_item(_named(item, portion))
                files = 1
                if isinstance(item, JudgedUpload):
                    slices += len(item.predictions)
                    files = max(len(item.upload.files), 1)
                bar.set_postfix_str(f"{slices} slices", refresh=False)
                bar.update(min(files, done + len(portion.names) - bar.n))
            done += len(portion.names)
            bar.update(done - bar.n)
    for path, what in found:
        if what in REASONS:
            yield table.row_of(Rejected(_below(folder, path), REASONS[what]))
    kinds = Counter(what for _, what in found)
    if kinds[HIDDEN]:
        print(f"Left out: {kinds[HIDDEN]} hidden files or folders, whose names begin with a dot.", file=sys.stderr)
    if kinds[AGAIN]:
        print(f"Left out: {kinds[AGAIN]} links to what has rows under another name.", file=sys.stderr)


def _named(item: JudgedUpload | Rejected, portion: Portion) -> JudgedUpload | Rejected:
    """The same under a name that can be matched with what was given: with the folder's before it.

    A series, which has a neutral name, says in its first note which files it is made of.
    """
    name = item.name if isinstance(item, Rejected) else item.upload.name
    name = f"{portion.place}/{name}" if portion.place else name
    if isinstance(item, Rejected):
        return replace(item, name=name)
    upload = replace(item.upload, name=name)
    if upload.files:
        upload = replace(upload, notes=[f"Files: {_runs(upload.files, portion.names)}.", *upload.notes])
    return replace(item, upload=upload)


def _runs(names: Sequence[str], listing: Sequence[str]) -> str:
    """Names in words, "a to c, e": "to" means all that come between them in the folder, or in the zip."""
    places = {name: place for place, name in enumerate(listing)}
    runs: list[list[str]] = []
    for name in sorted(names, key=lambda name: places.get(name, -1)):
        if runs and places.get(name, -1) == places.get(runs[-1][-1], -1) + 1:
            runs[-1].append(name)
        else:
            runs.append([name])
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        self.exit(1, f"{message[:1].upper()}{message[1:]}. Try: {self.prog} --help\n")


def main() -> None:
    parser = _Parser(
        prog="python -m brain_tumor.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="holds the scans, at any depth")
    parser.add_argument(
        "--model", metavar="ID", default=str(BUNDLED_MODEL), help="checkpoint; default: the bundled one"
    )
    arguments = parser.parse_args()
    if not arguments.folder.is_dir():
        what = "is a file, not a folder" if arguments.folder.exists() else "does not exist"
        sys.exit(f"{str(arguments.folder)!r} {what}. Give the folder that holds the scans.")
    found = walk(arguments.folder)
    if not any(what in (FILE, *REASONS) for _, what in found):
        hidden = " but hidden ones" if any(what == HIDDEN for _, what in found) else ""
        sys.exit(f"{str(arguments.folder)!r} holds no files{hidden}. Give the folder that holds the scans.")
    if found[0].what == CLOSED:
        sys.exit(f"{str(arguments.folder)!r} may not be read. Change its permissions, or give another folder.")
    try:
        classifier = Classifier(arguments.model)
    except CheckpointError as error:
        sys.exit(str(error).replace("set MODEL_ID to one, or unset it for", "give one as --model, or leave it out for"))
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    try:
        sys.stdout.write(table.to_csv([]))
        for row in rows_of_folder(found, arguments.folder, classifier):
            sys.stdout.write(table.to_csv([row], header=False))
            sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        sys.exit("Stopped. The table holds what was judged so far.")


if __name__ == "__main__":
    main()
