"""Files -> verdicts: reads a request's scans one upload at a time, classifies their slices and judges each scan."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from brain_tumor.inference.classifier import Classifier, portions
from brain_tumor.inference.prediction import UNFAMILIAR, Prediction, verdict_of
from brain_tumor.inference.volume import VolumeVerdict, judge_volume
from brain_tumor.inference.weaknesses import Weakness
from brain_tumor.reading.levels import ScanError
from brain_tumor.reading.readers import read_one, read_uploads, set_scout_aside, took_too_long
from brain_tumor.reading.uploads import Rejected, Upload

AT_ONCE = 32
"""Slices that are classified between two steps of the progress; whoever waits for the classifier waits for one step."""

MOST_PIXELS = 10**7
"""Pixels of single pictures that wait in memory to be classified together; one more picture may exceed it."""

Progress = Callable[[float, str], object]
"""Told how far a request is: its share in [0, 1], and a few words."""


@dataclass(frozen=True)
class JudgedUpload:
    """An upload with a prediction for each of its slices.

    Attributes:
        upload: as `read_uploads` yields it.
        predictions: of its slices, in their order.
        volume: the verdict on the whole of a series or volume; None for pictures and pages.
        weaknesses: for which the verdict is worth less.
    """

    upload: Upload
    predictions: list[Prediction]
    volume: VolumeVerdict | None
    weaknesses: list[Weakness] = field(default_factory=list)

    @property
    def verdict(self) -> str | None:
        """On the whole, as `Prediction.verdict`; None for several pages, none of which stands for the others."""
        if self.volume:
            return self.volume.verdict
        return self.predictions[0].verdict if len(self.predictions) == 1 else None

    @property
    def peak(self) -> int | None:
        """Index of the slice with the highest tumor probability, of those that may be trusted; None if none may."""
        if self.volume:
            return self.volume.peak
        known = {
            place: prediction.tumor_probability
            for place, prediction in enumerate(self.predictions)
            if prediction.verdict != UNFAMILIAR and prediction.tumor_probability is not None
        }
        return max(known, key=known.get, default=None)

    @property
    def place(self) -> int:
        """Index of the slice to look at first: the peak, or the middle one."""
        return len(self.predictions) // 2 if self.peak is None else self.peak

    def may_be_told(self, place: int) -> bool:
        """Whether a slice's confidences and map may be shown: it looks like a brain MRI, and shows enough of the head.

        The only slice of an upload is always enough.
        """
        counts = self.upload.slices[place].counts or len(self.predictions) == 1
        return counts and self.predictions[place].verdict != UNFAMILIAR


def judge_file(
    classifier: Classifier,
    source: str | Path | bytes,
    number: int | None = None,
    *,
    seconds: float = math.inf,
    progress: Progress = lambda share, words: None,
) -> JudgedUpload:
    """Read the one scan of a file or zip and classify all its slices, for one verdict on a series or volume.

    Args:
        classifier: of the checkpoint.
        source: a path, or the bytes of a file.
        number: of a slice, as `Slice.name` has it, which is then judged alone.
        seconds: how long this may take.
        progress: is called after each portion of several slices.

    Raises:
        ScanError: the file cannot be read, holds several scans or no such slice, or takes too long; the message is a
            sentence.
    """
    until = time.monotonic() + seconds
    upload = read_one(source, until)
    if number is not None:
        upload = _alone(upload, number)

    def tell(count: int) -> None:
        if len(upload.slices) > 1:
            progress(count / len(upload.slices), f"Slice {count} of {len(upload.slices)}")

    tell(0)
    predictions = _predict(classifier, upload, until if len(upload.slices) > 1 else math.inf, tell)
    if len(predictions) < len(upload.slices):
        raise ScanError(_too_late(upload, predictions))
    return _judge(classifier, upload, predictions)


def judge_anyway(judged: JudgedUpload) -> JudgedUpload:
    """What a scan of which some or all slices are unfamiliar would be called if they were familiar."""
    predictions = [
        replace(prediction, verdict=verdict_of(prediction.label, prediction.confidences, prediction.thresholds))
        for prediction in judged.predictions
    ]
    volume = judge_volume(predictions, [slice_.counts for slice_ in judged.upload.slices]) if judged.volume else None
    weaknesses = [*judged.weaknesses, Weakness("nothing", "familiarity")]
    return JudgedUpload(judged.upload, predictions, volume, weaknesses)


def _alone(upload: Upload, number: int) -> Upload:
    """An upload of one of its slices. Raises ScanError."""
    numbers = [slice_.number for slice_ in upload.slices]
    if number not in numbers:
        slice_ = f"slice {number}" if abs(number) < 10**9 else "slice of that number"  # which may have 300 digits
        raise ScanError(f"There is no {slice_} in this file, which has {_name_numbers(numbers)}. Choose another.")
    if len(numbers) == 1:
        return upload
    slice_ = upload.slices[numbers.index(number)]
    note = f"One slice of {len(numbers)}; the others were not judged."
    facts = upload.facts | {"Slice": slice_.name}
    return replace(upload, kind="picture", slices=[slice_], facts=facts, notes=[*upload.notes, note])


def _name_numbers(numbers: list[int]) -> str:
    """Ascending numbers in words.

    >>> _name_numbers([1]), _name_numbers([1, 2, 3]), _name_numbers([1, 3, 5]), _name_numbers([1, 2, 9])
    ('number 1 alone', 'numbers 1 to 3', 'every 2nd number from 1 to 5', 'the numbers 1, 2, 9')
    """
    if len(numbers) == 1:
        return f"number {numbers[0]} alone"
    steps = {after - before for before, after in pairwise(numbers)}
    if len(steps) > 1:
        return f"the numbers {', '.join(map(str, numbers))}"
    (step,) = steps
    ordinal = {2: "2nd", 3: "3rd"}.get(step, f"{step}th")
    return f"{'numbers' if step == 1 else f'every {ordinal} number from'} {numbers[0]} to {numbers[-1]}"


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
    done, count, waiting = 0, 1, []

    def expect(uploads: int) -> None:
        nonlocal count
        count = max(uploads, 1)

    progress(0, "Reading the files")
    for upload in map(set_scout_aside, read_uploads(paths, plane, until, expect)):
        if isinstance(upload, Rejected) or len(upload.slices) == 1:
            done += 1
            progress(min(done / count, 1), f"Upload {done}")
            waiting.append(upload)
            if len(waiting) == AT_ONCE or sum(map(_pixels, waiting)) > MOST_PIXELS:
                yield from _judge_together(classifier, waiting)
                waiting = []
            continue
        yield from _judge_together(classifier, waiting)
        waiting = []

        def tell(judged: int, name: int = done + 1, slices: int = len(upload.slices)) -> None:
            progress(min((name - 1 + judged / slices) / count, 1), f"Upload {name}, slice {judged} of {slices}")

        predictions = _predict(classifier, upload, until, tell)
        done += 1
        if len(predictions) < len(upload.slices):
            yield Rejected(upload.name, _too_late(upload, predictions))
            continue
        yield _judge(classifier, upload, predictions)
    yield from _judge_together(classifier, waiting)


def _predict(classifier: Classifier, upload: Upload, until: float, tell: Callable[[int], object]) -> list[Prediction]:
    """Predictions for slices, as many as fit into the time; after each portion it is told how many there are."""
    predictions = []
    for some in portions(upload.slices, AT_ONCE):
        if time.monotonic() > until:
            break
        predictions += classifier.predict([slice_.image for slice_ in some])
        tell(len(predictions))
    return predictions


def _too_late(upload: Upload, predictions: list[Prediction]) -> str:
    return took_too_long(f"{len(predictions)} of the {len(upload.slices)} slices were judged, too few for a verdict")


def _judge_together(classifier: Classifier, uploads: list[Upload | Rejected]) -> Iterator[JudgedUpload | Rejected]:
    """Uploads of one slice each are classified together; what could not be read stays in its place."""
    images = [upload.slices[0].image for upload in uploads if isinstance(upload, Upload)]
    predictions = iter(classifier.predict(images))
    for upload in uploads:
        yield _judge(classifier, upload, [next(predictions)]) if isinstance(upload, Upload) else upload


def _judge(classifier: Classifier, upload: Upload, predictions: list[Prediction]) -> JudgedUpload:
    volume = None
    if upload.kind in ("series", "volume"):
        volume = judge_volume(predictions, [slice_.counts for slice_ in upload.slices])
    return JudgedUpload(upload, predictions, volume, classifier.weaknesses.of(upload.facts))


def _pixels(upload: Upload | Rejected) -> int:
    return sum(math.prod(slice_.image.size) for slice_ in upload.slices) if isinstance(upload, Upload) else 0
