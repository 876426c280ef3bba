"""Good files of every format, damaged at random by hypothesis: what is read is a scan, or refused with a sentence.

    python -m tests.fuzz --minutes 10             # prints how many inputs there were, and what went wrong
    python -m tests.fuzz --minutes 1 --seed 7     # rounds from seed 7 on; the same seeds damage the same files alike
    python -m tests.fuzz --kind structure         # good DICOM series of every structure instead: see tests.structures

The last line but one lists what the readers' last net caught: an exception that no line of theirs expected. The visitor
gets a sentence for it, and it may be worth one of its own.
"""

import argparse
import collections
import functools
import gzip
import io
import os
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import imagecodecs
import nibabel
import numpy as np
import tifffile
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.encaps import encapsulate

from brain_tumor.reading import readers
from brain_tumor.reading.pictures import MIN_SIDE, ScanError, open_scan
from brain_tumor.reading.readers import read_one, read_uploads
from brain_tumor.reading.uploads import Rejected
from tests import independent, structures
from tests.bad_files import deep_tiff, whole
from tests.memory import peak_memory_of
from tests.scan_files import DEFLATED, JPEG2000, RLE, dicom, nifti, picture, rle_frame, volume, zip_files
from tests.sentences import assert_is_a_sentence
from tests.slices import draw_slice

ROUND = 100
"""Inputs of one seed."""
MOST_SECONDS = 5
"""Of processor time for one input."""
MOST_MEMORY = 900 * 2**20
"""Bytes that the whole process may take."""
PICTURES = ("jpg", "png", "tif", "webp", "bmp", "gif")


def pages_of_all_kinds(values: np.ndarray) -> bytes:
    """A TIFF of a gray page, one with a palette, a deep one and one in color."""
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as writer:
        writer.write(values, metadata=None)
        palette = np.stack([np.arange(256, dtype=np.uint16) * 257] * 3)
        writer.write(values, photometric="palette", colormap=palette, metadata=None)
        writer.write(values / 7, compression="zlib", metadata=None)
        writer.write(np.stack([values] * 3, -1), photometric="rgb", compression="lzw", metadata=None)
    return out.getvalue()


@functools.cache
def seeds() -> dict[str, bytes]:
    """Name -> a good file, small, so that damage hits what matters."""
    slice_ = draw_slice(1, side=64)
    deep = np.asarray(slice_, np.uint16) * 200
    eight = np.asarray(slice_)
    jpeg_ls, lossless = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.70"
    pages = [draw_slice(number, side=48) for number in range(3)]
    color = slice_.convert("RGB")
    planes = [imagecodecs.packbits_encode((deep >> shift).astype(np.uint8).tobytes()) for shift in (8, 0)]
    series = {
        f"{number}.dcm": dicom(
            deep, SeriesInstanceUID="1.2.3", SOPInstanceUID=f"1.2.3.{number}", InstanceNumber=number,
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0], ImagePositionPatient=[0, 0, 3 * number], PixelSpacing=[2, 2],
        )
        for number in range(12)
    }  # fmt: skip
    return whole() | {
        "progressive.jpg": picture("JPEG", color, progressive=True),
        "cmyk.jpg": picture("JPEG", color.convert("CMYK")),
        "16 bits.png": imagecodecs.png_encode(deep),
        "16 bits in color.png": imagecodecs.png_encode(np.dstack([deep] * 3)),
        "palette.png": picture("PNG", color.quantize(16)),
        "pages.tif": picture(
            "TIFF", pages[0], save_all=True, append_images=pages[1:], compression="tiff_adobe_deflate"
        ),
        "16 bits.tif": picture("TIFF", Image.fromarray(deep)),
        "signed.tif": deep_tiff((eight // 2).astype(np.int8), compression=None),
        "planes.tif": deep_tiff(np.stack([deep] * 3), photometric="rgb", planarconfig="separate"),
        "tiles.tif": deep_tiff(deep.astype(np.float32), compression="lzw", predictor=True, tile=(16, 16)),
        "big.tif": deep_tiff(deep.astype(np.uint32), bigtiff=True, byteorder=">"),
        "pages of all kinds.tif": pages_of_all_kinds(eight),
        "two pictures.jpg": picture("MPO", color, save_all=True, append_images=[color]),
        "animation.gif": picture("GIF", pages[0], save_all=True, append_images=pages[1:]),
        "animation.webp": picture("WEBP", pages[0], save_all=True, append_images=pages[1:]),
        "lossless.webp": picture("WEBP", color, lossless=True),
        "implicit.dcm": dicom(deep, "1.2.840.10008.1.2"),
        "deflated.dcm": dicom(deep, DEFLATED),
        "rle.dcm": dicom(deep, RLE, encapsulate([rle_frame(planes)])),
        "jpeg.dcm": dicom(eight, "1.2.840.10008.1.2.4.50", encapsulate([picture("JPEG", slice_)])),
        "jpeg 2000.dcm": dicom(deep, JPEG2000, encapsulate([imagecodecs.jpeg2k_encode(deep)])),
        "jpeg-ls.dcm": dicom(deep, jpeg_ls, encapsulate([imagecodecs.jpegls_encode(deep)])),
        "lossless jpeg.dcm": dicom(deep, lossless, encapsulate([imagecodecs.ljpeg_encode(deep, bitspersample=16)])),
        "frames.dcm": dicom(deep[:32], data=deep.tobytes(), NumberOfFrames=2),
        "float.nii": nifti(volume().astype(np.float32), scl_slope=2, scl_inter=1),
        "nifti 2.nii.gz": gzip.compress(nibabel.Nifti2Image(volume(), np.diag([2, 2, 2, 1])).to_bytes(), mtime=0),
        "series.zip": zip_files(series, zipfile.ZIP_STORED),
        "all.zip": zip_files({name: data for name, data in whole().items() if name != "zip"}, zipfile.ZIP_STORED),
    }


# Places are shares of a file: half of all damage is near its beginning, where its header is.
PLACE = st.one_of(st.floats(0, 1), st.floats(0, 0.05))
NUMBER = st.sampled_from([0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF])
FOUR_BYTES = [b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\1\0", b"\x80\0\0\0"]
DAMAGE = st.one_of(
    st.tuples(st.just("flip"), PLACE, st.integers(0, 7)),
    st.tuples(st.just("set"), PLACE, st.one_of(NUMBER, st.integers(0, 255))),
    st.tuples(st.just("number"), PLACE, st.sampled_from(FOUR_BYTES)),
    st.tuples(st.just("cut"), PLACE),
    st.tuples(st.just("leave out"), PLACE, st.integers(1, 64)),
    st.tuples(st.just("repeat"), PLACE, st.integers(1, 512)),
    st.tuples(st.just("splice"), PLACE, st.sampled_from(sorted(seeds())), PLACE, st.integers(1, 512)),
)
CASES = st.tuples(
    st.sampled_from(sorted(seeds())),
    st.lists(DAMAGE, min_size=1, max_size=6),
    st.sampled_from([None, "axial", "coronal", "sagittal"]),
)


def damage_file(name: str, damage: list[tuple]) -> bytes:
    """A good file with some of `DAMAGE`."""
    data = bytearray(seeds()[name])
    for kind, share, *details in damage:
        place = int(share * max(0, len(data) - 1))
        if kind == "cut":
            data = data[:place]
        elif kind == "leave out":
            del data[place : place + details[0]]
        elif kind == "repeat":
            data[place:place] = data[place : place + details[0]]
        elif kind == "splice":
            other, start, length = details
            start = int(start * len(seeds()[other]))
            data[place : place + length] = seeds()[other][start : start + length]
        elif kind == "number":
            data[place : place + 4] = details[0]
        elif place < len(data):
            data[place] = data[place] ^ 1 << details[0] if kind == "flip" else details[0]
    return bytes(data)


def check(name: str, data: bytes, plane: str | None, folder: Path) -> None:
    """Read a file in every way there is. Raises what the readers should not have raised, or AssertionError."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            upload = read_one(data)
        except ScanError as error:
            assert_is_a_sentence(str(error))
        else:
            for slice_ in upload.slices:
                assert_is_a_slice(slice_.image)
            assert all(isinstance(text, str) for text in (*upload.facts.values(), *upload.notes))
        (folder / "scan").write_bytes(data)
        for found in read_uploads([folder / "scan"], plane):
            if isinstance(found, Rejected):
                assert_is_a_sentence(found.reason)
            else:
                assert found.slices
                for slice_ in found.slices:
                    assert_is_a_slice(slice_.image)
        if name.endswith(PICTURES):
            try:
                assert_is_a_slice(open_scan(data))
            except ScanError as error:
                assert_is_a_sentence(str(error))
    assert time.process_time() - start < MOST_SECONDS, "it took too long"
    assert peak_memory_of(os.getpid()) < MOST_MEMORY, "it took too much memory"


def assert_is_a_slice(image: Image.Image) -> None:
    assert (
        image.mode == "RGB" and min(image.size) >= MIN_SIDE and len(image.tobytes()) == 3 * image.width * image.height
    )


def check_damaged(case: tuple[str, list[tuple], str | None], folder: Path) -> None:
    """Damage a file and check it."""
    name, damage, plane = case
    check(name, damage_file(name, damage), plane, folder)


KINDS = {"damage": (CASES, check_damaged), "structure": (structures.CASES, independent.check)}
"""What is drawn, and how it is checked."""


def fuzz(seconds: float, seed: int = 0, kind: str = "damage") -> Iterator[tuple[int, list, BaseException | None]]:
    """Check inputs of one of `KINDS` until the time is over.

    Yields:
        After each round of `ROUND` inputs, or what went wrong: the round's seed, its inputs so far, and the exception,
        if there was one.
    """
    cases, check_case = KINDS[kind]
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            last = []

            # Without shrinking: that may take minutes, and a list of damage is short enough.
            @hypothesis.seed(seed)
            @settings(max_examples=ROUND, deadline=None, database=None, phases=[Phase.generate],
                      suppress_health_check=list(HealthCheck))  # fmt: skip
            @given(cases)
            def one_round(case):
                if time.monotonic() < end:
                    last.append(case)  # noqa: B023  called within this turn
                    check_case(case, Path(folder))

            error = None
            try:
                one_round()
            except BaseException as caught:  # a panic of a library in Rust is no Exception
                if isinstance(caught, KeyboardInterrupt):
                    raise
                error = caught
            yield seed, last, error
            seed += 1


def count_unforeseen() -> collections.Counter:
    """Count, from now on, exceptions that the readers turned into a sentence without having expected them."""
    counts, sentence = collections.Counter(), readers.explain

    def counted(error: Exception) -> str:
        if not isinstance(error, (ScanError, MemoryError)):
            where = traceback.extract_tb(error.__traceback__)[-1]
            counts[f"{type(error).__name__} in {Path(where.filename).name}, line {where.lineno}"] += 1
        return sentence(error)

    readers.explain = counted
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument("--kind", choices=KINDS, default="damage")
    args = parser.parse_args()
    counts, inputs, findings, seed = count_unforeseen(), 0, 0, args.seed
    for seed, cases, error in fuzz(60 * args.minutes, args.seed, args.kind):
        inputs += len(cases)
        if error is not None:
            findings += 1
            print(f"seed {seed}: {type(error).__name__}: {error}\n  {cases[-1:]!r}", flush=True)
    print(f"caught by the last net: {dict(counts) or 'nothing'}")
    print(f"{inputs} inputs of seeds {args.seed} to {seed}, {findings} findings")
    raise SystemExit(findings > 0)


if __name__ == "__main__":
    main()
