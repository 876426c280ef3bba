"""The README's section on speed, from the files under `benchmarks/results/speed/`: those that are there."""

import json
from pathlib import Path

from benchmarks.speed.timing import RESULTS

SERVERS = {"ten_lines": "ten lines around `pipeline`", "app": "**this demo**", "floor": "Gradio's floor"}

PASSES = {"backend": "this project", "openvino": "OpenVINO float32", "torch": "torch"}

SIDES = {"example": "the public example script", "train.py": "`train.py`"}


def section(folder: Path = RESULTS) -> str:
    """Markdown of every result there is; nothing if there is none."""
    parts = []
    for name, write in (
        ("inference", inference),
        ("serving", serving),
        ("training", training),
        ("training_accuracy", accuracy),
        ("leak_search", leak_search),
        ("endurance", endurance),
    ):
        path = folder / f"{name}.json"
        if path.exists():
            parts.append("\n".join(write(json.loads(path.read_text()))))
    return "\n\n".join(parts)


def endurance(found: dict) -> list[str]:
    memory = [sample["rss_mb"] for sample in found["samples"]]
    return [
        f"{found['predictions']:,} predictions in a row: {found['errors']} errors, "
        f"{found['most_files_over']} files more than uploads that may still be there, memory "
        f"{100 * found['growth']:+.1f} % ({memory[0]:.0f} MB after the first {found['samples'][0]['predictions']:,}, "
        f"{memory[-1]:.0f} MB at the end)."
    ]


def inference(found: dict) -> list[str]:
    batch, machine = found["batch"], found["machine"]
    lines = [
        f"From picture to labels, median milliseconds of {found['repeats']} turns ({machine['processor']}, "
        f"{machine['cores']} cores):",
        "",
        "| | `pipeline` of transformers | labels and heat maps | times faster | and familiarity | times faster |",
        "|---|---|---|---|---|---|",
    ]
    for what, words in (("one", "one scan"), ("batch", f"{batch} scans")):
        takes = found["whole_call_ms"][what]
        lines.append(
            f"| {words} | {takes['pipeline']['median']:.1f} | {takes['labels']['median']:.1f} "
            f"| **{spread(found['times_faster_to_labels'][what])}** | {takes['classifier']['median']:.1f} "
            f"| **{spread(found['times_faster'][what])}** |"
        )
    lines += [
        "",
        f"The same label on {found['same_label']} of {found['pictures']} pictures. Forward pass alone: "
        + "; ".join(
            f"{words} "
            + ", ".join(
                f"{PASSES[name]} {takes['median']:.1f} ms" + times_openvino(found, what, name)
                for name, takes in found["forward_pass_ms"][what].items()
            )
            for what, words in (("one", "one scan,"), ("batch", f"{batch} scans,"))
        )
        + ".",
    ]
    return lines


def times_openvino(found: dict, what: str, name: str) -> str:
    times = found["times_openvino"].get(what, {}).get(name)
    return f" ({times['median']:.2f} of OpenVINO's)" if times else ""


def serving(found: dict) -> list[str]:
    numbers = list(found["servers"]["app"]["clients"])
    lines = [
        f"The demo under load, server and clients on the same {found['machine']['cores']} cores, "
        f"{found['seconds']:.0f} s each:",
        "",
        "| | start to first answer | memory before / after it | "
        + " | ".join(f"{n} client{'s' * (n != '1')}: answers/s, p50, p95" for n in numbers)
        + " | errors |",
        "|---|---|---|" + "---|" * len(numbers) + "---|",
    ]
    for name, words in SERVERS.items():
        server = found["servers"][name]
        loads = [server["clients"][n] for n in numbers]
        cells = [
            f"{load['per_second']['median']:.1f}, {duration(load['p50_ms'])}, {duration(load['p95_ms'])}"
            for load in loads
        ]
        lines.append(
            f"| {words} | {server['first_answer_s']['median']:.1f} s "
            f"| {server['memory_before_mb']['median']:.0f} / {server['memory_after_mb']['median']:.0f} MB | "
            + " | ".join(cells)
            + f" | {sum(load['errors'] for load in loads)} |"
        )
    floor, batch = found["app_against"]["floor"], found["predict_batch"]
    rates = ", ".join(f"{of['median']:.2f}" for of in floor["per_second"].values())
    lines += [
        "",
        f"Against the floor, repeat by repeat: first answer after {spread(floor['first_answer'])} of its time, "
        f"{floor['memory_more_mb']['median']:.0f} MB more, {rates} of its answers per second with {', '.join(numbers)} "
        f"clients. `/predict_batch` with {batch['scans']} scans: {spread(batch['times_faster'])} times the scans per "
        "second of one call after the other.",
    ]
    return lines


def training(found: dict) -> list[str]:
    rates = [f"{words} {found['scans_per_second'][name]['median']:.1f}" for name, words in SIDES.items()]
    parts = {name: sum(kinds.values()) for name, kinds in found["profile_ms"].items()}
    return [
        f"Training, scans per second in batches of {found['batch']}: {', '.join(rates)}, "
        f"**{spread(found['times_faster'])}** times as many. A profiled step takes {parts['train.py']:.0f} instead of "
        f"{parts['example']:.0f} ms:",
        "",
        "![Where the time of a training step goes](../benchmarks/results/speed/training_profile.png)",
    ]


def accuracy(found: dict) -> list[str]:
    against = found["train_py_minus_example"]
    low, high = (100 * bound for bound in against["interval"])
    each = ", ".join(f"{words} {100 * found['accuracy'][name]:.1f} %" for name, words in SIDES.items())
    return [
        f"After the same short training (`{found['short_training']}`), accuracy on {found['validation_slices']} "
        f"validation slices: {each}, a difference of {100 * against['difference']:+.1f} points ({low:+.1f} to "
        f"{high:+.1f}).",
    ]


def leak_search(found: dict) -> list[str]:
    lines = [
        "What precedes a training, on synthetic slices:",
        "",
        "| slices | leak search | its peak memory | opening and resizing | its peak memory, main process / worker |",
        "|---|---|---|---|---|",
    ]
    searched, prepared = ({row["slices"]: row for row in found[name]} for name in ("search", "preprocessing"))
    for slices in sorted(searched | prepared):
        search, prepare = searched.get(slices), prepared.get(slices)
        cells = [took(search), f"{search['peak_mb']:.0f} MB" if done(search) else "-", took(prepare)]
        cells.append(f"{prepare['peak_mb']:.0f} / {prepare['largest_worker_mb']:.0f} MB" if done(prepare) else "-")
        lines.append(f"| {slices:,} | " + " | ".join(cells) + " |")
    return lines


def done(row: dict | None) -> bool:
    return row is not None and row["seconds"] is not None


def took(row: dict | None) -> str:
    if row is None:
        return "not measured"
    return f"{row['seconds']:.1f} s" if done(row) else f"stopped after {row['stopped_after_seconds']:.0f} s"


def spread(of: dict) -> str:
    return f"{of['median']:.2f} ({of['low']:.2f} to {of['high']:.2f})"


def duration(of: dict) -> str:
    """Milliseconds as a reader says them.

    >>> duration({"median": 145.2}), duration({"median": 4100})
    ('145 ms', '4.1 s')
    """
    value = of["median"]
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.1f} s"
