/** What mouse, pen and fingers do on the photo. */

import { landmarksBetween, placeCurve } from "./curves.js";
import { rounded, setPoint, titleOf } from "./content.js";

const HIT_RADIUS = 9;
const HIT_RADIUS_TOUCH = 22;
/** A pointer that moved less than this was not dragged. */
const STILL = 4;
const MIN_BOX_SIDE = 4;

/** @typedef {"mark" | "box" | "curve" | "pan"} Mode */

export class Tools extends EventTarget {
  /** @param {import("./view.js").View} view @param {import("./store.js").Store} store */
  constructor(view, store) {
    super();
    this.view = view;
    this.store = store;
    /** @type {Mode} */
    this.mode = "mark";
    /** Landmark at which a curve begins. */
    this.curveStart = null;
    /** The space bar is held: dragging pans. */
    this.space = false;
    this.pointers = new Map();
    /** @type {{move: Function, end: Function, cancel?: Function} | null} */
    this.gesture = null;
    const { canvas } = view;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#moved(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", (event) => this.#cancel(event));
    canvas.addEventListener("pointerleave", (event) => this.#leave(event));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    store.addEventListener("photo", () => {
      this.gesture = null;
      store.busy = false;
      this.setMode("mark");
    });
    this.setMode("mark");
  }

  /** @param {Mode} mode */
  setMode(mode) {
    this.mode = mode;
    this.curveStart = null;
    Object.assign(this.view, { box: null, line: [] });
    this.view.canvas.dataset.mode = mode;
    this.view.invalidate();
    this.dispatchEvent(new Event("mode"));
  }

  // What pointers and keys have in common

  /** Place the next landmark. @param {[number, number]} point in the photo */
  place(point) {
    const { store } = this;
    const k = store.target;
    if (k === null) return;
    store.editObject(`Landmark ${titleOf(store.project.landmarks, k)} placed`, (object) => {
      setPoint(object, k, this.#inside(point));
    });
    this.last = { photo: store.photo.id, object: store.object, landmark: k };
    store.selectAfter(k);
  }

  /** @param {number} k landmark of the current object @param {[number, number]} point @param {string} [merge] */
  move(k, point, merge) {
    const { store } = this;
    store.editObject(`Landmark ${titleOf(store.project.landmarks, k)} moved`, (object) => {
      setPoint(object, k, this.#inside(point));
    }, { merge, selected: k });
  }

  /** A corner of the line on which landmarks are spaced evenly. @param {[number, number]} point in the photo */
  addCorner(point) {
    if (this.curveStart === null) {
      this.store.say("Choose the landmark at which the curve begins.");
      return;
    }
    this.view.line = [...this.view.line, point];
    this.view.invalidate();
    this.dispatchEvent(new Event("mode"));
  }

  /** The landmark at which the curve begins, then the one at which it ends. @param {number} k */
  chooseCurveEnd(k) {
    const { store, view } = this;
    const point = store.current.landmarks[k];
    if (!point) {
      store.say("A curve begins and ends at landmarks that are placed.");
    } else if (this.curveStart === null || this.curveStart === k) {
      this.curveStart = k;
      view.line = [point];
    } else if (!landmarksBetween(this.curveStart, k).length) {
      store.say(`No landmark lies between ${this.curveStart} and ${k}.`);
    } else {
      const first = this.curveStart;
      const corners = view.line.slice(1);
      store.editObject(`Landmarks between ${first} and ${k} placed`, (object) => {
        placeCurve(object, first, k, corners);
      });
      store.selectAfter(k);
      this.setMode("mark");
    }
    view.invalidate();
    this.dispatchEvent(new Event("mode"));
  }

  /** @param {[number, number, number, number] | null} box */
  setBox(box) {
    this.store.editObject(box ? "Box drawn" : "Box removed", (object) => {
      object.box = box && [...rounded(box), ...rounded(box.slice(2))];
    });
  }

  /** Stop what is under way. @returns {boolean} whether there was something */
  escape() {
    const busy = this.gesture !== null || this.store.pick !== null || this.mode !== "mark";
    this.gesture?.cancel?.();
    this.gesture = null;
    this.store.busy = false;
    this.store.cancelPick();
    this.setMode("mark");
    return busy;
  }

  #inside([x, y]) {
    const [width, height] = this.view.photoSize;
    return [Math.min(width - 0.5, Math.max(-0.5, x)), Math.min(height - 0.5, Math.max(-0.5, y))];
  }

  // Pointers

  #at(event) {
    const { left, top } = this.view.canvas.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  #down(event) {
    if (!this.store.photo) return;
    event.preventDefault();
    this.view.canvas.focus({ preventScroll: true });
    const at = this.#at(event);
    const touch = event.pointerType === "touch";
    this.pointers.set(event.pointerId, at);
    this.view.canvas.setPointerCapture(event.pointerId);
    this.view.cursor = null;
    this.view.pointer = { at, touch };
    if (this.pointers.size === 2) this.#start(this.#pinch());
    else if (this.pointers.size === 1) this.#start(this.#begin(event, at, touch));
  }

  #start(gesture) {
    this.gesture?.cancel?.();
    this.gesture = gesture;
    this.store.busy = true;
    this.view.invalidate();
  }

  #moved(event) {
    if (!this.store.photo) return;
    const at = this.#at(event);
    const touch = event.pointerType === "touch";
    if (this.pointers.has(event.pointerId)) this.pointers.set(event.pointerId, at);
    this.view.pointer = { at, touch };
    if (this.gesture) this.gesture.move(at);
    else this.#hover(at);
    this.view.invalidate();
  }

  #hover(at) {
    this.view.cursor = null;
    const hit = this.mode === "pan" || this.store.pick ? null : this.view.hit(at, HIT_RADIUS);
    this.view.hovered = hit && hit.object === this.store.object ? hit.landmark : null;
    this.view.canvas.style.cursor = this.#cursorOver(hit);
  }

  #cursorOver(hit) {
    if (this.mode === "pan" || this.space) return "grab";
    if (hit) return "move";
    return this.store.target === null && this.mode === "mark" && !this.store.pick ? "grab" : "crosshair";
  }

  #up(event) {
    const at = this.#at(event);
    if (!this.pointers.delete(event.pointerId)) return;
    const { gesture } = this;
    if (gesture && this.pointers.size === 0) this.gesture = null;
    if (this.pointers.size === 0) this.store.busy = false;
    if (event.pointerType === "touch") this.view.pointer = null;
    gesture?.end(at, this.pointers.size);
    this.view.invalidate();
  }

  #cancel(event) {
    this.pointers.delete(event.pointerId);
    this.gesture?.cancel?.();
    this.gesture = null;
    this.store.busy = false;
    this.view.pointer = null;
    this.view.invalidate();
  }

  #leave() {
    if (this.pointers.size) return;
    this.view.pointer = null;
    this.view.hovered = null;
    this.view.invalidate();
  }

  #wheel(event) {
    if (!this.store.photo) return;
    event.preventDefault();
    const lines = event.deltaMode === 0 ? 1 : 20;
    const speed = event.ctrlKey ? 0.01 : 0.002;
    const factor = Math.exp(Math.max(-1, Math.min(1, -event.deltaY * lines * speed)));
    this.view.zoom(factor, this.#at(event));
  }

  // Gestures

  #begin(event, at, touch) {
    const { store, view } = this;
    if (event.button > 0 || this.space || this.mode === "pan") return this.#pan(at);
    if (store.pick) return this.#aim(at, touch, (point) => store.addPick(point));
    if (this.mode === "box") return this.#drawBox(at);
    const hit = event.altKey ? null : view.hit(at, touch ? HIT_RADIUS_TOUCH : HIT_RADIUS);
    if (this.mode === "curve") {
      if (hit && hit.object === store.object) return this.#tap(() => this.chooseCurveEnd(hit.landmark));
      return this.#aim(at, touch, (point) => this.addCorner(point));
    }
    if (hit) return this.#drag(hit, at);
    if (store.target === null) return this.#pan(at, () => store.select(null));
    return this.#aim(at, touch, (point) => this.place(point));
  }

  #tap(end) {
    return { move: () => {}, end };
  }

  #pan(start, click = () => {}) {
    let last = start;
    let far = false;
    this.view.canvas.style.cursor = "grabbing";
    return {
      move: (at) => {
        far ||= distance(at, start) > STILL;
        if (far) this.view.pan(at[0] - last[0], at[1] - last[1]);
        last = at;
      },
      end: () => {
        this.view.canvas.style.cursor = "";
        if (!far) click();
      },
    };
  }

  /** Two fingers zoom and pan. */
  #pinch() {
    const measure = () => {
      const [a, b] = [...this.pointers.values()];
      return { middle: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2], span: Math.max(10, distance(a, b)) };
    };
    let last = measure();
    return {
      move: () => {
        if (this.pointers.size !== 2) return;
        const { middle, span } = measure();
        this.view.pan(middle[0] - last.middle[0], middle[1] - last.middle[1]);
        this.view.zoom(span / last.span, middle);
        last = { middle, span };
      },
      end: () => {},
    };
  }

  /** Press, aim while the pointer is down, release. */
  #aim(start, touch, release) {
    const { view } = this;
    const landmark = this.store.pick || this.mode === "curve" ? -1 : this.store.target;
    const aim = (at) => { view.moved = { landmark, point: view.transform.toImage(at) }; };
    aim(start);
    return {
      move: aim,
      end: (at) => {
        view.moved = null;
        release(view.transform.toImage(at));
      },
      cancel: () => { view.moved = null; },
    };
  }

  /** The point keeps its distance from the pointer, so that a finger does not cover it. */
  #drag(hit, start) {
    const { store, view } = this;
    store.select(hit.landmark, hit.object);
    const origin = view.transform.toScreen(store.current.landmarks[hit.landmark]);
    const pointAt = (at) => view.transform.toImage([origin[0] + at[0] - start[0], origin[1] + at[1] - start[1]]);
    let far = false;
    return {
      move: (at) => {
        far ||= distance(at, start) > STILL;
        if (far) view.moved = { landmark: hit.landmark, point: pointAt(at) };
      },
      end: (at) => {
        view.moved = null;
        if (far) this.move(hit.landmark, pointAt(at));
      },
      cancel: () => { view.moved = null; },
    };
  }

  #drawBox(start) {
    const { view } = this;
    const first = this.#inside(view.transform.toImage(start));
    const boxTo = (at) => {
      const last = this.#inside(view.transform.toImage(at));
      const [left, top] = [0, 1].map((i) => Math.min(first[i], last[i]));
      return [left, top, Math.abs(last[0] - first[0]), Math.abs(last[1] - first[1])];
    };
    return {
      move: (at) => { view.box = boxTo(at); },
      end: (at) => {
        const box = boxTo(at);
        view.box = null;
        if (Math.min(box[2], box[3]) * view.transform.scale < MIN_BOX_SIDE) return;
        this.setBox(box);
        this.setMode("mark");
      },
      cancel: () => { view.box = null; },
    };
  }
}

const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
