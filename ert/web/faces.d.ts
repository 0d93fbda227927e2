import type { Pixels } from "./ert.js";

/** What `ert.web.lbp.face_cascade()` of Python returns. */
export interface FaceCascade {
  window: number[];
  features: number[][];
  stages: { threshold: number; decisions: number[][] }[];
}

export interface DetectOptions {
  /** Width of the smallest faces, in pixels of the reduced image; 36 by default. */
  minSize?: number;
  /** Images are reduced to this length of their longest side; 1000 by default. */
  maxSide?: number;
  /** A face is found by at least so many windows; 4 by default. */
  minWindows?: number;
  /** From one size of windows to the next; 1.2 by default. */
  sizeStep?: number;
  /** Look at every second place across and down, and at the others only beside those that pass some stages. */
  coarse?: boolean;
}

/** Finds upright faces from the front in gray images. */
export class FaceDetector {
  constructor(cascade: FaceCascade | string);
  /** Return boxes as left, top, width, height in pixels, the largest first. */
  detect(gray: Pixels, options?: DetectOptions): number[][];
  /** Return boxes with their scores: log2 of the number of windows over the least. */
  detectScored(gray: Pixels, options?: DetectOptions): { box: number[]; score: number }[];
}
