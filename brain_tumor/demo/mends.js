// What gradio's own markup lacks, kind by kind. axe-core says in tests/test_browser_accessibility.py what that is.
const set = (element, attributes) => {
    for (const [name, value] of Object.entries(attributes))
        if (value === null) element.removeAttribute(name)
        else if (element.getAttribute(name) !== value) element.setAttribute(name, value)
}
const SEVERAL_SLICES = {
    tabindex: "0", role: "group", "aria-label": "Slices: arrow keys or the mouse wheel go through them",
}
// What can be scrolled can be scrolled by the arrow keys, where it is wider than its place.
const scrollers = new ResizeObserver(entries => {
    for (const {target} of entries) set(target, {tabindex: target.scrollWidth > target.clientWidth ? "0" : null})
})
const MENDS = {
    // A button that is named by a translation's key, and a scan that is called "Thumbnail 3 of 4".
    '[aria-label="common.upload"]': button => set(button, {"aria-label": "Add files", title: "Add files"}),
    "button.thumbnail-item": scan => {
        const words = scan.querySelector(".caption-label")?.textContent.trim()
        if (words) set(scan, {"aria-label": scan.getAttribute("aria-label").split(":")[0] + ": " + words})
    },
    // What changes after a click is read out.
    "#verdict, #volume-verdict, #summary, #old, #asked": part => set(part, {role: "status"}),
    // An upload that is too large: the browser's check has words of gradio's, the server's answer comes as JSON.
    '[data-testid="toast-text"]': toast => {
        if (/exceed the maximum allowed size|^HTTP 413/.test(toast.textContent)) toast.textContent = TOO_LARGE
    },
    // The pictures take the keyboard only while there are several to go through.
    "#pictures": row => {
        for (const [name, value] of Object.entries(SEVERAL_SLICES)) set(row, {[name]: slider() ? value : null})
    },
    // Who speaks to the computer says what stands on the button: gradio's name for it has other words.
    ".upload-container:has([data-testid='upload-text'])": zone =>
        set(zone, {"aria-label": zone.textContent.replace(/\s+/g, " ").trim(), "aria-dropeffect": null}),
    // A button in a button: the inner one opens the dialog, so the outer one is but a frame around it.
    ".icon-button:has(.upload-container)": frame => {
        set(frame, {role: "group", tabindex: "-1", "aria-haspopup": null})
        set(frame.querySelector(".upload-container"), {"aria-label": "Add files", "aria-dropeffect": null})
    },
    // The same: the bar with the button that closes a message is a button that folds it.
    ".toast-header": bar => set(bar, {role: null, tabindex: null}),
    // An error is read out at once.
    ".toast-body.error": toast => set(toast, {role: "alert", "aria-live": null}),
    ".prose :is(table, pre), .api-docs :is(pre, p[style*=overflow])": part => scrollers.observe(part),
    // The page about the API: names for what shows a symbol, and its languages by keyboard.
    ".api-docs .banner-wrap > button": close => {
        if (!close.ariaLabel) requestAnimationFrame(() => close.focus())
        set(close, {"aria-label": "Close"})
    },
    ".api-docs .copy-button": copy => set(copy, {"aria-label": copy.textContent.trim() || "Copy"}),
    ".api-docs .snippets": list => set(list, {role: "tablist", "aria-label": "Language"}),
    ".api-docs .snippet": language => set(language, {
        role: "tab", tabindex: "0", "aria-selected": String(language.classList.contains("current-lang")),
    }),
}
const mend = () => {
    for (const [selector, change] of Object.entries(MENDS)) document.querySelectorAll(selector).forEach(change)
    markRows()
    followPreview()
}
new MutationObserver(mend).observe(document, {childList: true, characterData: true, subtree: true})
document.addEventListener("keydown", event => {
    const docs = document.querySelector(".api-docs"), language = event.target.closest?.(".api-docs .snippet")
    if (docs && event.key === "Escape") docs.querySelector(".banner-wrap > button").click()
    if (!language || !["Enter", " "].includes(event.key)) return
    event.preventDefault()
    language.click()
    setTimeout(mend, 100)  // gradio marks the one that is chosen by its class alone
})
