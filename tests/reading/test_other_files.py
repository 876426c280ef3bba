"""Of a file that is not read the sentence says what it is, truly, and what helps."""

import gzip
import io
import struct
import tarfile

import pytest
from PIL import Image, features

from brain_tumor.reading.uploads import Rejected
from tests.reading.scans import png_bytes
from tests.scan_files import dicom, nifti, picture, zip_files
from tests.sentences import assert_is_a_sentence
from tests.slices import draw_slice


def iso_file(major: bytes, *compatible: bytes) -> bytes:
    """The beginning of an ISO base media file, as phones write pictures and films."""
    body = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return struct.pack(">I", len(body) + 4) + body + b"\0\0\0\x08mdat" + bytes(200)


def tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.png"))
    return out.getvalue()


OTHERS = {
    "a HEIC of a phone": (iso_file(b"heic", b"mif1", b"heic"), "HEIC picture", "as JPEG"),
    "a HEIC of another phone": (iso_file(b"mif1", b"mif1", b"heic", b"miaf"), "HEIC picture", "as JPEG"),
    "a HEIC of several pictures": (iso_file(b"hevc", b"msf1", b"hevc"), "HEIC picture", "as JPEG"),
    "an AVIF": (iso_file(b"avif", b"mif1", b"miaf"), "AVIF picture", "PNG or JPEG"),
    "an AVIF by its second name": (iso_file(b"mif1", b"avif"), "AVIF picture", "PNG or JPEG"),
    "a film of a phone": (iso_file(b"qt  ", b"qt  "), "a film", "Use one of"),
    "JPEG 2000": (picture("JPEG2000"), "JPEG 2000 picture", "save it as PNG"),
    "a stream of JPEG 2000": (picture("JPEG2000", no_jp2=True), "JPEG 2000 picture", "save it as PNG"),
    "a tar": (tar(), "a tar archive", "a zip of these"),
    "a packed tar": (gzip.compress(tar()), "holds a tar archive", "a zip of these"),
    "a packed PDF": (gzip.compress(b"%PDF-1.7\n\xff\xfe"), "holds a PDF", "Use one of"),
    "a packed DICOM": (gzip.compress(dicom()), "a scan of another kind", "Unpack it"),
    "a packed picture": (gzip.compress(png_bytes()), "a scan of another kind", "Unpack it"),
    "a packed zip": (gzip.compress(zip_files({"a.png": png_bytes()})), "a scan of another kind", "Unpack it"),
    "packed twice": (gzip.compress(gzip.compress(nifti())), "no NIfTI volume", "Use one of"),
    "NRRD": (b"NRRD0005\ntype: short\n\n" + bytes(99), "an NRRD file", "NIfTI"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_that_is_not_read_is_called_what_it_is_and_what_to_do_is_said(kind, read):
    data, what, advice = OTHERS[kind]
    rejected = read(data, "scan.png")
    assert isinstance(rejected, Rejected) and what in rejected.reason and advice in rejected.reason
    assert_is_a_sentence(rejected.reason)


@pytest.mark.skipif(not features.check("avif"), reason="needs a Pillow that writes AVIF")
def test_an_avif_of_pillows_is_recognized(read):
    assert "AVIF picture" in read(picture("AVIF")).reason


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "GIF", "WEBP"])
def test_a_damaged_picture_is_not_said_to_be_none(format, read):
    data = bytearray(picture(format))
    data[{"JPEG": 4, "GIF": 6}.get(format, 16) : 60] = bytes(60 - {"JPEG": 4, "GIF": 6}.get(format, 16))
    rejected = read(bytes(data))
    assert isinstance(rejected, Rejected) and "damaged" in rejected.reason and "not a picture" not in rejected.reason
    assert_is_a_sentence(rejected.reason)


def test_members_of_a_gzip_are_one_file(read):
    data = nifti()
    packed = gzip.compress(b"") + gzip.compress(data[:100]) + gzip.compress(data[100:])
    assert read(packed).slices[9].image.tobytes() == read(data).slices[9].image.tobytes()


def test_a_jpeg_of_several_pictures_is_a_jpeg_and_no_animation(read):
    first, second = draw_slice(1, side=64).convert("RGB"), Image.new("RGB", (64, 64))
    for behind in ([second], [second, second]):
        upload = read(picture("MPO", first, save_all=True, append_images=behind))
        assert upload.facts["Format"] == "JPEG" and upload.kind == "picture"
        assert upload.notes == [
            f"The file holds {1 + len(behind)} pictures, as phones and cameras save them; the first is read."
        ]
        plain = Image.open(io.BytesIO(picture("JPEG", first)))
        assert upload.slices[0].image.tobytes() == plain.convert("RGB").tobytes()
