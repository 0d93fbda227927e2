import type { Model, Pixels } from "./ert.js";

export interface FoundObject {
  /** Left, top, width, height in pixels, as drawn around the upright object. */
  box: number[];
  /** In degrees, clockwise. */
  roll: number;
  confidence: number;
}

/** Find the objects of a photo, the most confident first, with a model that has a locator. */
export function locateObjects(
  model: Model,
  image: Pixels | ImageData,
  options?: { maxObjects?: number; minConfidence?: number },
): FoundObject[];
