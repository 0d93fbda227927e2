// node example.mjs MODEL.ert PHOTO.pgm LEFT TOP WIDTH HEIGHT
import { readFile } from "node:fs/promises";
import { loadModel } from "./ert.js";

const [modelFile, photoFile, ...box] = process.argv.slice(2);
const model = await loadModel(await readFile(modelFile), modelFile);
// A gray photo: "P5 width height 255", then a byte for each pixel.
const photo = await readFile(photoFile);
const [start, width, height] = photo.toString("latin1").match(/^P5\s+(\d+)\s+(\d+)\s+255\s/);
const image = { data: photo.subarray(start.length), width: Number(width), height: Number(height) };
const landmarks = model.predict(image, box.map(Number), { mode: "accurate" });
model.landmarkNames.forEach((name, i) => {
  console.log(`${name},${landmarks[2 * i].toFixed(2)},${landmarks[2 * i + 1].toFixed(2)}`);
});
