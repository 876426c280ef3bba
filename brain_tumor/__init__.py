"""What `train.py` and `app.py` share: one file, one idea."""

import os

# ONNX Runtime's official builds report each start and each model to their maker; read when it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
