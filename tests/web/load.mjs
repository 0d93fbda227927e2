// node load.mjs FOLDER NAMES [unnamed | moved]: load models; print the message of each, or its number of landmarks.
import { readFile } from "node:fs/promises";
import { loadModel } from "../../ert/web/ert.js";

const [folder, names, how] = process.argv.slice(2), results = [];
for (const name of JSON.parse(names)) {
  const bytes = new Uint8Array(await readFile(`${folder}/${name}`));
  const moved = Buffer.alloc(bytes.length + 3).subarray(3);
  moved.set(bytes);
  try {
    const model = await loadModel(how === "moved" ? moved : bytes, how === "unnamed" ? undefined : name);
    results.push(`loaded ${model.nLandmarks}`);
  } catch (error) {
    results.push(`${error.name}: ${error.message}`);
  }
}
console.log(JSON.stringify(results));
