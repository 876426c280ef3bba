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
import types
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from brain_tumor.demo.examples import PUBLIC_DATASET, PUBLIC_SCANS
from brain_tumor.labels import LABELS
from tests.hub_stand_in import HubStandIn
from tests.scan_files import nifti

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
    import torch
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification, MobileNetV2ImageProcessor

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


@pytest.fixture(scope="session", name="model_id")
def shared_checkpoint(tmp_path_factory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="session", name="hub")
def shared_hub():
    with demo_hub() as hub:
        yield hub


@pytest.fixture(scope="session", name="demo")
def shared_demo(model_id, hub, tmp_path_factory):
    """The demo as a visitor finds it; one for all tests that leave it as it was."""
    with running_demo(tmp_path_factory.mktemp("demo"), MODEL_ID=str(model_id), HF_ENDPOINT=hub.url) as demo:
        yield demo


@dataclass
class Puppet:
    """A demo whose clock and whose work obey files, and that takes this machine's address for a public one.

    Attributes:
        demo: running; it sweeps every second.
        hold: a call that finds this file turns it into `held`, and waits until that is gone, or a minute.
        an_hour_has_passed: while this file exists its clock is an hour ahead.
    """

    demo: "RunningDemo"
    hold: Path
    held: Path
    an_hour_has_passed: Path


@pytest.fixture(scope="session")
def puppet(model_id, tmp_path_factory):
    folder = tmp_path_factory.mktemp("puppet")
    hold, held, hour = (folder / name for name in ("hold", "held", "an hour has passed"))
    strings = f"""
import contextlib, os, pathlib, safehttpx, time, types
from brain_tumor.demo import retention
from brain_tumor.inference.classifier import Classifier
retention.time = types.SimpleNamespace(
    sleep=lambda seconds: time.sleep(1), time=lambda: time.time() + 3600 * os.path.exists({str(hour)!r})
)
hold, held, predict = pathlib.Path({str(hold)!r}), pathlib.Path({str(held)!r}), Classifier.predict
def when_let_go(self, slices):
    with contextlib.suppress(FileNotFoundError):
        hold.rename(held)
        until = time.monotonic() + 60
        while held.exists() and time.monotonic() < until:
            time.sleep(0.05)
        held.unlink(missing_ok=True)
    return predict(self, slices)
Classifier.predict = when_let_go
safehttpx.is_public_ip = lambda ip: True
"""
    with running_demo(folder / "demo", before=strings, MODEL_ID=str(model_id)) as demo:
        yield Puppet(demo, hold, held, hour)


@contextlib.contextmanager
def page_in_this_process(model_id: str | Path, cache: Path):
    """The page of a checkpoint with its endpoints, served from this process: that takes no time, unlike `running_demo`.

    Args:
        cache: the folder for uploads.
    """
    import gradio as gr

    from brain_tumor.demo.about import build_about
    from brain_tumor.demo.api import build_api
    from brain_tumor.demo.gradio_patches import apply
    from brain_tumor.demo.one_scan import build_one_scan
    from brain_tumor.demo.retention import NO_STATISTICS
    from brain_tumor.demo.several_scans import build_several_scans
    from brain_tumor.inference.classifier import Classifier

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GRADIO_TEMP_DIR", raising=False)
        apply()
        patch.setenv("GRADIO_TEMP_DIR", str(cache))
        patch.setattr(tempfile, "tempdir", str(cache))
        for name, value in NO_STATISTICS.items():
            patch.setenv(name, value)
        cache.mkdir()
        classifier = Classifier(model_id)
        with gr.Blocks(analytics_enabled=False) as page:
            build_several_scans(classifier, build_one_scan(classifier, []))
            build_about(str(model_id), ROOT / "model")
            build_api(classifier)
        page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, server_port=free_port())
        try:
            yield types.SimpleNamespace(url=page.local_url.rstrip("/"), cache=cache)
        finally:
            page.close()


FILE_META = {"_type": "gradio.FileData"}

HTTP = httpx.Client(timeout=120)
"""For many requests: to make a client takes longer than to ask."""


def upload(demo, name: str, content: bytes) -> dict:
    """A file's payload after its upload, as the page's script sends it."""
    answer = httpx.post(demo.url + "/gradio_api/upload", files={"files": (name, content)}, timeout=120)
    return {"path": answer.json()[0], "orig_name": name, "meta": FILE_META}


def upload_file(demo, path: Path) -> dict:
    return upload(demo, path.name, path.read_bytes())


def call_endpoint(demo, endpoint: str, file) -> str:
    """The server's last event for a hand-made request; `gradio_client` would upload or fetch the file itself."""
    address, data = f"{demo.url}/gradio_api/call/{endpoint}", [file] if endpoint == "predict" else [[file], ""]
    event_id = HTTP.post(address, json={"data": data}).json()["event_id"]
    return HTTP.get(f"{address}/{event_id}").text


def config_of(demo) -> dict:
    return httpx.get(demo.url + "/config", timeout=30).json()


def event_of(demo, elem_id: str, event: str) -> dict:
    """The page's event, as its own script knows it."""
    config = config_of(demo)
    (component,) = (c["id"] for c in config["components"] if c["props"].get("elem_id") == elem_id)
    return next(d for d in config["dependencies"] if [component, event] in [list(t) for t in d["targets"]])


def ask_as_page(demo, elem_id: str, event: str, data: list, session: str) -> dict:
    """What the page's script gets for one of the page's own events."""
    body = {"fn_index": event_of(demo, elem_id, event)["id"], "data": data, "session_hash": session}
    httpx.post(demo.url + "/gradio_api/queue/join", json=body, timeout=30).raise_for_status()
    stream = httpx.get(demo.url + "/gradio_api/queue/data", params={"session_hash": session}, timeout=60).text
    messages = [json.loads(line.removeprefix("data: ")) for line in stream.splitlines() if line.startswith("data: ")]
    return next(message for message in messages if message["msg"] == "process_completed")


def served_files(answer) -> list[dict]:
    """Files in an answer to the page."""
    if isinstance(answer, list):
        return [file for value in answer for file in served_files(value)]
    if not isinstance(answer, dict):
        return []
    return ([answer] if answer.get("meta") == FILE_META else []) + served_files(list(answer.values()))


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
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)  # the files of visitors are gone at once; with clients connected the rest takes ten seconds
        process.kill()
        process.wait()


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


def stretch_volume(path: Path) -> Path:
    """Writes an axial volume of 14 slices, of which the middle one is of a head without a tumor and the last five show
    a glioma, as NIfTI."""
    clear, tumor = (
        np.asarray(Image.open(EXAMPLES / f"{name}.png").convert("L").resize((256, 256)))
        for name in ("no_tumor", "glioma")
    )
    stack = np.stack([clear] * 9 + [tumor] * 5, axis=-1)  # rows from front to back, columns from right to left
    path.write_bytes(nifti(np.ascontiguousarray(stack[::-1, ::-1].transpose(1, 0, 2)), np.diag([1, 1, 5, 1])))
    return path


def zipped_series(folder: Path, slices: int = 12) -> Path:
    """Writes the files of `dicom_series` as a zip."""
    with zipfile.ZipFile(folder / "series.zip", "w") as archive:
        for path in dicom_series(folder / "series", slices):
            archive.write(path, path.name)
    return folder / "series.zip"


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
    """A slice of 12 bits in 16, as scanners write them: (256, 256) uint16, 0 to 4095."""
    scan = np.asarray(Image.open(EXAMPLES / "glioma.png").convert("L"))
    return (scan.astype(np.uint16) * 16) + np.arange(16, dtype=np.uint16)[np.arange(scan.shape[1]) % 16]


def _encoded(picture: Image.Image, format: str) -> bytes:
    out = io.BytesIO()
    picture.save(out, format=format)
    return out.getvalue()
