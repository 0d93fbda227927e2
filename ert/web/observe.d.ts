import type { Model, Pixels } from "./ert.js";
import type { DetectOptions, FaceDetector } from "./faces.js";
import type { FoundObject } from "./locator.js";

/** Find the faces of a photo that a detector finds and a model is confident of, the largest first. */
export function findFaces(
  model: Model,
  detector: FaceDetector,
  image: Pixels | ImageData,
  options?: DetectOptions & { minConfidence?: number; rolls?: number[] },
): FoundObject[];
