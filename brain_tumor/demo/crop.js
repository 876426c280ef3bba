// A part of the picture that is shown, chosen in a dialog, goes where chosen files go. It is cut out in the browser.
let crop
const makeCrop = () => {
    const dialog = document.createElement("dialog")
    dialog.id = "crop"
    dialog.setAttribute("aria-labelledby", "crop-title")
    dialog.innerHTML = `<form method="dialog" novalidate>
        <h2 id="crop-title">Crop the picture to the scan</h2>
        <p id="crop-help">Drag a frame around the slice. With the keyboard: the arrow keys move the frame, with Shift
            they change its size; or type its place in pixels.</p>
        <div class="stage"><img alt="The picture as it was read" draggable="false">
            <div class="part" tabindex="0" role="group" aria-label="Frame" aria-describedby="crop-help">
                <i data-corner="0 0"></i><i data-corner="1 0"></i><i data-corner="0 1"></i><i data-corner="1 1"></i>
            </div></div>
        <div class="fields">${["Left", "Top", "Width", "Height"].map(name =>
            `<label>${name} <input type="number" name="${name.toLowerCase()}" inputmode="numeric"></label>`).join("")}
        </div>
        <div class="buttons"><button value="use" class="lg primary">Use this part</button>
            <button type="button" class="lg secondary">Cancel</button></div>
    </form>`
    document.body.append(dialog)
    const [image, stage, frame] = ["img", ".stage", ".part"].map(selector => dialog.querySelector(selector))
    const fields = [...dialog.querySelectorAll("input")]
    let part, width, height
    const within = (value, low, high) => Math.max(low, Math.min(high, Math.round(value) || 0))
    const set = wanted => {
        const least = Math.min(MIN_SIDE, width, height)
        const size = {width: within(wanted.width, least, width), height: within(wanted.height, least, height)}
        part = {...size, left: within(wanted.left, 0, width - size.width), top: within(wanted.top, 0, height - size.height)}
        for (const field of fields) field.value = part[field.name]
        for (const side of ["left", "width"]) frame.style[side] = 100 * part[side] / width + "%"
        for (const side of ["top", "height"]) frame.style[side] = 100 * part[side] / height + "%"
    }
    const place = event => {  // in the picture's own pixels
        const box = stage.getBoundingClientRect()
        return [within((event.clientX - box.left) / box.width * width, 0, width),
                within((event.clientY - box.top) / box.height * height, 0, height)]
    }
    const between = ([x, y], [u, v]) =>
        set({left: Math.min(x, u), top: Math.min(y, v), width: Math.abs(u - x), height: Math.abs(v - y)})
    stage.addEventListener("pointerdown", down => {
        if (down.button) return
        down.preventDefault()
        frame.focus()
        stage.setPointerCapture(down.pointerId)
        const from = place(down), start = {...part}, corner = down.target.dataset.corner?.split(" ").map(Number)
        const opposite = corner && [start.left + (1 - corner[0]) * start.width, start.top + (1 - corner[1]) * start.height]
        const move = event => {
            const to = place(event)
            if (down.target === frame) set({...start, left: start.left + to[0] - from[0], top: start.top + to[1] - from[1]})
            else if (Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) > 3) between(opposite ?? from, to)
        }
        stage.addEventListener("pointermove", move)
        for (const end of ["pointerup", "pointercancel"])
            stage.addEventListener(end, () => stage.removeEventListener("pointermove", move), {once: true})
    })
    frame.addEventListener("keydown", event => {
        const [x, y] = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key] ?? []
        if (x === undefined || event.ctrlKey || event.altKey || event.metaKey) return
        event.preventDefault()
        const step = Math.max(1, Math.round(Math.max(width, height) / 100))
        set(event.shiftKey ? {...part, width: part.width + step * x, height: part.height + step * y}
            : {...part, left: part.left + step * x, top: part.top + step * y})
    })
    dialog.addEventListener("change", () =>
        set(Object.fromEntries(fields.map(field => [field.name, field.valueAsNumber || 0]))))
    dialog.querySelector("[type=button]").addEventListener("click", () => dialog.close())
    dialog.addEventListener("close", () => {
        if (dialog.returnValue !== "use") return
        const canvas = Object.assign(document.createElement("canvas"), {width: part.width, height: part.height})
        canvas.getContext("2d").drawImage(image, -part.left, -part.top)
        const name = (document.querySelector("#given img")?.title ?? "picture").replace(/.*\//, "").replace(/\.\w+$/, "")
        canvas.toBlob(blob => giveFile(new File([blob], `part of ${name}.png`, {type: "image/png"})))
    })
    return async source => {
        image.src = source
        await image.decode()
        ;({naturalWidth: width, naturalHeight: height} = image)
        Object.assign(stage.style, {aspectRatio: width / height, width: `min(100%, ${50 * width / height}vh)`})
        set({left: width / 10, top: height / 10, width: 0.8 * width, height: 0.8 * height})
        dialog.returnValue = ""
        dialog.showModal()
        frame.focus()
    }
}
window.cropPicture = () => {
    tell("")
    crop ??= makeCrop()
    crop(document.querySelector("#original img").src)
}
