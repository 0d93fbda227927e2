// Runs the finders of ert/web for web_finders.py, in Node and in Chromium.

import { FaceDetector } from "../ert/web/faces.js";
import { locateObjects } from "../ert/web/locator.js";
import { Observer, observeFaces } from "../ert/web/observe.js";
import { Tracker } from "../ert/web/tracker.js";

/**
 * Return what a finder finds in each image, and the milliseconds that it takes.
 *
 * @param ert - The module ert.js.
 * @param {{kind: string, model: string, cascade: object, options: object, images: object[], repeat: number}} task
 * @param {(name: string) => Promise<Uint8Array>} read
 */
export async function main(ert, task, read) {
  const { kind, options, repeat = 1 } = task;
  const model = await ert.loadModel(await read(task.model), task.model);
  const detector = task.cascade ? new FaceDetector(task.cascade) : null;
  const observer = new Observer(model), tracker = detector && new Tracker(model, { ...options, detector });
  let seconds = 0;
  const finders = {
    locate: (image) =>
      locateObjects(model, image, options).map((found) => {
        return { ...found, landmarks: model.predict(image, found.box, { roll: found.roll }) };
      }),
    detect: (image) => detector.detect(image, options).map((box) => ({ box })),
    faces: (image) => observeFaces(observer, detector, image, options),
    track: (image) => tracker.update(image, (seconds += 1 / 60)),
  };
  const images = [];
  for (const { file, width, height } of task.images) {
    images.push({ data: new Uint8Array(await read(file)), width, height });
  }
  const found = [], milliseconds = [];
  for (let round = 0; round < repeat; round++) {
    for (const image of images) {
      const begin = performance.now();
      const objects = finders[kind](image);
      milliseconds.push(performance.now() - begin);
      if (round === 0) found.push(objects.map((each) => ({ ...each, landmarks: Array.from(each.landmarks ?? []) })));
    }
  }
  return { found, milliseconds };
}
