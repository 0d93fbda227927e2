/** Checking: suspicious photos, the model's opinion beside the person's points, and the second round. */
import { Comparison } from "./comparison.js";
import {
  button, counted, element, isNarrow, refill, sentence, setHidden, setSummary, setText, short, showErrors, showOneOf,
  table,
} from "./elements.js";

const [FIRST_SHOWN, MORE_SHOWN] = [6, 20];
const UNIT_TEXTS = { px: "px", percent: "% of the size", mm: "mm" };

/** The state of the check in words. */
export function checksText({ state, n_suspicious: n, text }) {
  switch (state) {
    case "running":
      return "Checking …";
    case "ready":
      if (!n) return "Nothing suspicious was found.";
      return `${counted(n, "photo")} ${n === 1 ? "deserves" : "deserve"} a second look.`;
    case "failed":
      return "The check failed.";
    default:
      return text ? "" : "Not checked yet.";
  }
}

/**
 * The rows of the table of repeatability.
 * @param {{units: string[], landmarks: object[], overall: object}} answer
 * @returns {{headers: string[], rows: string[][]}}
 */
export function repeatabilityTable({ units, landmarks, overall }) {
  // Percent tell more than pixels where they are known; the rest is in the file of `ert compare`.
  const unit = units.includes("mm") ? "mm" : units.includes("percent") ? "percent" : "px";
  const row = (name, values) => [name, short(values[unit]?.mean), short(values[unit]?.deviation)];
  const text = UNIT_TEXTS[unit];
  return {
    headers: ["landmark", `mean distance (${text})`, `standard deviation (${text})`],
    rows: [...landmarks.map((each) => row(each.name, each)), row("all landmarks", overall)],
  };
}

/** How far the second round is. */
export function roundText({ of, n }, nDone) {
  const place = `${Math.min(nDone, n)} of ${n} photos of the second round are done.`;
  return nDone < n ? `${place} Mark them without looking at ${of}.` : `${place} They are compared with ${of}.`;
}

/**
 * @param {HTMLElement} section
 * @param {import("./store.js").Store} store
 */
export function mount(section, store) {
  return new Checks(section, store);
}

class Checks {
  constructor(section, store) {
    Object.assign(this, { section, store, nShown: FIRST_SHOWN, suspicious: [] });
    this.build();
    store.addEventListener("project", () => this.onProject());
    store.addEventListener("status", () => this.onStatus());
    for (const name of ["photo", "change", "select"]) store.addEventListener(name, () => this.onPhoto());
    store.addEventListener("change", () => { this.isChanged = true; });
    store.addEventListener("save", () => this.onSave());
    this.onProject();
    this.onPhoto();
  }

  build() {
    this.state = element("p", { class: "headline", role: "status" });
    this.text = element("p", { class: "note" });
    this.progress = element("progress", { max: 1, "aria-label": "Check", hidden: true });
    this.start = button("Check annotations", () => this.request(() => this.store.api.post("/api/checks")));
    this.stop = button("Stop checking", () => this.request(() => this.store.api.del("/api/checks")), { hidden: true });
    this.error = element("p", { class: "error", role: "alert" });
    this.list = element("ol", { class: "suspicious", "aria-label": "Suspicious photos, the worst first" });
    this.more = button("Show more", () => this.showMore(), { hidden: true });
    this.findings = element("ul", { class: "findings" });
    this.findingsTitle = element("h3", {}, "In this photo");
    this.comparison = new Comparison(this.store);
    this.round = element("div", { class: "round", hidden: true });
    const what = "Finds duplicates, swapped points and the like, and points far from where models that were trained " +
      "on the other photos expect them.";
    this.section.append(
      this.round, element("p", { class: "note" }, what),
      element("div", { class: "buttons" }, this.start, this.stop), this.state, this.text,
      this.progress, this.error,
      this.list, this.more, this.findingsTitle, this.findings, this.comparison.node,
    );
    for (const line of [this.state, this.text, this.error]) setText(line, "");
  }

  async request(send) {
    await showErrors(this.error, send);
    await this.store.poll();
  }

  onStatus() {
    const { checks, counts } = this.store.status;
    setText(this.state, checksText(checks));
    const found = checks.n_suspicious ? `${checks.n_suspicious} suspicious` : "";
    setSummary(this.section, checks.state === "running" ? `checking ${Math.round(100 * checks.progress)} %` : found);
    setText(this.text, sentence(checks.text));
    this.progress.hidden = checks.state !== "running";
    this.progress.value = checks.progress ?? 0;
    const isRunning = checks.state === "running";
    this.start.textContent = checks.state === "ready" ? "Check again" : "Check annotations";
    showOneOf(isRunning, this.stop, this.start);
    const key = `${checks.state} ${checks.n_suspicious}`;
    // What needs no model is found first.
    if (key !== this.listed) {
      this.load();
      this.refreshFindings();
      this.comparison.refresh();
    }
    this.listed = key;
    this.showRound(counts.done);
  }

  async load() {
    const n = this.store.status.checks.n_suspicious;
    if (!n) return this.showSuspicious([]);
    const path = `/api/photos?order=suspicious&status=all&offset=0&limit=${Math.min(n, this.nShown)}`;
    const answer = await showErrors(this.error, () => this.store.api.get(path));
    return this.showSuspicious((answer?.photos ?? []).filter((photo) => photo.reason));
  }

  showMore() {
    this.nShown += MORE_SHOWN;
    return this.load();
  }

  showSuspicious(photos) {
    const items = photos.map(({ id, name, reason }) => {
      const attributes = { class: "item", "data-key": id };
      const open = button("", () => showErrors(this.error, () => this.store.open(id)), attributes);
      open.append(element("span", { class: "name" }, name), element("span", { class: "reason" }, reason));
      return element("li", {}, open);
    });
    refill(this.list, items);
    this.list.hidden = !items.length;
    const rest = this.store.status.checks.n_suspicious - items.length;
    setHidden(this.more, !items.length || rest <= 0, this.list.querySelector("li:last-child button") ?? this.start);
    this.more.textContent = `Show more (${rest})`;
  }

  onPhoto() {
    const { photo } = this.store;
    if (photo?.id !== this.shownIn) this.showFindings(photo?.findings ?? []);
    this.shownIn = photo?.id;
    this.comparison.update();
  }

  /** A point that was moved may not be suspicious any more. */
  onSave() {
    if (!this.isChanged || this.store.saver.state !== "saved") return;
    this.isChanged = false;
    if (this.store.status?.checks.state !== "none") this.refreshFindings();
  }

  async refreshFindings() {
    const { photo } = this.store;
    const answer = photo && await showErrors(this.error, () => this.store.api.get(`/api/photos/${photo.id}`));
    if (!answer || this.store.photo.id !== photo.id) return;
    this.store.takeFindings(answer.findings);
    this.showFindings(answer.findings);
  }

  showFindings(findings) {
    this.findings.replaceChildren(...findings.map((finding) => {
      if (!finding.landmarks?.length) return element("li", {}, finding.text);
      const select = button(finding.text, () => this.reach(finding), { class: "item" });
      return element("li", {}, select);
    }));
    this.findings.hidden = this.findingsTitle.hidden = !findings.length;
  }

  reach({ landmarks, object }) {
    this.store.select(landmarks[0], object ?? 0);
    this.store.show(landmarks);
  }

  onProject() {
    const isRound = Boolean(this.store.project?.round);
    this.round.hidden = !isRound;
    if (isRound && !isNarrow()) this.section.closest("details").open = true;
  }

  /** The figures of the second round are asked for when it ends, and after corrections. */
  async showRound(nDone) {
    const round = this.store.project?.round;
    const key = `${nDone} ${nDone < round?.n ? "" : this.store.status.changes}`;
    if (!round || this.roundShown === key) return;
    this.roundShown = key;
    const title = element("h3", {}, "Second round");
    const text = element("p", { role: "status" }, roundText(round, nDone));
    const bar = element("progress", { max: round.n, value: nDone, "aria-label": "Second round" });
    this.round.replaceChildren(title, text, bar);
    if (nDone < round.n) return;
    const answer = await showErrors(this.error, () => this.store.api.get("/api/repeatability"));
    if (!answer || this.roundShown !== key) return;
    const { headers, rows } = repeatabilityTable(answer);
    const note = "Distance between the first and the second time. The standard deviation is that of one annotation, " +
      "also called technical error of measurement.";
    this.round.append(table(`Repeatability, ${counted(answer.n, "object")}`, headers, rows, { class: "numbers" }),
      element("p", { class: "note" }, note));
  }
}
