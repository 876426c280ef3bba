"""Every scan in a folder -> a table: pictures, DICOM series, NIfTI volumes and zips of them, in all folders below it.

    python -m brain_tumor.predict FOLDER > results.csv
    python -m brain_tumor.predict FOLDER --model runs/mine > results.csv     # another checkpoint: a folder or a Hub id

One row for each slice, and for a series or volume one before them for the whole. A file that cannot be read is a row
with its reason. The table is CSV in UTF-8 and holds the names of the files; progress goes to stderr and names none.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from brain_tumor.answers import table
from brain_tumor.inference.checkpoint import CheckpointError
from brain_tumor.inference.classifier import Classifier
from brain_tumor.inference.judging import JudgedUpload, judge_files
from brain_tumor.reading.uploads import MAX_FILES, MAX_TOTAL_BYTES, Rejected

BUNDLED_MODEL = Path(__file__).resolve().parent.parent / "model"


def parts_of(folder: Path) -> Iterator[tuple[str, list[Path]]]:
    """The files of each folder, in their order, in portions that `read_uploads` takes.

    The files of a DICOM series lie in one folder, so a series stays together unless it has more than `MAX_FILES` files.

    Yields:
        The folder's name below `folder`, "" for itself, and paths of files. Hidden files are left out.
    """
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        portion, size = [], 0
        for path in [Path(place, name) for name in sorted(names) if not name.startswith(".")]:
            with suppress(OSError):  # a broken link: the reader says so
                size += path.stat().st_size
            if portion and (len(portion) == MAX_FILES or size > MAX_TOTAL_BYTES):
                yield _below(folder, place), portion
                portion, size = [], path.stat().st_size if path.exists() else 0
            portion.append(path)
        if portion:
            yield _below(folder, place), portion


def _below(folder: Path, place: str) -> str:
    name = Path(place).relative_to(folder).as_posix()
    return "" if name == "." else "".join(c if c.isprintable() else "?" for c in name)


def rows_of_folder(folder: Path, classifier: Classifier) -> Iterator[dict]:
    """Rows of `table.COLUMNS` for all files in a folder and below, as they are read, with a progress bar on stderr."""
    parts = list(parts_of(folder))
    with tqdm(total=sum(len(paths) for _, paths in parts), desc="Reading", unit="file", file=sys.stderr) as bar:
        done = slices = 0
        for place, paths in parts:
            for item in judge_files(classifier, paths):
                yield from table.rows_of_item(_in_folder(item, place))
                files = 1
                if isinstance(item, JudgedUpload):
                    slices += len(item.predictions)
                    files = len(item.predictions) if item.upload.kind == "series" else 1
                bar.set_postfix_str(f"{slices} slices", refresh=False)
                bar.update(min(files, done + len(paths) - bar.n))
            done += len(paths)
            bar.update(done - bar.n)


def _in_folder(item: JudgedUpload | Rejected, place: str) -> JudgedUpload | Rejected:
    """The same under its name with the folder before it."""
    if not place:
        return item
    if isinstance(item, Rejected):
        return replace(item, name=f"{place}/{item.name}")
    return replace(item, upload=replace(item.upload, name=f"{place}/{item.upload.name}"))


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
    if next(parts_of(arguments.folder), None) is None:
        sys.exit(f"{str(arguments.folder)!r} holds no files. Give the folder that holds the scans.")
    try:
        classifier = Classifier(arguments.model)
    except CheckpointError as error:
        sys.exit(str(error).replace("set MODEL_ID to one, or unset it for", "give one as --model, or leave it out for"))
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    try:
        sys.stdout.write(table.to_csv([]))
        for row in rows_of_folder(arguments.folder, classifier):
            sys.stdout.write(table.to_csv([row], header=False))
            sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        sys.exit("Stopped. The table holds what was judged so far.")


if __name__ == "__main__":
    main()
