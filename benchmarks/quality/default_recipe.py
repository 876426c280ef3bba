"""The libraries' default recipe on the same slices: what the project's own recipe is worth.

    python -m benchmarks.quality.default_recipe --data ../shared/data --checkpoint ../shared/checkpoints/mobilenet_v2_1.0_224

What a reader gets from `run_image_classification.py`, the public example of `transformers`, with nothing but model and
dataset given: AdamW at 5e-5 with linear decay, 3 epochs, batches of 8, random crops and mirroring in training, the
checkpoint's own processor (for MobileNetV2: resize to 256, middle 224) in evaluation. Batch norm momentum, dropout and
loss are the library's; no class weights, no temperature, no choice of an epoch. Only the split is the project's, and
the precision: bfloat16 autocast where it is fast, since the example's float32 takes twice as long on a CPU.

Keeps the checkpoint in `runs/default_recipe` and writes `benchmarks/results/default_recipe/NAME.json`.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification, Trainer, TrainingArguments, set_seed

from benchmarks.quality.checkpoints import SPLIT, SPLIT_SEED, Checkpoint, load_parts, open_slices
from brain_tumor.data.dataset import counts_by_class
from brain_tumor.data.pixels import open_picture
from brain_tumor.data.transforms import collate
from brain_tumor.evaluation import figures as evaluation
from brain_tumor.labels import LABELS
from brain_tumor.provenance import command_line, public_name, versions
from brain_tumor.training.arguments import HAS_GPU, bfloat16_is_fast

ROOT = Path(__file__).parents[2]

RESULTS = ROOT / "benchmarks/results/default_recipe"

CROP_AREA, CROP_ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)  # torchvision's RandomResizedCrop


def random_resized_crop(image: Image.Image, side: int, rng: np.random.Generator) -> Image.Image:
    """A random window of 8 to 100 % of the area and an aspect of 3:4 to 4:3, squeezed to `side` pixels square.

    As `torchvision.transforms.RandomResizedCrop` with its defaults, which needs torchvision: ten tries, then the
    largest window in the middle whose aspect is allowed.
    """
    width, height = image.size
    for _ in range(10):
        area = width * height * rng.uniform(*CROP_AREA)
        aspect = math.exp(rng.uniform(*map(math.log, CROP_ASPECT)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = rng.integers(width - w + 1), rng.integers(height - h + 1)
            break
    else:
        aspect = min(max(width / height, CROP_ASPECT[0]), CROP_ASPECT[1])
        w, h = min(width, round(height * aspect)), min(height, round(width / aspect))
        left, top = (width - w) // 2, (height - h) // 2
    box = (int(left), int(top), int(left) + w, int(top) + h)
    return image.resize((side, side), Image.Resampling.BILINEAR, box=box)


class ExampleTransform:
    """Rows of `image` and `label` -> model inputs, with the example's random crop and mirroring."""

    def __init__(self, processor, seed: int):
        self.processor, self.rng = processor, np.random.default_rng(seed)
        size = getattr(processor, "crop_size", None) or processor.size
        self.side = size["height"] if "height" in size else size["shortest_edge"]

    def __call__(self, rows: dict) -> dict:
        pictures = [random_resized_crop(open_picture(image), self.side, self.rng) for image in rows["image"]]
        pictures = [p.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if self.rng.random() < 0.5 else p for p in pictures]
        prepared = self.processor(images=pictures, do_resize=False, do_center_crop=False, return_tensors="pt")
        return {"pixel_values": prepared["pixel_values"], "labels": torch.tensor(rows["label"])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data", help="folder that holds the sets")
    parser.add_argument("--checkpoint", default="google/mobilenet_v2_1.0_224", help="pretrained Hub id or folder")
    parser.add_argument("--name", default="scans_copy-free_default-recipe_seed42", help="of the result")
    parser.add_argument("--output_dir", type=Path, default=ROOT / "runs/default_recipe", help="of the checkpoint")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the result")
    parser.add_argument("--seed", type=int, default=42, help="of weights, order and crops; the library's default")
    parser.add_argument("--max_steps", type=int, default=-1, help="stop early, to try the command")
    parser.add_argument("--evaluate", nargs="+", default=["validation", "test"], choices=["validation", "test"])
    arguments = parser.parse_args()
    started = time.time()
    parts = load_parts(arguments.data)
    set_seed(arguments.seed)
    processor = AutoImageProcessor.from_pretrained(arguments.checkpoint, backend="pil")
    model = AutoModelForImageClassification.from_pretrained(
        arguments.checkpoint,
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
        ignore_mismatched_sizes=True,
    )
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
    rows = parts["train"].select_columns(["image", "label"]).with_transform(ExampleTransform(processor, args.seed))
    trainer = Trainer(model=model, args=args, train_dataset=rows, data_collator=collate, processing_class=processor)
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
        results[name] = evaluation.part_figures(np.log(probabilities.clip(1e-12)), parts[name])
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
