"""Accuracy of the default recipe and of the baseline network, on both sets.

    python -m benchmarks.accuracy --data ../shared/data --checkpoint ../shared/checkpoints/mobilenet_v2_1.0_224

Trains every run that has no result yet with `train.py` (minutes to an hour each, without a GPU), keeps the trained
folders under `runs/benchmarks/`, and copies each run's results.json to `benchmarks/results/accuracy/NAME.json`.
With --bundle it also puts the checkpoint of the default recipe, its card, results and plots into `model/`, without
any picture of the data.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results/accuracy"

BUNDLED = "scans_copy-free_mobilenet_seed42"
BUNDLED_FILES = ("config.json", "model.safetensors", "preprocessor_config.json", "results.json", "README.md", "*.png")
# name -> dataset's folder, flags of train.py. Nothing here was chosen by looking at a test part.
LABELED = ["--split", "published", "--num_train_epochs", "16"]  # a third of the slices, so some more passes
RUNS = {
    "scans_copy-free_mobilenet_seed42": ("brain-tumour-MRI-scan", []),
    "scans_copy-free_baseline-cnn_seed42": ("brain-tumour-MRI-scan", ["--model_name_or_path", "baseline-cnn"]),
    **{
        f"labeled_published_mobilenet_seed{seed}": ("labeled-mri-brain-tumor", [*LABELED, "--seed", str(seed)])
        for seed in (0, 1, 2)
    },
    "labeled_published_baseline-cnn_seed0": (
        "labeled-mri-brain-tumor",
        [*LABELED, "--seed", "0", "--model_name_or_path", "baseline-cnn"],
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data", help="folder that holds both sets")
    parser.add_argument("--checkpoint", default="google/mobilenet_v2_1.0_224", help="pretrained Hub id or folder")
    parser.add_argument("--only", nargs="*", default=list(RUNS), choices=list(RUNS), help="train only these runs")
    parser.add_argument("--bundle", action="store_true", help="put the default recipe's checkpoint into model/")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in arguments.only:
        if not (RESULTS / f"{name}.json").exists():
            run(name, arguments.data, arguments.checkpoint)
    if arguments.bundle:
        (ROOT / "model").mkdir(exist_ok=True)
        for path in (path for pattern in BUNDLED_FILES for path in (ROOT / "runs/benchmarks" / BUNDLED).glob(pattern)):
            shutil.copyfile(path, ROOT / "model" / path.name)


def run(name: str, data: Path, checkpoint: str) -> None:
    dataset, flags = RUNS[name]
    output_dir = Path("runs/benchmarks") / name
    if not (ROOT / output_dir / "results.json").exists():
        model = [] if "--model_name_or_path" in flags else ["--model_name_or_path", checkpoint]
        command = ["train.py", "--dataset_name", str(data / dataset), *model, *flags, "--output_dir", str(output_dir)]
        subprocess.run([sys.executable, *command, "--overwrite"], cwd=ROOT, check=True)
    shutil.copyfile(ROOT / output_dir / "results.json", RESULTS / f"{name}.json")


if __name__ == "__main__":
    main()
