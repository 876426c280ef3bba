"""Reads uploaded files (pictures, DICOM, NIfTI, MGH, zips of these) as 8-bit slices: `read_uploads`, `read_one`.

A file is recognized by its content, never by its name. Nothing is written to disk.
"""

import hashlib
import math
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from brain_tumor.reading.archives import (
    ZIP_SIGNATURES,
    UploadedFile,
    clean_name,
    keep_within_limits,
    list_files,
    number_alike,
    unzip,
)
from brain_tumor.reading.dicom.header import Directory, NoScan, read_header
from brain_tumor.reading.dicom.parsing import is_dicom
from brain_tumor.reading.dicom.series import read_stack
from brain_tumor.reading.dicom.stacks import DicomFile, Stack, find_stacks, join_lone
from brain_tumor.reading.dicom.words import NOT_STATED
from brain_tumor.reading.levels import ScanError
from brain_tumor.reading.other_files import why_not_read, why_not_unpacked
from brain_tumor.reading.pages import read_pages
from brain_tumor.reading.pictures import is_picture
from brain_tumor.reading.uploads import MAX_FILES, MAX_SECONDS, Rejected, Upload
from brain_tumor.reading.volume_files import is_gzip, is_volume, read_volume, unpack_head

HEAD_BYTES = 4096
"""So many bytes from its beginning tell what a file is."""


def read_uploads(
    paths: Sequence[str | Path],
    plane: str | None = None,
    until: float = math.inf,
    tell: Callable[[int], object] = lambda count: None,
) -> Iterator[Upload | Rejected]:
    """Read any number of files: pictures, DICOM files, NIfTI and MGH volumes, and zips of these.

    The DICOM files of one series make one upload, which comes where the first of them stood, also if they lie in
    several zips; files without a series of their own are joined within a zip only. Each file is read when its turn
    comes, so memory holds one upload at a time.

    Args:
        paths: of files on this machine. An upload is called what its file is called, with the zip's name before it for
            what is in one; equal names are numbered.
        plane: "axial", "coronal" or "sagittal": how volumes that have a choice are cut. Default: as they are finest.
        until: the end of the time there is, on the clock of `time.monotonic`. What has not been read by then is left
            out, with one `Rejected` that says how much.
        tell: is called before the first of them with how many uploads there seem to be; a few more may come.

    Yields:
        `Upload`, or `Rejected` with a sentence for a file that cannot be read; the rest is read all the same.
    """
    with ExitStack() as stack:
        files: list[UploadedFile | Rejected] = []
        paths = [Path(path) for path in paths]
        for path, name in zip(paths, number_alike(clean_name(path.name) for path in paths), strict=True):
            # Beyond the limit, files are only counted; no zip is opened for that.
            files += list_files(path, stack, name) if len(files) <= MAX_FILES else [UploadedFile(name, 0, bytes)]
        yield from _read_files(keep_within_limits(files), plane, until, tell)


def read_one(source: str | Path | bytes, until: float = math.inf) -> Upload:
    """Read the one scan of a file or zip, with all its slices.

    A scout and what is no scan, such as a report, may lie beside it in a zip: a note says so.

    Args:
        source: a path, or the bytes of a file.
        until: the end of the time there is, on the clock of `time.monotonic`.

    Raises:
        ScanError: the file cannot be read in this time, or holds several scans; the message is a sentence.
    """
    scans: list[Upload] = []
    rejected: list[Rejected] = []
    with ExitStack() as stack:
        if isinstance(source, bytes):
            files = unzip(UploadedFile("", len(source), lambda size: source[:size]), source, stack)
        else:
            files = list_files(Path(source), stack)
        for found in map(set_scout_aside, _read_files(keep_within_limits(files), None, until)):
            if isinstance(found, Rejected):
                rejected.append(found)
                continue
            scans.append(found)
            if len(scans) > 1:  # to count the others, all of them would have to be read
                raise ScanError(_SEVERAL)
    if rejected and time.monotonic() > until:  # what was not read may have been scans
        raise ScanError(rejected[-1].reason)
    if not scans:
        reasons = [one.reason for one in sorted(rejected, key=lambda one: bool(one.what))]
        raise ScanError(reasons[0] if reasons else "This file holds no scan. Choose another file.")
    (upload,) = scans
    beside = Counter(one.what or _UNREAD for one in rejected)
    if not beside:
        return upload
    words = [what if times == 1 else f"{what} ({times} times)" for what, times in beside.items()]
    return replace(upload, notes=[*upload.notes, f"This file also holds {', '.join(words)}; only the scan was judged."])


def set_scout_aside(found: Upload | Rejected) -> Upload | Rejected:
    """The same, unless it is a scout: that is no scan to be judged by, whatever a model says of its slices."""
    if isinstance(found, Rejected) or not found.localizer:
        return found
    reason = (
        "This is a scout (localizer), a few coarse slices by which a scan was planned: it is not judged. Upload the "
        "scan itself, or a slice of it as a picture."
    )
    return Rejected(found.name, reason, "a scout")


_SEVERAL = (
    "This file holds more than one scan, and none of them stands for the others. Upload it where several scans are "
    "read, or choose one of them."
)

_UNREAD = "a file that cannot be read"


def _read_files(
    files: Iterator[UploadedFile | Rejected],
    plane: str | None,
    until: float,
    tell: Callable[[int], object] = lambda count: None,
) -> Iterator[Upload | Rejected]:
    """Two rounds: the first looks at every file's header to find the stacks, the second reads one upload at a time.

    The index of a disc is passed over where a scan is read beside it; else there is a word about it.
    """
    entries: list[UploadedFile | Rejected | list[DicomFile]] = []
    series: dict[Hashable, list[DicomFile]] = {}
    indices = []
    for file in files:
        try:
            if time.monotonic() > until:
                entries.append(file)  # the second round says so
            elif isinstance(file, UploadedFile) and file.size and is_dicom(file.read(HEAD_BYTES)):
                data = file.bytes()
                found = DicomFile(file.name, read_header(data), file.bytes, hashlib.blake2b(data).digest(), file.zip)
                key = found.header.key
                if key not in series:
                    entries.append(series.setdefault(key, []))
                series[key].append(found)
            else:
                entries.append(file)
        except Directory as error:
            indices.append(Rejected(file.name, str(error), error.what))
        except Exception as error:
            entries.append(Rejected(file.name, explain(error), error.what if isinstance(error, NoScan) else ""))
    stacks = _name_stacks(entries)
    tell(len(stacks))
    for done, (name, entry) in enumerate(stacks):
        if time.monotonic() > until:
            yield Rejected(name, took_too_long(f"{done} uploads were read, {len(stacks) - done} were left out"))
            return
        try:
            if isinstance(entry, Rejected):
                yield entry
                continue
            of_stack = isinstance(entry, Stack)
            names = tuple(dict.fromkeys(picture.file.name for picture in entry.pictures)) if of_stack else ()
            for found in read_stack(entry, name, plane) if of_stack else [_read_file(entry, plane)]:
                indices = indices if isinstance(found, Rejected) else []
                yield replace(found, files=names) if isinstance(found, Upload) and len(names) > 1 else found
        except Exception as error:
            yield Rejected(name, explain(error))
    yield from indices


def _name_stacks(
    entries: list[UploadedFile | Rejected | list[DicomFile]],
) -> list[tuple[str, UploadedFile | Rejected | Stack]]:
    """Name what will be read: a file as it is called, a stack of several files by what its header says."""
    named = []
    joined = {id(files[0]): files for files in join_lone(entry for entry in entries if isinstance(entry, list))}
    for entry in entries:
        if not isinstance(entry, list):
            named.append((entry.name, entry))
            continue
        stacks = find_stacks(joined[id(entry[0])]) if id(entry[0]) in joined else []
        for part, stack in enumerate(stacks, 1):
            of_several = f", part {part}" if len(stacks) > 1 and len(stack.pictures) > 1 else ""
            if len({id(picture.file) for picture in stack.pictures}) > 1:
                named.append((_name_series(stack, of_several), stack))
            else:
                named.append((stack.name + of_several, stack))
    return list(zip(number_alike(name for name, _ in named), (entry for _, entry in named), strict=True))


def _name_series(stack: Stack, part: str) -> str:
    """What a stack of several files is called: "study.zip/DICOM series 3 (t2 tra), 24 slices"."""
    number, _, words = stack.pictures[0].file.header.facts.get("Series", NOT_STATED).partition(", ")
    if not number.isdecimal():
        number, words = "", number.replace(NOT_STATED, "")
    name = "DICOM series" + (f" {number}" if number else "") + (f" ({words})" if words else "")
    zips = [*dict.fromkeys(picture.file.zip for picture in stack.pictures if picture.file.zip)]
    more = f" and {len(zips) - 1} more" if len(zips) > 1 else ""
    return (f"{zips[0]}{more}/" if zips else "") + f"{name}{part}, {len(stack.pictures)} slices"


def took_too_long(how_far: str) -> str:
    """The sentence for a request that has used up its time; `how_far` says what was done, and what was not."""
    return f"This request took longer than {MAX_SECONDS} seconds, the limit: {how_far}. Upload less at a time."


def explain(error: Exception) -> str:
    """A sentence for the visitor about whatever went wrong with a file."""
    if isinstance(error, ScanError):
        return str(error)
    if isinstance(error, MemoryError):
        return "This file needs more memory than is available. Export it smaller and try again."
    return "This file is damaged or incomplete, and cannot be read. Export or download it again."


def _read_file(file: UploadedFile, plane: str | None) -> Upload:
    """Read a file that is not DICOM. Raises ScanError."""
    head = file.read(HEAD_BYTES)
    if head.startswith(ZIP_SIGNATURES):
        raise ScanError("This is a zip inside a zip. Unpack it, and zip the scans themselves.")
    inner = unpack_head(head, HEAD_BYTES) if is_gzip(head) else head
    if is_volume(inner):
        return read_volume(file, plane)
    if inner is not head:
        raise ScanError(why_not_unpacked(inner))
    if is_picture(head):
        return read_pages(file)
    file.bytes()  # says so if it is empty or too large
    raise ScanError(why_not_read(head))
