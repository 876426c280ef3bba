"""The demo: one slice of a brain MRI in, the confidence in each of the four classes out.

    python app.py                                # the bundled checkpoint in model/
    MODEL_ID=runs/mine PORT=8000 python app.py   # another checkpoint (a folder or a Hub id), another port

It listens on this machine only; on a Hugging Face Space (SPACE_ID is set there) to everyone.
"""

import os
import sys
from pathlib import Path

import gradio as gr
import PIL.Image
from gradio.utils import is_static_file

from brain_tumor.classifier import CheckpointError, Classifier
from brain_tumor.examples import BUNDLED, PUBLIC_DATASET, Example, ExamplesError, offline_examples, public_examples
from brain_tumor.labels import display_name
from brain_tumor.scans import MAX_FILE_BYTES, ScanError, open_scan
from brain_tumor.upload import ScanUpload

BUNDLED_MODEL = Path(__file__).resolve().parent / "model"
MODEL_ID = os.environ.get("MODEL_ID") or str(BUNDLED_MODEL)

try:
    classifier = Classifier(MODEL_ID)
except CheckpointError as error:
    sys.exit(str(error))

EXAMPLES = offline_examples(MODEL_ID)


def predict(scan: str | bytes | None) -> dict[str, float]:
    """Classify one slice of a brain MRI: the model's confidence in each class, from 0 to 1, in sum 1. No diagnosis.

    Args:
        scan: the picture's file in JPEG, PNG, TIFF, WebP, BMP or GIF; more than 8 bits are windowed. Or its bytes.

    Returns:
        Display name of each class -> confidence.

    Raises:
        gr.Error: there is no scan, or it cannot be used; the message is a sentence for the visitor.
    """
    (prediction,) = classifier.predict([opened(scan)])
    return {display_name(label): confidence for label, confidence in prediction.confidences.items()}


def opened(scan: str | bytes | None) -> PIL.Image.Image:
    """The uploaded scan as 8-bit RGB, or the sentence that says why not."""
    if scan is None:
        raise sentence("Choose or paste a scan first.")
    try:
        return open_scan(scan)
    except ScanError as error:
        raise sentence(error) from error


def sentence(message: object) -> gr.Error:
    """An error that is meant for the visitor: no traceback, and on the page until it is closed."""
    return gr.Error(str(message), duration=None, print_exception=False)


def displayed(scan: str):
    """What the page shows of an upload: the file itself, or what the model sees of it if a browser cannot show that."""
    image = opened(scan)
    with PIL.Image.open(scan) as file:
        shown_by_browsers = file.format != "TIFF" and not file.mode.startswith(("I", "F"))
    return gr.skip() if shown_by_browsers else image


def load_public_examples() -> list[tuple[Path, str]]:
    """The gallery with scans of the public dataset added."""
    try:
        return gallery_of(EXAMPLES + public_examples())
    except ExamplesError as error:
        raise sentence(error) from error


def chosen_example(event: gr.SelectData) -> Path:
    """The file of the example that a visitor clicked."""
    examples = EXAMPLES if event.index < len(EXAMPLES) else EXAMPLES + public_examples()
    return examples[event.index].path


def gallery_of(examples: list[Example]) -> list[tuple[Path, str]]:
    """What gr.Gallery shows of examples, served from where they are: copies in the cache would be deleted."""
    gr.set_static_paths([example.path for example in examples if not is_static_file(example.path)])
    return [(example.path, example.caption) for example in examples]


def checkpoint_name() -> str:
    """The checkpoint as a visitor may read it: a Hub id with its link, a folder without its place on this machine."""
    if not Path(MODEL_ID).is_dir():
        return f"[{MODEL_ID}](https://huggingface.co/{MODEL_ID})"
    return f"`{Path(MODEL_ID).resolve().name}/`" + (" (bundled)" if Path(MODEL_ID).resolve() == BUNDLED_MODEL else "")


SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")
THEME = gr.themes.Soft(
    primary_hue="teal",
    secondary_hue="teal",
    neutral_hue="slate",
    font=SYSTEM_FONTS,  # fonts of the visitor's own machine: nothing is loaded from a third party
    font_mono=("ui-monospace", "Menlo", "Consolas", "monospace"),
).set(
    block_label_background_fill="*background_fill_primary",
    block_label_background_fill_dark="*background_fill_primary",
    block_label_text_color="*neutral_500",
    block_label_text_color_dark="*neutral_400",
    block_border_width="1px",
    block_border_width_dark="1px",
    block_shadow="none",
)
CSS = """
.gradio-container { max-width: 1100px !important; margin: 0 auto !important; }
footer .divider:last-child { display: none; }
#confidence .label { font-family: var(--font); }
/* Captions whole and beneath the scans: gr.Gallery lays them over the picture and cuts them off. */
#examples .grid-wrap { height: auto; min-height: 0; max-height: none; }
#examples .thumbnail-item { aspect-ratio: auto; height: 100%; display: flex; flex-direction: column; background: none; }
#examples .thumbnail-item img { aspect-ratio: 1; height: auto; background: black; }
#examples .caption-label {
    position: static; max-width: none; padding: 8px; border: none; border-radius: 0; box-shadow: none;
    background: none; opacity: 1; color: var(--body-text-color); font-size: var(--text-sm);
    line-height: 1.35; text-align: left; white-space: normal;
}
@media (max-width: 640px) { #examples .grid-container { grid-template-columns: repeat(2, 1fr); } }
"""

with gr.Blocks(title="Brain tumor classification", analytics_enabled=False, delete_cache=(600, 1800)) as demo:
    gr.Markdown(
        "# Brain tumor classification\n"
        "A neural network looks at one slice of a brain MRI and says how much it looks like a glioma, a meningioma, "
        "a pituitary tumor, or none of them."
    )
    with gr.Row():
        with gr.Column():
            scan = ScanUpload(
                label="Scan",
                elem_id="scan",
                sources=["upload", "clipboard"],
                format="png",
                height=360,
                buttons=["fullscreen"],
                placeholder="Drop a slice here, or click to choose one",
                alt_text="The slice that is classified",
            )
        with gr.Column():
            result = gr.Label(
                label="Confidence",
                elem_id="confidence",
                num_top_classes=len(classifier.labels),
                show_heading=False,  # the first of four confidences is not a verdict
            )
            gr.Markdown(
                "**Not a medical device.** For research and teaching. These numbers are a model's and no diagnosis; "
                "it knows only these classes and spreads its confidence over them whatever the picture shows. Leave "
                "every scan to a specialist."
            )
    gr.Markdown("### No scan at hand? Click an example")
    if EXAMPLES and EXAMPLES[0].path.parent == BUNDLED:
        gr.Markdown(
            "The tumors in these are simulated in an average brain. The model may miss them, plain as they are: it "
            "learned from public scans, in which the kind of scan gives the answer away, and not only the tumor."
        )
    examples = gr.Gallery(
        gallery_of(EXAMPLES),
        label="Example scans",
        show_label=False,
        elem_id="examples",
        columns=4,
        height="auto",
        allow_preview=False,
        interactive=False,
        buttons=[],
    )
    more = gr.Button("Load scans from the public dataset", size="sm")
    gr.Markdown(
        f"Scans of the public dataset come from [{PUBLIC_DATASET}](https://huggingface.co/datasets/{PUBLIC_DATASET}), "
        "with its labels; the model may have learned from them.\n\n"
        f"Checkpoint: {checkpoint_name()} · Uploads are deleted within the hour and used for nothing else."
    )

    shown = scan.upload(lambda: None, None, result, queue=False, api_visibility="private").then(
        displayed, scan, scan, show_progress="hidden", api_visibility="private"
    )
    shown.failure(lambda: None, None, scan, queue=False, api_visibility="private")  # no broken picture left behind
    shown.success(predict, scan, result, api_name="predict")  # the API, documented by its docstring
    scan.clear(lambda: None, None, result, queue=False, api_visibility="private")
    examples.select(chosen_example, None, scan, show_progress="hidden", api_visibility="private").success(
        predict, scan, result, api_visibility="private"
    )
    more.click(load_public_examples, None, examples, api_visibility="private")

if __name__ == "__main__":
    port = os.environ.get("PORT")
    if port and not port.isdecimal():
        sys.exit(f"PORT must be a number, not {port!r}.")
    try:
        demo.launch(
            # Without PORT and outside a Space, gradio's own GRADIO_SERVER_NAME and GRADIO_SERVER_PORT hold.
            server_name="0.0.0.0" if os.environ.get("SPACE_ID") else None,
            server_port=int(port) if port else None,
            max_file_size=MAX_FILE_BYTES,
            show_error=True,
            footer_links=["api"],
            run_history=False,
            ssr_mode=False,
            theme=THEME,
            css=CSS,
        )
    except OSError as error:
        sys.exit(f"The demo cannot start ({error}). Set PORT to a free port.")
