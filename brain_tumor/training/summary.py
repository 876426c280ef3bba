"""What a training says at its end: its figures, where everything is, and what to do next."""

import shlex
import textwrap

from brain_tumor.evaluation.figures_text import sets_tested, shown_bounds, shown_value, split_named

WIDTH = 120


def summary(results: dict, output_dir: str, hub_model_id: str | None = None) -> str:
    """About ten lines: figures of the test part, or of validation where that is all that was looked at.

    Args:
        results: what `finish.finish` returns.
        output_dir: the folder that it is in by now.
        hub_model_id: where it would be pushed, if that is known.
    """
    part = "test" if "test" in results else "validation"
    own, folder = results[part], shlex.quote(str(output_dir))
    lines = [f"{part.capitalize()} part of {', '.join(sets_tested(results, part))}, {split_named(results, part)}:"]
    if own["slices"]:
        patients, bounds = own["by_patient"], shown_bounds("", own["intervals"]["accuracy"])
        lines += [
            f"  right class    accuracy {shown_value('', own['accuracy'])} of {own['slices']} slices (95 % interval "
            f"{bounds}), macro recall {shown_value('', own['macro_recall'])}, ECE {shown_value('ece', own['ece'])}",
            f"  by patient     {shown_value('', patients['accuracy'])} as a mean over {patients['patients']} patients "
            f"or groups of copies ({shown_bounds('', patients['interval'])})",
            f"  copies         {own['slices_with_copy_in_train']} of {own['slices']} slices have a copy in the "
            "training part",
        ]
    lines += [_all_of("by set", own["by_set"]), _all_of("by sequence", own["by_sequence"])]
    if "decision" in own:
        verdict = own["decision"]
        lines.append(
            f"  the verdict    sensitivity {shown_value('', verdict['sensitivity'])}, specificity "
            f"{shown_value('', verdict['specificity'])}, uncertain {shown_value('', verdict['uncertain'])}"
        )
    lines.append(f"Everything is in {output_dir}.")
    if part == "test":
        lines += [
            f"Serve it:      MODEL_ID={folder} python app.py",
            f"Push it:       python train.py --push_only {folder} --hub_model_id {hub_model_id or 'you/name'}",
        ]
    return "\n".join([*lines, f"Evaluate it:   python -m brain_tumor.evaluation {folder} ANOTHER_SET"])


def _all_of(title: str, rows: list[dict]) -> str:
    """Shares of slices called what they are, in one line that is wrapped if need be."""
    shown = (f"{row['name'] or 'not known'} {shown_value('', row['right'])} of {row['slices']}" for row in rows)
    return textwrap.fill(f"  {title:<15}{'; '.join(shown)}", WIDTH, subsequent_indent=" " * 17, break_on_hyphens=False)
