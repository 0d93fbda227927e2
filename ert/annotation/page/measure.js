/** The scale of a photo, and measurements that follow the points. */
import { button, element, foldDrawer, labeled, session, setHidden, setText, short, showErrors } from "./elements.js";
import {
  KINDS, UNITS, commandLine, kindOfError, lengthOfPixel, measurementText, readLength, unitText,
} from "./units.js";

// Between the last change and the request.
const WAIT_MS = 120;

/**
 * @param {HTMLElement} section
 * @param {import("./store.js").Store} store
 */
export function mount(section, store) {
  return { scale: new Scale(section, store), measurements: new Measurements(section, store) };
}

/** The scale in words. */
export function scaleText(scale, unit) {
  if (scale === null) return "This photo has no scale: lengths are in pixels.";
  return `1 ${unitText(unit)} = ${short(1 / scale)} pixels`;
}

class Scale {
  constructor(section, store) {
    Object.assign(this, { section, store, points: null, usedFor: new Set() });
    this.build();
    store.addEventListener("project", () => this.onProject());
    store.addEventListener("photo", () => this.onPhoto());
    store.addEventListener("change", () => this.onChange());
    this.onProject();
    this.show();
  }

  build() {
    this.text = element("p", { class: "headline", role: "status" });
    this.pick = button("Set scale by two points", () => this.askPoints());
    this.remove = button("Remove scale", () => this.store.setScale(null));
    this.length = element("input", { inputmode: "decimal", autocomplete: "off", size: 6 });
    this.unit = element("select", { "aria-label": "Unit of the length" });
    this.unit.append(...UNITS.map((unit) => element("option", { value: unit }, unitText(unit))));
    const fields = element("div", { class: "pair" }, labeled("Their distance", this.length),
      labeled("Unit", this.unit));
    this.error = element("p", { class: "error", role: "alert" });
    const buttons = element("div", { class: "buttons" },
      element("button", { type: "submit", class: "main" }, "Set scale"), button("Cancel", () => this.close()));
    this.form = element("form", { hidden: true }, fields, this.error, buttons);
    this.form.addEventListener("submit", (event) => this.onSubmit(event));
    this.form.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
    this.same = element("input", { type: "checkbox", onchange: () => this.keep() });
    const same = element("label", { class: "check" }, this.same, " Same scale for the photos that follow");
    const what = "It is set when you first edit a photo without a scale. " +
      "This is only right if the camera's distance and zoom stay the same.";
    this.note = element("p", { class: "note" }, what);
    this.section.append(element("div", { class: "scale" }, this.text,
      element("div", { class: "buttons" }, this.pick, this.remove), this.form, same, this.note));
    setText(this.error, "");
  }

  get key() {
    return `ert.scale ${this.store.project?.file}`;
  }

  get projectUnit() {
    return this.store.project?.unit ?? "mm";
  }

  onProject() {
    const kept = session.read(this.key, {});
    this.same.checked = kept.same ?? false;
    this.last = kept.last ?? null;
    this.unit.value = kept.unit ?? this.projectUnit;
    // Only lengths of a known size are converted.
    const isKnown = UNITS.includes(this.projectUnit);
    for (const option of this.unit.options) option.disabled = !isKnown;
    this.note.hidden = !this.same.checked;
  }

  keep() {
    session.write(this.key, { same: this.same.checked, last: this.last, unit: this.unit.value });
    this.note.hidden = !this.same.checked;
  }

  async askPoints() {
    this.close();
    foldDrawer(this.section, true);
    const text = "Click two points whose distance you know, such as two marks of a ruler.";
    const points = await this.store.pickPoints(2, text);
    foldDrawer(this.section, false);
    if (!points) return;
    this.points = points;
    this.form.hidden = false;
    this.length.focus();
    this.length.select();
  }

  onSubmit(event) {
    event.preventDefault();
    const length = readLength(this.length.value);
    const scale = length && lengthOfPixel(this.points, length, this.unit.value, this.projectUnit);
    if (!length) return setText(this.error, "Expected a number above 0, such as 10.");
    if (!scale) return setText(this.error, "Both points are the same: click two that are apart.");
    this.last = scale;
    this.usedFor.add(this.store.photo.id);
    this.store.setScale(scale);
    this.keep();
    return this.close();
  }

  close() {
    const hadFocus = this.form.contains(document.activeElement);
    this.form.hidden = true;
    setText(this.error, "");
    if (hadFocus) this.pick.focus();
  }

  onPhoto() {
    this.close();
    this.show();
  }

  onChange() {
    const { photo, history } = this.store;
    const isWanted = this.same.checked && this.last && photo.scale === null && photo.objects.length > 0;
    // Once a photo, so that undo removes it; and never while undoing.
    if (isWanted && !history.redoable && !this.usedFor.has(photo.id)) {
      this.usedFor.add(photo.id);
      this.store.setScale(this.last);
    }
    this.show();
  }

  show() {
    const scale = this.store.photo?.scale ?? null;
    setText(this.text, scaleText(scale, this.projectUnit));
    setHidden(this.remove, scale === null, this.pick);
  }
}

class Measurements {
  constructor(section, store) {
    Object.assign(this, { section, store, fields: {}, errors: {}, isAsking: false, isStale: false });
    this.build();
    store.addEventListener("project", () => this.onProject());
    for (const name of ["photo", "change", "select", "proposal"]) store.addEventListener(name, () => this.later());
    this.onProject();
  }

  build() {
    this.title = element("h3", {}, "Measurements");
    for (const [kind, { label, example }] of Object.entries(KINDS)) {
      const error = element("p", { class: "error", id: `error-${kind}`, role: "alert" });
      const options = { autocomplete: "off", spellcheck: "false", placeholder: example };
      this.fields[kind] = element("input", { ...options, "aria-describedby": error.id, oninput: () => this.onInput() });
      this.errors[kind] = error;
      setText(error, "");
    }
    const fields = Object.entries(KINDS).map(([kind, { label }]) => {
      const field = labeled(label, this.fields[kind]);
      field.append(this.errors[kind]);
      return field;
    });
    const [distances, angles, ...others] = fields;
    this.size = element("input", { type: "checkbox", onchange: () => this.onInput() });
    this.values = element("dl", { class: "values", "aria-live": "off", "aria-label": "Measurements of this object" });
    this.error = element("p", { class: "error", role: "alert" });
    this.command = element("code", { tabindex: 0 });
    this.copy = button("Copy", () => this.copyCommand());
    const what = "For a table of all photos, type in a terminal:";
    this.commandPart = element("div", { class: "command" }, element("p", { class: "note" }, what),
      element("div", { class: "pair" }, this.command, this.copy));
    this.more = element("details", {}, element("summary", {}, "Areas and perimeters"), ...others);
    const help = "Landmarks by number or name, with - between them; several measurements with commas.";
    this.section.append(this.title, element("p", { class: "note" }, help), distances, angles, this.more,
      element("label", { class: "check" }, this.size, " Centroid size"), this.error, this.values, this.commandPart);
    setText(this.error, "");
  }

  get key() {
    return `ert.measure ${this.store.project?.file}`;
  }

  get typed() {
    const texts = Object.entries(this.fields).map(([kind, field]) => [kind, field.value]);
    return { ...Object.fromEntries(texts), centroid_size: this.size.checked };
  }

  onProject() {
    const kept = session.read(this.key, {});
    for (const [kind, field] of Object.entries(this.fields)) field.value = kept[kind] ?? "";
    this.size.checked = kept.centroid_size ?? false;
    this.more.open = Boolean(kept.areas || kept.perimeters);
    this.later();
  }

  onInput() {
    session.write(this.key, this.typed);
    this.later();
  }

  /** One request at a time; while points move, the next one starts when the answer is there. */
  later() {
    this.isStale = true;
    if (this.isAsking || this.timer) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      this.ask();
    }, WAIT_MS);
  }

  async ask() {
    this.showCommand();
    this.isStale = false;
    const { objects, object: i, photo } = this.store.project && this.store.photo ? this.store : {};
    const typed = this.typed;
    if (!objects?.[i] || !isAsked(typed)) return this.show([], {});
    this.isAsking = true;
    const errors = {};
    const request = { ...typed, objects: [objects[i]].map(forServer), scale: photo.scale };
    const measurements = await showErrors(this.error, () => this.measure(request, errors));
    this.isAsking = false;
    this.show(measurements ?? [], errors);
    if (this.isStale) this.later();
  }

  /** The fields without an error are measured all the same. */
  async measure(request, errors) {
    while (isAsked(request)) {
      try {
        return (await this.store.api.post("/api/measure", request)).measurements;
      } catch (error) {
        const kind = kindOfError(error.message);
        if (error.status !== 400 || !kind || !request[kind]) throw error;
        errors[kind] = error.message.slice(kind.length).replace(/^[: ]+/, "");
        request[kind] = "";
      }
    }
    return [];
  }

  show(measurements, errors) {
    for (const [kind, line] of Object.entries(this.errors)) {
      setText(line, errors[kind] ?? "");
      this.fields[kind].setAttribute("aria-invalid", kind in errors);
    }
    const { objects, object: i } = this.store.photo ? this.store : { objects: [], object: 0 };
    const which = objects.length > 1 ? ` of object ${i + 1} of ${objects.length}` : "";
    this.title.textContent = `Measurements${which}`;
    this.values.replaceChildren(...measurements.flatMap((each) => [
      element("dt", {}, measurementText(each.name)),
      element("dd", {}, each.value === null ? "a landmark is missing" : `${short(each.value)} ${unitText(each.unit)}`),
    ]));
    this.values.hidden = !measurements.length;
  }

  showCommand() {
    const { project } = this.store;
    const isShown = Boolean(project) && isAsked(this.typed);
    this.commandPart.hidden = !isShown;
    if (isShown) this.command.replaceChildren(...inWords(commandLine(project.file, this.typed)));
  }

  async copyCommand() {
    try {
      await navigator.clipboard.writeText(this.command.textContent);
      this.store.say("Copied.");
    } catch {
      getSelection().selectAllChildren(this.command);
    }
  }
}

/** Lines break between the words of a command, not in its options. */
const inWords = (command) => command.split(" ").flatMap((word) => [element("span", {}, word), " "]).slice(0, -1);

const isAsked = (typed) => typed.centroid_size || Object.keys(KINDS).some((kind) => typed[kind].trim());

const forServer = ({ landmarks, hidden, box, id }) => ({ landmarks, hidden, box, id });
