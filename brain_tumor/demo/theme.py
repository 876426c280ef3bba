"""How the demo looks: its theme, in light and dark, and the styles and the script that gradio has no setting for."""

import json

import gradio as gr

from brain_tumor.demo.page import TOO_LARGE

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
    button_primary_background_fill_hover_dark="*primary_600",
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

CSS = """
/* clip: with gradio's "hidden" nothing inside could stay in sight while the page scrolls */
.gradio-container {
    width: 100% !important; min-width: 0 !important; max-width: min(1180px, 100vw) !important;
    margin: 0 auto !important;
    overflow: clip !important;
}
.gradio-container .column, .gradio-container .row > * { min-width: min(100%, var(--least, 0px)); }
#about pre, #about .prose { max-width: 100%; overflow-x: auto; }
footer .divider:last-child { display: none; }
footer, footer button, footer a { color: var(--body-text-color-subdued) !important; }
#intro h1 { margin-bottom: 4px; }
/* Where the keyboard is must be seen on every ground. */
:focus-visible, label:has(input:focus-visible) {
    outline: 3px solid var(--primary-600) !important; outline-offset: 2px;
}
.dark :focus-visible, .dark label:has(input:focus-visible) { outline-color: var(--primary-300) !important; }
.quiet, .quiet p { color: var(--body-text-color-subdued); font-size: var(--text-sm); }

/* Always in sight, on every tab and wherever the page is scrolled to. */
#warning {
    position: sticky; top: 0; z-index: 40; padding: 8px 14px; border-radius: 8px; overflow: visible;
    background: #fef3c7; border: 1px solid #d97706;
}
#warning * { color: #713f12 !important; font-size: var(--text-sm); line-height: 1.4; margin: 0; }
.dark #warning { background: #422006; border-color: #b45309; }
.dark #warning * { color: #fde68a !important; }

.verdict {
    border-left: 6px solid; border-radius: 8px; padding: 14px 18px; background: var(--background-fill-secondary);
}
.verdict h2 { margin: 0 0 4px; font-size: var(--text-xxl); line-height: 1.25; color: var(--body-text-color); }
#glossary p { margin: 0 0 4px; }
.verdict summary { margin-top: 6px; cursor: pointer; font-size: var(--text-sm); }
.verdict p { margin: 0 0 2px; color: var(--body-text-color); }
.verdict .caution { margin-top: 6px; font-size: var(--text-sm); }
.verdict.waiting { border-color: var(--neutral-400); }
.verdict.tumor { border-color: #e11d48; }
.verdict.clear { border-color: #0d9488; }
.verdict.uncertain { border-color: #d97706; }
.verdict.unfamiliar { border-color: #64748b; }

#told-box:has(#told:empty) { display: none; }
#told { margin: 0; color: var(--error-text-color); font-weight: 600; }
#another, #anyway { max-width: 200px; }
.verdict + .verdict { margin-top: 12px; }
#told, #verdict, #summary { scroll-margin-top: 100px; }  /* beneath the warning */
#verdict .html-container, #volume-verdict .html-container { padding: 0; }
#map-words { background: var(--block-background-fill); }
#map-words small { color: var(--body-text-color-subdued); font-size: var(--text-sm); }
#slice input[type="range"]::-webkit-slider-thumb { border: 2px solid var(--primary-700); }
#slice input[type="range"]::-moz-range-thumb { border: 2px solid var(--primary-700); }
/* The border around the field itself, and not around it and the button beside it. */
#slice .tab-like-container { border: 0; gap: 4px; }
#slice input[type="number"] { border: 1px solid var(--input-border-color); border-radius: var(--radius-sm); }
#results:not(:has(#map-switch input:checked)) :is(#picture, #map-words) { display: none; }
#map { gap: 4px; }
:is(#map-switch, #named) input { border-color: var(--primary-700) !important; }
.dark :is(#map-switch, #named) input { border-color: var(--primary-300) !important; }
#shown-class { display: none; }  /* the rows of the confidences choose */
#give { position: relative; }
#given {
    position: absolute; top: 10px; right: 10px; width: auto; border: 0; background: none; pointer-events: none;
}
#given img { width: 64px; height: 64px; object-fit: contain; background: black; border-radius: 6px; }
.legend { display: flex; align-items: center; gap: 10px; font-size: var(--text-sm); margin-bottom: 4px; }
.legend .scale { flex: 1; height: 10px; border-radius: 5px; }
#table, #table * { font-family: var(--font) !important; }
#table th .cell-menu-button { display: flex; color: var(--body-text-color); }  /* gradio's wants a mouse */
.share h3, #glossary h3, #confidence h3, #facts h3, #slice-words h3, #several-results h3 {
    margin: 0 0 8px; font-size: var(--text-md); color: var(--body-text-color);
}
button[role="tab"].selected { color: var(--primary-700) !important; }
.dark button[role="tab"].selected { color: var(--primary-300) !important; }
.share .bar { display: flex; height: 14px; border-radius: 7px; overflow: hidden; background: var(--neutral-200); }
.dark .share .bar { background: var(--neutral-700); }
.share .any { background: #be123c; }
.share .none { background: #0f766e; flex: 1; }
.dark .share .any { background: #fb7185; }
.dark .share .none { background: #2dd4bf; }
.share .ends { display: flex; justify-content: space-between; margin-bottom: 4px; font-size: var(--text-sm); }
.share small { display: block; margin-top: 4px; color: var(--body-text-color-subdued); font-size: var(--text-sm); }

.facts { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 0; }
.facts dt { color: var(--body-text-color-subdued); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.notes { margin: 8px 0 0; padding-left: 20px; }

#slice-words p { margin: 0 0 4px; }
#confidence dl { margin: 0; }
#confidence dl > div {
    position: relative; display: flex; justify-content: space-between; gap: 12px; padding: 5px 8px 12px;
    border-radius: 6px;
}
#confidence dl > div:has([aria-pressed="true"]) { box-shadow: inset 0 0 0 2px var(--primary-600); }
#confidence dl > div:has(button):hover { background: var(--background-fill-secondary); }
#confidence dd { margin: 0; font-variant-numeric: tabular-nums; }
#confidence .bar {
    position: absolute; left: 8px; bottom: 4px; height: 6px; max-width: calc(100% - 16px); border-radius: 3px;
    background: var(--primary-600);
}
#confidence button { all: unset; }
#confidence button::after { content: ""; position: absolute; inset: 0; cursor: pointer; }  /* the whole row */
#confidence small { color: var(--body-text-color-subdued); font-size: var(--text-sm); }
/* Room for their labels, which else lie on the picture. */
#original, #picture, #curve, #plot, #peak, #about .plot { padding-top: 38px; }
:is(#original, #picture, #peak) img { background: black; object-fit: contain; }

/* Captions whole and beneath the scans: gr.Gallery lays them over the picture and cuts them off. */
#examples .grid-wrap, #gallery .grid-wrap { height: auto; min-height: 0; max-height: none; }
.thumbnail-item {
    aspect-ratio: auto !important; height: 100%; display: flex; flex-direction: column; background: none;
}
#examples .thumbnail-item img, #gallery .grid-wrap .thumbnail-item img {
    aspect-ratio: 1; height: auto; background: black; object-fit: contain;
}
.thumbnail-item .caption-label {
    position: static; max-width: none; padding: 8px; border: none; border-radius: 0; box-shadow: none;
    background: none; opacity: 1; color: var(--body-text-color); font-size: var(--text-sm);
    line-height: 1.35; text-align: left; white-space: normal; overflow-wrap: anywhere;
}
/* Wider than a phone they scroll: with gradio's styles words would break into letters. */
#about table { display: block; overflow-x: auto; max-width: 100%; }
#about :is(th, td) { overflow-wrap: normal; word-break: normal; }
#about .plot img { background: white; width: 100%; height: auto; max-height: 420px; object-fit: contain; }
#examples .grid-container { grid-template-columns: repeat(auto-fill, minmax(112px, 1fr)) !important; }
@media (max-width: 640px) {
    #gallery .grid-container { grid-template-columns: repeat(2, 1fr) !important; }
    .gradio-container { padding: 8px !important; }
    #about .plot { padding-top: 58px; }  /* labels of two lines */
}
"""

HEAD = """
<script>
const onOneScan = () => document.querySelector("#verdict")?.checkVisibility()
const tell = words => {
    document.querySelector("#told").textContent = words
    if (words) window.bringIntoSight("#told")
}
document.addEventListener("click", event => event.target.closest("#give, #another") && tell(""), true)
// What is pasted or dropped, anywhere on the page, goes where chosen files go.
const giveScan = (files, none) => {
    tell(!files.length ? none : files.length === 1 ? "" :
        "One scan at a time: this is the verdict on the first file. The tab “Several scans” takes all of them.")
    if (files.length) giveFile(files[0])
}
let given = 0
const giveFile = file => {
    const input = document.querySelector("#scan input[type=file]")
    // There is none while the scan before is judged; it goes a moment after that was given.
    if (!input || Date.now() < given + 500) return setTimeout(giveFile, 200, file)
    given = Date.now()
    const transfer = new DataTransfer()
    transfer.items.add(file)
    input.files = transfer.files
    input.dispatchEvent(new Event("change", {bubbles: true}))
}
// On a phone the answer is further down than the screen reaches.
window.bringIntoSight = selector => {
    const part = document.querySelector(selector), still = matchMedia("(prefers-reduced-motion: reduce)").matches
    const {top, bottom} = part.getBoundingClientRect()
    if (top < 0 || bottom > innerHeight)
        part.scrollIntoView({block: "start", behavior: still ? "auto" : "smooth"})
}
const NOTHING_PASTED = "There is no picture on the clipboard. Copy one, or choose its file."
document.addEventListener("paste", event => {
    if (onOneScan() && !event.target.closest?.("input, textarea"))
        giveScan([...event.clipboardData.files], NOTHING_PASTED)
})
window.pasteScan = async () => {
    const files = []
    try {
        for (const item of await navigator.clipboard.read())
            for (const type of item.types.filter(type => type.startsWith("image/")))
                files.push(new File([await item.getType(type)], "pasted." + type.split("/")[1], {type}))
    } catch {
        return tell("The browser did not let this page read the clipboard. Press Ctrl+V (⌘V on a Mac) instead, " +
            "or allow it in the browser's settings for this page.")
    }
    giveScan(files.slice(0, 1), NOTHING_PASTED)  // one picture may be there in several formats
}
// Without these a browser leaves the page for a file that is dropped beside the field for it.
const hasFiles = event => event.dataTransfer?.types.includes("Files")
document.addEventListener("dragover", event => hasFiles(event) && event.preventDefault())
document.addEventListener("drop", event => {
    if (!hasFiles(event) || event.defaultPrevented) return  // a field has taken it
    event.preventDefault()
    if (onOneScan()) giveScan([...event.dataTransfer.files], "This is a folder. Drop a file, or a .zip of the folder.")
})
// Gradio's tables sort by a menu in each heading that the keyboard does not reach: Enter on the heading opens it.
document.addEventListener("keydown", event => {
    if (event.key !== "Enter" || event.target.getAttribute?.("role") !== "columnheader") return
    event.target.querySelector(".cell-menu-button")?.click()
    setTimeout(() => document.querySelector('[role="menuitem"]')?.focus(), 100)
})
// A row of the confidences shows the heat map of its class, by gradio's radio buttons, which are hidden.
const radios = () => [...document.querySelectorAll("#shown-class input")]
const mapSwitch = () => document.querySelector("#map-switch input")
document.addEventListener("click", event => {
    const row = event.target.closest("[data-class]")
    if (!row) return
    if (!mapSwitch().checked) mapSwitch().click()
    radios().find(radio => radio.value === row.dataset.class).click()
})
const markRows = () => {
    const shown = mapSwitch()?.checked && radios().find(radio => radio.checked)?.value
    for (const row of document.querySelectorAll("[data-class]"))
        if (row.ariaPressed !== String(row.dataset.class === shown)) row.ariaPressed = row.dataset.class === shown
}
document.addEventListener("change", () => setTimeout(markRows, 50))
// Names that a screen reader can use: gradio calls a scan "Thumbnail 3 of 4", and a button by a translation's key.
// And what changes after a click is read out.
const rename = (element, name) => {
    if (element.getAttribute("aria-label") !== name) element.setAttribute("aria-label", name)
}
new MutationObserver(() => {
    for (const button of document.querySelectorAll('[aria-label="common.upload"]')) {
        rename(button, "Add files")
        button.title = "Add files"
    }
    for (const scan of document.querySelectorAll("button.thumbnail-item")) {
        const words = scan.querySelector(".caption-label")?.textContent.trim()
        if (words) rename(scan, scan.getAttribute("aria-label").split(":")[0] + ": " + words)
    }
    for (const button of document.querySelectorAll("th .cell-menu-button"))
        rename(button, "Sort or filter by " + button.closest("th").title)
    for (const part of document.querySelectorAll("#verdict, #volume-verdict, #summary"))
        if (part.role !== "status") part.role = "status"
    markRows()
    // An upload that is too large: the browser's check has words of gradio's, the server's answer comes as JSON.
    for (const toast of document.querySelectorAll('[data-testid="toast-text"]'))
        if (/exceed the maximum allowed size|^HTTP 413/.test(toast.textContent)) toast.textContent = TOO_LARGE
}).observe(document, {childList: true, characterData: true, subtree: true})
</script>
""".replace("TOO_LARGE", json.dumps(TOO_LARGE))
"""For the page's head: no file of anybody else's, and nothing that leaves the browser."""
