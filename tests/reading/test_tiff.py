"""A TIFF of any depth, sign and layout is read with all its numbers, and each page as if it were alone.

The files are written by tifffile or Pillow; expected grays are computed with `np.percentile` from what was written.
"""

import io
import itertools
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from brain_tumor.reading.pictures import ScanError, open_scan, read_picture
from brain_tumor.reading.readers import read_one
from brain_tumor.reading.uploads import Rejected
from tests.bad_files import tiff, tiff_page
from tests.reading.scans import gray
from tests.sentences import assert_is_a_sentence

RAMP = np.add.outer(np.arange(80), np.arange(96))  # 0 to 174, none twice as often as the next
GRAYS = RAMP.astype(np.uint8)


def written(values: np.ndarray, **options) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, values, **options)
    return out.getvalue()


def pages(*values: np.ndarray, **options) -> bytes:
    """A TIFF of these pages; `options` for all of them, or a list with one for each."""
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as writer:
        for index, page in enumerate(values):
            writer.write(page, **{name: v[index] if isinstance(v, list) else v for name, v in options.items()})
    return out.getvalue()


def windowed(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float64)
    low, high = np.percentile(values, (0.5, 99.5))
    return ((values - low) / (high - low) * 255).clip(0, 255)


def difference(image: Image.Image, expected: np.ndarray) -> float:
    expected = expected if expected.ndim == 3 else expected[..., None]
    return np.abs(np.asarray(image).astype(float) - expected).max()


def numbers(dtype: str) -> np.ndarray:
    """The ramp over much of what a type can hold, below zero too if it can."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return (RAMP - 60.5).astype(dtype)
    most = np.iinfo(kind).max
    return RAMP.astype(dtype) * (most // 200) if kind.kind == "u" else ((RAMP - 80) * (most // 100)).astype(dtype)


DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_gray_numbers_of_every_depth_and_sign_are_read(dtype):
    for order, big, compression, tile in itertools.product(
        "<>", [False, True], [None, "zlib", "lzw"], [None, (32, 32)]
    ):
        values = numbers(dtype)
        for white_is_zero in (False, True):
            data = written(
                values, byteorder=order, bigtiff=big, compression=compression, tile=tile,
                photometric="miniswhite" if white_is_zero else "minisblack",
            )  # fmt: skip
            picture = read_picture(data)
            if dtype == "u1":
                expected = 255.0 - values if white_is_zero else values
            else:
                expected = windowed(-values.astype(float) if white_is_zero else values)
            assert difference(picture.image, expected) <= 0.51, (order, big, compression, tile, white_is_zero)
            assert (picture.bits, picture.gray) == (np.dtype(dtype).itemsize * 8, True)
            assert picture.windowed == (dtype != "u1")


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_colors_of_every_depth_are_read_pixel_by_pixel_or_plane_by_plane(dtype, planar):
    for order, alpha, compression, tile in itertools.product("<>", [False, True], [None, "zlib"], [None, (32, 32)]):
        values = numbers(dtype)
        color = np.stack([values, values[::-1], values[:, ::-1], *[values.T[:80, :1] + 0 * values] * alpha])
        data = written(
            color if planar == "separate" else np.moveaxis(color, 0, -1), byteorder=order, planarconfig=planar,
            compression=compression, tile=tile, photometric="rgb", extrasamples=["unassalpha"] * alpha,
        )  # fmt: skip
        picture = read_picture(data)
        expected = np.moveaxis(color[:3], 0, -1)
        assert difference(picture.image, expected if dtype == "u1" else windowed(expected)) <= 0.51
        assert not picture.gray


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_numbers_that_are_packed_in_fewer_bits_are_read(bits):
    values = (RAMP * (2**bits // 200)).astype(np.uint16)
    picture = read_picture(written(values, bitspersample=bits))
    assert difference(picture.image, windowed(values)) <= 0.51 and picture.bits == bits


def test_predictors_are_undone():
    for dtype, compression in itertools.product(["u2", "i2", "u4", "f4", "f8"], ["zlib", "lzw"]):
        data = written(numbers(dtype), compression=compression, predictor=True)
        assert difference(read_picture(data).image, windowed(numbers(dtype))) <= 0.51


def test_palettes_and_inks_are_colors_at_every_depth():
    for dtype in ("u1", "u2"):
        palette = np.zeros((3, 2 ** (8 * np.dtype(dtype).itemsize)), np.uint16)
        palette[0], palette[1] = np.linspace(0, 65535, palette.shape[1]), 65535 - palette[0]
        expected = np.moveaxis((palette >> 8)[:, numbers(dtype)], 0, -1)
        data = written(numbers(dtype), photometric="palette", colormap=palette)
        assert difference(read_picture(data).image, expected) == 0
    inks = np.stack([GRAYS, GRAYS[::-1], GRAYS[:, ::-1], GRAYS // 4])
    expected = np.asarray(Image.fromarray(np.moveaxis(inks, 0, -1).copy(), "CMYK").convert("RGB"))
    for values in (inks, inks.astype(np.uint16) * 257):
        for planar in ("separate", "contig"):
            stored = values if planar == "separate" else np.moveaxis(values, 0, -1)
            data = written(stored, photometric="separated", planarconfig=planar)
            assert difference(read_picture(data).image, expected.astype(float)) == 0


def test_of_channels_that_are_no_colors_the_first_is_read_and_a_note_says_so(read):
    channels = np.stack([GRAYS, *[GRAYS * 0] * 4])
    for data in (
        written(channels, photometric="minisblack", planarconfig="separate"),
        written(np.moveaxis(channels, 0, -1), photometric="minisblack", planarconfig="contig"),
    ):
        upload = read(data)
        assert (gray(upload.slices[0]) == GRAYS).all()
        assert upload.notes == ["The picture has 5 channels that are no colors; the first is read."]
    alpha = written(channels[:2], photometric="minisblack", planarconfig="separate", extrasamples=["unassalpha"])
    upload = read(alpha)
    assert (gray(upload.slices[0]) == GRAYS).all() and upload.notes == []


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_deep_page_is_turned_upright_like_one_of_8_bits(orientation):
    tag = [(274, 3, 1, orientation, True)]
    upright = np.asarray(Image.open(io.BytesIO(written(GRAYS, extratags=tag))))
    for dtype in ("u2", "f8"):
        assert difference(open_scan(written(RAMP.astype(dtype), extratags=tag)), windowed(upright)) <= 0.51


@pytest.mark.parametrize("dtype", ["i1", "u2", "f4"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits", "zstd"])
def test_a_truncated_tiff_is_refused_and_never_shown_half(dtype, compression):
    noise = np.random.default_rng(0).integers(0, 90, (80, 96)).astype(dtype)
    for planar, tile in itertools.product([None, "separate"], [None, (32, 32)]):
        values = noise if planar is None else np.stack([noise, noise[::-1], noise[:, ::-1]])
        data = written(
            values, compression=compression, tile=tile, rowsperstrip=None if tile else 16, planarconfig=planar,
            photometric="rgb" if planar else "minisblack",
        )  # fmt: skip
        for share in (0.05, 0.3, 0.6, 0.9, 0.95):
            with pytest.raises(ScanError) as caught:
                read_picture(data[: int(len(data) * share)])
            assert_is_a_sentence(str(caught.value))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (written(numbers("u2"), compression="jpeg2000"), "compressed by JPEG2000"),
        (written(np.stack([GRAYS] * 3, -1), photometric="ycbcr"), "colors as YCBCR"),
        (written(GRAYS, compression="jpeg", bigtiff=True, byteorder=">"), "compressed by JPEG"),
        (tiff(tiff_page(64, 64, t258=(3, 1, 40), t339=(3, 1, 3)), bytes(2**15)), "numbers of 40 bits"),
        (written(np.zeros((16, 64, 64), "u2"), volumetric=True, tile=(16, 16, 16)), "several planes in one page"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_tiff_of_a_kind_that_is_not_read_is_called_so_and_not_damaged(data, reason, read):
    rejected = read(data)
    assert isinstance(rejected, Rejected) and reason in rejected.reason and "Save it with" in rejected.reason
    assert "damaged" not in rejected.reason and "not a picture" not in rejected.reason
    assert_is_a_sentence(rejected.reason)


# Pages.


PALETTE = np.stack([np.arange(255, -1, -1), np.arange(256) // 2, np.full(256, 30)]).astype(np.uint16) * 257
COLOR = np.stack([GRAYS, GRAYS // 2, GRAYS[::-1]], -1)
KINDS = {
    "gray": (GRAYS, GRAYS, {}),
    "palette": (GRAYS, np.moveaxis((PALETTE >> 8)[:, GRAYS], 0, -1), {"photometric": "palette", "colormap": PALETTE}),
    "color": (COLOR, COLOR, {"photometric": "rgb"}),
    "16 bits": (RAMP.astype("u2") * 300, windowed(RAMP), {"compression": "zlib"}),
    "signed": ((RAMP - 100).astype("i1"), windowed(RAMP), {}),
    "decimals": (RAMP / 7, windowed(-RAMP), {"photometric": "miniswhite"}),
    "white is zero": (GRAYS, 255.0 - GRAYS, {"photometric": "miniswhite"}),
    "JPEG": (GRAYS * 0 + 90, GRAYS * 0.0 + 90, {"compression": "jpeg"}),
}


def page_of(writer: tifffile.TiffWriter, kind: str) -> None:
    values, _, options = KINDS[kind]
    writer.write(values, contiguous=False, **options)


@pytest.mark.parametrize("big", [False, True], ids=["", "BigTIFF"])
@pytest.mark.parametrize("order", "<>")
def test_no_page_is_read_with_what_the_page_before_left(order, big, read):
    # Pillow does not open a big-endian BigTIFF, nor tifffile safely a JPEG, which has a size of its own.
    for kinds in itertools.permutations([kind for kind in KINDS if kind != "JPEG" or (order, big) != (">", True)], 2):
        out = io.BytesIO()
        with tifffile.TiffWriter(out, bigtiff=big, byteorder=order) as writer:
            for kind in kinds:
                page_of(writer, kind)
        upload = read(out.getvalue())
        assert [slice_.name for slice_ in upload.slices] == ["page 1", "page 2"], kinds
        for slice_, kind in zip(upload.slices, kinds, strict=True):
            assert difference(slice_.image, np.asarray(KINDS[kind][1], float)) <= 0.51, (kind, kinds)
        assert open_scan(out.getvalue(), page=1).tobytes() == upload.slices[1].image.tobytes()


def spoil(data: bytes, page: int, tag: int, value: int) -> bytes:
    """Overwrite a short value of a tag of a page."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        place = file.pages[page].tags[tag].valueoffset
    spoiled = bytearray(data)
    spoiled[place : place + 2] = struct.pack("<H", value)
    return bytes(spoiled)


FOUR = pages(GRAYS, GRAYS[::-1], GRAYS[:, ::-1], GRAYS[::-1, ::-1], contiguous=False)


@pytest.mark.parametrize("page", range(4))
@pytest.mark.parametrize(("tag", "value"), [(259, 4711), (258, 77), (257, 0), (262, 32803), (273, 65535)])
def test_pages_behind_an_unreadable_one_are_kept_and_it_is_told(tag, value, page, read):
    upload = read(spoil(FOUR, page, tag, value))
    left = [number for number in range(4) if number != page]
    assert [slice_.name for slice_ in upload.slices] == [f"page {number + 1}" for number in left]
    turned = [GRAYS, GRAYS[::-1], GRAYS[:, ::-1], GRAYS[::-1, ::-1]]
    assert all((gray(s) == turned[number]).all() for s, number in zip(upload.slices, left, strict=True))
    assert upload.notes[0] == "A file of 4 pages: each page is a scan of its own."
    assert upload.notes[1].startswith(f"Page {page + 1} cannot be read. This ")


def test_pages_that_are_unreadable_for_one_reason_are_told_in_one_note(read):
    data = FOUR
    for page in (0, 2, 3):
        data = spoil(data, page, 259, 4711)
    upload = read(data)
    assert [slice_.name for slice_ in upload.slices] == ["page 2"] and upload.kind == "picture"
    (note,) = upload.notes
    assert note.startswith("Pages 1, 3 and 4 cannot be read. This TIFF is of a kind")
    assert read_one(data).slices[0].name == "page 2"
    rejected = read(spoil(data, 1, 259, 4711))
    assert isinstance(rejected, Rejected) and "compressed by method 4711" in rejected.reason


def test_a_way_to_further_pages_that_leads_out_of_the_file_is_told(read):
    with tifffile.TiffFile(io.BytesIO(FOUR)) as file:
        second = struct.pack("<I", file.pages[1].offset)
    assert FOUR.count(second) == 1
    upload = read(FOUR.replace(second, struct.pack("<I", len(FOUR) + 10_000)))
    assert len(upload.slices) == 1 and "damaged behind page 1" in upload.notes[0]
    assert (gray(upload.slices[0]) == GRAYS).all()
    upload = read(FOUR.replace(second, FOUR[4:8]))  # and one that leads back is the end
    assert len(upload.slices) == 1 and upload.notes == []


def test_a_page_that_is_not_there_is_refused():
    with pytest.raises(ScanError, match="no page 5; its last one is page 4"):
        open_scan(FOUR, page=4)
