"""The files of an upload, on disk or in a zip, and how many of them are read."""

import io
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from brain_tumor.reading import pictures
from brain_tumor.reading.folders import REASONS, SPECIAL
from brain_tumor.reading.levels import ScanError
from brain_tumor.reading.uploads import MAX_FILES, MAX_TOTAL_BYTES, Rejected

MAX_DIRECTORY_BYTES = 2 * 2**20
"""The longest directory of a zip that is read; that of `MAX_FILES` files with long names takes a third of it."""

ZIP_SIGNATURES = (b"PK\3\4", b"PK\5\6", b"PK\7\x08")

_IGNORED = re.compile(r"(^|/)(\.[^/]*|__MACOSX(/.*)?|Thumbs\.db|desktop\.ini)$", re.IGNORECASE)
"""Files that come along when a folder or a disc is zipped. They are left out without a word."""

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class UploadedFile:
    """A file of an upload, on disk or in a zip, which is read when it is needed."""

    name: str
    size: int
    read: Callable[[int], bytes]
    """Reads at most this many bytes from its beginning."""
    zip: str = ""
    """The name of the zip that it is in; its own begins with that. Empty outside of zips."""

    def bytes(self, most: int | None = None) -> bytes:
        """All of it: at most so many bytes, by default `pictures.MAX_FILE_BYTES`.

        Raises:
            ScanError: it is empty or too large.
        """
        most = most or pictures.MAX_FILE_BYTES
        if self.size == 0:
            raise ScanError("This file is empty (0 bytes). Choose another file.")
        if self.size > most:
            raise ScanError(
                f"This file is {_megabytes(self.size)} MB; at most {most // 1024**2} MB are read. Export it smaller, "
                "or a volume as .nii.gz."
            )
        return self.read(most)


def list_files(path: Path, stack: ExitStack, name: str | None = None) -> list[UploadedFile | Rejected]:
    """A file, or what is in a zip.

    Args:
        path: of the file.
        stack: closes the zip.
        name: what the file is called; by default as on the disk.
    """
    name = clean_name(path.name) if name is None else name
    try:
        if path.is_dir():
            return [Rejected(name, "This is a folder. Upload the files in it, or a zip of it.")]
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # whoever opens a named pipe waits for ever
            return [Rejected(name, REASONS[SPECIAL])]
        size = status.st_size

        def read(limit: int) -> bytes:
            with open(path, "rb") as file:
                return file.read(limit)

        return unzip(UploadedFile(name, size, read), path, stack)
    except (OSError, ValueError):  # ValueError: a name with a NUL
        return [Rejected(name, "This file cannot be opened: it does not exist or may not be read.")]


def unzip(file: UploadedFile, source: Path | bytes, stack: ExitStack) -> list[UploadedFile | Rejected]:
    """The file itself, or the files in it if it is a zip; nothing is unpacked yet."""
    if not file.read(4).startswith(ZIP_SIGNATURES):
        return [file]
    damaged = Rejected(file.name, "This zip is damaged or incomplete. Zip the files again.")
    if file.size > MAX_TOTAL_BYTES:
        return [
            Rejected(
                file.name,
                f"This zip is {_megabytes(file.size)} MB; at most {MAX_TOTAL_BYTES // 1024**2} MB are read. Zip fewer "
                "files at a time.",
            )
        ]
    try:
        if _directory_bytes(source) > MAX_DIRECTORY_BYTES:
            return [
                Rejected(
                    file.name,
                    f"This zip holds more than {MAX_FILES:,} files, the most that are read. Zip fewer of them.",
                )
            ]
        archive = stack.enter_context(zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source))
    except Exception:  # BadZipFile, and in damaged directories struct.error, UnicodeDecodeError, NotImplementedError
        return [damaged]
    entries = [e for e in archive.infolist() if not e.is_dir() and not _IGNORED.search(e.filename.replace("\\", "/"))]
    if any(entry.filename == "[Content_Types].xml" for entry in entries):
        return [Rejected(file.name, "This is an office document, not a scan. Save the picture in it as PNG.")]
    if not entries:
        return [Rejected(file.name, "This zip holds no files that could be scans.")]
    if len(entries) > MAX_FILES:
        return [
            Rejected(
                file.name,
                f"This zip holds {len(entries):,} files; at most {MAX_FILES:,} are read. Zip one series at a time.",
            )
        ]
    if sum(entry.file_size for entry in entries) > MAX_TOTAL_BYTES:
        return [Rejected(file.name, _too_much("This zip unpacks to"))]
    names = number_alike(clean_name(entry.filename) for entry in entries)
    place = f"{file.name}/" if file.name else ""
    return [_list_entry(archive, entry, place + name, file.name) for entry, name in zip(entries, names, strict=True)]


def _directory_bytes(source: Path | bytes) -> int:
    """How many bytes a zip's directory has: `zipfile` reads it whole, which takes seconds for a million names."""
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as stream:
        end = zipfile._EndRecData(stream)  # private, but the only way to know what ZipFile is about to read
    return end[zipfile._ECD_SIZE] if end else 0


def _list_entry(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, name_of_zip: str
) -> UploadedFile | Rejected:
    if entry.flag_bits & 1:
        return Rejected(name, "This file is locked with a password in its zip. Zip it again without one.")
    if entry.compress_type not in _COMPRESSIONS:
        return Rejected(name, "This file is compressed in a way that is not read here. Zip it again in the usual way.")

    def read(limit: int) -> bytes:
        try:
            with archive.open(entry) as stream:
                data = stream.read(limit)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, struct.error):
            raise ScanError("This file is damaged in its zip. Zip it again.") from None
        if len(data) < min(limit, entry.file_size):  # zipfile itself stops at the size that the zip declares
            raise ScanError("This file is damaged in its zip. Zip it again.")
        return data

    return UploadedFile(name, entry.file_size, read, name_of_zip)


def clean_name(name: str) -> str:
    """A file's name as it may be shown: no path out of its zip, nothing that cannot be printed."""
    parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".", "..")]
    return "".join(c if c.isprintable() else "?" for c in "/".join(parts))[:300]


def number_alike(names: Iterable[str]) -> list[str]:
    """Names of which no two are equal.

    >>> number_alike(["a.zip", "b.zip", "a.zip"])
    ['a.zip', 'b.zip', 'a.zip (2)']
    """
    times, taken = Counter(), {}
    for name in names:
        times[name] += 1
        numbered = name if times[name] == 1 else f"{name} ({times[name]})"
        while numbered in taken:
            times[name] += 1
            numbered = f"{name} ({times[name]})"
        taken[numbered] = None
    return list(taken)


def keep_within_limits(files: list[UploadedFile | Rejected]) -> Iterator[UploadedFile | Rejected]:
    """Yield files up to the limits of an upload, then one `Rejected` that says how many are left out."""
    total = 0
    for index, file in enumerate(files):
        total += file.size if isinstance(file, UploadedFile) else 0
        if index >= MAX_FILES or total > MAX_TOTAL_BYTES:
            left = len(files) - index
            reason = (
                f"At most {MAX_FILES:,} files are read at once: {left:,} were left out, from this one on."
                if index >= MAX_FILES
                else _too_much("The files together are") + f" From this one on, {left:,} were left out."
            )
            yield Rejected(file.name, reason)
            return
        yield file


def _megabytes(size: int) -> int:
    """Rounded up: what is above a limit must not look like the limit."""
    return -(-size // 1024**2)


def _too_much(what: str) -> str:
    return f"{what} more than {MAX_TOTAL_BYTES // 1024**2} MB, the most that is read at once."
