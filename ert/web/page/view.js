/** The canvas: a photo or camera picture with what was found, and boxes that are drawn on it. */
import { drawBox, drawObjects, drawPhoto, fitFrame, toPhoto } from "./drawing.js";

/** The canvas takes at most this part of the height of the window. */
const MAX_HEIGHT = 0.68;
/** Smaller movements, in pixels of the screen, are no box. */
const MIN_BOX_PIXELS = 8;
/** Around an object that fills the view, in parts of its size. */
const MARGIN = 0.5;

export class View extends EventTarget {
  #area;
  #canvas;
  #context;
  #shown = null;
  #part = null;
  #frame = null;
  #start = null;
  #box = null;

  /**
   * Fires "box" with the box in `detail` when one was drawn.
   * @param {HTMLElement} area
   * @param {HTMLCanvasElement} canvas
   * @param {number[][]} links
   */
  constructor(area, canvas, links) {
    super();
    this.#area = area;
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.links = links;
    this.drawing = false;
    new ResizeObserver(() => this.paint()).observe(area);
    addEventListener("resize", () => this.paint());
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", () => this.#cancel());
    addEventListener("keydown", (event) => event.key === "Escape" && this.#cancel());
  }

  /**
   * Show a picture with objects.
   * @param {{image: CanvasImageSource, width: number, height: number, objects: object[], mirrored?: boolean} | null}
   *   shown
   */
  show(shown) {
    if (shown?.width !== this.#shown?.width || shown?.height !== this.#shown?.height) {
      this.#part = null;
    }
    this.#shown = shown;
    this.paint();
  }

  /** Show the surroundings of a box, or everything. */
  zoom(box) {
    this.#part = null;
    if (box !== null && this.#shown) {
      const [left, top, width, height] = box;
      const side = Math.max(width, height) * (1 + 2 * MARGIN);
      this.#part = [left + (width - side) / 2, top + (height - side) / 2, side, side];
    }
    this.paint();
  }

  get zoomed() {
    return this.#part !== null;
  }

  set drawing(value) {
    this.#area.classList.toggle("drawing", value);
    this.#cancel();
  }

  get drawing() {
    return this.#area.classList.contains("drawing");
  }

  paint() {
    const shown = this.#shown;
    this.#area.classList.toggle("filled", shown !== null);
    this.#canvas.hidden = shown === null;
    if (shown === null) {
      return;
    }
    const fit = Math.min(this.#area.clientWidth / shown.width, (innerHeight * MAX_HEIGHT) / shown.height);
    const pixelRatio = devicePixelRatio || 1;
    const [width, height] = [Math.round(shown.width * fit), Math.round(shown.height * fit)];
    const canvas = this.#canvas;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    if (canvas.width !== Math.round(width * pixelRatio) || canvas.height !== Math.round(height * pixelRatio)) {
      canvas.width = Math.round(width * pixelRatio);
      canvas.height = Math.round(height * pixelRatio);
    }
    const part = this.#part ?? [0, 0, shown.width, shown.height];
    this.#frame = fitFrame(canvas, part, { pixelRatio, mirrored: shown.mirrored });
    drawPhoto(this.#context, shown.image, shown, this.#frame);
    drawObjects(this.#context, shown.objects, this.links, this.#frame);
    if (this.#box !== null) {
      drawBox(this.#context, this.#box, this.#frame);
    }
  }

  #place(event) {
    const ratio = this.#canvas.width / this.#canvas.clientWidth;
    return toPhoto(this.#frame, event.offsetX * ratio, event.offsetY * ratio);
  }

  #down(event) {
    if (this.drawing && event.isPrimary && event.button === 0 && this.#frame) {
      event.preventDefault();
      this.#canvas.setPointerCapture(event.pointerId);
      this.#start = { point: this.#place(event), x: event.offsetX, y: event.offsetY };
    }
  }

  #move(event) {
    if (this.#start !== null && event.isPrimary) {
      const [x, y] = this.#place(event);
      const [x0, y0] = this.#start.point;
      this.#box = [Math.min(x, x0), Math.min(y, y0), Math.abs(x - x0), Math.abs(y - y0)];
      this.paint();
    }
  }

  #up(event) {
    if (this.#start === null || !event.isPrimary) {
      return;
    }
    const moved = Math.min(Math.abs(event.offsetX - this.#start.x), Math.abs(event.offsetY - this.#start.y));
    const box = this.#box;
    this.#cancel();
    if (moved >= MIN_BOX_PIXELS && box !== null) {
      this.dispatchEvent(new CustomEvent("box", { detail: box }));
    }
  }

  #cancel() {
    this.#start = null;
    this.#box = null;
    this.paint();
  }
}
