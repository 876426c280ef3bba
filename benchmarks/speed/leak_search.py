"""Time and memory of what comes before a training, and how both grow with the number of slices.

    python -m benchmarks.speed.leak_search

The leak search (`copies.group_slices`) on synthetic thumbnails, and the preprocessing (`dataset.load_scans`, which
opens every slice once, and `pixels.pixels_for`, which resizes it once) of synthetic JPEGs in a temporary folder. The
numbers of slices are measured one after the other, each in its own process, whose peak memory the system reports. What
is not finished within `--minutes` in all is stopped, and the result says so. Writes
`benchmarks/results/speed/leak_search.json`.
"""

import argparse
import contextlib
import logging
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.speed.timing import RESULTS, write_results

SIDE = 512
"""Pixels of a synthetic slice, as most of the public set's are."""

PICTURES = 200
"""Different pictures among the synthetic JPEGs; the rest are the same with another comment in the file."""

KILOBYTES = 1 if sys.platform != "darwin" else 1024
"""Of `ru_maxrss`, in bytes on a Mac."""


def peaks() -> dict:
    """Megabytes: peak of this process, and of the largest of those that it started."""
    own, others = (
        resource.getrusage(who).ru_maxrss / KILOBYTES / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {"peak_mb": own, "largest_worker_mb": others}


def search(slices: int) -> dict:
    """Groups of copies among synthetic thumbnails; every fiftieth is a mirrored copy of the one before."""
    import numpy as np
    from scipy.ndimage import gaussian_filter

    from brain_tumor.data.copies import find_copies, group_slices
    from brain_tumor.data.dataset import THUMBNAIL_SIDE

    random = np.random.default_rng(0)
    thumbnails = np.empty((slices, THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
    for start in range(0, slices, 1000):
        rough = random.standard_normal((min(1000, slices - start), THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.float32)
        thumbnails[start : start + 1000] = (gaussian_filter(rough, (0, 2, 2)) * 300 + 128).clip(0, 255)
    thumbnails[50::50] = thumbnails[49:-1:50, :, ::-1]
    hashes = [f"{number:064x}" for number in range(slices)]
    before = peaks()["peak_mb"]
    started = time.perf_counter()
    groups = group_slices(find_copies(thumbnails), hashes)
    seconds = time.perf_counter() - started
    found = int(slices - groups.max() - 1)
    if found != len(thumbnails[50::50]):
        raise SystemExit(
            f"The search found {found} copies among synthetic thumbnails; there are {len(thumbnails[50::50])}."
        )
    return {"seconds": seconds, "before_mb": before, **peaks()}


def preprocessing(slices: int) -> dict:
    """Opening and resizing synthetic JPEGs, with as many processes as a training would use."""
    import numpy as np
    from PIL import Image
    from scipy.ndimage import zoom

    from brain_tumor.labels import LABELS

    with tempfile.TemporaryDirectory() as scratch:
        # Before `datasets` is imported: nothing may come from an earlier run's cache.
        os.environ["HF_HOME"] = os.environ["HF_DATASETS_CACHE"] = f"{scratch}/cache"
        random, files = np.random.default_rng(0), []
        for number in range(min(PICTURES, slices)):
            rough = random.uniform(0, 255, (32, 32))
            path = Path(scratch, f"{number}.jpg")
            Image.fromarray(zoom(rough, SIDE / 32, order=1).clip(0, 255).astype(np.uint8)).save(path, quality=90)
            files.append(path.read_bytes())
        for label in LABELS:
            Path(scratch, "set/train", label).mkdir(parents=True)
        for number in range(slices):
            picture = files[number % len(files)]
            comment = b"\xff\xfe\x00\x0a" + f"{number:08d}".encode()  # a segment that decoders skip
            path = Path(scratch, "set/train", LABELS[number % len(LABELS)], f"{number}.jpg")
            path.write_bytes(picture[:2] + comment + picture[2:])

        import datasets
        from transformers import ViTImageProcessorPil

        from brain_tumor.data.dataset import load_scans
        from brain_tumor.data.pixels import pixels_for

        datasets.disable_progress_bars()
        logging.disable(logging.WARNING)
        processor = ViTImageProcessorPil(size={"height": 224, "width": 224})
        before = peaks()["peak_mb"]
        started = time.perf_counter()
        scans = load_scans(Path(scratch, "set"))["train"]
        opened = time.perf_counter()
        rows = pixels_for(scans, processor, "Resizing")
        resized = time.perf_counter()
        if rows.num_rows != slices:
            raise SystemExit(f"{rows.num_rows} slices came out of {slices}.")
    return {
        "seconds": resized - started,
        "opening_seconds": opened - started,
        "resizing_seconds": resized - opened,
        "before_mb": before,
        **peaks(),
    }


def in_own_process(function: Callable[[int], dict], slices: int, seconds: float) -> dict:
    """What the function returns for so many slices, or after so many seconds the fact that it did not return."""
    context = multiprocessing.get_context("spawn")  # a fork would begin with this process's memory
    mine, its = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(its, function, slices))
    process.start()
    its.close()
    try:
        if not mine.poll(max(seconds, 0)):
            return {"slices": slices, "seconds": None, "stopped_after_seconds": seconds}
        return {"slices": slices, **mine.recv()}
    except EOFError:
        process.join()
        raise SystemExit(f"{function.__name__} of {slices} slices ended with exit code {process.exitcode}.") from None
    finally:
        with contextlib.suppress(ValueError):
            process.terminate()
        process.join()


def _send(pipe, function: Callable[[int], dict], slices: int) -> None:
    pipe.send(function(slices))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--search", type=int, nargs="+", default=[6_000, 20_000, 60_000], help="slices to search")
    parser.add_argument(
        "--preprocess", type=int, nargs="+", default=[6_000, 20_000, 60_000], help="slices to open and resize"
    )
    parser.add_argument("--minutes", type=float, default=15, help="for all together")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the result")
    arguments = parser.parse_args()
    until = time.perf_counter() + 60 * arguments.minutes
    jobs = [(preprocessing, slices) for slices in arguments.preprocess] + [(search, n) for n in arguments.search]
    rows = {"search": [], "preprocessing": []}
    for function, slices in sorted(jobs, key=lambda job: job[1]):  # the longest last
        row = in_own_process(function, slices, until - time.perf_counter())
        rows[function.__name__].append(row)
        if row["seconds"] is None:
            print(f"{function.__name__}, {slices} slices: not done after {row['stopped_after_seconds']:.0f} s")
        else:
            print(f"{function.__name__}, {slices} slices: {row['seconds']:.1f} s, peak {row['peak_mb']:.0f} MB")
    path = write_results("leak_search", {"side": SIDE, **rows}, arguments.output, ("scipy",))
    print(f"Written to {path.name}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
