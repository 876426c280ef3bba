"""What the tests of the running demo share: a checkpoint, the demo itself, and what it fetches from the Hub."""

import contextlib
import functools
import io
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import MobileNetV2Config, MobileNetV2ForImageClassification, MobileNetV2ImageProcessor

from brain_tumor.demo.examples import PUBLIC_DATASET, PUBLIC_SCANS
from brain_tumor.labels import LABELS
from tests.hub_stand_in import HubStandIn

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def checkpoint(folder: Path) -> Path:
    """The bundled checkpoint, or a random one written to `folder` where the bundled one is not there."""
    if (ROOT / "model" / "config.json").is_file():
        return ROOT / "model"
    torch.manual_seed(0)
    config = MobileNetV2Config(
        depth_multiplier=0.35, id2label=dict(enumerate(LABELS)), label2id={label: i for i, label in enumerate(LABELS)}
    )
    model = MobileNetV2ForImageClassification(config).train()
    with torch.no_grad():
        model(torch.rand(8, 3, 224, 224))  # sets the batch norms' statistics, or all pictures would look alike to it
        model.classifier.weight *= 10
    model.save_pretrained(folder)
    MobileNetV2ImageProcessor().save_pretrained(folder)
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def demo_hub():
    """A Hub on this machine that holds the scans which the demo fetches, and a checkpoint's exported examples."""
    with HubStandIn() as hub, tempfile.TemporaryDirectory() as folder:
        public, own = Path(folder, "public"), Path(folder, "own/examples")
        for name in PUBLIC_SCANS:
            (public / name).parent.mkdir(parents=True, exist_ok=True)
            Image.open(EXAMPLES / "glioma.png").convert("L").save(public / name)
        own.mkdir(parents=True)
        shutil.copy(EXAMPLES / "glioma.png", own / "glioma_1.png")
        entry = {"file": "glioma_1.png", "label": "glioma", "caption": "Glioma of the test split", "source": "a test"}
        (own / "examples.json").write_text(json.dumps([entry]))
        hub.seed(PUBLIC_DATASET, public)
        hub.seed("somebody/model", own.parent, repo_type="model")
        yield hub


def comes_true(condition: Callable[[], bool], seconds: float) -> bool:
    """Waits for something that happens elsewhere, and says whether it did within this time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def files_below(folder: Path) -> list[Path]:
    """Not by rglob, which fails when the demo deletes a folder meanwhile."""
    return [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]


@dataclass
class RunningDemo:
    url: str
    folder: Path
    process: subprocess.Popen

    @property
    def cache(self) -> Path:
        """Where gradio may keep uploads."""
        return self.folder / "gradio"

    def kept_files(self) -> list[Path]:
        """Of visitors."""
        return files_below(self.cache)

    @property
    def log(self) -> str:
        return (self.folder / "log.txt").read_text()


def demo_environment(folder: Path, **environment: str) -> dict[str, str]:
    """The environment of a demo that keeps its files in `folder` and knows no Hub but the one it is given."""
    ours = {"TMPDIR": str(folder), "GRADIO_TEMP_DIR": str(folder / "gradio"), "HF_HOME": str(folder / "hub")}
    ours_to_set = ("MODEL_ID", "PORT", "SPACE_ID", "HF_HUB_OFFLINE", "ORT_DISABLE_TELEMETRY", "CI")
    inherited = {name: value for name, value in os.environ.items() if name not in ours_to_set}
    return inherited | ours | {"HF_ENDPOINT": "http://127.0.0.1:9"} | environment


@contextlib.contextmanager
def running_demo(folder: Path, seconds: float = 180, before: str = "", **environment: str):
    """`python app.py` with these environment variables, as soon as it answers.

    Args:
        before: Python that is run first in the same process, to give a constant of the library another value.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = environment.get("PORT") or environment.get("GRADIO_SERVER_PORT") or str(free_port())
    if "GRADIO_SERVER_PORT" not in environment:
        environment["PORT"] = port
    run = "import runpy; runpy.run_path('app.py', run_name='__main__')"
    with open(folder / "log.txt", "w") as log:
        process = subprocess.Popen(
            [sys.executable, *(["-c", f"{before}\n{run}"] if before else ["app.py"])],
            cwd=ROOT,
            env=demo_environment(folder, **environment),
            stdout=log,
            stderr=log,
        )
    demo = RunningDemo(f"http://127.0.0.1:{port}", folder, process)
    try:
        for _ in range(int(seconds / 0.2)):
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                urllib.request.urlopen(demo.url + "/config", timeout=5).close()
                break
            if process.poll() is not None:
                raise RuntimeError(f"app.py ended with exit code {process.returncode}:\n{demo.log}")
            time.sleep(0.2)
        else:
            raise RuntimeError(f"app.py did not answer within {seconds} s:\n{demo.log}")
        yield demo
    finally:
        process.terminate()
        process.wait(90)


def png_header(width: int, height: int) -> bytes:
    """The start of a PNG that claims a size and has no pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 64)
    chunks = [struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) for body in (head, data)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@functools.cache
def bad_files() -> dict[str, bytes]:
    """File name -> content that cannot be classified."""
    jpeg = _encoded(Image.open(EXAMPLES / "glioma.png"), "JPEG")
    return {
        "text.jpg": b"This is a letter, not a scan.\n" * 20,
        "empty.png": b"",
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "one_pixel.png": _encoded(Image.new("L", (1, 1)), "PNG"),
        "bomb.png": png_header(20_000, 20_000),
    }


def photograph() -> Image.Image:
    """A color photograph that is no scan: scikit-learn's picture of a flower."""
    from sklearn.datasets import load_sample_image

    return Image.fromarray(load_sample_image("flower.jpg"))


@functools.cache
def _template() -> np.ndarray:
    """nilearn's average brain at 2 mm: (99, 117, 95) uint8, from left to right, back to front, bottom to top."""
    from nilearn.datasets import load_mni152_template

    values = np.asarray(load_mni152_template(resolution=2).dataobj, np.float32)
    return (255 * values / values.max()).clip(0, 255).astype(np.uint8)


def template_volume(path: Path) -> Path:
    """Writes nilearn's average brain as NIfTI."""
    import nibabel

    affine = np.array([[2, 0, 0, -98], [0, 2, 0, -134], [0, 0, 2, -72], [0, 0, 0, 1]], float)
    nibabel.save(nibabel.Nifti1Image(_template(), affine), path)
    return path


def dicom_series(folder: Path, slices: int = 12) -> list[Path]:
    """Writes axial slices of nilearn's average brain as a DICOM series of a patient with a name and a birthday."""
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    study, series, frame, paths = generate_uid(), generate_uid(), generate_uid(), []
    for number, height in enumerate(np.linspace(25, 75, slices).round().astype(int), 1):
        # Rows run from front to back and columns from the patient's right to the left, as scanners write them.
        pixels = np.ascontiguousarray(_template()[::-1, ::-1, height].T.astype(np.uint16) * 16)
        data = pydicom.Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = MRImageStorage
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
        data.PatientName, data.PatientID, data.PatientBirthDate = "MUSTERMANN^ERIKA", "MUSTERMANN-4711", "19700101"
        data.Modality, data.SeriesDescription, data.StudyInstanceUID = "MR", "t1", study
        data.SeriesInstanceUID, data.FrameOfReferenceUID, data.InstanceNumber = series, frame, int(number)
        data.ImageOrientationPatient, data.PixelSpacing = [1, 0, 0, 0, 1, 0], [2, 2]
        data.ImagePositionPatient, data.SliceThickness = [-98, -98, float(2 * height)], 2
        data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
        data.Rows, data.Columns = pixels.shape
        data.PixelData = pixels.tobytes()
        paths.append(folder / f"IM{number:04d}.dcm")
        data.save_as(paths[-1], enforce_file_format=True)
    return paths


@functools.cache
def good_pictures() -> dict[str, tuple[Image.Image, str, dict]]:
    """Kind of 8-bit picture -> the picture, its file's suffix, and how it is saved."""
    scan = Image.open(EXAMPLES / "glioma.png").convert("L")
    colored = Image.merge("RGB", (scan, scan.rotate(2), scan.point(lambda gray: gray // 2)))
    transparent = colored.convert("RGBA")
    transparent.putalpha(scan)
    turned = Image.Exif()
    turned[0x0112] = 6  # to be shown rotated by 90 degrees
    return {
        "gray PNG": (scan, "png", {}),
        "colored JPEG": (colored, "jpg", {}),
        "palette PNG": (colored.quantize(16), "png", {}),
        "CMYK JPEG": (colored.convert("CMYK"), "jpg", {}),
        "EXIF-rotated JPEG": (colored, "jpg", {"exif": turned}),
        "RGBA PNG": (transparent, "png", {}),
        "WebP": (colored, "webp", {}),
        "BMP": (colored, "bmp", {}),
        "GIF": (scan, "gif", {}),
        "8-bit TIFF": (scan, "tif", {}),
    }


def deep_values() -> np.ndarray:
    """A slice of 12 bits in 16, as scanners write them: (320, 320) uint16, 0 to 4095."""
    scan = np.asarray(Image.open(EXAMPLES / "glioma.png").convert("L"))
    return (scan.astype(np.uint16) * 16) + np.arange(16, dtype=np.uint16)[np.arange(scan.shape[1]) % 16]


def _encoded(picture: Image.Image, format: str) -> bytes:
    out = io.BytesIO()
    picture.save(out, format=format)
    return out.getvalue()
