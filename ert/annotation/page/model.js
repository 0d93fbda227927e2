/** What the model can do by now, and the buttons that train it. */
import { errorChart } from "./chart.js";
import {
  button, counted, drawing, element, sentence, setSummary, setText, short, showErrors, showOneOf, table,
} from "./elements.js";
import { CONFIDENCE } from "./overlay.js";

/**
 * The state of the model in a few words.
 * @param {{state: string, version: number}} model
 */
export function headline({ state, version }) {
  switch (state) {
    case "training":
      return version ? "Training a new model …" : "Training the first model …";
    case "stopped":
      return "Training stopped";
    case "failed":
      return "Training failed";
    default:
      return version ? `Model ${version}` : "No model yet";
  }
}

/**
 * What is used meanwhile, and when the next model is trained.
 * @param {{state: string, version: number, next_at: number | null}} model
 */
export function nextText({ state, version, next_at: at }) {
  if (!version) return "";
  if (state !== "ready") return `Model ${version} is used meanwhile.`;
  return at ? `The next model is trained when ${at} photos are done.` : "";
}

/** How many of the proposed points a person has moved. */
export function correctionsText({ n_landmarks: n, n_corrected: corrected }) {
  if (!n) return "";
  const were = corrected === 1 ? "was" : "were";
  const percent = Math.round((1000 * corrected) / n) / 10;
  return `Of ${counted(n, "proposed point")} in finished photos, ${corrected} ${were} corrected (${percent} %).`;
}

/**
 * @param {HTMLElement} section
 * @param {import("./store.js").Store} store
 */
export function mount(section, store) {
  return new Model(section, store);
}

class Model {
  constructor(section, store) {
    Object.assign(this, { section, store });
    this.build();
    store.addEventListener("project", () => this.onProject());
    store.addEventListener("status", () => this.onStatus());
    for (const name of ["proposal", "photo", "change"]) store.addEventListener(name, () => this.onProposal());
  }

  build() {
    this.headline = element("p", { class: "headline", role: "status" });
    this.text = element("p", { class: "note" });
    this.next = element("p", { class: "note" });
    this.progress = element("progress", { max: 1, "aria-label": "Training", hidden: true });
    this.train = button("Train now", () => this.request(() => this.store.api.post("/api/train")));
    this.stop = button("Stop training", () => this.request(() => this.store.api.del("/api/train")), { hidden: true });
    this.error = element("p", { class: "error", role: "alert" });
    const attributes = { class: "main", "aria-keyshortcuts": "Enter" };
    this.accept = button("Accept the proposal", () => this.store.accept(), attributes);
    this.accept.append(" ", element("kbd", {}, "Enter"));
    this.proposal = element("p", { class: "note" });
    this.chart = element("figure", { class: "errors", hidden: true });
    this.advice = element("p", { class: "advice" });
    this.corrections = element("p", {});
    this.section.append(
      this.headline, this.text, this.next, this.progress,
      element("div", { class: "buttons" }, this.train, this.stop), this.error,
      element("div", { class: "buttons" }, this.accept), this.proposal, makeLegend(),
      this.chart, this.advice, this.corrections,
    );
    const lines = [this.headline, this.text, this.next, this.error, this.proposal, this.advice, this.corrections];
    for (const line of lines) setText(line, "");
    this.onProject();
    this.onProposal();
  }

  /** No model helps in a second round: its points are to be those of the person alone. */
  onProject() {
    this.section.closest("details").hidden = Boolean(this.store.project?.round);
  }

  async request(send) {
    await showErrors(this.error, send);
    await this.store.poll();
  }

  onStatus() {
    const { model, counts } = this.store.status;
    const isTraining = model.state === "training";
    setText(this.headline, headline(model));
    const percent = `${Math.round(100 * (model.progress ?? 0))} %`;
    const version = model.version ? `version ${model.version}` : "none yet";
    setSummary(this.section, isTraining ? `training ${percent}` : version);
    if (this.version !== undefined && model.version > this.version) {
      this.store.say(`Model ${model.version} is ready: it proposes landmarks now.`);
    }
    this.version = model.version;
    setText(this.text, sentence(model.text));
    setText(this.next, nextText(model));
    this.progress.hidden = !isTraining;
    this.progress.value = model.progress ?? 0;
    this.train.disabled = !counts.done;
    this.train.title = counts.done ? "" : "No photo is done yet";
    showOneOf(isTraining, this.stop, this.train);
    setText(this.advice, sentence(model.advice));
    setText(this.corrections, correctionsText(model.corrections ?? {}));
    this.showErrors(model.errors ?? []);
  }

  /** Drawn only when a number is another one: the page asks every second. */
  showErrors(errors) {
    const key = JSON.stringify(errors);
    if (key === this.drawn) return;
    this.drawn = key;
    this.chart.hidden = !errors.length;
    if (!errors.length) return;
    const { unit } = errors[0];
    const isOpen = this.chart.querySelector("details")?.open;
    const rows = errors.map((e) => [String(e.n_photos), short(e.error), `${short(e.low)} to ${short(e.high)}`]);
    const caption = "Mean distance from your points, in photos that the model was not trained on. Bars: 95 % interval.";
    this.chart.replaceChildren(
      element("figcaption", {}, caption), errorChart(errors),
      element("details", { open: isOpen }, element("summary", {}, "Numbers"),
        table("Error by annotated photos", ["photos", `error (${unit})`, "95 % interval"], rows, { class: "numbers" })),
    );
  }

  onProposal() {
    const isProposed = this.store.photo !== null && this.store.isProposal;
    this.accept.hidden = !isProposed;
    const { objects = [], score } = this.store.proposal ?? {};
    const confidence = Number.isFinite(score) ? `, mean confidence ${Math.round(100 * score)} %` : "";
    const text = `${counted(objects.length, "object")} proposed in this photo${confidence}.`;
    setText(this.proposal, isProposed ? text : "");
  }
}

const DOTTED = "M8 1a7 7 0 1 0 .01 0z";
const SHAPES = {
  circle: "M2 8a6 6 0 1 0 12 0a6 6 0 1 0 -12 0z",
  diamond: "M8 1.5L14.5 8L8 14.5L1.5 8z",
  triangle: "M8 2L14.5 13.5H1.5z",
};

/** What color and shape of a proposed point mean. */
export function legendTexts(levels) {
  const percent = (part) => Math.round(100 * part);
  return levels.map(({ least, text }, i) => {
    if (i === 0) return `${text}: ${percent(least)} % or more`;
    const most = percent(levels[i - 1].least);
    return `${text}: ${least ? `${percent(least)} to` : "below"} ${most} %`;
  });
}

function makeLegend() {
  const texts = legendTexts(CONFIDENCE);
  const items = CONFIDENCE.flatMap(({ color, shape }, i) => {
    const looks = [{ class: "outline" }, { stroke: color }];
    const paths = looks.map((look) => drawing("path", { d: SHAPES[shape], ...look }));
    const icon = drawing("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, ...paths);
    return [element("dt", {}, icon), element("dd", {}, texts[i])];
  });
  const circle = drawing("path", { d: DOTTED, class: "dotted" });
  items.push(element("dt", {}, drawing("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, circle)),
    element("dd", {}, "dotted circle: standard error"));
  const what = "Probability that a point is off by less than 2 % of the size of the object:";
  return element("details", { class: "legend", open: true }, element("summary", {}, "Colors of proposed points"),
    element("p", { class: "note" }, what), element("dl", {}, ...items));
}
