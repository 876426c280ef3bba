"""Three hundred predictions in a row; `python -m tests.endurance` makes 5,000."""

from tests.endurance import before, endurance
from tests.serving import checkpoint, running_demo

KEPT, SWEEP = 4, 1


def test_memory_and_files_do_not_grow_with_the_number_of_predictions(tmp_path):
    model_id = checkpoint(tmp_path / "checkpoint")
    with running_demo(tmp_path / "demo", before=before(KEPT, SWEEP), MODEL_ID=str(model_id)) as demo:
        results = endurance(demo, 300, every=25, kept=KEPT, sweep=SWEEP)
    assert results["errors"] == 0
    assert results["sentences"] == 300 / 20, "one in twenty is a bad file"
    assert results["growth"] < 0.05, results["samples"]
    assert results["most_files_over"] <= 0, results["samples"]
