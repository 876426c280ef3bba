"""Accuracy of the default recipe and of the baseline network, on both sets.

    python -m benchmarks.quality.accuracy --data FOLDER

Trains every run that has no result yet with `train.py` (minutes to an hour each, without a GPU), keeps the trained
folders under `runs/benchmarks/`, and copies each run's results.json to `benchmarks/results/accuracy/NAME.json`.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.arguments import add_data_argument

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks/results/accuracy"
SCANS, LABELED = "brain-tumour-MRI-scan", "labeled-mri-brain-tumor"
PUBLISHED = ["--split", "published", "--num_train_epochs", "16"]  # a third of the slices, so some more passes
BASELINE = ["--model_name_or_path", "baseline-cnn"]

# name -> the set's folder, flags of train.py. Nothing here was chosen by looking at a test part.
RUNS = {
    "scans_copy-free_mobilenet_seed42": (SCANS, []),
    "scans_copy-free_baseline-cnn_seed42": (SCANS, BASELINE),
    **{f"labeled_published_mobilenet_seed{seed}": (LABELED, [*PUBLISHED, "--seed", str(seed)]) for seed in (0, 1, 2)},
    "labeled_published_baseline-cnn_seed0": (LABELED, [*PUBLISHED, "--seed", "0", *BASELINE]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_argument(parser)
    parser.add_argument("--checkpoint", default="google/mobilenet_v2_1.0_224", help="pretrained Hub id or folder")
    parser.add_argument("--only", nargs="*", default=list(RUNS), choices=list(RUNS), help="train only these runs")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in arguments.only:
        if not (RESULTS / f"{name}.json").exists():
            run(name, arguments.data, arguments.checkpoint)


def run(name: str, data: Path, checkpoint: str) -> None:
    """Train one of `RUNS`, unless its folder is there from before, and keep its results."""
    dataset, flags = RUNS[name]
    output_dir = Path("runs/benchmarks") / name
    if not (ROOT / output_dir / "results.json").exists():
        model = [] if BASELINE[0] in flags else ["--model_name_or_path", checkpoint]
        command = ["train.py", "--dataset_name", str(data / dataset), *model, *flags, "--output_dir", str(output_dir)]
        subprocess.run([sys.executable, *command, "--overwrite"], cwd=ROOT, check=True)
    shutil.copyfile(ROOT / output_dir / "results.json", RESULTS / f"{name}.json")


if __name__ == "__main__":
    main()
