"""Arguments that several benchmarks share."""

import argparse
from pathlib import Path


def add_data_argument(parser: argparse.ArgumentParser) -> None:
    """`--data`, which every benchmark on real slices needs."""
    parser.add_argument("--data", type=Path, required=True, help="folder that holds the sets, each under its own name")
