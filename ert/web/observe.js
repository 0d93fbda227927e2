// Objects at a place in an image: landmarks, how far they can be trusted, and the place that they have themselves.

import { channels, grayImage } from "./internal/cascade.js";
import { MAX_SIDE } from "./faces.js";
import { fitSimilarity, rotation } from "./internal/geometry.js";
import { followObject, poseOfLandmarks } from "./locator.js";
import { reduceTo } from "./internal/resize.js";
import { rotate } from "./internal/rotated.js";
import { lastOf } from "./internal/steps.js";

/**
 * @typedef {import("./ert.js").Model} Model
 * @typedef {import("./ert.js").Pixels} Pixels
 * @typedef {{center: number[], size: number, roll: number}} Place - In pixels; the size is the side of the box; the
 *     roll is in degrees, clockwise.
 * @typedef {{landmarks: Float64Array, std: Float64Array | null, confidence: number}} Observation
 */

// Faces with a larger roll are located in a copy of the image that is rotated upright.
const MAX_UPRIGHT_DEGREES = 12;
// Without a confidence model: boxes moved by these parts of their sides, and the distance of the landmarks found in
// them from their mean, in sides of the box (the median landmark's), at which the confidence is one half.
const SHIFTS = [[0, 0], [-0.05, 0.05], [0.05, 0.05]], SPREAD_AT_HALF_CONFIDENCE = 0.0175;
// Detections of a face are the same within this distance in its sizes.
const SAME_FACE_SIZES = 0.5;
// Windows that agree on a face: fewer than in Python where the confidence of the model decides.
const MIN_WINDOWS = 2, MIN_WINDOWS_WITHOUT_CONFIDENCE = 4;
// A coarse search with small steps from size to size finds more faces than a fine one with larger steps, in less time.
const DETECTION = { coarse: true, sizeStep: 1.1 };
// Of faces in photos. Of 400 training faces of 300-W, the last two find 12 of the 39 that the first misses.
const PHOTO_ROLLS = [0, -25, 25];

/** Locates the objects of a model at places that are roughly known. */
export class Observer {
  /** @param {Model} model */
  constructor(model) {
    if (model.nLandmarks < 2) throw new TypeError("model: 1 landmark, which has no size; expected at least 2");
    this.model = model;
    const flip = model.mirrorMap !== null;
    // The median of several is steadier than one; errors in the mirror image differ.
    this.mode = { nInits: flip ? 2 : 3, flip };
  }

  /**
   * @param {ArrayLike<number>} landmarks
   * @returns {Place} Where the mean shape fits the landmarks best.
   */
  placeOf(landmarks) {
    const { a, b, center } = fitSimilarity(this.model.meanShape, landmarks);
    return { center, size: Math.hypot(a, b), roll: (Math.atan2(b, a) * 180) / Math.PI };
  }

  /**
   * @param {ArrayLike<number>} landmarks
   * @returns {{box: number[], roll: number}} The box that would be drawn around the upright object, around its center.
   */
  poseOf(landmarks) {
    if (this.model.locator) return poseOfLandmarks(this.model, landmarks);
    const { a, b, middle, center } = fitSimilarity(this.model.meanShape, landmarks);
    const size = Math.hypot(a, b), angle = (Math.atan2(b, a) * 180) / Math.PI;
    const roll = Math.abs(angle) > MAX_UPRIGHT_DEGREES ? angle : 0;
    const [c, , s] = rotation(roll);
    // From the center of the landmarks to that of the box.
    const u = size * (0.5 - middle[0]), v = size * (0.5 - middle[1]);
    const x = center[0] + c * u - s * v, y = center[1] + s * u + c * v;
    return { box: [x - size / 2, y - size / 2, size + 1, size + 1], roll };
  }

  /**
   * Locate the object near expected landmarks.
   *
   * @param {Pixels} image
   * @param {ArrayLike<number>} expected
   * @returns {Observation | null} Null where they are outside the image.
   */
  observe(image, expected) {
    const { center, size } = this.placeOf(expected);
    if (!(isInside(image, center) && size > 4 && size < 4 * Math.max(image.width, image.height))) return null;
    const pose = this.poseOf(expected);
    if (!this.model.locator) return this.observeIn(image, pose.box, pose.roll);
    const { box, roll, confidence } = followObject(this.model, image, pose);
    return this.observeIn(image, box, roll, confidence);
  }

  /**
   * Locate the object in a box.
   *
   * @param {Pixels} image
   * @param {number[]} box
   * @param {number} roll
   * @param {number | null} [confidence] - That there is an object, if the locator found it.
   * @returns {Observation | null} Null where the middle of the box is outside the image.
   */
  observeIn(image, box, roll, confidence = null) {
    const { model } = this;
    const [left, top, width, height] = box;
    if (!isInside(image, [left + (width - 1) / 2, top + (height - 1) / 2])) return null;
    if (!model.hasConfidence && confidence === null) return this.observeSpread(image, box, roll);
    const landmarks = model.predict(image, box, { mode: this.mode, roll });
    if (!model.hasConfidence) return { landmarks, std: null, confidence };
    const assessed = model.assess(image, box, landmarks);
    return { landmarks, std: assessed.std, confidence: assessed.confidence };
  }

  observeSpread(image, box, roll) {
    const [left, top, width, height] = box;
    const shapes = SHIFTS.map(([right, down]) =>
      this.model.predict(image, [left + right * width, top + down * height, width, height], { mode: this.mode, roll }),
    );
    const landmarks = shapes[0].map((_, i) => shapes.reduce((sum, shape) => sum + shape[i], 0) / shapes.length);
    const distances = Float64Array.from({ length: landmarks.length / 2 }, (_, k) => {
      const from = (shape) => Math.hypot(shape[2 * k] - landmarks[2 * k], shape[2 * k + 1] - landmarks[2 * k + 1]);
      return shapes.reduce((sum, shape) => sum + from(shape), 0) / shapes.length;
    });
    const spread = distances.slice().sort()[distances.length >> 1] / (SPREAD_AT_HALF_CONFIDENCE * width);
    return { landmarks, std: null, confidence: 1 / (1 + spread ** 4) };
  }

  /**
   * @param {ArrayLike<number>} landmarks
   * @param {ArrayLike<number>} others
   * @returns {number} The mean distance of the landmarks in sizes of the first ones.
   */
  distance(landmarks, others) {
    let sum = 0;
    for (let i = 0; i < landmarks.length; i += 2) {
      sum += Math.hypot(landmarks[i] - others[i], landmarks[i + 1] - others[i + 1]);
    }
    return sum / (landmarks.length / 2) / this.placeOf(landmarks).size;
  }
}

function isInside({ width, height }, [x, y]) {
  return x > -0.5 && x < width - 0.5 && y > -0.5 && y < height - 0.5;
}

/**
 * Find faces: those that a detector finds and the model is confident of.
 *
 * @param {Observer} observer
 * @param {import("./faces.js").FaceDetector} detector
 * @param {Pixels} image
 * @param {{minConfidence?: number, rolls?: number[]} & import("./faces.js").DetectOptions} [options] - The detector
 *     finds faces that are nearly upright: rolls, in degrees, are tried one after the other until there are faces.
 * @returns {Observation[]} The largest first, one of each face.
 */
export function observeFaces(observer, detector, image, options = {}) {
  return lastOf(facesInSteps(observer, detector, image, options));
}

/**
 * The same in steps, to be spread over the frames of a video: each step is given its frame, in which the faces that
 * were detected in the first one are located.
 *
 * @param {Observer} observer
 * @param {import("./faces.js").FaceDetector} detector
 * @param {Pixels} image
 * @param {Parameters<typeof observeFaces>[3]} [options]
 * @returns {Generator<void, Observation[], Pixels | undefined>}
 */
export function* facesInSteps(observer, detector, image, options = {}) {
  const { minConfidence = 0.5, rolls = PHOTO_ROLLS, ...detection } = options;
  const { model } = observer;
  const gray = channels(image) === 1 ? image : grayImage(image, model.grayWeights);
  const minWindows = model.hasConfidence ? MIN_WINDOWS : MIN_WINDOWS_WITHOUT_CONFIDENCE;
  const found = [];
  let frame = gray;
  for (const roll of rolls) {
    for (const box of yield* detectRolled(detector, gray, roll, { minWindows, ...DETECTION, ...detection })) {
      frame = (yield) ?? frame;
      // Once more in the box that belongs to the landmarks: detectors place theirs differently.
      const face = observer.observe(frame, model.predict(frame, box, { roll }));
      if (!face || face.confidence < minConfidence) continue;
      const isNew = found.every((other) => observer.distance(face.landmarks, other.landmarks) > SAME_FACE_SIZES);
      if (isNew) found.push(face);
    }
    if (found.length) break;
  }
  return found;
}

/**
 * Find the faces of a photo, see `observeFaces`.
 *
 * @param {Model} model
 * @param {import("./faces.js").FaceDetector} detector
 * @param {Pixels} image
 * @param {Parameters<typeof observeFaces>[3]} [options]
 * @returns {{box: number[], roll: number, confidence: number}[]} The boxes belong to the landmarks, as those do that
 *     the model was trained in, whatever box the detector draws.
 */
export function findFaces(model, detector, image, options = {}) {
  const observer = new Observer(model);
  return observeFaces(observer, detector, image, options).map(({ landmarks, confidence }) => {
    return { ...observer.poseOf(landmarks), confidence };
  });
}

/** Detect faces in a copy that is rotated back by a roll; the boxes are those of the upright faces, in the image. */
function* detectRolled(detector, gray, roll, options) {
  if (roll === 0) return yield* detectedBoxes(detector, gray, options);
  const small = reduceTo(gray, options.maxSide ?? MAX_SIDE);
  const [cos, , sin] = rotation(roll);
  const across = Math.abs(cos), along = Math.abs(sin);
  const width = Math.ceil(across * small.width + along * small.height);
  const height = Math.ceil(along * small.width + across * small.height);
  const [u, v] = [(width - 1) / 2, (height - 1) / 2], [x, y] = [(small.width - 1) / 2, (small.height - 1) / 2];
  const start = [x - cos * u + sin * v, y - sin * u - cos * v];
  const pixels = { pixels: small.data, columns: small.width, rows: small.height };
  const copy = rotate(pixels, cos, sin, start, width, height);
  const scale = gray.width / small.width;
  return (yield* detectedBoxes(detector, copy, options)).flatMap(([left, top, wide, high]) => {
    const right = left + (wide - 1) / 2 - u, down = top + (high - 1) / 2 - v;
    const center = [x + cos * right - sin * down, y + sin * right + cos * down];
    // The copy shows more than the image.
    const [middleX, middleY] = center.map((place) => (place + 0.5) * scale - 0.5);
    const sides = [wide * scale, high * scale];
    return isInside(small, center) ? [[middleX - (sides[0] - 1) / 2, middleY - (sides[1] - 1) / 2, ...sides]] : [];
  });
}

/** Boxes of a detector; one of somebody else may have no steps. */
function* detectedBoxes(detector, gray, options) {
  if (!detector.steps) return detector.detect(gray, options);
  return (yield* detector.steps(gray, options)).map(({ box }) => box);
}
