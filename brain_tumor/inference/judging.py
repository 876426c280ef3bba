"""Files -> verdicts: reads a request's scans one upload at a time, classifies their slices and judges each scan."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from brain_tumor.inference.classifier import Classifier, portions
from brain_tumor.inference.prediction import Prediction
from brain_tumor.inference.volume import VolumeVerdict, judge_volume
from brain_tumor.reading.readers import read_scan, read_uploads, took_too_long
from brain_tumor.reading.uploads import Rejected, Upload

AT_ONCE = 32
"""Slices that are classified between two steps of the progress; whoever waits for the classifier waits for one step."""

MOST_PIXELS = 10**7
"""Pixels of single pictures that wait in memory to be classified together; one more picture may exceed it."""

Progress = Callable[[float, str], object]
"""Told how far a request is: its share in [0, 1], and a few words."""


@dataclass(frozen=True)
class JudgedSlice:
    """The one slice that is looked at of a file.

    Attributes:
        image: 8-bit RGB, as the model sees it.
        prediction: what the classifier says.
        facts: about the file, in words for a reader.
        notes: sentences for the visitor.
    """

    image: Image.Image
    prediction: Prediction
    facts: dict[str, str]
    notes: list[str]


@dataclass(frozen=True)
class JudgedUpload:
    """An upload with a prediction for each of its slices.

    Attributes:
        upload: as `read_uploads` yields it.
        predictions: of its slices, in their order.
        volume: the verdict on the whole of a series or volume; None for pictures and pages.
    """

    upload: Upload
    predictions: list[Prediction]
    volume: VolumeVerdict | None


def judge_picture(classifier: Classifier, source: str | Path | bytes) -> JudgedSlice:
    """Read one scan and classify it; of a file with several slices the middle one of those that count.

    Raises:
        ScanError: the file cannot be read; the message is a sentence.
    """
    slice_, facts, notes = read_scan(source)
    (prediction,) = classifier.predict([slice_.image])
    return JudgedSlice(slice_.image, prediction, facts, notes)


def judge_files(
    classifier: Classifier,
    paths: Sequence[str | Path],
    plane: str | None = None,
    *,
    seconds: float = math.inf,
    progress: Progress = lambda share, words: None,
) -> Iterator[JudgedUpload | Rejected]:
    """Read any number of files and classify their slices; single pictures several at a time, volumes one by one.

    Args:
        classifier: of the checkpoint.
        paths: of the files, as `read_uploads` takes them.
        plane: "axial", "coronal" or "sagittal": how volumes are cut. Default: as they are finest.
        seconds: how long this may take. What is not judged then is left out, with a `Rejected` that says how much.
        progress: is called after each portion of slices.

    Yields:
        For each upload, in their order, its verdicts, or `Rejected` with a sentence.
    """
    until = time.monotonic() + seconds
    done, waiting = 0, []
    progress(0, "Reading the files")
    for upload in read_uploads(paths, plane, until):
        if isinstance(upload, Rejected) or len(upload.slices) == 1:
            done += 1
            progress(min(done / len(paths), 1), f"Upload {done}")
            waiting.append(upload)
            if len(waiting) == AT_ONCE or sum(map(_pixels, waiting)) > MOST_PIXELS:
                yield from _judge_together(classifier, waiting)
                waiting = []
            continue
        yield from _judge_together(classifier, waiting)
        waiting = []
        predictions = []
        for some in portions(upload.slices, AT_ONCE):
            if time.monotonic() > until:
                break
            predictions += classifier.predict([slice_.image for slice_ in some])
            share = len(predictions) / len(upload.slices)
            so_far = f"Upload {done + 1}, slice {len(predictions)} of {len(upload.slices)}"
            progress(min((done + share) / len(paths), 1), so_far)
        done += 1
        if len(predictions) < len(upload.slices):
            how_far = f"{len(predictions)} of the {len(upload.slices)} slices were judged, too few for a verdict"
            yield Rejected(upload.name, took_too_long(how_far))
            continue
        yield _judge(upload, predictions)
    yield from _judge_together(classifier, waiting)


def _judge_together(classifier: Classifier, uploads: list[Upload | Rejected]) -> Iterator[JudgedUpload | Rejected]:
    """Uploads of one slice each are classified together; what could not be read stays in its place."""
    images = [upload.slices[0].image for upload in uploads if isinstance(upload, Upload)]
    predictions = iter(classifier.predict(images))
    for upload in uploads:
        yield _judge(upload, [next(predictions)]) if isinstance(upload, Upload) else upload


def _judge(upload: Upload, predictions: list[Prediction]) -> JudgedUpload:
    if upload.kind not in ("series", "volume"):
        return JudgedUpload(upload, predictions, None)
    return JudgedUpload(upload, predictions, judge_volume(predictions, [slice_.counts for slice_ in upload.slices]))


def _pixels(upload: Upload | Rejected) -> int:
    return sum(math.prod(slice_.image.size) for slice_ in upload.slices) if isinstance(upload, Upload) else 0
