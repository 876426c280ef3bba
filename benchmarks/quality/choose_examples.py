"""Choose the example scans of the demo by rule, and write them with what the model says of them.

    python -m benchmarks.quality.choose_examples model --data FOLDER    # the sets of recipes/bundled.json lie there

Of each kind in `WANTED` it is the first slice, by file hash, of the test part that the checkpoint gets right; one slice
more, the first that it gets wrong. Nobody looks at the slices, and no picture is taken for its
looks. Beside them go a slice and a small volume of the ICBM 152 average brain (needs nilearn). It fills `examples/`:
pictures, `examples.json`, `README.md` and `average_brain.nii.gz`.
"""

import argparse
import gzip
import json
from pathlib import Path

import nibabel
import numpy as np
from datasets import Dataset
from PIL import Image

from benchmarks.arguments import add_data_argument
from benchmarks.quality.checkpoints import ROOT, load_parts, recipe_sets
from brain_tumor.data.pixels import open_picture
from brain_tumor.inference.checkpoint import LISTING
from brain_tumor.inference.classifier import Classifier
from brain_tumor.inference.judging import judge_files
from brain_tumor.inference.prediction import Prediction
from brain_tumor.labels import LABELS, display_name
from brain_tumor.provenance import command_line
from brain_tumor.reading.pictures import open_scan
from brain_tumor.reading.uploads import Rejected

WANTED = (
    ("glioma.png", "figshare", "glioma", ""),
    ("meningioma.png", "figshare", "meningioma", ""),
    ("pituitary.png", "figshare", "pituitary", ""),
    ("glioma_2.png", "brain-tumor-progression", "glioma", ""),
    ("no_tumor_2.png", "multiple-sclerosis", "no_tumor", "T2"),
    ("no_tumor_3.png", "multiple-sclerosis", "no_tumor", "FLAIR"),
)
"""File, set, class and sequence ("" for any)."""

WRONG = "wrong.png"

WEAK = "brain-tumor-progression", "no_tumor"
"""Set and class whose labels are weak, since traces of an operation may show: no mistake is told by them."""

AVERAGE = "no_tumor.png"

VOLUME = "average_brain.nii.gz"

WRONG_WORDS = "The bundled model is wrong here"
"""How the caption of the slice begins that it gets wrong."""

MOST_BYTES = 60_000

HEIGHTS = (22, 30, 14, 38)
"""Axial planes of the average brain in mm of MNI space, of which the first is taken that the checkpoint gets right."""

CREDITS = {
    "figshare": (
        "J. Cheng, CC BY 4.0",
        "Jun Cheng, Brain Tumor Dataset, figshare 1512427, "
        "[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/); reduced from 512 to 256 px and 8 bits",
    ),
    "brain-tumor-progression": (
        "TCIA, CC BY 3.0",
        "K. Schmainda and M. Prah, Brain-Tumor-Progression, The Cancer Imaging Archive, "
        "[CC BY 3.0](https://creativecommons.org/licenses/by/3.0/); single slices as 8-bit pictures",
    ),
    "multiple-sclerosis": (
        "Ž. Lesjak et al., CC BY 4.0",
        "Ž. Lesjak et al., MR images of patients with multiple sclerosis, Laboratory of Imaging "
        "Technologies, Ljubljana, [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/); single slices "
        "as 8-bit pictures",
    ),
}
"""Set -> who is named beneath a slice, and the full credit with what was changed."""

SICK_WITH = {"multiple-sclerosis": "multiple sclerosis"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="folder of the checkpoint that the demo shows")
    add_data_argument(parser)
    parser.add_argument("--output", type=Path, default=ROOT / "examples", help="folder of the examples")
    arguments = parser.parse_args()
    classifier = Classifier(str(arguments.checkpoint))
    test = load_parts(arguments.data, main_only=False)["test"]
    names = np.array(recipe_sets())[test["set"]]
    write_examples(test.select(np.flatnonzero(np.isin(names, list(CREDITS)))), classifier, arguments.output)


def write_examples(test: Dataset, classifier: Classifier, folder: Path) -> None:
    """Choose among the slices of a test part and write the folder anew.

    Args:
        test: of `split.split_scans`, with the slices of the sets in `CREDITS`.
        classifier: of the checkpoint that the demo shows.
        folder: of the examples; pictures that are in it go.
    """
    for path in folder.glob("*.png"):
        path.unlink()
    sets, listing, rows = np.array(test.features["set"].names)[test["set"]], [], []
    labels, sequences = np.array(test["label"]), np.array(test["sequence"], dtype=str)
    for file, name, label, sequence in WANTED:
        chosen = (sets == name) & (labels == LABELS.index(label)) & ((sequences == sequence) | (sequence == ""))
        row = _first(test, np.flatnonzero(chosen), classifier, folder / file, right=True)
        if row is not None:
            listing.append(entry(file, name, row))
            rows.append((file, row["source"], row["patient"], name))
    average = write_average(classifier, folder)
    if average is not None:
        listing.insert(0, average)
    told = (labels < len(LABELS)) & ~((sets == WEAK[0]) & (labels == LABELS.index(WEAK[1])))
    row = _first(test, np.flatnonzero(told), classifier, folder / WRONG, right=False)
    if row is not None:
        called = display_name(classifier.predict([open_scan(folder / WRONG)])[0].verdict).lower()
        name = test.features["set"].int2str(row["set"])
        listing.append(entry(WRONG, name, row, called))
        rows.append((WRONG, row["source"], row["patient"], name))
    (folder / LISTING).write_text(json.dumps(listing, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(page(rows, average is not None, said_of_volume(classifier, folder)), "utf-8")


def is_right(prediction: Prediction, label: str) -> bool | None:
    """Whether a verdict names a slice's class; None where it names no class."""
    return prediction.verdict == label if prediction.verdict in LABELS else None


def _first(test: Dataset, indices, classifier: Classifier, path: Path, right: bool) -> dict | None:
    """The first of some slices of known patients that is judged right, or wrong; it is written."""
    for index in indices:
        row = test[int(index)]
        if not row["patient"]:
            continue
        open_picture(row["image"]).convert("L").save(path, optimize=True)
        if path.stat().st_size <= MOST_BYTES:
            (prediction,) = classifier.predict([open_scan(path)])
            if is_right(prediction, LABELS[row["label"]]) is right:
                return row
    path.unlink(missing_ok=True)
    return None


def entry(file: str, name: str, row: dict, called: str = "") -> dict[str, str]:
    """What `examples.json` says of a slice.

    Args:
        file: its picture.
        name: of its set.
        row: of the test part.
        called: what the model says of it, where that is wrong.
    """
    short, full = CREDITS[name]
    label = LABELS[row["label"]]
    what = display_name(label) + (f" ({SICK_WITH[name]})" if name in SICK_WITH else "")
    kind = ", ".join(filter(None, (row["sequence"].replace("T1C+", "T1 with contrast"), row["plane"])))
    caption = f"{what}, {kind}. {short}"
    if called:
        caption = f"{WRONG_WORDS}: it says {called}. {caption}"
    return {"file": file, "label": label, "caption": caption, "source": f"{name}/{row['source']}: {full}"}


def write_average(classifier: Classifier, folder: Path) -> dict[str, str] | None:
    """Write an axial slice of the average brain, and the whole as a small volume; None if no slice is judged right."""
    from nilearn.datasets import load_mni152_template  # only this command needs nilearn

    image = load_mni152_template(resolution=1)
    values = np.asarray(image.dataobj, np.float32)
    values = (255 * values / values.max()).clip(0, 255).astype(np.uint8)
    write_volume(values, image.affine, folder / VOLUME)
    for height in HEIGHTS:
        plane = round((height - image.affine[2, 3]) / image.affine[2, 2])
        # As radiologists look at it: the forehead at the top, the patient's right on the left.
        gray = np.pad(values[::-1, ::-1, plane].T, ((0, 0), (18, 18)))
        Image.fromarray(np.ascontiguousarray(gray)).save(folder / AVERAGE, optimize=True)
        if is_right(classifier.predict([open_scan(folder / AVERAGE)])[0], "no_tumor"):
            caption = "No tumor: average of 152 healthy brains, T1, axial, skull removed. ICBM 152"
            source = f"ICBM 152 T1 average brain (nonlinear, 2009a), z = {height} mm: LICENSE-ICBM152.txt"
            return {"file": AVERAGE, "label": "no_tumor", "caption": caption, "source": source}
    (folder / AVERAGE).unlink()
    return None


def write_volume(values: np.ndarray, affine: np.ndarray, path: Path) -> None:
    """Write a volume of 1 mm as axial slices of 2 mm pixels, 5 mm apart; the same bytes each time."""
    small = np.ascontiguousarray(values[::2, ::2, 10:170:5])
    affine = affine @ np.array([[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 5, 10], [0, 0, 0, 1]], float)
    path.write_bytes(gzip.compress(nibabel.Nifti1Image(small, affine).to_bytes(), 9, mtime=0))


def said_of_volume(classifier: Classifier, folder: Path) -> str:
    """What the model says of `VOLUME`, as a visitor reads it."""
    (judged,) = judge_files(classifier, [folder / VOLUME])
    return judged.reason if isinstance(judged, Rejected) else display_name(judged.volume.verdict).lower()


def page(rows: list[tuple[str, str, str, str]], average: bool, said: str) -> str:
    """`examples/README.md`.

    Args:
        rows: file, source, patient and set of each slice of a patient.
        average: whether there is a slice of the average brain.
        said: what the model says of the volume.
    """
    table = [f"| `{file}` | `{name}/{source}` | {patient} |" for file, source, patient, name in rows]
    credits = [f"- `{name}`: {CREDITS[name][1]}." for name in dict.fromkeys(row[3] for row in rows)]
    of_average = (
        [f"| `{AVERAGE}` | ICBM 152 average brain, axial | nobody: an average of 152 persons |"] if average else []
    )
    return "\n".join(
        [
            "# Example scans",
            "",
            "Slices of patients of the test part of `recipes/bundled.json`: the bundled checkpoint never saw them.",
            "Each is the first of its kind, by file hash, that the model gets right, and "
            f"`{WRONG}` the first that it gets wrong.",
            "No picture was taken for its looks.",
            "",
            "| file | source | patient |",
            "|---|---|---|",
            *of_average,
            *table,
            "",
            f'`{VOLUME}` is the same average brain as a volume of axial slices, for the tab "Several scans". The model',
            f"says of it: {said}.",
            "",
            "## Credits",
            "",
            *credits,
            "- ICBM 152: see `LICENSE-ICBM152.txt`.",
            "",
            "Written by:",
            "",
            "```",
            command_line(),
            "```",
            "",
        ]
    )


if __name__ == "__main__":
    main()
