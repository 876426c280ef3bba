"""Accuracy of the other recipes and of the baseline network.

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
BASELINE = ["--model_name_or_path", "baseline-cnn"]

# name -> file of the recipe, flags of train.py. Nothing here was chosen by looking at a test part.
RUNS = {
    **{f"author_set_mobilenet_seed{seed}": ("author_set.json", ["--seed", str(seed)]) for seed in (0, 1, 2)},
    "author_set_baseline-cnn_seed0": ("author_set.json", ["--seed", "0", *BASELINE]),
    "open_mobilenet_seed42": ("open.json", []),
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
    recipe, flags = RUNS[name]
    output_dir = Path("runs/benchmarks") / name
    if not (ROOT / output_dir / "results.json").exists():
        model = [] if BASELINE[0] in flags else ["--model_name_or_path", checkpoint]
        command = ["train.py", f"recipes/{recipe}", "--data_root", str(data.resolve()), *model, *flags]
        command += ["--output_dir", str(output_dir), "--overwrite", "--no_familiarity"]
        subprocess.run([sys.executable, *command], cwd=ROOT, check=True)
    shutil.copyfile(ROOT / output_dir / "results.json", RESULTS / f"{name}.json")


if __name__ == "__main__":
    main()
