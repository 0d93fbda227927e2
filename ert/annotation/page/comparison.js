/** What models predict that were not trained on the open photo, beside or over the person's points. */
import { rounded } from "./content.js";
import { button, drawing, element, refill, setText, showErrors } from "./elements.js";

const MODES = { hidden: "Hide", over: "Over my points", beside: "Side by side" };
const PICTURE_PIXELS = 900;
// Around the points, in parts of their extent.
const MARGIN = 0.15;

/**
 * How far the model's opinion lies from each point, the largest distance first; points that are not marked last.
 * @param {{landmarks: ([number, number] | null)[]}} object
 * @param {{landmarks: ([number, number] | null)[]}} opinion
 * @returns {{k: number, pixels: number | null, percent: number | null}[]} percent of the diagonal of the points
 */
export function distances(object, opinion) {
  const box = extent([object.landmarks]);
  const size = box && Math.hypot(box[2], box[3]);
  const rows = opinion.landmarks.flatMap((point, k) => {
    if (!point) return [];
    const own = object.landmarks[k];
    const pixels = own ? Math.hypot(own[0] - point[0], own[1] - point[1]) : null;
    return [{ k, pixels, percent: pixels !== null && size ? (100 * pixels) / size : null }];
  });
  return rows.sort((a, b) => (b.pixels ?? -1) - (a.pixels ?? -1));
}

/**
 * The opinion about an object, or the object that an opinion is about: models may have none about another object.
 * @returns {object | null}
 */
export function nearest(object, others) {
  const mean = (other) => {
    const known = distances(object, other).filter(({ pixels }) => pixels !== null);
    return known.length ? known.reduce((sum, { pixels }) => sum + pixels, 0) / known.length : Infinity;
  };
  return others.reduce((best, each) => (!best || mean(each) < mean(best) ? each : best), null);
}

/**
 * Move a landmark, or all, to where the model's opinion is.
 * @param {import("./content.js").Marked} object
 * @param {{landmarks: ([number, number] | null)[]}} opinion
 * @param {number | null} [only]
 */
export function takeOver(object, opinion, only = null) {
  for (const [k, point] of opinion.landmarks.entries()) {
    if (!point || (only !== null && k !== only)) continue;
    object.landmarks[k] = rounded(point);
    object.missing = (object.missing ?? []).filter((each) => each !== k);
  }
}

/** The smallest rectangle around points: left, top, width, height; null without any. */
export function extent(lists) {
  const points = lists.flat().filter(Boolean);
  if (!points.length) return null;
  const [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis]));
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  return [left, top, Math.max(...xs) - left, Math.max(...ys) - top];
}

/** The part of a photo that shows all points, in whole pixels and within the photo. */
export function cutout(lists, { width, height }) {
  const [left, top, w, h] = extent(lists) ?? [0, 0, width, height];
  const margin = MARGIN * Math.max(w, h, 20);
  const from = [left, top].map((value, i) => clamp(Math.floor(value - margin), 0, [width, height][i] - 1));
  const to = [left + w, top + h].map((value, i) => clamp(Math.ceil(value + margin), from[i] + 1, [width, height][i]));
  return [from[0], from[1], to[0] - from[0], to[1] - from[1]];
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export class Comparison {
  /** @param {import("./store.js").Store} store */
  constructor(store) {
    Object.assign(this, { store, mode: "hidden", asked: null });
    this.node = element("div", { class: "comparison" });
    this.build();
    store.addEventListener("opinion", () => this.show());
  }

  build() {
    const choices = Object.entries(MODES).map(([mode, text]) => {
      const radio = element("input", { type: "radio", name: "opinion", value: mode, checked: mode === this.mode });
      radio.addEventListener("change", () => this.setMode(mode));
      return element("label", {}, radio, " ", text);
    });
    this.choice = element("fieldset", { class: "choice" }, element("legend", {}, "The model's prediction"), ...choices);
    this.note = element("p", { class: "note", role: "status" });
    this.error = element("p", { class: "error", role: "alert" });
    this.all = button("Use all", () => this.takeOver());
    this.body = element("tbody");
    const titles = ["landmark", "px", "% of the size", ""];
    const heads = titles.map((text) => element("th", { scope: "col" }, text));
    heads[3].append(element("span", { class: "unseen" }, "use the prediction"));
    const head = element("thead", {}, element("tr", {}, ...heads));
    this.table = element("table", { class: "numbers" }, head, this.body);
    const region = { class: "scroll", tabindex: 0, role: "region", "aria-label": "Distances from the model's prediction" };
    const scroll = element("div", region, this.table);
    this.rows = element("div", { hidden: true }, scroll, element("div", { class: "buttons" }, this.all));
    this.figures = element("div", { class: "figures" });
    const close = button("Close", () => this.close());
    this.dialogRows = element("div");
    const dialogHead = element("div", { class: "dialog-head" }, element("h2", {}, "Side by side"), close);
    this.dialog = element("dialog", { class: "beside", "aria-label": "Your points and the model's prediction" },
      dialogHead, this.figures, this.dialogRows);
    this.dialog.addEventListener("close", () => this.onClose());
    // The keys of the photo do not act while the dialog is open.
    this.dialog.addEventListener("keydown", (event) => event.stopPropagation());
    this.dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.close();
    });
    this.node.append(this.choice, this.note, this.error, this.rows, this.dialog);
    for (const line of [this.note, this.error]) setText(line, "");
  }

  setMode(mode) {
    this.mode = mode;
    this.update();
    if (mode === "beside") this.openDialog();
  }

  openDialog() {
    this.dialogRows.append(this.rows);
    if (!this.dialog.open) this.dialog.showModal();
  }

  /** The browser tells of a closed dialog later: by then it may be open again. */
  close() {
    this.dialog.close();
    this.onClose();
  }

  onClose() {
    if (this.dialog.open || this.mode !== "beside") return;
    this.dialog.before(this.rows);
    this.choice.querySelector("input[value=hidden]").checked = true;
    this.setMode("hidden");
  }

  /** The photo, the object or a point is another one. */
  update() {
    const { photo, opinion } = this.store;
    if (this.mode === "hidden") {
      this.asked = null;
      if (opinion) this.store.hideOpinion();
    } else if (photo && !opinion && this.asked !== photo.id) {
      this.ask(photo.id);
    }
    this.show();
  }

  /** The check has ended: there may be another opinion. */
  refresh() {
    if (this.mode !== "hidden" && this.store.photo) this.ask(this.store.photo.id);
  }

  async ask(id) {
    this.asked = id;
    await showErrors(this.error, () => this.store.loadOpinion());
    // It was hidden while the answer was on its way.
    if (this.mode === "hidden") this.update();
  }

  current() {
    const i = this.store.object;
    const object = this.store.photo?.objects[i] ?? null;
    return { i, object, opinion: object && nearest(object, this.store.opinion?.objects ?? []) };
  }

  show() {
    const isHidden = this.mode === "hidden";
    const { object, opinion } = this.current();
    setText(this.note, isHidden ? "" : this.noteText(object, opinion));
    this.rows.hidden = isHidden || !object || !opinion;
    if (this.rows.hidden) return this.figures.replaceChildren();
    this.fillTable(distances(object, opinion));
    if (this.mode === "beside") this.drawFigures(object, opinion);
  }

  noteText(object, opinion) {
    if (!this.store.opinion) return this.error.textContent ? "" : "Loading …";
    if (!object) return "Nothing is marked in this photo.";
    if (opinion) return "From models that were not trained on this photo.";
    return this.store.opinion.objects.length ? "There is no prediction for this object."
      : "There is no prediction yet: check the annotations first.";
  }

  fillTable(rows) {
    const names = this.store.project.landmarks;
    refill(this.body, rows.map(({ k, pixels, percent }) => {
      const attributes = { "aria-label": `Use the prediction of ${names[k]}`, "data-key": `take ${k}` };
      const take = button("Use", () => this.takeOver(k), attributes);
      const select = button(names[k], () => this.reach(k), { class: "link", "data-key": `select ${k}` });
      const distance = pixels === null ? "not marked" : pixels.toFixed(1);
      return element("tr", { class: k === this.store.selected ? "selected" : null },
        element("th", { scope: "row" }, select), element("td", {}, distance),
        element("td", {}, percent === null ? "–" : percent.toFixed(1)),
        element("td", {}, take));
    }));
  }

  reach(k) {
    this.store.select(k);
    this.store.show([k]);
  }

  /** Replace one point, or all, by the model's opinion: one step to undo. */
  takeOver(only = null) {
    const { i, opinion } = this.current();
    const name = only === null ? "all landmarks" : this.store.project.landmarks[only];
    this.store.edit(`Prediction used: ${name}`, (content) => takeOver(content.objects[i], opinion, only));
  }

  drawFigures(object, opinion) {
    const { photo } = this.store;
    const part = cutout([object.landmarks, opinion.landmarks], photo);
    const own = drawFigure("Your points", photo, part, object.landmarks, "own");
    const model = drawFigure("The model's prediction", photo, part, opinion.landmarks, "model");
    this.figures.replaceChildren(own, model);
  }
}

function drawFigure(title, photo, [left, top, width, height], landmarks, kind) {
  const query = `side=${PICTURE_PIXELS}&left=${left}&top=${top}&width=${width}&height=${height}`;
  const image = element("img", { src: `/api/photos/${photo.id}/image?${query}`, alt: "" });
  // The center of the first pixel is 0, its edge -0.5.
  const viewBox = [left - 0.5, top - 0.5, width, height].join(" ");
  const svg = drawing("svg", { viewBox, class: kind, role: "img", "aria-label": title });
  const size = Math.max(width, height) / 65;
  for (const [k, point] of landmarks.entries()) {
    if (!point) continue;
    const [x, y] = point;
    const circles = ["halo", "mark"].map((look) => drawing("circle", { class: look, cx: x, cy: y, r: size }));
    const label = drawing("text", { x: x + 1.3 * size, y: y - size, "font-size": 2.6 * size }, String(k));
    svg.append(...circles, label);
  }
  const picture = element("div", { class: "picture" }, image, svg);
  picture.style.setProperty("--ratio", width / height);
  return element("figure", {}, element("figcaption", {}, title), picture);
}
