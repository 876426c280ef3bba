"""Any uploaded files -> uploads of 8-bit slices: pictures, DICOM, NIfTI, and zips of these.

What a file is, its content says and not its name. Nothing is written to disk.
"""

import io
import math
import re
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from brain_tumor import dicom, nifti, scans
from brain_tumor.scans import FORMATS, MAX_FILE_BYTES, ScanError, bits, open_file, open_page, open_scan
from brain_tumor.slices import (
    MAX_FILES,
    MAX_PAGES,
    MAX_SECONDS,
    MAX_SLICES,
    MAX_TOTAL_BYTES,
    MAX_VOXELS,
    Block,
    Rejected,
    Slice,
    Upload,
    hide_background,
    percentile_window,
    thinned,
    thinning_note,
)

__all__ = [
    "MAX_FILES",
    "MAX_FILE_BYTES",
    "MAX_SECONDS",
    "MAX_SLICES",
    "MAX_TOTAL_BYTES",
    "MAX_VOXELS",
    "Rejected",
    "Slice",
    "Upload",
    "read_picture",
    "read_uploads",
    "took_too_long",
]

HEAD_BYTES = 4096
"""So much of a file tells what it is."""
MAX_DIRECTORY_BYTES = 2 * 2**20
"""Longest list of files in a zip that is looked at; one of 1,000 files with long names has a tenth."""
PICTURE_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"BM", b"GIF8")
_ZIP_SIGNATURES = (b"PK\3\4", b"PK\5\6", b"PK\7\x08")
_KNOWN = {
    b"%PDF": "a PDF",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"\xfd7zXZ": "an .xz archive",
    b"BZh": "a .bz2 archive",
    b"\x89HDF": "an HDF5 file",
    b"CDF": "a MINC file",
    b"\0\0\1\0": "an icon",
}
_IGNORED = re.compile(r"(^|/)(\.[^/]*|__MACOSX(/.*)?|DICOMDIR|Thumbs\.db|desktop\.ini)$", re.IGNORECASE)
"""Files that come along when a folder or a disc is zipped."""
_UNPACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class _File:
    """A file of an upload, on disk or in a zip, that is read when it is needed."""

    name: str
    size: int
    read: Callable[[int], bytes]
    """At most so many bytes from its beginning."""

    def bytes(self) -> bytes:
        """All of it. Raises ScanError if it is empty or too large."""
        if self.size == 0:
            raise ScanError("This file is empty (0 bytes). Choose another file.")
        if self.size > scans.MAX_FILE_BYTES:
            raise ScanError(
                f"This file has {self.size / 1024**2:.0f} MB; at most {scans.MAX_FILE_BYTES // 1024**2} MB are read. "
                "Export it smaller, or a volume as .nii.gz."
            )
        return self.read(scans.MAX_FILE_BYTES)


def read_uploads(
    paths: Sequence[str | Path], plane: str | None = None, until: float = math.inf
) -> Iterator[Upload | Rejected]:
    """Read any number of files: pictures, DICOM files, NIfTI volumes, and zips of these.

    The DICOM files of one series are one upload, in the place of the first of them. Each file is read when its turn
    comes, so memory holds one upload at a time.

    Args:
        paths: of files on this machine; their names are what the uploads are called.
        plane: "axial", "coronal" or "sagittal": how volumes that have a choice are cut. Default: as they are finest.
        until: when there is no more time, as `time.monotonic` tells it. What has not been read then is left out, with
            one `Rejected` that says how much.

    Yields:
        `Upload`, or `Rejected` with a sentence for a file that cannot be read; that does not stop the rest.
    """
    with ExitStack() as stack:
        files: list[_File | Rejected] = []
        for path in paths:
            # Beyond the limit files are only counted; no zip is opened for that.
            files += (
                _listed(Path(path), stack) if len(files) <= MAX_FILES else [_File(_shown(Path(path).name), 0, bytes)]
            )
        yield from _read_files(_within_limits(files), plane, until=until)


def read_picture(source: str | Path | bytes) -> tuple[Slice, dict[str, str], list[str]]:
    """Read one scan: of a file with several slices the middle one of those that count.

    Args:
        source: a path, or the bytes of a file.

    Returns:
        The slice, facts about its file in words for the page, notes for the visitor.

    Raises:
        ScanError: the file cannot be read, or holds several scans; the message is a sentence.
    """
    with ExitStack() as stack:
        if isinstance(source, bytes):
            files = _unzipped(_File("", len(source), lambda size: source[:size]), source, stack)
        else:
            files = _listed(Path(source), stack)
        found = list(_read_files(_within_limits(files), None, alone=True))
    uploads = [upload for upload in found if isinstance(upload, Upload)]
    if len(uploads) > 1:
        raise ScanError(
            f"This file holds {len(uploads)} scans. Upload it where several scans are read, or choose one of them."
        )
    if not uploads:
        reasons = [rejected.reason for rejected in found if isinstance(rejected, Rejected)]
        raise ScanError(reasons[0] if reasons else "This file holds no scan. Choose another file.")
    (upload,) = uploads
    counting = [slice_ for slice_ in upload.slices if slice_.counts] or upload.slices
    slice_ = counting[len(counting) // 2]
    notes = list(upload.notes)
    if len(upload.slices) > 1:
        notes.append(
            f"The file holds {len(upload.slices)} slices; this is {slice_.name}, in the middle of those that show "
            "enough of the head. To judge them all, upload the file where several scans are read."
        )
    return slice_, upload.facts | ({"Slice": slice_.name} if len(upload.slices) > 1 else {}), notes


# --- which files there are --------------------------------------------------------------------------------------------


def _listed(path: Path, stack: ExitStack) -> list[_File | Rejected]:
    """A file, or what is in a zip."""
    name = _shown(path.name)
    try:
        if path.is_dir():
            return [Rejected(name, "This is a folder. Upload the files in it, or a zip of it.")]
        size = path.stat().st_size

        def read(limit: int) -> bytes:
            with open(path, "rb") as file:
                return file.read(limit)

        return _unzipped(_File(name, size, read), path, stack)
    except (OSError, ValueError):  # ValueError: a name with a NUL
        return [Rejected(name, "This file cannot be opened: it does not exist or may not be read.")]


def _unzipped(file: _File, source: Path | bytes, stack: ExitStack) -> list[_File | Rejected]:
    """The file itself, or the files in it if it is a zip; nothing is unpacked yet."""
    if not file.read(4).startswith(_ZIP_SIGNATURES):
        return [file]
    damaged = Rejected(file.name, "This zip is damaged or incomplete. Zip the files again.")
    if file.size > scans.MAX_FILE_BYTES:
        return [
            Rejected(
                file.name,
                f"This zip has {file.size / 1024**2:.0f} MB; at most {scans.MAX_FILE_BYTES // 1024**2} MB are read. "
                "Zip fewer files at a time.",
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
    return [_zipped(archive, entry) for entry in entries]


def _directory_bytes(source: Path | bytes) -> int:
    """How long a zip's list of files is: `zipfile` reads it whole, which takes seconds for a million names."""
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as stream:
        end = zipfile._EndRecData(stream)  # private, and the only way to know what ZipFile is about to read
    return end[zipfile._ECD_SIZE] if end else 0


def _zipped(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> _File | Rejected:
    name = _shown(entry.filename)
    if entry.flag_bits & 1:
        return Rejected(name, "This file is locked with a password in its zip. Zip it again without one.")
    if entry.compress_type not in _UNPACKED:
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

    return _File(name, entry.file_size, read)


def _shown(name: str) -> str:
    """A file's name as it may be shown: no places outside its zip, nothing that is not a letter on a screen."""
    parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".", "..")]
    return "".join(c if c.isprintable() else "?" for c in "/".join(parts))[:300]


def _within_limits(files: list[_File | Rejected]) -> Iterator[_File | Rejected]:
    """The files until there are too many or too much of them."""
    total = 0
    for index, file in enumerate(files):
        total += file.size if isinstance(file, _File) else 0
        if index >= MAX_FILES or total > MAX_TOTAL_BYTES:
            left = len(files) - index
            reason = (
                f"At most {MAX_FILES:,} files are read at once: {left:,} were left out, from this one on."
                if index >= MAX_FILES
                else _too_much("The files have together") + f" From this one on, {left:,} were left out."
            )
            yield Rejected(file.name, reason)
            return
        yield file


def _too_much(what: str) -> str:
    return f"{what} more than {MAX_TOTAL_BYTES // 1024**2} MB, which is the most that is read at once."


# --- what is in them --------------------------------------------------------------------------------------------------


def _read_files(
    files: Iterator[_File | Rejected], plane: str | None, alone: bool = False, until: float = math.inf
) -> Iterator[Upload | Rejected]:
    """Two rounds: the first looks at every file's header to find the series, the second reads one upload at a time."""
    entries: list[_File | Rejected | tuple] = []
    series: dict[tuple, list[dicom.File]] = {}
    for file in files:
        try:
            if time.monotonic() > until:
                entries.append(file)  # the second round says so
            elif isinstance(file, _File) and file.size and dicom.is_dicom(file.read(HEAD_BYTES)):
                header = dicom.read_header(file.bytes())
                found = dicom.File(file.name, header, file.bytes)
                key = header.key  # a new one each time for a file that stands alone
                if key not in series:
                    entries.append(key)
                series.setdefault(key, []).append(found)
            else:
                entries.append(file)
        except dicom.Directory as error:
            if alone:
                entries.append(Rejected(file.name, str(error)))
        except Exception as error:
            entries.append(Rejected(file.name, _sentence(error)))
    stacks = 0
    for done, entry in enumerate(entries):
        if time.monotonic() > until:
            name = (entry if isinstance(entry, Rejected | _File) else series[entry][0]).name
            yield Rejected(name, took_too_long(f"{done} uploads were read, {len(entries) - done} were left out"))
            return
        name = ""
        try:
            if isinstance(entry, Rejected):
                yield entry
            elif isinstance(entry, _File):
                name = entry.name
                yield _read_file(entry, plane)
            else:
                members = series.pop(entry)
                name = members[0].name
                if len(members) > 1:
                    stacks += 1
                    name = f"DICOM series{f' {stacks}' if stacks > 1 else ''}, {len(members)} slices"
                yield from dicom.read_series(members, name, plane)
        except Exception as error:
            yield Rejected(name, _sentence(error))


def took_too_long(how_far: str) -> str:
    """The sentence for a request that has used up its time; `how_far` says what was done, and what was not."""
    return f"This request took longer than {MAX_SECONDS} seconds, the most there are: {how_far}. Upload less at a time."


def _sentence(error: Exception) -> str:
    if isinstance(error, ScanError):
        return str(error)
    if isinstance(error, MemoryError):
        return "This file needs more memory than there is. Export it smaller and try again."
    return "This file is damaged or incomplete, and cannot be read. Export or download it again."


def _read_file(file: _File, plane: str | None) -> Upload:
    """A file that is no DICOM. Raises ScanError."""
    head = file.read(HEAD_BYTES)
    if head.startswith(_ZIP_SIGNATURES):
        raise ScanError("This is a zip inside a zip. Unpack it, and zip the scans themselves.")
    if nifti.is_gzip(head) or nifti.is_nifti(head):
        return _read_volume(file, plane)
    if head.startswith(PICTURE_SIGNATURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return _read_pages(file)
    data = file.bytes()  # says so if it is empty or too large
    what = next((what for signature, what in _KNOWN.items() if data.startswith(signature)), None)
    if what is None and _is_text(head):
        what = "a text"
    if what:
        raise ScanError(f"This file is {what}, not a scan. {_READABLE}")
    raise ScanError(f"This file is not a picture that can be read here, whatever its name says. {_READABLE}")


_READABLE = f"Use one of {', '.join(FORMATS)}, DICOM, NIfTI, or a zip of these."


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return False
        text = head[: error.start].decode("utf-8")
    return all(c.isprintable() or c.isspace() for c in text)


def _read_volume(file: _File, plane: str | None) -> Upload:
    volume = nifti.read_nifti(file.bytes())
    notes = []
    if volume.volumes > 1:
        notes.append(f"The file holds {volume.volumes:,} volumes (a 4D scan); this is the first of them.")
    if not volume.sides_known:
        notes.append("The file does not say how the head lies in it: planes, left and right are guessed and unmarked.")
    hide_background(volume.values)
    window = percentile_window(volume.values)
    block = Block(volume.values, volume.affine)
    shown = plane if plane in block.planes else block.native_plane
    slices, more = block.slices(shown, window)
    width, height = slices[0].image.size
    size = f"{width} x {height} pixels" + (f", {len(slices)} slices" if len(slices) > 1 else "")
    number = {"i": "whole numbers", "u": "whole numbers", "f": "decimals", "c": "complex numbers"}[volume.dtype.kind]
    facts = {
        "Format": f"NIfTI-{volume.version}{' (.gz)' if volume.packed else ''}",
        "Size": size,
        "Bit depth": f"{volume.dtype.itemsize * 8} bits, {number}",
        "Plane": shown,
        "Voxels": " x ".join(f"{s:.3g}" for s in block.spacing) + " mm",
        "Window": window.words,
    }
    kind = "volume" if len(slices) > 1 else "picture"
    sides_known = volume.sides_known and shown != "sagittal"
    return Upload(file.name, kind, slices, facts, notes + more, shown, block.planes, sides_known)


def _read_pages(file: _File) -> Upload:
    """A picture, or each page of a TIFF."""
    data = file.bytes()
    image = open_file(data)
    depth, format = bits(image), image.format
    color = "gray" if image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I") else "color"
    if format == "PNG" and data[25:26] == b"\4":  # gray with alpha, which Pillow opens as color if it has 16 bits
        color = "gray"
    frames = _pages(image) if format == "TIFF" else 1
    notes = []
    if frames > 1:
        slices, reasons = [], []
        taken = thinned(frames)
        notes += thinning_note(frames, taken)
        again = open_file(data)
        pixels = 0
        for page in taken:
            try:
                pixels += math.prod(_turned_to(image, page).size)
                if slices and pixels > MAX_VOXELS:
                    notes.append(
                        f"The file has more pixels than are read at once: pages from {page + 1} on are missing."
                    )
                    break
                slices.append(Slice(open_page(image, lambda page=page: _turned_to(again, page)), f"page {page + 1}"))
            except ScanError as error:
                reasons.append(str(error))
                notes.append(f"Page {page + 1} cannot be read. {error}")
        if not slices:
            raise ScanError(reasons[0])
    else:
        slices = [Slice(open_scan(data), "")]
        if format != "TIFF" and _is_animated(image):
            notes.append("The file is an animation; its first frame is read.")
    if len(slices) > 1:
        notes.insert(0, f"A file of {frames} pages: each page is a scan of its own.")
    width, height = slices[0].image.size
    facts = {
        "Format": {"WEBP": "WebP"}.get(format, format),
        "Size": f"{width} x {height} pixels" + (f", {len(slices)} pages" if len(slices) > 1 else ""),
        "Bit depth": f"{depth} bit{'s' if depth > 1 else ''}, {color}",
    }
    if depth > 8:
        facts["Window"] = "0.5 % to 99.5 % of the gray levels"
    return Upload(file.name, "pages" if len(slices) > 1 else "picture", slices, facts, notes)


def _pages(image: Image.Image) -> int:
    """How many pages of a TIFF can be reached. Raises ScanError if they are too many to be counted."""
    pages = 1
    while pages <= MAX_PAGES:
        try:
            image.seek(pages)
        except ScanError:
            raise
        except Exception:  # EOFError behind the last; a damaged page can raise nearly anything
            return pages
        pages += 1
    raise ScanError(f"This file has more than {MAX_PAGES:,} pages, too many parts to be read. Save fewer in a file.")


def _turned_to(image: Image.Image, page: int) -> Image.Image:
    """A TIFF, opened, at one of its pages. Going on with it is quick; a file opened anew walks through all before."""
    try:
        image.seek(page)
    except ScanError:
        raise
    except Exception:
        raise ScanError("This page is damaged. Save or download the file again.") from None
    return image


def _is_animated(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # Pillow looks at a damaged file's second frame here
        return False
