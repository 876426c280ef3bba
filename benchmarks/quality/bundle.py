"""Puts the best of several finished runs into `model/`: python -m benchmarks.quality.bundle RUN [RUN ...]

Best is what `evaluation.thresholds.recall_first` says of their validation parts. All files of the run are copied but
the pictures of its dataset.
"""

import argparse
import shutil
from pathlib import Path

from brain_tumor.evaluation.thresholds import recall_first
from brain_tumor.provenance import read_results

ROOT = Path(__file__).resolve().parents[2]
BUNDLED_FILES = (
    "config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "familiarity.safetensors",
    "results.json",
    "onnx/*",
    "README.md",
    "*.png",
)


def choose_best(runs: list[Path]) -> Path:
    """The run whose validation figures are best."""
    validation = [read_results(run / "results.json")["validation"] for run in runs]
    accuracy, nll = ([figures[figure] for figures in validation] for figure in ("accuracy", "nll"))
    return runs[recall_first(accuracy, [figures["over_sets"]["missed"] for figures in validation], nll)]


def bundle(run: Path, folder: Path) -> None:
    """Copy a run's checkpoint into a folder, in which nothing of another checkpoint may stay."""
    shutil.rmtree(folder, ignore_errors=True)
    for path in (path for pattern in BUNDLED_FILES for path in run.glob(pattern)):
        target = folder / path.relative_to(run)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="output folders of train.py")
    best = choose_best(parser.parse_args().runs)
    bundle(best, ROOT / "model")
    print(f"{best} is in model/ now.")


if __name__ == "__main__":
    main()
