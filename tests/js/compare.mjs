// What transformers.js says of pictures, by its pipeline, and of pixel tensors, by the network alone. Prints one JSON.
//
//     node compare.mjs CHECKPOINT WORK
//
// CHECKPOINT is a folder with onnx/model.onnx. WORK holds pictures/, and pixels.bin: float32 (n, 3, side, side) as
// the checkpoint's image processor makes it, little-endian.

import {readFileSync, readdirSync} from "node:fs"
import path from "node:path"
import {AutoModelForImageClassification, Tensor, env, pipeline} from "@huggingface/transformers"

const [checkpoint, work] = process.argv.slice(2).map((argument) => path.resolve(argument))
env.allowRemoteModels = false
env.localModelPath = path.dirname(checkpoint)
const name = path.basename(checkpoint)

const classify = await pipeline("image-classification", name, {dtype: "fp32"})
const pictures = {}
for (const file of readdirSync(path.join(work, "pictures"))) {
    const answers = await classify(path.join(work, "pictures", file), {top_k: null})
    pictures[file] = Object.fromEntries(answers.map(({label, score}) => [label, score]))
}

const model = await AutoModelForImageClassification.from_pretrained(name, {dtype: "fp32"})
const bytes = readFileSync(path.join(work, "pixels.bin"))
const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
const {height, width} = classify.processor.image_processor.size
const shape = [values.length / (3 * height * width), 3, height, width]
const {logits} = await model({pixel_values: new Tensor("float32", values, shape)})

console.log(JSON.stringify({pictures, logits: logits.tolist()}))
