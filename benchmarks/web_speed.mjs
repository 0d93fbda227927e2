// What web_speed.py runs in Node and in Chromium: milliseconds of loading and of predictions, medians after a warm-up.
import { asImage } from "../tests/web/jobs.mjs";

const quantile = (numbers, part) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length * part)];

export async function main(ert, { model: name, faces, rounds }, read) {
  const bytes = await read(name), loads = [];
  for (let i = 0; i < (rounds ? 9 : 1); i++) {
    const copy = bytes.slice(), begin = performance.now();
    await ert.loadModel(copy, name);
    loads.push(performance.now() - begin);
  }
  if (rounds === 0) return { load: loads[0] };
  const model = await ert.loadModel(bytes, name);
  const gray = [], color = [];
  for (const face of faces) {
    color.push(asImage(await read(face.image), face));
    gray.push(ert.grayImage(color.at(-1), model.grayWeights));
  }
  const boxes = faces.map((face) => face.box);
  const landmarks = gray.map((image, i) => model.predict(image, boxes[i]));

  /** Return the median and the fastest tenth of some calls, after a warm-up. */
  function milliseconds(work, n = rounds) {
    const times = [];
    for (let i = -n / 4; i < n; i++) {
      const face = (i + n) % boxes.length, begin = performance.now();
      work(face);
      if (i >= 0) times.push(performance.now() - begin);
    }
    return [quantile(times, 0.5), quantile(times, 0.1)];
  }

  return {
    load: [quantile(loads, 0.5), quantile(loads, 0.1)],
    fast: milliseconds((i) => model.predict(gray[i], boxes[i])),
    "fast, color": milliseconds((i) => model.predict(color[i], boxes[i])),
    accurate: milliseconds((i) => model.predict(gray[i], boxes[i], { mode: "accurate" }), rounds / 10),
    ...(model.hasConfidence && { assess: milliseconds((i) => model.assess(gray[i], boxes[i], landmarks[i])) }),
  };
}
