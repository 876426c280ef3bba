"""How the demo looks: its theme, in light and dark, a style and scripts for what gradio has no setting for."""

import json
from pathlib import Path

import gradio as gr

from brain_tumor.demo.page import TOO_LARGE
from brain_tumor.reading.pictures import MIN_SIDE

SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif")

THEME = gr.themes.Soft(
    primary_hue="teal",
    secondary_hue="teal",
    neutral_hue="slate",
    font=SYSTEM_FONTS,  # fonts of the visitor's own machine: nothing is loaded from a third party
    font_mono=("ui-monospace", "Menlo", "Consolas", "monospace"),
).set(
    # Grays and teals dark enough (light enough, in the dark) for a contrast of 4.5 to 1 on every ground they stand on.
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    block_label_background_fill="*background_fill_primary",
    block_label_background_fill_dark="*background_fill_primary",
    block_label_text_color="*neutral_600",
    block_label_text_color_dark="*neutral_300",
    block_title_background_fill="none",
    block_title_background_fill_dark="none",
    block_title_text_color="*neutral_700",
    block_title_text_color_dark="*neutral_200",
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_300",
    input_placeholder_color="*neutral_600",
    input_placeholder_color_dark="*neutral_300",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover_dark="*primary_800",
    button_primary_text_color="white",
    checkbox_label_background_fill_selected="*primary_700",
    checkbox_label_background_fill_selected_dark="*primary_700",
    checkbox_label_text_color_selected="white",
    stat_background_fill="*primary_600",
    # What marks a control stands out from its ground by 3 to 1.
    checkbox_border_color="*neutral_500",
    checkbox_border_color_dark="*neutral_300",
    input_border_color="*neutral_500",
    input_border_color_dark="*neutral_400",
    input_border_width="1px",
    slider_color="*primary_700",
    slider_color_dark="*primary_400",
    button_border_width="1px",
    button_secondary_background_fill_hover_dark="*neutral_700",
    button_secondary_border_color="*neutral_300",
    button_secondary_border_color_dark="*neutral_500",
    link_text_color="*primary_700",
    link_text_color_hover="*primary_800",
    link_text_color_visited="*primary_700",
    link_text_color_dark="*primary_300",
    link_text_color_hover_dark="*primary_200",
    link_text_color_visited_dark="*primary_300",
    block_border_width="1px",
    block_border_width_dark="1px",
    block_shadow="none",
)

CSS = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")

_SCRIPTS = ("script.js", "crop.js", "stack.js", "table.js", "mends.js")

_SCRIPT = "\n".join((Path(__file__).parent / name).read_text(encoding="utf-8") for name in _SCRIPTS)

_SCRIPT = _SCRIPT.replace("TOO_LARGE", json.dumps(TOO_LARGE)).replace("MIN_SIDE", str(MIN_SIDE))

HEAD = f"<script>\n{_SCRIPT}</script>\n"
"""For the page's head: no file of anybody else's, and nothing that leaves the browser."""
