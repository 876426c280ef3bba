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
