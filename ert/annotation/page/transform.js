/** Zoom and pan: from pixels of the photo, whose centers are at whole numbers, to CSS pixels of the view. */

const MARGIN = 12;
const MAX_SCALE = 40;

/** Immutable: screen = (image + 0.5) * scale + offset. */
export class Transform {
  /** @param {number} scale CSS pixels a pixel of the photo @param {number} x offset @param {number} y offset */
  constructor(scale = 1, x = 0, y = 0) {
    this.scale = scale;
    this.x = x;
    this.y = y;
  }

  /**
   * @param {[number, number]} photo width and height
   * @param {[number, number]} view width and height
   * @returns {Transform} the whole photo in the middle of the view
   */
  static fit(photo, view) {
    return Transform.around([-0.5, -0.5, photo[0], photo[1]], view, MARGIN);
  }

  /**
   * @param {[number, number, number, number]} box left, top, width, height in the photo
   * @param {[number, number]} view
   * @param {number} margin CSS pixels around the box
   * @returns {Transform} the box in the middle of the view
   */
  static around([left, top, width, height], view, margin) {
    const room = view.map((side) => Math.max(1, side - 2 * margin));
    const scale = Math.min(MAX_SCALE, room[0] / Math.max(width, 1e-6), room[1] / Math.max(height, 1e-6));
    const x = view[0] / 2 - (left + width / 2 + 0.5) * scale;
    const y = view[1] / 2 - (top + height / 2 + 0.5) * scale;
    return new Transform(scale, x, y);
  }

  /** @param {[number, number]} point in the photo @returns {[number, number]} in the view */
  toScreen([x, y]) {
    return [(x + 0.5) * this.scale + this.x, (y + 0.5) * this.scale + this.y];
  }

  /** @param {[number, number]} point in the view @returns {[number, number]} in the photo */
  toImage([x, y]) {
    return [(x - this.x) / this.scale - 0.5, (y - this.y) / this.scale - 0.5];
  }

  /** @param {number} dx @param {number} dy @returns {Transform} */
  pan(dx, dy) {
    return new Transform(this.scale, this.x + dx, this.y + dy);
  }

  /**
   * @param {[number, number]} point in the view; what is there stays there
   * @param {number} factor
   * @param {number} minScale
   * @returns {Transform}
   */
  zoom(point, factor, minScale) {
    const scale = Math.min(MAX_SCALE, Math.max(minScale, this.scale * factor));
    const ratio = scale / this.scale;
    return new Transform(scale, point[0] + (this.x - point[0]) * ratio, point[1] + (this.y - point[1]) * ratio);
  }

  /**
   * @param {[number, number]} photo
   * @param {[number, number]} view
   * @returns {Transform} panned such that the photo does not leave the middle half of the view
   */
  limited(photo, view) {
    const limit = (offset, length, side) => Math.min(side * 0.75, Math.max(side * 0.25 - length, offset));
    const x = limit(this.x, photo[0] * this.scale, view[0]);
    const y = limit(this.y, photo[1] * this.scale, view[1]);
    return new Transform(this.scale, x, y);
  }

  /**
   * @param {[number, number]} photo
   * @param {[number, number]} view
   * @param {number} [margin] part of the view that is added on each side
   * @returns {[number, number, number, number]} visible whole pixels: left, top, width, height
   */
  visible(photo, view, margin = 0) {
    const range = (offset, side, n) => {
      const first = Math.floor((-margin * side - offset) / this.scale);
      const last = Math.ceil(((1 + margin) * side - offset) / this.scale);
      const begin = Math.min(n - 1, Math.max(0, first));
      return [begin, Math.max(1, Math.min(n, last) - begin)];
    };
    const [left, width] = range(this.x, view[0], photo[0]);
    const [top, height] = range(this.y, view[1], photo[1]);
    return [left, top, width, height];
  }
}
