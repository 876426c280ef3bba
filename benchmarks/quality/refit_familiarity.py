"""Fits the check of uploads to a finished checkpoint again, and tests it, as the end of a training does.

    python -m benchmarks.quality.refit_familiarity CHECKPOINT --data FOLDER

Uses the sets and the other pictures of the bundled recipe. Rewrites familiarity.safetensors, the figures of the check
in results.json, and the card.
"""

import argparse
import json
import logging
from pathlib import Path

from benchmarks.arguments import add_data_argument
from benchmarks.quality.checkpoints import RECIPE, Checkpoint, load_parts, recipe_sets
from brain_tumor.evaluation.card import write_card
from brain_tumor.provenance import RESULTS, read_results
from brain_tumor.publishing.export import RESULTS_FILE, summary
from brain_tumor.training.finish import TrainedNetwork, add_familiarity
from brain_tumor.training.other_pictures import find_other_pictures


def refit(folder: Path, data: Path, recipe: Path = RECIPE) -> dict:
    """Rewrite what a checkpoint's folder holds of the check.

    Returns:
        What its results.json now holds.
    """
    checkpoint, results = Checkpoint(folder), read_results(folder / RESULTS)
    others = find_other_pictures(recipe_sets(recipe, "other_pictures"), str(data))
    parts = load_parts(data, main_only=False)
    add_familiarity(TrainedNetwork(checkpoint.model, checkpoint.processor, parts, others, {}), results, folder)
    exported = folder / RESULTS_FILE
    measured = json.loads(exported.read_text(encoding="utf-8")) if exported.is_file() else {}
    write_card(results, folder / "README.md", exported=summary(measured))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="folder written by train.py")
    add_data_argument(parser)
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    for row in refit(arguments.checkpoint, arguments.data).get("familiarity", []):
        print(f"{row['name']:60} {row['value']:7.2%} {row['note']}")


if __name__ == "__main__":
    main()
