/** Pixels row by row: gray (one byte a pixel), or RGBA (four), as an ImageData has them. */
export interface Pixels {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}

/** Left, top, width, height in pixels. */
export type Box = [number, number, number, number] | number[];

export interface PredictionMode {
  /** Initializations, 1 to 7; the result is the median of the shapes found. The members of a model share them. */
  nInits?: number;
  /** Passes, 1 to 5: each but the first starts from a box redrawn around the shape of the one before. */
  nPasses?: number;
  /** Whether the mirror image is used too; the model must have a mirror map. */
  flip?: boolean;
  /** Whether moved boxes are tried where the confidence is low; the model must have a confidence model. */
  restart?: boolean;
}

export interface PredictionOptions {
  /** "fast" (the default) runs the cascade once; "accurate" uses several initializations and passes. */
  mode?: "fast" | "accurate" | PredictionMode;
  /** Degrees from upright, clockwise; the box is that of the upright object, with the same center. */
  roll?: number;
}

export interface Assessment {
  /** Standard error of each landmark along either axis, in pixels. */
  std: Float64Array;
  /** Probability of each landmark to lie within 5 % of the normalizer of the true one. */
  within: Float64Array;
  /** Probability that this is the object, and that its alignment has not failed. */
  confidence: number;
}

/** The arrays of a locator, as locator.js uses them. */
export interface LocatorParts {
  header: Record<string, unknown>;
  arrays: Record<string, { data: Float32Array | Float64Array; shape: number[]; type: string }>;
  cascade: unknown;
}

/** A model file that cannot be used: the message is one line that begins with the name of the file. */
export class ModelError extends Error {}

export class Model {
  private constructor();
  readonly landmarkNames: string[];
  readonly nLandmarks: number;
  /** Where the boxes come from that it was trained on. */
  readonly boxSource: "given" | "whole" | "face" | "learned";
  /** For each landmark, the index of the one that takes its place in the mirror image. */
  readonly mirrorMap: number[] | null;
  /** x0, y0, x1, y1, ... in sides of the box. */
  readonly meanShape: Float32Array;
  /** How color is converted to gray. */
  readonly grayWeights: "luma" | "dlib";
  readonly header: Record<string, unknown>;
  readonly locator: LocatorParts | null;
  readonly hasConfidence: boolean;

  /** Locate the landmarks of one object: x0, y0, x1, y1, ... in image pixels; pixels have their centers at whole
   * numbers. */
  predict(image: Pixels | ImageData, box: Box, options?: PredictionOptions): Float64Array;

  /** Return how far landmarks can be trusted that were found in a box. */
  assess(image: Pixels | ImageData, box: Box, landmarks: ArrayLike<number>): Assessment;
}

/** Read a model: an .ert file, compressed or not, or a .dat file of dlib. `name` is the name of the file. The model
 * reads from `bytes` as long as it is used: do not change or transfer them. */
export function loadModel(bytes: ArrayBuffer | Uint8Array, name?: string): Promise<Model>;

/** Convert RGBA pixels, or the part of them from `left`, `top` to `right`, `bottom`, to gray. */
export function grayImage(
  image: Pixels | ImageData,
  weights?: "luma" | "dlib",
  left?: number,
  top?: number,
  right?: number,
  bottom?: number,
): { data: Uint8Array; width: number; height: number };
