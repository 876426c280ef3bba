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
    for (const part of document.querySelectorAll("#verdict, #volume-verdict, #summary, #old"))
        if (part.role !== "status") part.role = "status"
    markRows()
    followPreview()
    // An upload that is too large: the browser's check has words of gradio's, the server's answer comes as JSON.
    for (const toast of document.querySelectorAll('[data-testid="toast-text"]'))
        if (/exceed the maximum allowed size|^HTTP 413/.test(toast.textContent)) toast.textContent = TOO_LARGE
}).observe(document, {childList: true, characterData: true, subtree: true})
// The table of several scans: a heading sorts, a count and the field for a name choose rows, a row opens its scan.
const collator = new Intl.Collator("en", {numeric: true, sensitivity: "base"})
const sortScans = heading => {
    const cell = heading.closest("th"), table = cell.closest("table")
    // Probabilities begin with the highest, everything else with the first.
    const first = heading.textContent === "Tumor probability" ? "descending" : "ascending"
    const next = {ascending: "descending", descending: "ascending"}
    const order = cell.ariaSort === "none" ? first : next[cell.ariaSort]
    for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.ariaSort = other === cell ? order : "none"
    const sign = order === "ascending" ? 1 : -1
    const rows = [...table.tBodies].map(body => [body.rows[0].cells[cell.cellIndex].dataset.key, body])
    // Where nothing is known the row comes last, whatever the order; what is equal stays as it came.
    rows.sort(([a, one], [b, other]) =>
        !a - !b || sign * collator.compare(a, b) || one.dataset.place - other.dataset.place)
    table.append(...rows.map(([, body]) => body))
    chooseScans()
}
const chooseScans = () => {
    const table = document.querySelector("#table"), part = table.querySelector("[type=search]").value.toLowerCase()
    const group = table.querySelector(".counts [aria-pressed=true]")?.dataset.group
    const rest = table.querySelector("[data-first]"), most = Number(rest?.dataset.first ?? Infinity)
    let found = 0
    for (const body of table.querySelectorAll("tbody")) {
        const name = body.querySelector("th").textContent.toLowerCase()
        const chosen = name.includes(part) && (!group || body.dataset.group === group)
        found += chosen
        body.hidden = !chosen || found > most
    }
    if (rest) rest.hidden = found <= most
    table.querySelector(".none-found").textContent = found ? "" : "No scan of the table is like this."
}
let openedRow
window.openedPlace = () => Number(openedRow.dataset.open)
const openTab = name => [...document.querySelectorAll("[role=tab]")].find(tab => tab.textContent.trim() === name).click()
window.showOpened = () => {
    openTab("One scan")
    setTimeout(() => {
        bringIntoSight("#verdict")
        document.querySelector("#back").focus({preventScroll: true})
    }, 100)
}
window.backToTheTable = () => {
    openTab("Several scans")
    setTimeout(() => openedRow?.focus(), 100)
}
document.addEventListener("click", event => {
    const within = what => event.target.closest("#table " + what)
    const heading = within("[data-sort]"), count = within(".counts button"), more = within("[data-more]")
    if (heading) sortScans(heading)
    if (count) {
        const pressed = count.ariaPressed !== "true"
        for (const other of count.parentElement.children) other.ariaPressed = other === count && pressed
        chooseScans()
    }
    const rest = within("[data-first]")
    if (rest) {
        rest.remove()
        chooseScans()
    }
    if (more) {
        more.ariaExpanded = more.ariaExpanded !== "true"
        document.getElementById(more.getAttribute("aria-controls")).hidden = more.ariaExpanded !== "true"
    }
    const row = !more && getSelection().isCollapsed && within("tr.opens")
    if (row) {
        openedRow = row.querySelector("[data-open]")
        document.querySelector("#open-scan").click()
    }
})
document.addEventListener("input", event => event.target.closest("#table [type=search]") && chooseScans())
// What is shown belongs to what was chosen when "Classify" was pressed; after a change it is old.
let asked, judged
const signature = ([files, plane]) => JSON.stringify([(files ?? []).map(file => file.path), plane])
window.classifying = chosen => {
    asked = signature(chosen)
    bringIntoSight("#summary")
    return chosen
}
window.changed = chosen =>
    document.querySelector("#several-results") && ![judged, asked].includes(signature(chosen)) || ""
window.classified = (chosen, succeeded) => {
    if (succeeded) judged = asked
    asked = undefined
    return changed(chosen)
}
// A picture of the gallery that is opened is a dialog: the keyboard stays in it, and goes back to its thumbnail after.
let previewed
const followPreview = () => {
    const preview = document.querySelector("#gallery .preview")
    if (preview) {
        preview.role = "dialog"
        preview.ariaModal = "true"
        preview.ariaLabel = "Slice"
        const smalls = [...preview.querySelectorAll(".thumbnail-small")]
        previewed = smalls.findIndex(small => small.classList.contains("selected"))
    } else if (previewed !== undefined) {
        document.querySelectorAll("#gallery .thumbnail-lg")[previewed]?.focus()
        previewed = undefined
    }
}
document.addEventListener("keydown", event => {
    const preview = event.key === "Tab" && document.querySelector("#gallery .preview")
    if (!preview) return
    const buttons = [...preview.querySelectorAll("button")]
    const place = buttons.indexOf(document.activeElement) + (event.shiftKey ? -1 : 1)
    event.preventDefault()
    buttons.at(place % buttons.length).focus()
})
