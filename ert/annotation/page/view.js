/** The canvas: the photo with everything that is drawn over it. */

import * as overlay from "./overlay.js";
import { boundingBox, titleOf } from "./content.js";
import { PhotoImage } from "./photo_image.js";
import { Transform } from "./transform.js";

const LABELS = ["numbers", "names", "none"];
const LOUPE_RADIUS = 64;
const LOUPE_MAX_SCALE = 4;
const LOUPE_ZOOM = 4;
/** The magnifier appears where a pixel of the photo is smaller than this on the screen, in CSS pixels. */
const LOUPE_BELOW_SCALE = 0.7;

export class View extends EventTarget {
  /** @param {HTMLElement} container @param {import("./store.js").Store} store */
  constructor(container, store) {
    super();
    this.store = store;
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute("aria-roledescription", "photo with landmarks");
    this.canvas.setAttribute("aria-description", "Arrow keys and P: place. F6: panels and buttons. ?: all keys.");
    container.append(this.canvas);
    this.context = this.canvas.getContext("2d");
    /** The photo as it was drawn last: to draw it anew for each move of the pointer takes too long. */
    this.layer = { context: document.createElement("canvas").getContext("2d"), key: "" };
    this.image = new PhotoImage();
    this.image.addEventListener("change", () => this.invalidate());
    this.transform = new Transform();
    this.size = [1, 1];
    this.labels = "numbers";
    /** Pointer over the view: {at: [x, y], touch: boolean} | null */
    this.pointer = null;
    /** Cursor of the keyboard, in the photo. */
    this.cursor = null;
    /** Landmark that is dragged or placed: {landmark, point} | null */
    this.moved = null;
    /** Box that is drawn, or corners of a curve, in the photo. */
    this.box = null;
    this.line = [];
    this.hovered = null;
    this.shown = null;
    new ResizeObserver(() => this.#resize()).observe(container);
    for (const name of ["change", "select", "proposal", "opinion", "pick", "project"]) {
      store.addEventListener(name, () => this.invalidate());
    }
    store.addEventListener("photo", () => this.#open());
    store.addEventListener("status", () => { if (this.image.unreachable) this.image.open(store.photo); });
    store.addEventListener("show", (event) => this.show(event.detail));
  }

  get photoSize() {
    return [this.store.photo.width, this.store.photo.height];
  }

  get isPhotoShown() {
    return this.shown === this.store.photo?.id && Boolean(this.image.parts.base);
  }

  get fitScale() {
    return Transform.fit(this.photoSize, this.size).scale;
  }

  // Zoom and pan

  fit() {
    this.#move(Transform.fit(this.photoSize, this.size));
  }

  /** @param {number} factor @param {[number, number]} [at] in the view; what is there stays there */
  zoom(factor, at = [this.size[0] / 2, this.size[1] / 2]) {
    this.#move(this.transform.zoom(at, factor, this.fitScale / 2));
  }

  /** @param {number} dx @param {number} dy */
  pan(dx, dy) {
    this.#move(this.transform.pan(dx, dy));
  }

  /** @param {number[]} landmarks of the current object to be brought into view; none: the whole photo */
  show(landmarks) {
    const points = landmarks.map((k) => this.store.current.landmarks[k]);
    const box = boundingBox({ landmarks: points.map((point) => point ?? null) });
    if (!box) return this.fit();
    const whole = boundingBox(this.store.current);
    const side = Math.max(box[2], box[3], 0.25 * Math.max(whole[2], whole[3]), 20);
    const [x, y] = [box[0] + box[2] / 2, box[1] + box[3] / 2];
    return this.#move(Transform.around([x - side / 2, y - side / 2, side, side], this.size, 40));
  }

  /** Pan if a point of the photo is not in view. @param {[number, number]} point */
  reveal(point) {
    const at = this.transform.toScreen(point);
    const margin = 40;
    const shift = at.map((v, i) => Math.max(0, margin - v) + Math.min(0, this.size[i] - margin - v));
    if (shift[0] || shift[1]) this.pan(...shift);
  }

  nextLabels() {
    this.labels = LABELS[(LABELS.indexOf(this.labels) + 1) % LABELS.length];
    this.invalidate();
    return this.labels;
  }

  /**
   * @param {[number, number]} at in the view
   * @param {number} radius in CSS pixels
   * @returns {{object: number, landmark: number} | null} the nearest point, the current object's first
   */
  hit(at, radius) {
    const { objects, object } = this.store;
    const nearest = (o) => {
      let best = { distance: radius };
      objects[o]?.landmarks.forEach((point, landmark) => {
        if (!point) return;
        const [x, y] = this.transform.toScreen(point);
        const distance = Math.hypot(x - at[0], y - at[1]);
        if (distance < best.distance) best = { object: o, landmark, distance };
      });
      return best.landmark === undefined ? null : best;
    };
    const others = objects.map((_, o) => (o === object ? null : nearest(o))).filter(Boolean);
    return nearest(object) ?? others.sort((a, b) => a.distance - b.distance)[0] ?? null;
  }

  invalidate() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.#draw();
    });
  }

  async #open() {
    const { photo } = this.store;
    Object.assign(this, { moved: null, box: null, line: [], hovered: null, cursor: null });
    this.fit();
    if (this.shown === photo.id) return;
    this.shown = photo.id;
    await this.image.open(photo);
    const next = photo.status === "done" ? null : await this.store.peek();
    if (next !== null && this.shown === photo.id) await this.image.prefetch(next);
  }

  #resize() {
    const { width, height } = this.canvas.parentElement.getBoundingClientRect();
    const fitted = this.store.photo && Math.abs(this.transform.scale / this.fitScale - 1) < 1e-6;
    const center = this.transform.toImage([this.size[0] / 2, this.size[1] / 2]);
    this.size = [Math.max(1, width), Math.max(1, height)];
    if (!this.store.photo) return;
    if (fitted) this.fit();
    else {
      const at = this.transform.toScreen(center);
      this.pan(this.size[0] / 2 - at[0], this.size[1] / 2 - at[1]);
    }
  }

  #move(transform) {
    this.transform = transform.limited(this.photoSize, this.size);
    this.invalidate();
    this.dispatchEvent(new Event("zoom"));
  }

  #draw() {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = this.size.map((side) => Math.round(side * ratio));
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const { context, store, transform } = this;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, ...this.size);
    if (!store.photo) return;
    this.#paint(context, transform, ratio);
    this.image.look(transform, this.size, ratio);
    if (this.image.error) overlay.drawLabel(context, this.image.error, [20, 30], true);
    const focus = this.#focus();
    if (focus && this.#magnified) this.#drawLoupe(focus, ratio);
    else if (focus && this.moved === null) this.#drawNext(focus);
  }

  #paint(context, transform, ratio) {
    const { store, moved, hovered } = this;
    this.#paintPhoto(context, transform, ratio);
    overlay.drawObjects(context, { store, transform, moved, labels: this.labels, hovered });
    if (moved && !store.current.landmarks[moved.landmark]) {
      overlay.drawPoint(context, transform.toScreen(moved.point), { selected: true });
    }
    if (this.box) overlay.drawBox(context, this.box, transform);
    if (this.line.length) {
      const corners = this.line.map((point) => transform.toScreen(point));
      overlay.drawLine(context, this.pointer ? [...corners, this.pointer.at] : corners);
    }
    for (const point of store.pick?.points ?? []) overlay.drawCross(context, transform.toScreen(point));
    if (this.cursor) overlay.drawCross(context, transform.toScreen(this.cursor));
  }

  #paintPhoto(context, transform, ratio) {
    const { width, height } = this.canvas;
    const { layer, image } = this;
    const key = [transform.scale, transform.x, transform.y, width, height, ratio, image.version].join();
    if (key !== layer.key) {
      layer.key = key;
      Object.assign(layer.context.canvas, { width, height });
      layer.context.setTransform(ratio, 0, 0, ratio, 0, 0);
      image.draw(layer.context, transform, ratio);
    }
    context.save();
    context.resetTransform();
    context.drawImage(layer.context.canvas, 0, 0);
    context.restore();
  }

  /** @returns {[number, number] | null} what the person aims at, in the view */
  #focus() {
    if (this.moved) return this.transform.toScreen(this.moved.point);
    if (this.cursor) return this.transform.toScreen(this.cursor);
    return this.pointer && !this.pointer.touch ? this.pointer.at : null;
  }

  get #magnified() {
    const aims = this.moved || ((this.store.target !== null || this.store.pick) && this.hovered === null);
    return Boolean(aims) && (this.pointer?.touch || this.transform.scale < LOUPE_BELOW_SCALE);
  }

  #drawLoupe(focus, ratio) {
    const point = this.transform.toImage(focus);
    const scale = Math.max(1.5 * this.transform.scale, Math.min(LOUPE_MAX_SCALE, LOUPE_ZOOM * this.transform.scale));
    const center = this.#besides(focus);
    const [x, y] = new Transform(scale, 0, 0).toScreen(point);
    const magnified = new Transform(scale, center[0] - x, center[1] - y);
    this.image.magnify(point, (2 * LOUPE_RADIUS) / scale, scale * ratio);
    overlay.drawLoupe(this.context, center, LOUPE_RADIUS, () => this.image.draw(this.context, magnified, ratio));
    if (!this.pointer?.touch) this.#drawNext(focus);
  }

  /** The circle lies above the finger, or beside it at the border of the view. */
  #besides([x, y]) {
    const away = LOUPE_RADIUS + 40;
    const at = [x, y - away];
    if (at[1] < LOUPE_RADIUS + 4) {
      at[1] = Math.max(LOUPE_RADIUS + 4, y - away / 2);
      at[0] = x < this.size[0] / 2 ? x + away : x - away;
    }
    at[0] = Math.min(this.size[0] - LOUPE_RADIUS - 4, Math.max(LOUPE_RADIUS + 4, at[0]));
    return at;
  }

  /** Number and name of the landmark that a click would place. */
  #drawNext([x, y]) {
    const { store } = this;
    const k = this.moved?.landmark ?? store.target;
    if (this.hovered !== null || k === null || store.pick || this.canvas.dataset.mode !== "mark") return;
    const hidden = store.current.hidden.includes(k) ? " (hidden)" : "";
    overlay.drawLabel(this.context, titleOf(store.project.landmarks, k) + hidden, [x + 16, y + 24], true);
  }
}
