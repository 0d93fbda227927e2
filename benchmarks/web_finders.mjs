// Runs the finders of ert/web in Node for web_finders.py: a line of JSON for each task that is read from standard input.
//
// A task is a line of JSON, which gives the sizes of images, followed by their pixels: gray, or RGBA.

import fs from "node:fs";
import { FaceDetector } from "../ert/web/faces.js";
import { loadModel } from "../ert/web/ert.js";
import { locateObjects } from "../ert/web/locator.js";
import { Tracker } from "../ert/web/tracker.js";

let model = null, detector = null, tracker = null;

const tasks = {
  async load({ file, cascade }) {
    if (file) model = await loadModel(new Uint8Array(fs.readFileSync(file)), file);
    if (cascade) detector = new FaceDetector(cascade);
  },
  detect: ({ options }, [image]) => detector.detect(image, options),
  locate: ({ options }, [image]) =>
    locateObjects(model, image, options).map(({ box, roll, confidence }) => {
      return { box, roll, confidence, landmarks: Array.from(model.predict(image, box, { roll })) };
    }),
  predict: ({ box, mode }, [image]) => Array.from(model.predict(image, box, { mode })),
  reset({ options, faces }) {
    tracker = new Tracker(model, { ...options, detector: faces ? detector : null });
  },
  update: ({ seconds }, [image]) =>
    tracker.update(image, seconds).map((each) => ({ ...each, landmarks: Array.from(each.landmarks) })),
};

function read(size) {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size;) {
    try {
      const n = fs.readSync(0, bytes, at, size - at, null);
      if (n === 0) process.exit(0);
      at += n;
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
  return bytes;
}

for (;;) {
  const task = JSON.parse(read(read(4).readUInt32LE(0)).toString());
  const images = task.images.map(([width, height, channels]) => {
    return { data: new Uint8Array(read(width * height * channels)), width, height };
  });
  const begin = performance.now();
  const value = await tasks[task.name](task, images);
  const answer = { value: value ?? null, ms: performance.now() - begin };
  fs.writeSync(1, `${JSON.stringify(answer)}\n`);
}
