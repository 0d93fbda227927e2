// Tracks objects over the frames of a video: ids that stay, smoothed landmarks.
//
//   frame ──> each track: expected landmarks ──> located there ──> confident, and near?  yes: smooth
//             smoothing.js                       observe.js                              no: extrapolate, search
//         ──> detector or locator, at intervals and when an object is lost ──> matched to tracks; the rest are new
//
// As `ert.Tracker` of Python, with three differences: an object is recognized by its place, not by its appearance, so
// that two people who change places while both are lost change ids; one initialization, and its mirror image, in place
// of six; and objects of a model with a locator are tracked like faces.

import { objectsInSteps } from "./locator.js";
import { Observer, facesInSteps } from "./observe.js";
import { ShapeSmoother } from "./internal/smoothing.js";

/**
 * @typedef {import("./ert.js").Model} Model
 * @typedef {import("./ert.js").Pixels} Pixels
 * @typedef {import("./observe.js").Observation} Observation
 * @typedef {object} TrackerOptions
 * @property {import("./faces.js").FaceDetector | null} [detector] - Finds faces; without one the locator of the model
 *     finds its objects.
 * @property {number} [maxObjects]
 * @property {boolean} [smooth] - Smooth the landmarks over frames.
 * @property {number} [detectEvery] - Seconds between searches while no object is lost.
 * @property {number} [searchEvery] - Seconds between searches while an object is lost or there is none.
 * @property {number} [detectSide] - Longest side in pixels of the copy in which faces are detected. While none is
 *     found, a copy twice as large and rotated copies are searched in turn.
 * @property {number} [searchSteps] - Steps of a search that are taken in one frame, of some 2 ms each; a search takes
 *     10 to 40. All by default.
 * @property {number} [patience] - Seconds after which a lost object is given up.
 * @property {number} [minConfidence] - Of a new object.
 * @typedef {{id: number, box: number[], roll: number, landmarks: Float64Array, confidence: number,
 *   std: Float64Array | null}} TrackedObject - The standard errors are those of the landmarks before they are smoothed.
 */

// Of searches for faces, one after the other while none is found: the size of the copy, rolls in degrees, and the step
// from one size of faces to the next, which is larger where there are more pixels.
const SEARCHES = [[1, [0, -25], 1.1], [2, [0], 1.2], [1, [0, 25], 1.1], [2, [0], 1.2]];
// A tracked object needs only this part of the confidence of a new one.
const TRACKED_CONFIDENCE_FACTOR = 0.5;
// Frames in which a missing object is still returned, where it is expected.
const GRACE_FRAMES = 1;
// Motion is extrapolated over at most this time; frames are so far apart at first.
const MAX_PREDICTION_SECONDS = 0.2, FRAME_SECONDS = 1 / 30;
// Landmarks farther than this from the expected ones are those of another object; distances are in sizes of objects.
const MAX_JUMP_SIZES = 0.5;
// Tracks closer than this are on the same object; objects found closer than this to a track are its own.
const SAME_TRACK_SIZES = 0.25, SAME_OBJECT_SIZES = 0.5;
// A lost object is recognized within this distance.
const MAX_SEARCH_SIZES = 1.5;
// A track farther than this from an object of higher confidence moves there.
const MAX_DRIFT_SIZES = 0.1;

/** An object since it was first seen. */
class Track {
  constructor(id, observation, meanShape, now) {
    this.id = id;
    this.restart(observation, meanShape, now);
  }

  restart(observation, meanShape, now) {
    this.smoother = new ShapeSmoother(observation.landmarks, meanShape);
    this.#found(observation, observation.landmarks, now);
  }

  follow(observation, seconds, now, smooth) {
    const smoothed = this.smoother.update(observation.landmarks, seconds, observation.std);
    this.#found(observation, smooth ? smoothed : observation.landmarks, now);
  }

  miss(confidence, seconds) {
    this.landmarks = this.smoother.coast(seconds);
    this.confidence = confidence;
    this.misses++;
  }

  #found(observation, landmarks, now) {
    this.landmarks = landmarks;
    this.confidence = observation.confidence;
    this.std = observation.std ?? null;
    this.lastSeen = now;
    this.misses = 0;
  }
}

/** Tracks the objects of a video. */
export class Tracker {
  /**
   * @param {Model} model
   * @param {TrackerOptions} [options]
   */
  constructor(model, options = {}) {
    if (!options.detector && !model.locator) {
      throw new TypeError("Tracker: expected a detector of faces, or a model with a locator");
    }
    const { detector = null, maxObjects = 10, smooth = true, patience = 1, minConfidence = 0.5 } = options;
    const { detectEvery = 3, searchEvery = 0.2, detectSide = 320, searchSteps = Infinity } = options;
    this.observer = new Observer(model);
    Object.assign(this, { model, detector, maxObjects, smooth, patience, minConfidence });
    Object.assign(this, { detectEvery, searchEvery, detectSide, searchSteps });
    this.reset();
  }

  /** Forget all objects and the time. */
  reset() {
    this.tracks = [];
    this.time = null;
    this.lastSearch = -Infinity;
    /** The search that goes on, and the size of its frames. */
    this.search = null;
    this.nEmptySearches = 0;
    this.nextId = 0;
  }

  /**
   * Return the objects of the next frame, in the order of their ids.
   *
   * @param {Pixels} image
   * @param {number} seconds - Since any fixed moment, later than that of the previous frame.
   * @returns {TrackedObject[]} An object that is not found is returned once more, where it is expected, with a low
   *     confidence.
   */
  update(image, seconds) {
    if (!Number.isFinite(seconds) || (this.time !== null && seconds <= this.time)) {
      throw new RangeError(`seconds: ${seconds} after ${this.time}, expected increasing times`);
    }
    const passed = this.time === null ? FRAME_SECONDS : Math.min(seconds - this.time, MAX_PREDICTION_SECONDS);
    this.time = seconds;
    this.#follow(image, seconds, passed);
    // Of frames that are turned or of another size, places of earlier ones say nothing.
    if (this.search && (this.search.width !== image.width || this.search.height !== image.height)) this.search = null;
    if (this.search || this.#mustSearch(seconds)) {
      const found = this.#findObjects(image);
      if (found) this.#assign(found, seconds);
    }
    const isShown = (track) => track.misses <= GRACE_FRAMES;
    this.tracks = this.tracks.filter((track) => isShown(track) || seconds - track.lastSeen <= this.patience);
    return this.tracks.filter(isShown).map((track) => ({
      id: track.id,
      ...this.observer.poseOf(track.landmarks),
      landmarks: track.landmarks,
      std: track.std,
      confidence: track.confidence,
    }));
  }

  #mustSearch(now) {
    if (this.tracks.some((track) => track.misses === 1)) return true;
    const isSearching = this.tracks.length === 0 || this.tracks.some((track) => track.misses);
    return now - this.lastSearch >= (isSearching ? this.searchEvery : this.detectEvery) - 1e-6;
  }

  /** Observe each track where it is expected. */
  #follow(image, now, passed) {
    const found = [];
    for (const track of this.tracks) {
      const expected = track.smoother.predict(passed);
      const observation = this.observer.observe(image, expected);
      if (this.#isSame(observation, expected)) found.push([track, observation]);
      else track.miss(Math.min(observation?.confidence ?? 0, TRACKED_CONFIDENCE_FACTOR * this.minConfidence), passed);
    }
    found.forEach(([track, observation], i) => {
      const others = found.slice(0, i).map(([, other]) => other);
      const near = (other) => this.observer.distance(other.landmarks, observation.landmarks) < SAME_TRACK_SIZES;
      // Of two tracks on one object the older one is kept.
      if (others.some(near)) track.miss(0, passed);
      else track.follow(observation, passed, now, this.smooth);
    });
  }

  #isSame(observation, expected) {
    if (!observation || observation.confidence < TRACKED_CONFIDENCE_FACTOR * this.minConfidence) return false;
    return this.observer.distance(expected, observation.landmarks) < MAX_JUMP_SIZES;
  }

  /** Assign objects that were found to tracks, and begin tracks for the others. */
  #assign(found, now) {
    this.lastSearch = now;
    this.nEmptySearches = found.length ? 0 : this.nEmptySearches + 1;
    const { meanShape } = this.model;
    const isTracked = (track) => track.misses === 0, isLost = (track) => track.misses > 0;
    const rest = found.filter((observation) => {
      const [track, distance] = this.#nearest(observation, isTracked);
      if (distance >= SAME_OBJECT_SIZES) return true;
      if (distance > MAX_DRIFT_SIZES && observation.confidence > track.confidence) {
        track.restart(observation, meanShape, now);
      }
      return false;
    });
    for (const observation of rest) {
      const [track, distance] = this.#nearest(observation, isLost);
      if (distance < MAX_SEARCH_SIZES) track.restart(observation, meanShape, now);
      else if (this.tracks.filter(isTracked).length < this.maxObjects) {
        this.tracks.push(new Track(this.nextId++, observation, meanShape, now));
      }
    }
  }

  #nearest(observation, isCandidate) {
    let nearest = null, least = Infinity;
    for (const track of this.tracks.filter(isCandidate)) {
      const distance = this.observer.distance(observation.landmarks, track.landmarks);
      if (distance < least) [nearest, least] = [track, distance];
    }
    return [nearest, least];
  }

  /** @returns {Observation[] | null} Null while the search goes on. */
  #findObjects(image) {
    const { observer, minConfidence } = this;
    this.search ??= { steps: this.#steps(image), width: image.width, height: image.height };
    let step = { done: false, value: [] };
    for (let n = 0; n < this.searchSteps && !step.done; n++) step = this.search.steps.next(image);
    if (!step.done) return null;
    this.search = null;
    if (this.detector) return step.value;
    return step.value
      .map(({ box, roll, confidence }) => observer.observeIn(image, box, roll, confidence))
      .filter((observation) => observation?.confidence >= minConfidence);
  }

  #steps(image) {
    const { model, observer, detector, minConfidence, maxObjects } = this;
    if (!detector) return objectsInSteps(model, image, { maxObjects, minConfidence });
    const [sides, rolls, sizeStep] = SEARCHES[this.nEmptySearches % SEARCHES.length];
    const maxSide = sides * this.detectSide;
    return facesInSteps(observer, detector, image, { minConfidence, rolls, sizeStep, maxSide });
  }
}
