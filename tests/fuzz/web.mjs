// node web.mjs FOLDER: load each of the models that FOLDER/cases.json lists and use those that load; print the outcomes.
import { readFileSync } from "node:fs";
import { ModelError, loadModel } from "../../ert/web/ert.js";

const folder = process.argv[2];
const cases = JSON.parse(readFileSync(`${folder}/cases.json`));
const image = { data: new Uint8Array(readFileSync(`${folder}/image.raw`)), width: cases.width, height: cases.height };

/** Return the outcome of a model: refused, used or failed. */
async function outcome(name) {
  let model;
  try {
    model = await loadModel(readFileSync(`${folder}/${name}`), name);
  } catch (error) {
    const { message } = error;
    const good = error instanceof ModelError && message.startsWith(`${name}: `) && /^[ -~]+$/.test(message);
    return { outcome: good ? "refused" : "failed", text: `${error.name}: ${message}` };
  }
  try {
    const landmarks = model.predict(image, cases.box);
    const more = [model.predict(image, cases.box, { mode: "accurate" }), model.predict(image, cases.box, { roll: 30 })];
    if (model.hasConfidence) {
      const { std, within, confidence } = model.assess(image, cases.box, landmarks);
      more.push(std, within, [confidence]);
    }
    const finite = [landmarks, ...more].every((numbers) => numbers.every(Number.isFinite));
    return { outcome: finite ? "used" : "failed", text: finite ? "" : "not finite", landmarks: [...landmarks] };
  } catch (error) {
    return { outcome: "failed", text: `${error.stack}` };
  }
}

for (const name of cases.names) {
  const begin = performance.now();
  const result = await outcome(name);
  console.log(JSON.stringify({ name, ...result, seconds: (performance.now() - begin) / 1000 }));
}
