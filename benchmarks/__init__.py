"""Each file one measured claim; results under `benchmarks/results/`."""
