"""Another set of the four classes that only trains: never a copy of what is judged, and nothing else changes."""

from pathlib import Path

import numpy as np
import torch

from brain_tumor.data.copies import find_copies, thumbnails_of
from brain_tumor.data.dataset import load_scans
from brain_tumor.data.split import split_scans, with_others
from brain_tumor.labels import LABELS
from brain_tumor.training.trainer import class_weights
from tests.slices import draw_slice

FOUR = {"glioma": 30, "meningioma": 30, "no_tumor": 30, "pituitary": 30}


def extra_of(folder, main, copied: int = 30):
    """A set of copies of some slices of another, of each class, and of as many that are nowhere else."""
    for label in LABELS:
        (folder / label).mkdir(parents=True)
    rows = main["train"].select(range(0, main["train"].num_rows, main["train"].num_rows // copied))
    for number, row in enumerate(rows):
        label = LABELS[row["label"]]
        picture = draw_slice(5000 + number, label)
        picture.save(folder / label / f"new{number}.png")
        path = folder / label / f"copy{number}.png"
        path.write_bytes(row["image"]["bytes"] or Path(row["image"]["path"]).read_bytes())
    return load_scans(folder)


def test_it_trains_without_a_copy_of_what_is_judged_and_leaves_the_other_parts_alone(slice_folder, tmp_path):
    main = load_scans(slice_folder(FOUR))
    extra = extra_of(tmp_path / "extra", main, copied=60)
    alone, beside = (split_scans(main, "copy_free", 1, extra=other) for other in (None, extra))
    assert list(beside) == [*alone, "extra_train"]
    for name in alone:
        assert alone[name]["sha256"] == beside[name]["sha256"]
    more = beside["extra_train"]
    for name in ("validation", "test"):
        assert not len(find_copies(thumbnails_of(more), thumbnails_of(beside[name])))
        assert len(find_copies(thumbnails_of(extra["train"]), thumbnails_of(beside[name]))), (
            "there was one to leave out"
        )
    assert len(find_copies(thumbnails_of(more), thumbnails_of(beside["train"]))), "copies of what trains may train"
    assert 60 <= more.num_rows < extra["train"].num_rows
    assert min(more["group"]) > max(max(part["group"]) for part in alone.values())


def test_its_slices_are_trained_on_and_weigh_their_classes_but_do_not_validate(slice_folder, tmp_path):
    main = load_scans(slice_folder(FOUR))
    parts = split_scans(main, "copy_free", 1, extra=extra_of(tmp_path / "extra", main))
    counted = {name: part.add_column("pixels", [b""] * part.num_rows) for name, part in parts.items()}
    assert len(with_others(counted, "train")) == parts["train"].num_rows + parts["extra_train"].num_rows
    assert len(with_others(counted, "validation")) == parts["validation"].num_rows
    both = np.bincount([*parts["train"]["label"], *parts["extra_train"]["label"]], minlength=4)
    torch.testing.assert_close(
        class_weights(parts, "balanced"), torch.tensor(both.sum() / (4 * both), dtype=torch.float32)
    )
