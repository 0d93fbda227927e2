// node arguments.mjs MODEL.ert: print the messages of wrong arguments.
import { readFile } from "node:fs/promises";
import { loadModel } from "../../ert/web/ert.js";

const model = await loadModel(await readFile(process.argv[2]));
const image = { data: new Uint8Array(1200), width: 40, height: 30 }, box = [5, 5, 20, 20];
const calls = [
  () => model.predict(image),
  () => model.predict(image, [1, 2, NaN, 4]),
  () => model.predict(image, ["1", 2, 3, 5]),
  () => model.predict(image, [1, 2, 0, 5]),
  () => model.predict(image, [50, 5, 20, 20]),
  () => model.predict(image, [0, 0, 500, 20]),
  () => model.predict({ data: new Uint8Array(7), width: 2, height: 3 }, box),
  () => model.predict(null, box),
  () => model.predict(image, box, { mode: "slow" }),
  () => model.predict(image, box, { mode: { nInits: 8 } }),
  () => model.predict(image, box, { mode: { flip: true } }),
  () => model.predict(image, box, { mode: { restart: true } }),
  () => model.predict(image, box, { roll: Infinity }),
  () => model.assess(image, box, model.predict(image, box)),
];
const messages = calls.map((call) => {
  try {
    return `no error: ${call()}`;
  } catch (error) {
    return error.message;
  }
});
console.log(JSON.stringify(messages));
