"""Each file measures one claim; its results lie under `benchmarks/results/`."""

import brain_tumor  # noqa: F401  first of all, so that ONNX Runtime reports nothing to its maker
