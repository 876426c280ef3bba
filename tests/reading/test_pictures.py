"""Any upload becomes an upright 8-bit RGB slice or a sentence that says what is wrong with it."""

import io
import struct
import warnings
import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageOps

from brain_tumor.reading import pictures
from brain_tumor.reading.pictures import MIN_SIDE, ScanError, open_scan, read_picture, window
from tests.sentences import assert_is_a_sentence
from tests.slices import draw_slice

ORIENTATION = 0x0112  # EXIF tag
TURNS = {  # EXIF orientation -> what makes the stored picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def encoded(picture: Image.Image, format: str, **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, format=format, **options)
    return out.getvalue()


def color_slice(width: int = 96, height: int = 80) -> Image.Image:
    gray = draw_slice(1, side=96).resize((width, height))
    return Image.merge("RGB", (gray, ImageOps.mirror(gray), ImageOps.flip(gray)))


def gray_slice() -> Image.Image:
    return draw_slice(2, "glioma", side=96).crop((0, 4, 96, 84))


def with_alpha(picture: Image.Image) -> Image.Image:
    picture.putalpha(draw_slice(3, side=256).resize(picture.size))
    return picture


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


FRAMES = {"save_all": True, "append_images": [Image.new("L", (96, 80), 99), Image.new("L", (96, 80))], "duration": 100}
PICTURES = {
    "gray JPEG": encoded(gray_slice(), "JPEG"),
    "color JPEG": encoded(color_slice(), "JPEG"),
    "progressive JPEG": encoded(color_slice(), "JPEG", progressive=True),
    "CMYK JPEG": encoded(color_slice().convert("CMYK"), "JPEG"),
    "gray PNG": encoded(gray_slice(), "PNG"),
    "RGB PNG": encoded(color_slice(), "PNG"),
    "RGBA PNG": encoded(with_alpha(color_slice()), "PNG"),
    "LA PNG": encoded(with_alpha(gray_slice()), "PNG"),
    "palette PNG": encoded(color_slice().quantize(16), "PNG"),
    "transparent palette PNG": encoded(color_slice().quantize(16), "PNG", transparency=3),
    "1-bit PNG": encoded(gray_slice().convert("1"), "PNG"),
    "1-bit TIFF": encoded(gray_slice().convert("1"), "TIFF"),
    "8-bit TIFF": encoded(gray_slice(), "TIFF"),
    "LZW TIFF": encoded(color_slice(), "TIFF", compression="tiff_lzw"),
    "TIFF of several pages": encoded(gray_slice(), "TIFF", **{k: v for k, v in FRAMES.items() if k != "duration"}),
    "GIF": encoded(gray_slice(), "GIF"),
    "animated GIF": encoded(gray_slice(), "GIF", **FRAMES),
    "WebP": encoded(color_slice(), "WEBP"),
    "lossless WebP with alpha": encoded(with_alpha(color_slice()), "WEBP", lossless=True),
    "BMP": encoded(color_slice(), "BMP"),
    "gray BMP": encoded(gray_slice(), "BMP"),
}
PICTURES |= {f"JPEG of EXIF orientation {o}": encoded(color_slice(), "JPEG", exif=turned(o)) for o in (1, *TURNS)}
PICTURES |= {f"PNG of EXIF orientation {o}": encoded(gray_slice(), "PNG", exif=turned(o)) for o in (3, 6)}


def rgb_tiff(values: np.ndarray, order: str) -> bytes:
    """An uncompressed TIFF of 16 bits a channel, which Pillow cannot write."""
    height, width = values.shape[:2]
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, 8 + 2 + 12 * 9 + 4), (259, 3, 1, 1), (262, 3, 1, 2)]
    entries += [(273, 4, 1, 200), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, values.size * 2)]
    short = {(3, 1): "HHIHxx"}
    fields = b"".join(struct.pack(order + short.get((kind, n), "HHII"), tag, kind, n, v) for tag, kind, n, v in entries)
    head = struct.pack(order + "2sHIH", b"II" if order == "<" else b"MM", 42, 8, len(entries)) + fields
    head += struct.pack(order + "I3H", 0, 16, 16, 16)
    return head.ljust(200, b"\0") + values.astype(order + "u2").tobytes()


def interlaced_png(values: np.ndarray) -> bytes:
    """An RGB PNG of 16 bits a channel, Adam7, no filters."""
    height, width = values.shape[:2]
    rows = []
    for x, y, dx, dy in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        rows += [b"\0" + row.astype(">u2").tobytes() for row in values[y::dy, x::dx]]
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 1)
    chunks = (header, b"IDAT" + zlib.compress(b"".join(rows)), b"IEND")
    written = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


DEEP = np.add.outer(np.arange(80), np.arange(96)).astype(np.float64) * 17 + 300  # 300 to 3,258: 12 bits in 16
DEEP_PICTURES = {
    "16-bit PNG": encoded(Image.fromarray(DEEP.astype(np.uint16)), "PNG"),
    "16-bit TIFF": encoded(Image.fromarray(DEEP.astype(np.uint16)), "TIFF"),
    "big-endian 16-bit TIFF": encoded(Image.frombytes("I;16B", (96, 80), DEEP.astype(">u2").tobytes()), "TIFF"),
    "32-bit TIFF": encoded(Image.fromarray(DEEP.astype(np.int32) * 70_000), "TIFF"),
    "32-bit TIFF with numbers below zero": encoded(Image.fromarray(DEEP.astype(np.int32) - 2_000), "TIFF"),
    "float TIFF": encoded(Image.fromarray((DEEP / 4096).astype(np.float32)), "TIFF"),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_an_8_bit_picture_opens_as_the_pipeline_would_open_it(kind):
    slice_ = open_scan(PICTURES[kind])
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(PICTURES[kind]))).convert("RGB")
    assert slice_.mode == "RGB"
    assert slice_.size == expected.size
    assert slice_.tobytes() == expected.tobytes()
    assert len(set(slice_.tobytes())) > 1


@pytest.mark.parametrize("orientation", TURNS)
def test_a_picture_that_its_exif_turns_comes_out_upright(orientation):
    upright, turn = color_slice(), TURNS[orientation]
    there_and_back = {Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270}
    there_and_back |= {back: there for there, back in there_and_back.items()}
    stored = upright.transpose(there_and_back.get(turn, turn))
    slice_ = open_scan(encoded(stored, "PNG", exif=turned(orientation)))
    assert slice_.size == upright.size
    assert slice_.tobytes() == upright.tobytes()


def test_an_animation_shows_its_first_frame():
    assert open_scan(PICTURES["animated GIF"]).tobytes() == gray_slice().convert("RGB").tobytes()
    assert open_scan(PICTURES["TIFF of several pages"]).tobytes() == gray_slice().convert("RGB").tobytes()


def test_a_picture_may_come_as_path_text_bytes_or_opened(tmp_path):
    expected = color_slice()
    path = tmp_path / "slice of a head.png"
    expected.save(path)
    with Image.open(path) as opened:
        for source in (path, str(path), path.read_bytes(), opened, expected):
            slice_ = open_scan(source)
            assert (slice_.mode, slice_.size, slice_.tobytes()) == ("RGB", expected.size, expected.tobytes())


def test_what_a_file_is_named_does_not_matter(tmp_path):
    path = tmp_path / "slice.txt"
    path.write_bytes(PICTURES["RGB PNG"])
    assert open_scan(path).tobytes() == color_slice().tobytes()


def test_opening_a_picture_leaves_the_callers_own_as_it_was():
    picture = color_slice()
    picture.getexif()[ORIENTATION] = 6
    before = picture.tobytes()
    assert open_scan(picture).size == picture.size[::-1]
    assert (picture.size, picture.tobytes()) == ((96, 80), before)


@pytest.mark.parametrize("kind", DEEP_PICTURES)
def test_a_deep_picture_is_windowed_and_not_white(kind):
    gray = np.asarray(open_scan(DEEP_PICTURES[kind]))
    assert gray.shape == (80, 96, 3) and gray.dtype == np.uint8
    assert (gray == gray[..., :1]).all()
    low, high = np.percentile(DEEP, (0.5, 99.5))
    expected = (DEEP - low) / (high - low) * 255
    assert np.abs(gray[..., 0] - expected.clip(0, 255)).max() <= 0.51
    assert np.mean(gray == 255) < 0.02 and np.mean(gray == 0) < 0.02


def test_numbers_that_are_not_finite_become_black_and_do_not_spoil_the_rest():
    values = DEEP.astype(np.float32)
    values[:3, :3] = np.nan
    values[5, 5], values[6, 6] = np.inf, -np.inf
    gray = np.asarray(open_scan(encoded(Image.fromarray(values), "TIFF")))[..., 0]
    assert not gray[:3, :3].any() and gray[5, 5] == gray[6, 6] == 0
    assert 100 < gray[40, 40] < 130 and gray[-1, -1] == 255


def test_a_picture_of_nothing_but_nan_is_refused():
    with pytest.raises(ScanError, match="no numbers"):
        open_scan(encoded(Image.fromarray(np.full((40, 40), np.nan, np.float32)), "TIFF"))


def test_a_single_very_bright_pixel_does_not_darken_a_deep_picture():
    values = DEEP.copy()
    values[10, 10] = 65_535
    gray = np.asarray(open_scan(encoded(Image.fromarray(values.astype(np.uint16)), "PNG")))[..., 0]
    assert gray[10, 10] == 255 and np.median(gray) > 100


def test_a_flat_deep_picture_becomes_black_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not np.asarray(open_scan(Image.fromarray(np.full((40, 40), 40_000, np.uint16)))).any()


def test_a_deep_picture_that_is_flat_but_for_a_few_pixels_still_shows_them():
    values = np.full((100, 100), 7.0)
    values[50, 50] = 9
    gray = np.asarray(window(values))[..., 0]
    assert gray[50, 50] == 255 and gray.sum() == 255


def test_huge_numbers_are_windowed_without_a_warning():
    values = DEEP * 1e35
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gray = np.asarray(open_scan(Image.fromarray(values.astype(np.float32))))[..., 0]
    assert 100 < np.median(gray) < 150


@pytest.mark.parametrize("size", [(MIN_SIDE, MIN_SIDE), (MIN_SIDE, 400)])
def test_the_smallest_slice_is_read(size):
    assert open_scan(encoded(Image.new("L", size, 9), "PNG")).size == size


DEEP_COLOR = np.stack([DEEP, DEEP[::-1], DEEP[:, ::-1]], -1).astype(np.uint16)
DEEP_COLOR_PICTURES = {
    "RGB PNG": imagecodecs.png_encode(DEEP_COLOR),
    "RGBA PNG": imagecodecs.png_encode(np.dstack([DEEP_COLOR, DEEP_COLOR[..., 0]])),
    "interlaced RGB PNG": interlaced_png(DEEP_COLOR),
    "little-endian RGB TIFF": rgb_tiff(DEEP_COLOR, "<"),
    "big-endian RGB TIFF": rgb_tiff(DEEP_COLOR, ">"),
}


@pytest.mark.parametrize("kind", DEEP_COLOR_PICTURES)
def test_a_16_bit_color_picture_is_windowed_by_all_its_bits_and_stays_color(kind):
    data = DEEP_COLOR_PICTURES[kind]
    color = np.asarray(open_scan(data))
    low, high = np.percentile(DEEP_COLOR, (0.5, 99.5))
    expected = (DEEP_COLOR - low) / (high - low) * 255
    assert np.abs(color - expected.clip(0, 255)).max() <= 0.51  # Pillow's high bytes alone have 13 levels here
    assert np.mean(color == 255) < 0.02 and len(np.unique(color)) > 150
    assert read_picture(data).bits == 16


def test_a_16_bit_gray_picture_with_alpha_is_windowed_by_all_its_bits():
    data = imagecodecs.png_encode(np.dstack([DEEP, DEEP[::-1]]).astype(np.uint16))
    assert (np.asarray(open_scan(data)) == np.asarray(window(DEEP))).all()


def test_a_16_bit_color_picture_is_turned_upright_with_all_its_bits():
    exif = b"Exif\0\0" + turned(6).tobytes().removeprefix(b"Exif\0\0")
    plain = imagecodecs.png_encode(DEEP_COLOR)
    chunk = b"eXIf" + exif.removeprefix(b"Exif\0\0")
    end = plain.index(b"IDAT") - 4
    chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    slice_ = open_scan(plain[:end] + chunk + plain[end:])
    assert slice_.tobytes() == open_scan(plain).transpose(TURNS[6]).tobytes()


def test_a_deep_tiff_whose_zero_is_white_is_shown_that_way_round():
    data = bytearray(DEEP_PICTURES["16-bit TIFF"])
    entry = data.index(struct.pack("<HHI", 262, 3, 1))
    data[entry + 8] = 0
    gray = np.asarray(open_scan(bytes(data)))[..., 0].astype(int)
    other = np.asarray(open_scan(DEEP_PICTURES["16-bit TIFF"]))[..., 0].astype(int)
    assert np.abs(gray - (255 - other)).max() <= 1


def test_any_page_of_a_tiff_can_be_opened():
    data = PICTURES["TIFF of several pages"]
    assert set(open_scan(data, page=1).tobytes()) == {99}
    with pytest.raises(ScanError):
        open_scan(data, page=7)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has next to no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (header, b"IDAT" + zlib.compress(b"\0" * 1000), b"IEND")
    written = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def bmp_header(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 2835, 2835, 0, 0)
    return struct.pack("<2sIHHI", b"BM", 54 + 64, 0, 0, 54) + info + b"\0" * 64


def tiff_header(width: int, height: int) -> bytes:
    entries = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    entries += [(278, 4, height), (279, 4, width * height % 2**32)]
    fields = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + fields + struct.pack("<I", 0)


BOMBS = {
    "PNG": png_header(20_000, 20_000),
    "BMP": bmp_header(20_000, 20_000),
    "TIFF": tiff_header(20_000, 20_000),
    "PNG of 50 megapixels": png_header(10_000, 5_000),
    "PNG of one long row": png_header(2**31 - 1, 1),
}
JPEG, PNG = PICTURES["color JPEG"], PICTURES["RGB PNG"]
BAD_BYTES = {
    "no bytes": (b"", "empty"),
    "one byte": (b"\xff", "not a picture"),
    "text": (b"Dear doctor, please find my scan attached.\n" * 50, "not a picture"),
    "zeros": (b"\0" * 5_000, "not a picture"),
    "a PDF": (b"%PDF-1.7\n" + b"1 0 obj << >> endobj\n" * 40, "not a picture"),
    "an SVG": (b"<svg xmlns='http://www.w3.org/2000/svg' width='99' height='99'/>", "not a picture"),
    "a PPM, which is no accepted format": (encoded(color_slice(), "PPM"), "not a picture"),
    "an ICO, which is no accepted format": (encoded(color_slice(), "ICO"), "not a picture"),
    "one pixel": (encoded(Image.new("RGB", (1, 1)), "PNG"), "1 x 1 pixels.*at least 32"),
    "a strip": (encoded(Image.new("L", (500, MIN_SIDE - 1)), "PNG"), "500 x 31 pixels"),
    **{f"a bomb, {kind}": (bomb, "too large.*at most 40 megapixels") for kind, bomb in BOMBS.items()},
}


@pytest.mark.parametrize("kind", BAD_BYTES)
@pytest.mark.parametrize("as_file", [False, True], ids=["bytes", "file"])
def test_a_bad_file_is_refused_with_a_sentence_about_it(kind, as_file, tmp_path):
    data, message = BAD_BYTES[kind]
    (tmp_path / "scan.jpg").write_bytes(data)
    with pytest.raises(ScanError, match=message) as caught:
        open_scan(tmp_path / "scan.jpg" if as_file else data)
    assert type(caught.value) is ScanError
    assert_is_a_sentence(str(caught.value))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning")
@pytest.mark.parametrize("share", [0.001, 0.02, 0.1, 0.3, 0.6, 0.9])
@pytest.mark.parametrize(
    "kind", ["color JPEG", "RGB PNG", "8-bit TIFF", "LZW TIFF", "WebP", "BMP", "GIF", "16-bit PNG"]
)
def test_a_truncated_picture_is_refused_and_never_shown_half(kind, share):
    data = (PICTURES | DEEP_PICTURES)[kind]
    with pytest.raises(ScanError) as caught:
        open_scan(data[: int(len(data) * share)])
    assert_is_a_sentence(str(caught.value))


@pytest.mark.parametrize("name", ["nowhere.png", "folder", "nul\0byte.png", "x" * 5_000])
def test_a_path_that_cannot_be_read_is_refused_with_a_sentence(name, tmp_path):
    (tmp_path / "folder").mkdir()
    for source in (tmp_path / name, str(tmp_path / name)):
        with pytest.raises(ScanError) as caught:
            open_scan(source)
        assert_is_a_sentence(str(caught.value))


def test_a_file_of_too_many_bytes_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    with open(path, "wb") as file:
        file.write(PNG)
        file.truncate(pictures.MAX_FILE_BYTES + 1)
    with pytest.raises(ScanError, match="at most 50 MB"):
        open_scan(path)
    monkeypatch.setattr(pictures, "MAX_FILE_BYTES", len(PNG) - 1)
    with pytest.raises(ScanError, match="at most"):
        open_scan(PNG)
    monkeypatch.setattr(pictures, "MAX_FILE_BYTES", len(PNG))
    assert open_scan(PNG).size == (96, 80)


def test_a_picture_of_too_many_pixels_is_refused_however_it_comes(monkeypatch):
    monkeypatch.setattr(pictures, "MAX_PIXELS", 96 * 80 - 1)
    for source in (PNG, JPEG, color_slice()):
        with pytest.raises(ScanError, match="96 x 80"):
            open_scan(source)
    monkeypatch.setattr(pictures, "MAX_PIXELS", 96 * 80)
    assert open_scan(PNG).size == (96, 80)


def test_a_bomb_is_refused_without_a_warning_of_pillows():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for bomb in BOMBS.values():
            with pytest.raises(ScanError):
                open_scan(bomb)


def test_too_little_memory_is_said_in_a_sentence(monkeypatch):
    def no_memory(image):
        raise MemoryError

    monkeypatch.setattr(ImageOps, "exif_transpose", no_memory)
    with pytest.raises(ScanError, match="more memory") as caught:
        open_scan(PNG)
    assert_is_a_sentence(str(caught.value))


@pytest.mark.parametrize("kind", [*PICTURES, *DEEP_PICTURES])
def test_a_file_with_damaged_bytes_is_read_or_refused_and_nothing_else(kind):
    random = np.random.default_rng(list(kind.encode()))
    original = np.frombuffer((PICTURES | DEEP_PICTURES)[kind], np.uint8)
    for _ in range(25):
        data = original.copy()
        # Headers are where decoders break, so half of the damage is there.
        places = random.integers(0, len(data) if random.random() < 0.5 else min(200, len(data)), random.integers(1, 12))
        data[places] = random.integers(0, 256, len(places))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                slice_ = open_scan(data.tobytes())
            except ScanError as error:
                assert_is_a_sentence(str(error))
            else:
                assert slice_.mode == "RGB" and min(slice_.size) >= MIN_SIDE
                assert len(slice_.tobytes()) == 3 * slice_.width * slice_.height
