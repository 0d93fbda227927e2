import type { Model, Pixels } from "./ert.js";
import type { FaceDetector } from "./faces.js";

export interface TrackerOptions {
  /** Finds faces; without one, the locator of the model finds its objects. */
  detector?: FaceDetector | null;
  /** 10 by default. */
  maxObjects?: number;
  /** Smooth the landmarks over frames; true by default. */
  smooth?: boolean;
  /** Seconds between searches while no object is lost; 3 by default. */
  detectEvery?: number;
  /** Seconds between searches while an object is lost or there is none; 0.2 by default. */
  searchEvery?: number;
  /** Longest side in pixels of the copy in which faces are detected; 320 by default. */
  detectSide?: number;
  /** Steps of a search that are taken in one frame, of some 2 ms each; a search takes 10 to 40. All by default. */
  searchSteps?: number;
  /** Seconds after which a lost object is given up; 1 by default. */
  patience?: number;
  /** Of a new object; 0.5 by default. */
  minConfidence?: number;
}

export interface TrackedObject {
  /** The same in all frames in which the object is tracked. */
  id: number;
  box: number[];
  roll: number;
  /** x0, y0, x1, y1, ... in pixels. */
  landmarks: Float64Array;
  /** Standard errors in pixels of the unsmoothed landmarks; null without a confidence model. */
  std: Float64Array | null;
  confidence: number;
}

/** Tracks faces, or the objects of a model with a locator, over the frames of a video. */
export class Tracker {
  constructor(model: Model, options?: TrackerOptions);
  /** Return the objects of the next frame; `seconds` since any fixed moment must increase. */
  update(image: Pixels | ImageData, seconds: number): TrackedObject[];
  /** Forget all objects and the time. */
  reset(): void;
}
