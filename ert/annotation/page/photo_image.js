/** The pixels of the open photo: all of it reduced, and the visible part of it in full. */

import { getImage } from "./api.js";

const BASE_SIDE = 2048;
const DETAIL_SIDE = 3072;
const DETAIL_MARGIN = 0.2;
const PAUSE_MS = 120;
const SHARP_PIXELS = 3;

const pathOf = (id, side) => `/api/photos/${id}/image?side=${side}`;

/** At most four bitmaps are alive; each is closed when another one takes its place. */
export class PhotoImage extends EventTarget {
  /** @param {(path: string, signal: AbortSignal) => Promise<ImageBitmap>} [load] */
  constructor(load = getImage) {
    super();
    this.load = load;
    this.size = [1, 1];
    this.id = null;
    this.error = "";
    /** Whether the photo could not be loaded because the server did not answer. */
    this.unreachable = false;
    /** @type {Record<string, {bitmap: ImageBitmap, box: number[]}>} `base`, `detail` (visible), `patch` (magnifier) */
    this.parts = {};
    /** Another number whenever other pixels are drawn. */
    this.version = 0;
    this.aborts = {};
    this.timers = {};
    /** What a timer waits for, as text. */
    this.pending = {};
    /**
     * The photo that is probably next.
     * @type {{id: number, abort: AbortController, bitmap: Promise<ImageBitmap>} | null}
     */
    this.ahead = null;
  }

  /** @param {{id: number, width: number, height: number}} photo */
  async open(photo) {
    const ahead = this.ahead?.id === photo.id ? this.ahead : null;
    if (ahead) this.ahead = null;
    this.close();
    this.id = photo.id;
    this.size = [photo.width, photo.height];
    await this.#fetch("base", [0, 0, ...this.size], BASE_SIDE, true, ahead?.bitmap);
  }

  /** Load the photo that is probably next, so that it opens at once. @param {number} id */
  async prefetch(id) {
    if (this.ahead?.id === id) return;
    this.#dropAhead();
    const abort = new AbortController();
    this.ahead = { id, abort, bitmap: this.load(pathOf(id, BASE_SIDE), abort.signal) };
    await this.ahead.bitmap.catch(() => {});
  }

  close() {
    for (const name of ["base", "detail", "patch"]) this.#drop(name);
    this.#dropAhead();
    Object.assign(this, { error: "", unreachable: false });
  }

  /**
   * Load what is visible, if the reduced photo is too coarse for it, once the view is at rest.
   *
   * @param {import("./transform.js").Transform} transform
   * @param {[number, number]} view
   * @param {number} ratio device pixels a CSS pixel
   */
  look(transform, view, ratio) {
    const wanted = Math.min(1, transform.scale * ratio);
    if (!this.parts.base || this.#resolution("base") >= wanted * 0.9) return;
    const visible = transform.visible(this.size, view);
    if (this.#covers("detail", visible, wanted)) return;
    const box = transform.visible(this.size, view, DETAIL_MARGIN);
    const side = Math.min(DETAIL_SIDE, Math.ceil(Math.max(box[2], box[3]) * wanted));
    this.#later("detail", box, side);
  }

  /**
   * Load the surroundings of a point, if what is there is too coarse for the magnifier.
   *
   * @param {[number, number]} point in the photo
   * @param {number} span width and height of what the magnifier shows, in pixels of the photo
   * @param {number} resolution device pixels a pixel of the photo
   */
  magnify([x, y], span, resolution) {
    const wanted = Math.min(1, resolution);
    if (!this.parts.base || this.#resolution("base") >= wanted * 0.9) return;
    const shown = [x - span / 2, y - span / 2, span, span];
    if (this.#covers("detail", shown, wanted) || this.#covers("patch", shown, wanted)) return;
    const [width, height] = this.size.map((side) => Math.min(Math.ceil(2 * span), side));
    const left = Math.round(Math.min(this.size[0] - width, Math.max(0, x - width / 2)));
    const top = Math.round(Math.min(this.size[1] - height, Math.max(0, y - height / 2)));
    this.#later("patch", [left, top, width, height], Math.ceil(Math.max(width, height) * wanted));
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("./transform.js").Transform} transform
   * @param {number} ratio device pixels a CSS pixel
   */
  draw(context, transform, ratio) {
    context.imageSmoothingEnabled = transform.scale * ratio < SHARP_PIXELS;
    context.imageSmoothingQuality = "high";
    for (const name of ["base", "detail", "patch"]) {
      const part = this.parts[name];
      if (!part) continue;
      const [left, top, width, height] = part.box;
      const [x, y] = transform.toScreen([left - 0.5, top - 0.5]);
      context.drawImage(part.bitmap, x, y, width * transform.scale, height * transform.scale);
    }
  }

  #resolution(name) {
    const { bitmap, box } = this.parts[name];
    return bitmap.width / box[2];
  }

  #covers(name, [left, top, width, height], wanted) {
    const part = this.parts[name];
    if (!part || this.#resolution(name) < wanted * 0.7) return false;
    const [l, t, w, h] = part.box;
    const right = Math.min(this.size[0], left + width);
    const bottom = Math.min(this.size[1], top + height);
    return l <= Math.max(0, left) && t <= Math.max(0, top) && l + w >= right && t + h >= bottom;
  }

  #later(name, box, side) {
    if (this.aborts[name] && String(this.aborts[name].box) === String(box)) return;
    // The view is at rest although the pointer moves.
    if (this.pending[name] === String(box)) return;
    clearTimeout(this.timers[name]);
    this.pending[name] = String(box);
    this.timers[name] = setTimeout(() => {
      delete this.pending[name];
      this.#fetch(name, box, side, false);
    }, PAUSE_MS);
  }

  /** @param {Promise<ImageBitmap>} [ahead] the answer, if it was asked for before */
  async #fetch(name, box, side, whole, ahead) {
    this.aborts[name]?.abort();
    const abort = Object.assign(new AbortController(), { box });
    this.aborts[name] = abort;
    const { id } = this;
    const [left, top, width, height] = box;
    const part = whole ? "" : `&left=${left}&top=${top}&width=${width}&height=${height}`;
    try {
      const load = () => this.load(pathOf(id, side) + part, abort.signal);
      const bitmap = await (ahead ? ahead.catch(load) : load());
      if (abort.signal.aborted) {
        bitmap.close();
        return;
      }
      this.parts[name]?.bitmap.close();
      this.parts[name] = { bitmap, box };
      this.version += 1;
    } catch (error) {
      if (abort.signal.aborted || !whole) return;
      Object.assign(this, { error: error.message, unreachable: error.status === 0 });
    } finally {
      if (this.aborts[name] === abort) delete this.aborts[name];
    }
    this.dispatchEvent(new Event("change"));
  }

  #dropAhead() {
    this.ahead?.abort.abort();
    this.ahead?.bitmap.then((bitmap) => bitmap.close(), () => {});
    this.ahead = null;
  }

  #drop(name) {
    clearTimeout(this.timers[name]);
    delete this.pending[name];
    this.aborts[name]?.abort();
    this.parts[name]?.bitmap.close();
    delete this.parts[name];
    delete this.aborts[name];
    this.version += 1;
  }
}
