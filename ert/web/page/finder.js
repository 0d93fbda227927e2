/** Objects in photos and camera pictures: their boxes come from the person, a detector or the model. */
import { FaceDetector } from "../faces.js";
import { locateObjects } from "../locator.js";
import { findFaces } from "../observe.js";
import { Tracker } from "../tracker.js";

/** Faces of less confidence are left out: the detector takes patterns for faces now and then. */
export const MIN_FACE_CONFIDENCE = 0.5;
/** Of a locator, for one object and where several are looked for, as `ert predict` has it. */
const MIN_FOUND_CONFIDENCE = 0.1;
const LIKELY_CONFIDENCE = 0.5;
const WARM_UP_MILLISECONDS = 50;
/** Of a search, in a picture of the camera: the next picture comes after 16 milliseconds. */
const SEARCH_STEPS = 2;

/**
 * @typedef {{box: number[], roll: number, landmarks: Float64Array, std: Float64Array | null,
 *   confidence: number | null}} Found
 */

export class Finder {
  #model;
  #boxSource;
  #detector;
  #tracker = null;

  /**
   * @param {import("../ert.js").Model} model
   * @param {"given" | "whole" | "face" | "learned"} boxSource
   * @param {object | null} cascade of the face detector
   */
  constructor(model, boxSource, cascade) {
    this.#model = model;
    this.#boxSource = boxSource;
    this.#detector = cascade && new FaceDetector(cascade);
  }

  /** Locate landmarks in a blank picture a few times: the browser compiles code that is used often. */
  warmUp() {
    const side = 64;
    const blank = { data: new Uint8Array(side * side), width: side, height: side };
    const end = performance.now() + WARM_UP_MILLISECONDS;
    while (performance.now() < end) {
      this.locate(blank, { box: [0, 0, side, side] });
    }
  }

  /**
   * Find the objects of a photo; none where boxes are to be given.
   * @param {{data: Uint8Array, width: number, height: number}} gray
   * @param {{mode?: string, maxObjects?: number}} [options]
   * @returns {Found[]}
   */
  find(gray, { mode = "fast", maxObjects = 1 } = {}) {
    const model = this.#model;
    switch (this.#boxSource) {
      case "whole":
        return [this.locate(gray, { box: [0, 0, gray.width, gray.height] }, mode)];
      case "face": {
        const found = findFaces(model, this.#detector, gray, { minConfidence: MIN_FACE_CONFIDENCE });
        return found.map((face) => this.locate(gray, face, mode));
      }
      case "learned": {
        const minConfidence = maxObjects === 1 ? MIN_FOUND_CONFIDENCE : LIKELY_CONFIDENCE;
        const found = locateObjects(model, gray, { maxObjects, minConfidence });
        return found.map((object) => this.locate(gray, object, mode));
      }
      default:
        return [];
    }
  }

  /**
   * Locate the landmarks in a box.
   * @param {{data: Uint8Array, width: number, height: number}} gray
   * @param {{box: number[], roll?: number, confidence?: number | null}} found
   * @param {string} [mode]
   * @returns {Found}
   */
  locate(gray, { box, roll = 0, confidence = null }, mode = "fast") {
    const landmarks = this.#model.predict(gray, box, { mode, roll });
    const assessed = this.#model.hasConfidence ? this.#model.assess(gray, box, landmarks) : null;
    return {
      box: Array.from(box),
      roll,
      landmarks,
      std: assessed?.std ?? null,
      confidence: assessed?.confidence ?? confidence,
    };
  }

  /**
   * The objects of a camera picture: followed from the last one, or in boxes that were drawn.
   * @param {{data: Uint8Array, width: number, height: number}} gray
   * @param {number} seconds
   * @param {{boxes?: number[][], maxObjects?: number}} [options]
   * @returns {Found[]}
   */
  follow(gray, seconds, { boxes = [], maxObjects = 1 } = {}) {
    if (boxes.length) {
      return boxes.map((box) => this.locate(gray, { box }));
    }
    if (this.#boxSource !== "face" && this.#boxSource !== "learned") {
      return this.find(gray);
    }
    const options = this.#detector ? { detector: this.#detector } : { maxObjects };
    this.#tracker ??= new Tracker(this.#model, { ...options, searchSteps: SEARCH_STEPS });
    return this.#tracker.update(gray, seconds);
  }

  /** Forget what was followed. */
  restart() {
    this.#tracker = null;
  }
}
