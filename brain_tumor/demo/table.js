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
let judged
const pending = []  // one batch runs at a time, in the order in which they were asked for
const signature = ([files, plane]) => JSON.stringify([(files ?? []).map(file => file.path), plane])
window.classifying = chosen => {
    pending.push(signature(chosen))
    bringIntoSight("#summary")
    return chosen
}
window.changed = chosen =>
    document.querySelector("#several-results") && ![judged, ...pending].includes(signature(chosen)) || ""
window.classified = (chosen, succeeded) => {
    const done = pending.shift()
    if (succeeded) judged = done
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
