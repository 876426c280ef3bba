// Looking through the slices of a file, by wheel, keys and the curve: all of them move gradio's slider.
const slider = () => {
    const input = document.querySelector("#slice input[type=range]")
    return input?.checkVisibility() ? input : null
}
const curve = () => document.querySelector("#curve [role=slider]")
const nearest = (values, wanted) =>
    values.reduce((best, value, i) => Math.abs(value - wanted) < Math.abs(values[best] - wanted) ? i : best, 0)
const numbersOf = input => {
    if (curve()?.checkVisibility()) return JSON.parse(curve().dataset.numbers)
    const [min, max, step] = [input.min, input.max, input.step].map(Number)
    return Array.from({length: (max - min) / step + 1}, (_, i) => min + i * step)
}
// Goes to the slice at a place that is found from all their numbers and the place of today's; tells whether it moved.
const goTo = find => {
    const input = slider()
    if (!input) return false
    const numbers = numbersOf(input), now = nearest(numbers, input.value)
    const place = Math.min(Math.max(find(now, numbers.length), 0), numbers.length - 1)
    if (place === now) return false
    input.value = numbers[place]
    input.dispatchEvent(new Event("input", {bubbles: true}))
    return true
}
const KEYS = {
    ArrowLeft: now => now - 1, ArrowRight: now => now + 1, PageUp: now => now - 10, PageDown: now => now + 10,
    Home: () => 0, End: (now, count) => count - 1,
}
document.addEventListener("keydown", event => {
    const onCurve = event.target === curve(), onPictures = event.target.id === "pictures"
    if (!onCurve && !onPictures || event.ctrlKey || event.altKey || event.metaKey) return
    // On a slider "up" is more; on a stack of pictures it is the one before, as with the wheel.
    const up = onCurve ? 1 : -1
    const find = {...KEYS, ArrowUp: now => now + up, ArrowDown: now => now - up}[event.key]
    if (!find || !slider()) return
    event.preventDefault()
    goTo(find)
})
// A turn of the wheel that began on the pictures goes through the slices until it ends; one that began beside them, or
// leads beyond the last slice, scrolls the page.
const turn = {until: 0, ours: false, left: 0}
document.addEventListener("wheel", event => {
    const pixels = event.deltaMode ? 100 * event.deltaY : event.deltaY
    if (event.ctrlKey || !pixels) return
    if (event.timeStamp > turn.until) {
        turn.left = 0
        const input = event.target.closest?.("#pictures") && slider()
        turn.ours = Boolean(input) && (pixels > 0 ? +input.value < +input.max : +input.value > +input.min)
    }
    turn.until = event.timeStamp + 250
    if (!turn.ours) return
    event.preventDefault()
    turn.left += pixels
    // One notch of a mouse is 100 pixels or more; a touchpad sends a few at a time.
    if (Math.abs(turn.left) < 50) return
    goTo(now => now + Math.sign(turn.left))
    turn.left = 0
}, {passive: false})
const toPointer = event => {
    const svg = curve().querySelector("svg"), box = svg.getBoundingClientRect()
    const across = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width
    goTo(() => nearest(JSON.parse(curve().dataset.across), across))
}
document.addEventListener("pointerdown", event => {
    if (event.button || !event.target.closest?.("#curve [role=slider]")) return
    toPointer(event)
    curve().setPointerCapture(event.pointerId)
})
document.addEventListener("pointermove", event => {
    if (event.buttons === 1 && event.target === curve()) toPointer(event)
})
// The curve's marker follows the slider, whatever moved it.
document.addEventListener("input", event => {
    if (!event.target.closest?.("#slice") || !curve()) return
    const {numbers, across, said} = Object.fromEntries(
        Object.entries(curve().dataset).map(([name, text]) => [name, JSON.parse(text)])
    )
    const place = nearest(numbers, event.target.value)
    curve().querySelector(".marker").setAttribute("transform", `translate(${across[place]})`)
    curve().setAttribute("aria-valuenow", numbers[place])
    curve().setAttribute("aria-valuetext", `slice ${numbers[place]}: ${said[place]}`)
})

// Windowing: how the scan is drawn, by the linear function of DICOM PS3.3, C.11.2.1.2.1. Level 128 and width 256 leave
// the 256 grays as they are.
const knobs = () => ["brightness", "contrast"].map(id => document.getElementById(id))
const drawWindow = () => {
    const [brightness, contrast] = knobs().map(knob => +knob.value), same = !brightness && !contrast
    const level = Math.round(128 - 1.28 * brightness), width = Math.round(256 / 2 ** (contrast / 25))
    for (const part of document.querySelectorAll("#window feComponentTransfer > *")) {
        part.setAttribute("slope", 255 / (width - 1))
        part.setAttribute("intercept", 0.5 - (level - 0.5) / (width - 1))
    }
    document.documentElement.style.setProperty("--window", same ? "none" : "url(#window)")
    document.querySelector(".windowing output").textContent = `Level ${level}, width ${width}`
    document.querySelector(".windowing button").disabled = same
}
window.resetWindow = () => {
    for (const knob of knobs()) knob.value = 0
    drawWindow()
}
document.addEventListener("input", event => event.target.closest?.(".windowing") && drawWindow())
document.addEventListener("click", event => {
    if (!event.target.closest?.(".windowing button")) return
    resetWindow()
    knobs()[0].focus()  // a disabled button has no focus to keep
})
let dragged = null
const onScan = event => event.target.closest?.("#original img")
document.addEventListener("contextmenu", event => onScan(event) && event.preventDefault())
document.addEventListener("pointerdown", event => {
    if (event.button !== 2 || !onScan(event)) return
    dragged = [event.clientX, event.clientY, ...knobs().map(knob => +knob.value)]
    event.target.setPointerCapture(event.pointerId)
})
document.addEventListener("pointermove", event => {
    if (!dragged || !(event.buttons & 2)) return (dragged = null)
    const [x, y, brightness, contrast] = dragged, [bright, strong] = knobs()
    bright.value = brightness + (y - event.clientY) / 2
    strong.value = contrast + (event.clientX - x) / 2
    drawWindow()
})

// What was written for the visitor, saved as by a link.
window.saveFile = file => {
    const link = document.createElement("a")
    link.href = file.url
    link.download = file.orig_name
    link.click()
}

// A click on one of the three planes moves the crosshair there. The axis along the slices has no slider of its own.
const moveAlong = (axis, share) => {
    const input = document.querySelector(`#at-${axis} input[type=range]`)
    if (!input?.checkVisibility()) return goTo((now, count) => Math.round((1 - share) * (count - 1)))
    input.value = Math.round(100 * share)
    input.dispatchEvent(new Event("input", {bubbles: true}))
}
document.addEventListener("click", event => {
    const axes = {"cut-axial": "xy", "cut-coronal": "xz", "cut-sagittal": "yz"}[event.target.closest?.(".block")?.id]
    if (!axes || event.target.tagName !== "IMG") return
    const {naturalWidth: width, naturalHeight: height} = event.target, box = event.target.getBoundingClientRect()
    if (!width) return  // it is not there yet
    const scale = Math.min(box.width / width, box.height / height)  // object-fit: contain
    const along = (at, start, room, length) =>
        Math.min(Math.max((at - start - (room - scale * length) / 2) / (scale * length), 0), 1)
    moveAlong(axes[0], along(event.clientX, box.left, box.width, width))
    moveAlong(axes[1], along(event.clientY, box.top, box.height, height))
})
