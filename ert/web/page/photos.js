/** Photos that were chosen: decoded upright, and read as gray pixels in full resolution. */
import { grayImage } from "../ert.js";

/** Larger photos are reduced to this size before landmarks are located. */
export const MAX_MEGAPIXELS = 50;
/** Rows that are read at once: the colors of a whole photo need not be in memory. */
const STRIP_ROWS = 512;

/**
 * Decode a photo; a turn noted in it (EXIF) is applied, color profiles are not, as in Python.
 * @param {Blob} file
 * @returns {Promise<ImageBitmap>}
 */
export async function decode(file) {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch (error) {
    // Older browsers do not know these words, and turn photos without them.
    if (error instanceof TypeError) {
      return createImageBitmap(file);
    }
    throw error;
  }
}

/**
 * The gray pixels of a photo.
 * @param {CanvasImageSource & {width: number, height: number}} image
 * @param {string} [weights] of the colors
 * @returns {{gray: {data: Uint8Array, width: number, height: number}, factor: number}} factor: pixels of the photo
 *   for each gray pixel, 1 up to `MAX_MEGAPIXELS`
 */
export function readGray(image, weights) {
  const factor = Math.max(1, Math.sqrt((image.width * image.height) / (MAX_MEGAPIXELS * 1e6)));
  const width = Math.round(image.width / factor);
  const height = Math.round(image.height / factor);
  const gray = { data: new Uint8Array(width * height), width, height };
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = Math.min(STRIP_ROWS, height);
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  for (let top = 0; top < height; top += STRIP_ROWS) {
    const rows = Math.min(STRIP_ROWS, height - top);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, rows);
    if (factor === 1) {
      context.drawImage(image, 0, top, width, rows, 0, 0, width, rows);
    } else {
      context.drawImage(image, 0, -top, width, height);
    }
    gray.data.set(grayImage(context.getImageData(0, 0, width, rows), weights).data, top * width);
  }
  return { gray, factor };
}
