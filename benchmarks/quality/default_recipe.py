"""The libraries' default recipe on the same slices: what the project's own recipe adds to it.

    python -m benchmarks.quality.default_recipe --data FOLDER

The recipe is that of `benchmarks.example_recipe`; only the split is the project's, and the precision: bfloat16 autocast
where it is fast, since float32 takes twice as long on a CPU. Keeps the checkpoint in `runs/default_recipe` and writes
`benchmarks/results/default_recipe/NAME.json`.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from transformers import TrainingArguments

from benchmarks.arguments import add_data_argument
from benchmarks.example_recipe import example_trainer
from benchmarks.quality.checkpoints import SPLIT, SPLIT_SEED, Checkpoint, load_parts, open_slices
from brain_tumor.data.dataset import counts_by_class
from brain_tumor.evaluation.figures import part_figures
from brain_tumor.provenance import command_line, public_name, versions
from brain_tumor.training.arguments import HAS_GPU, bfloat16_is_fast

ROOT = Path(__file__).parents[2]

RESULTS = ROOT / "benchmarks/results/default_recipe"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data_argument(parser)
    parser.add_argument("--checkpoint", default="google/mobilenet_v2_1.0_224", help="pretrained Hub id or folder")
    parser.add_argument("--name", default="scans_patients_default-recipe_seed42", help="of the result")
    parser.add_argument("--output_dir", type=Path, default=ROOT / "runs/default_recipe", help="of the checkpoint")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the result")
    parser.add_argument("--seed", type=int, default=42, help="of weights, order and crops; the library's default")
    parser.add_argument("--max_steps", type=int, default=-1, help="stop early, to try the command")
    parser.add_argument("--evaluate", nargs="+", default=["validation", "test"], choices=["validation", "test"])
    arguments = parser.parse_args()
    started = time.time()
    parts = load_parts(arguments.data)
    args = TrainingArguments(  # whatever is not named here is the library's default
        output_dir=str(arguments.output_dir),
        seed=arguments.seed,
        max_steps=arguments.max_steps,
        bf16=bfloat16_is_fast(),
        use_cpu=not HAS_GPU,
        remove_unused_columns=False,
        save_strategy="no",
        report_to="none",
    )
    trainer = example_trainer(parts["train"], arguments.checkpoint, args)
    trainer.train()
    trainer.save_model()  # and the processor with it
    seconds = time.time() - started

    checkpoint = Checkpoint(arguments.output_dir)
    results = {
        "dataset": "brain-tumour-MRI-scan",
        "split": SPLIT,
        "split_seed": SPLIT_SEED,
        "counts": {name: counts_by_class(part) for name, part in parts.items()},
        "model_name_or_path": public_name(arguments.checkpoint),
        "recipe": "defaults of transformers' image-classification example",
        "seed": arguments.seed,
        "precision": "bfloat16 autocast" if args.bf16 else "float32",
        "epochs_trained": trainer.state.epoch,
        "steps": trainer.state.global_step,
        "command": command_line(),
        "versions": versions(),
        "training_seconds": round(seconds, 1),
    }
    for name in arguments.evaluate:
        probabilities = checkpoint.probabilities(open_slices(parts[name]))
        # Logarithms of probabilities are logits that softmax gives back as they were.
        results[name] = part_figures(np.log(probabilities.clip(1e-12)), parts[name])
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / f"{arguments.name}.json").write_text(json.dumps(results, indent=1) + "\n")
    for name in arguments.evaluate:
        figures = results[name]
        low, high = figures["intervals"]["accuracy"]
        print(
            f"{name}: accuracy {100 * figures['accuracy']:.1f} % ({100 * low:.1f} to {100 * high:.1f}), tumor "
            f"sensitivity {100 * figures['sensitivity']:.1f} %, specificity {100 * figures['specificity']:.1f} %"
        )


if __name__ == "__main__":
    main()
