"""How well does a checkpoint's familiarity score tell slices of a head from other pictures?

    python -m benchmarks.quality.collect_photographs runs/photographs
    python -m benchmarks.quality.familiarity CHECKPOINT --data FOLDER --part test --photographs runs/photographs

Slices must pass: those of the part, the same made worse (`corruptions`), those of heads without labels that lie beside
the sets, the project's examples, the average brain that nilearn holds, and a healthy brain of another source, of which
the verdicts are counted too. Everything else must be flagged: photographs in color and in gray, drawn pictures,
screenshots, and scans of other kinds. With `--part validation` the development half of the photographs is used, with
`--part test` the half that nobody looked at; the first digit of a file's hash says which half it is in. The few scans
of other body parts and of the healthy brain are all held out.

Writes `benchmarks/results/familiarity/<NAME or the checkpoint's name>_<part>.json`, and a sheet of the mistakes to
`runs/familiarity/`.
"""

import argparse
import hashlib
import importlib.util
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score
from tqdm.auto import tqdm

from benchmarks.arguments import add_data_argument
from benchmarks.quality.checkpoints import BATCH, SPLIT, SPLIT_SEED, Checkpoint, load_parts, open_slices, share
from benchmarks.quality.corruptions import CORRUPTIONS, corrupt
from brain_tumor.inference.familiarity import Familiarity
from brain_tumor.inference.picture_statistics import picture_statistics
from brain_tumor.inference.verdict import UNCERTAIN, decide, from_config
from brain_tumor.labels import LABELS, NO_TUMOR
from brain_tumor.network.embedding import embeddings
from brain_tumor.provenance import command_line, public_name, versions
from brain_tumor.reading.pictures import MAX_PIXELS, ScanError, open_scan, window
from brain_tumor.reading.readers import read_one, read_uploads
from brain_tumor.reading.uploads import Upload
from brain_tumor.training import strangers
from brain_tumor.training.disguise import disguise
from brain_tumor.training.other_pictures import find_other_pictures

ROOT = Path(__file__).parents[2]

RESULTS = ROOT / "benchmarks/results/familiarity"

SHEETS = ROOT / "runs/familiarity"

INSTALLED = {
    "gradio": ("media_assets/images/*.jp*g", "test_data/cheetah*.jpg"),
    "sklearn": ("datasets/images/*.jpg",),
    "matplotlib": ("mpl-data/sample_data/grace_hopper.jpg",),
}
"""Photographs of packages that are installed anyway."""

DRAWN = (
    strangers.blank,
    strangers.noise,
    strangers.page_of_text,
    strangers.chart,
    strangers.screenshot,
    strangers.shapes,
    strangers.pattern,
    strangers.waves,
    strangers.dead_leaves,
    strangers.scenery,
    strangers.portrait,
    strangers.cut_out,
)
"""Kinds of drawn pictures, of which the fit has seen others."""

DRAWN_EACH = 60

UNLABELED = "other-pictures/mr"
"""Folder of MR slices of heads without labels, beside the sets; no fit has seen them."""

LARGEST_PHOTOGRAPH = 640
"""Longest side in pixels to which photographs are reduced before anything else: some have 20 megapixels."""

OTHER_SCANS = {"body": "MRI and CT of other body parts", "head_ct": "CT of a head"}
"""Folder of scans that are no MRI of a brain -> row."""

HEALTHY = {
    "ch2.nii.gz": "healthy brain of another source (Colin 27)",
    "ch2bet.nii.gz": "healthy brain of another source, without its skull",
}
"""Volume of mricron-data, T1-weighted (Holmes et al. 1998, "Enhancement of MR images using registration for signal
averaging") -> row."""

Picture = tuple[Image.Image, str]  # and the group that it belongs to: pictures of one group are one piece of evidence


def rows_of(arguments) -> Iterator[tuple[str, bool, Iterable[Picture]]]:
    """(what, whether it is a head, its pictures), one for each row of the table."""
    part = load_parts(arguments.data, main_only=False)[arguments.part]
    slices, groups, hashes = open_slices(part), [str(group) for group in part["group"]], part["sha256"]
    yield "slices", True, zip(slices, groups, strict=True)
    for number, name in enumerate(part.features["set"].names):
        own = [i for i, of in enumerate(part["set"]) if of == number]
        yield f"slices of {name}", True, [(slices[i], groups[i]) for i in own]
    for strength in (1, 2, 3):
        # Every slice with one corruption, which take turns.
        names = [list(CORRUPTIONS)[int(digest[:8], 16) % len(CORRUPTIONS)] for digest in hashes]
        worse = (corrupt(s, name, strength, h) for s, name, h in zip(slices, names, hashes, strict=True))
        yield f"slices, corrupted with strength {strength}", True, zip(worse, groups, strict=True)
    random = np.random.default_rng(7)
    yield "slices, disguised", True, zip((disguise(s, random) for s in slices), groups, strict=True)
    unlabeled = arguments.data / UNLABELED
    if unlabeled.is_dir():
        heads = [picture for half in find_other_pictures([str(unlabeled)]) for picture in half]
        yield "MR of heads of another source", True, [(head.open(), head.case or head.path.name) for head in heads]
    yield "bundled examples", True, [(open_scan(path), path.name) for path in sorted((ROOT / "examples").glob("*.png"))]
    if importlib.util.find_spec("nilearn"):
        yield "average brain (ICBM 152)", True, average_brain()

    photographs = list(photographs_of(arguments.photographs, arguments.part == "test"))
    yield "photographs in color", False, photographs
    yield "photographs in gray", False, [(image.convert("L").convert("RGB"), group) for image, group in photographs]
    if arguments.photographs:
        for folder, what in (("screens", "screenshots"), ("medical", "other medical pictures")):
            pictures = list(pictures_in(arguments.photographs / folder, arguments.part == "test"))
            if pictures:
                yield what, False, pictures
        if arguments.part == "test":
            for folder, what in OTHER_SCANS.items():
                yield what, False, scans_in(arguments.photographs / folder)
            for name, what in HEALTHY.items():
                yield what, True, list(scans_in(arguments.photographs / "healthy", f"*__{name}"))
    random = np.random.default_rng(8)
    for kind in DRAWN:
        drawn = [kind(random) for _ in range(DRAWN_EACH)]
        drawn = [image.convert("L").convert("RGB") if i % 2 else image for i, image in enumerate(drawn)]
        yield f"drawn: {kind.__name__.replace('_', ' ')}", False, [(image, str(i)) for i, image in enumerate(drawn)]
    broken = [(strangers.broken_slice(s, random), group) for s, group in zip(slices, groups, strict=True)]
    yield "slices cut up, tiled or far zoomed in", False, broken[:: max(1, len(broken) // 240)]
    yield "charts of matplotlib", False, charts()


def average_brain() -> Iterator[Picture]:
    """Slices through the ICBM 152 average that nilearn ships, in three directions."""
    import nibabel
    from nilearn.datasets import load_mni152_template

    values = nibabel.as_closest_canonical(load_mni152_template(resolution=2)).get_fdata()
    for axis in range(3):
        for position in np.linspace(0.3, 0.7, 9):
            image = window(np.rot90(np.take(values, int(position * values.shape[axis]), axis)))
            yield image, f"{axis} {position:.2f}"


def photographs_of(folder: Path | None, held_out: bool) -> Iterator[Picture]:
    """Three views of each photograph: whole, its middle square, and a square of 60 % of that from anywhere."""
    paths = sorted(folder.glob("*.*")) if folder else []
    for package, patterns in INSTALLED.items():
        spec = importlib.util.find_spec(package)
        if spec and spec.submodule_search_locations:
            paths += sorted(p for pattern in patterns for p in Path(spec.submodule_search_locations[0]).glob(pattern))
    for image, name in open_half(paths, held_out):
        random = np.random.default_rng(int(hashlib.sha256(name.encode()).hexdigest()[:8], 16))
        width, height = image.size
        side = min(image.size)
        left, top = (width - side) // 2, (height - side) // 2
        yield image, name
        yield image.crop((left, top, left + side, top + side)), name
        side = int(0.6 * side)
        left, top = random.integers(0, width - side + 1), random.integers(0, height - side + 1)
        yield image.crop((left, top, left + side, top + side)), name


def pictures_in(folder: Path, held_out: bool) -> Iterator[Picture]:
    yield from open_half(sorted(path for path in folder.rglob("*.*") if path.is_file()), held_out)


def scans_in(folder: Path, pattern: str = "*") -> Iterator[Picture]:
    """The slices of each scan that show enough to be judged; a scan is one piece of evidence."""
    for path in sorted(folder.glob(pattern)):
        for upload in read_uploads([path]):
            if isinstance(upload, Upload):
                yield from ((slice_.image, path.name) for slice_ in upload.slices if slice_.counts)


def open_half(paths: list[Path], held_out: bool) -> Iterator[Picture]:
    """Pictures of one of the two halves, each file once, reduced."""
    seen = set()
    for path in paths:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest in seen or int(digest[0], 16) % 2 != held_out:
            continue
        seen.add(digest)
        try:
            if path.suffix == ".dcm":
                picture = read_one(path).slices[0].image
            else:
                with Image.open(path) as image:
                    if image.width * image.height > MAX_PIXELS:
                        continue
                    image.draft("RGB", (LARGEST_PHOTOGRAPH, LARGEST_PHOTOGRAPH))  # lets JPEG decode at a fraction
                    picture = open_scan(image)
        except (ScanError, OSError):
            continue
        picture.thumbnail((LARGEST_PHOTOGRAPH, LARGEST_PHOTOGRAPH))
        yield picture, path.name


def charts(count: int = 40) -> Iterator[Picture]:
    """Charts drawn by matplotlib, which no fit has seen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    random = np.random.default_rng(9)
    for number in range(count):
        figure = Figure(figsize=(4, random.uniform(2.5, 4)), dpi=100)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.set_facecolor(random.choice(["white", "black", "#eeeeee"]))
        values = random.normal(size=(2, 200)).cumsum(axis=1)
        match number % 5:
            case 0:
                axes.plot(values.T)
            case 1:
                axes.scatter(*random.normal(size=(2, 300)), s=8)
            case 2:
                axes.bar(range(8), random.random(8))
            case 3:
                axes.imshow(random.random((9, 9)), cmap=random.choice(["viridis", "gray", "Blues"]))
            case 4:
                axes.hist(random.normal(size=500), bins=30)
        axes.set_title(f"Figure {number}")
        canvas.draw()
        yield Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()), str(number)


def measure(checkpoint: Checkpoint, familiarity: Familiarity, pictures: Iterable[Picture], what: str):
    """Scores, groups and thumbnails of the pictures that are flagged."""
    scores, groups, mistakes, batch = [], [], [], []

    def flush():
        pixel_values = checkpoint.processor(images=[image for image, _ in batch], return_tensors="pt")["pixel_values"]
        rows, _ = embeddings(checkpoint.model, pixel_values)
        found = familiarity.score(rows, picture_statistics([image for image, _ in batch]))
        scores.extend(found)
        groups.extend(group for _, group in batch)
        mistakes.extend((float(s), image.resize((96, 96))) for s, (image, _) in zip(found, batch, strict=True))
        batch.clear()

    for picture in tqdm(pictures, desc=what, unit="picture"):
        batch.append(picture)
        if len(batch) == BATCH:
            flush()
    if batch:
        flush()
    return np.array(scores), np.array(groups), mistakes


def count_verdicts(checkpoint: Checkpoint, pictures: list[Picture], flagged: np.ndarray) -> dict[str, int]:
    """How many pictures get which verdict, those that are flagged counted apart; {} without thresholds."""
    thresholds = from_config(checkpoint.model.config)
    if thresholds is None:
        return {}
    found = decide(checkpoint.probabilities(image for image, _ in pictures), thresholds)[~flagged]
    healthy, uncertain = int((found == NO_TUMOR).sum()), int((found == UNCERTAIN).sum())
    tumor = len(found) - healthy - uncertain
    return {LABELS[NO_TUMOR]: healthy, "uncertain": uncertain, "tumor": tumor, "unfamiliar": int(flagged.sum())}


def sheet(mistakes: list[Image.Image], path: Path) -> None:
    columns = 15
    result = Image.new("RGB", (columns * 100, 100 * -(-len(mistakes) // columns)), "white")
    for i, image in enumerate(mistakes):
        result.paste(image, (i % columns * 100, i // columns * 100))
    path.parent.mkdir(parents=True, exist_ok=True)
    result.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="folder written by train.py")
    add_data_argument(parser)
    parser.add_argument("--part", default="validation", choices=["validation", "test"], help="of the split by patients")
    parser.add_argument("--photographs", type=Path, help="folder made by benchmarks.quality.collect_photographs")
    parser.add_argument("--name", help="of the result; default: the folder's name")
    parser.add_argument("--most", type=int, help="at most so many pictures a row, for a quick look")
    arguments = parser.parse_args()
    checkpoint = Checkpoint(arguments.checkpoint)
    familiarity = Familiarity.load(arguments.checkpoint)
    if familiarity is None:
        raise SystemExit(f"{arguments.checkpoint} has no familiarity score: benchmarks.quality.refit_familiarity.")
    rows, scored = [], {}
    for what, head, pictures in rows_of(arguments):
        if arguments.most:
            pictures = list(pictures)
            pictures = pictures[:: -(-len(pictures) // arguments.most)] if pictures else []
        scores, groups, thumbnails = measure(checkpoint, familiarity, pictures, what)
        if not len(scores):
            continue
        flagged = scores < familiarity.threshold
        figures = share(flagged, groups)
        rows.append({"what": what, "slices_of_a_head": head, "flagged": int(flagged.sum()), **figures})
        if what in HEALTHY.values():
            rows[-1]["verdicts"] = count_verdicts(checkpoint, pictures, flagged)
        scored[what] = scores
        wrong = sorted((s, i) for i, s in enumerate(scores) if (s < familiarity.threshold) == head)
        if wrong:
            name = f"{Path(arguments.checkpoint).name}_{arguments.part}_{what.replace(' ', '_').replace(':', '')}.png"
            sheet([thumbnails[i][1] for _, i in wrong[:150]], SHEETS / name)
        interval = "({:.1%} to {:.1%})".format(*figures["interval"]) if figures["interval"] else "(one scan)"
        print(f"{what:50} {len(scores):5} pictures, flagged {flagged.mean():7.2%} {interval}", flush=True)
        if verdicts := rows[-1].get("verdicts"):
            print(f"{'':50} {', '.join(f'{count} {verdict}' for verdict, count in verdicts.items())}", flush=True)
    auroc = {}
    for what in ("photographs in color", "photographs in gray"):
        if what in scored:
            truth = np.repeat([1, 0], [len(scored["slices"]), len(scored[what])])
            auroc[what] = float(roc_auc_score(truth, np.concatenate([scored["slices"], scored[what]])))
            print(f"AUROC, slices against {what}: {auroc[what]:.4f}")
    result = {
        "checkpoint": public_name(arguments.checkpoint),
        "split": SPLIT,
        "split_seed": SPLIT_SEED,
        "part": arguments.part,
        "at_most_pictures_a_row": arguments.most,
        "half_of_photographs": "held out" if arguments.part == "test" else "development",
        "threshold": familiarity.threshold,
        "rows": rows,
        "auroc": auroc,
        "command": command_line(),
        "versions": versions(),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{arguments.name or Path(arguments.checkpoint).name}_{arguments.part}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"Written to {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
