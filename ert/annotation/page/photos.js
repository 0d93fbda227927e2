/** The list of photos: search, filter, order, and how many are done. */
import { button, counted, element, foldDrawer, labeled, setText, showErrors } from "./elements.js";
import { RowList } from "./rows.js";

/** Icon and word of each status: never color alone. */
export const STATUSES = {
  todo: { icon: "○", word: "to do" },
  started: { icon: "◐", word: "started" },
  done: { icon: "✓", word: "done" },
  skipped: { icon: "–", word: "skipped" },
};
const ORDERS = { name: "By name", queue: "Most helpful first", suspicious: "Suspicious first" };
// As `.row` in panels.css.
const ROW_PIXELS = 60;
const [FIRST_REQUEST, NEXT_REQUESTS] = [100, 1000];
const MAX_SINGLE_REQUESTS = 5;

/**
 * The photos whose name contains all words, with a status.
 * @param {{name: string, status: string}[]} photos
 * @param {string} text words in any order, upper or lower case
 * @param {string} status "all" or a status
 */
export function matching(photos, text, status) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return photos.filter((photo) => {
    if (status !== "all" && photo.status !== status) return false;
    const name = words.length ? photo.name.toLowerCase() : "";
    return words.every((word) => name.includes(word));
  });
}

/** @param {{todo: number, started: number, done: number, skipped: number}} counts */
export function countsText(counts) {
  const total = Object.values(counts).reduce((sum, n) => sum + n, 0);
  const others = ["started", "skipped"].filter((status) => counts[status]);
  return [`${counts.done} of ${total} done`, ...others.map((status) => `${counts[status]} ${status}`)].join(", ");
}

/** The second line of a row. */
export function rowText({ status, n_objects: n }) {
  return STATUSES[status].word + (n > 1 ? `, ${counted(n, "object")}` : "");
}

/**
 * @param {HTMLElement} section
 * @param {import("./store.js").Store} store
 */
export function mount(section, store) {
  return new Photos(section, store);
}

class Photos {
  constructor(section, store) {
    Object.assign(this, { section, store, photos: [], shown: [], loads: 0 });
    this.build();
    store.addEventListener("project", () => { if (!this.loads) this.load(); });
    store.addEventListener("photo", () => this.onPhoto());
    store.addEventListener("change", () => this.onChange());
    store.addEventListener("status", () => this.onStatus());
  }

  build() {
    this.counts = element("p", { class: "counts", role: "status" });
    this.bar = element("progress", { max: 1, value: 0, "aria-label": "Photos done" });
    const attributes = { type: "search", autocomplete: "off", spellcheck: "false", "aria-label": "Search by name" };
    this.search = element("input", { ...attributes, placeholder: "Search by name", oninput: () => this.sift() });
    this.status = element("select", { onchange: () => this.sift() });
    this.order = element("select", { onchange: () => this.setOrder() });
    this.order.append(...Object.entries(ORDERS).map(([value, text]) => element("option", { value }, text)));
    this.order.value = this.store.order;
    const icons = Object.entries(STATUSES).map(([value, { icon, word }]) => ({ value, text: `${icon} ${word}` }));
    for (const { value, text } of [{ value: "all", text: "all photos" }, ...icons]) {
      this.status.append(element("option", { value }, text));
    }
    this.note = element("p", { class: "note", role: "status" });
    this.error = element("p", { class: "error", role: "alert" });
    this.retry = button("Try again", () => this.load(), { hidden: true });
    this.list = new RowList({
      rowHeight: ROW_PIXELS, label: "Photos", make: makeRow, fill: (row, i) => this.fill(row, this.shown[i]),
      rest: (row, i) => this.showThumbnail(row, this.shown[i]), choose: (i) => this.open(this.shown[i].id),
    });
    const controls = [labeled("Show", this.status), labeled("Order", this.order)];
    this.section.append(
      this.counts, this.bar, element("div", { class: "field" }, this.search),
      element("div", { class: "pair" }, ...controls), this.note, this.error, this.retry, this.list.node,
    );
    setText(this.note, "Loading the list of photos …");
    setText(this.error, "");
  }

  async open(id) {
    if (await showErrors(this.error, () => this.store.open(id).then(() => true))) foldDrawer(this.section, true);
  }

  /** The next photo is the next one of this list. */
  setOrder() {
    this.store.order = this.order.value;
    return this.load();
  }

  /** Get the whole list, which is small even for thousands of photos; what is there is shown at once. */
  async load() {
    const load = ++this.loads;
    const order = this.order.value;
    const found = new Map();
    const isLatest = () => load === this.loads;
    // A queue has only the photos that it is about: the others follow by their names.
    const answer = await showErrors(this.error, async () => {
      for (const each of order === "name" ? ["name"] : [order, "name"]) {
        if (isLatest() && found.size < this.store.project.n_photos) await this.loadOrder(each, order, found, isLatest);
      }
      return true;
    });
    if (isLatest()) this.retry.hidden = answer !== null;
  }

  async loadOrder(each, order, found, isLatest) {
    for (let offset = 0, total = 1; offset < total; ) {
      const limit = found.size ? NEXT_REQUESTS : FIRST_REQUEST;
      const page = await this.store.api.get(`/api/photos?order=${each}&status=all&offset=${offset}&limit=${limit}`);
      if (!isLatest()) return;
      for (const photo of page.photos) if (!found.has(photo.id)) found.set(photo.id, photo);
      offset += page.photos.length;
      total = page.photos.length ? page.total : 0;
      this.take([...found.values()], order);
    }
  }

  take(photos, order) {
    const isOther = order !== this.orderShown;
    Object.assign(this, { photos, orderShown: order });
    this.byId = new Map(photos.map((photo) => [photo.id, photo]));
    this.sift(isOther);
    if (isOther) this.reachOpen();
  }

  sift(toTop = true) {
    this.shown = matching(this.photos, this.search.value, this.status.value);
    if (toTop) this.list.node.scrollTop = 0;
    this.list.update(this.shown.length);
    setText(this.note, this.noteText());
  }

  noteText() {
    const { checks } = this.store.status ?? {};
    if (this.order.value === "suspicious" && checks?.state !== "ready" && !checks?.n_suspicious) {
      return "Nothing is checked yet: start a check in the panel Checks.";
    }
    const isSifted = this.search.value || this.status.value !== "all";
    if (!this.shown.length) return isSifted ? "No photo matches." : "There are no photos.";
    return isSifted ? `${counted(this.shown.length, "photo")} of ${this.photos.length}` : "";
  }

  fill(row, photo) {
    const [image, text] = row.children;
    if (row.dataset.photo !== `${photo.id}`) image.removeAttribute("src");
    row.dataset.photo = photo.id;
    const [name, status, reason] = text.children;
    name.textContent = photo.name;
    name.title = photo.name;
    const [icon, word] = status.children;
    icon.textContent = STATUSES[photo.status].icon;
    word.textContent = rowText(photo);
    reason.textContent = photo.reason || "";
    reason.title = photo.reason || "";
    row.dataset.status = photo.status;
    row.setAttribute("aria-selected", photo.id === this.store.photo?.id);
  }

  showThumbnail(row, photo) {
    const image = row.firstChild;
    if (photo && !image.hasAttribute("src")) image.src = `/api/photos/${photo.id}/thumbnail`;
  }

  reachOpen() {
    const index = this.shown.findIndex((photo) => photo.id === this.store.photo?.id);
    if (index >= 0) this.list.reach(index);
  }

  onPhoto() {
    this.list.update(this.shown.length);
    this.reachOpen();
  }

  /** The photo was edited here: its line follows without a request. */
  onChange() {
    const { photo } = this.store;
    if (photo) this.correct(photo.id, photo.status, photo.objects.length);
  }

  correct(id, status, nObjects) {
    const photo = this.byId?.get(id);
    if (!photo || (photo.status === status && photo.n_objects === nObjects)) return;
    Object.assign(photo, { status, n_objects: nObjects });
    this.sift(false);
  }

  onStatus() {
    const { counts, changed = [], model, checks } = this.store.status;
    const total = Object.values(counts).reduce((sum, n) => sum + n, 0);
    setText(this.counts, countsText(counts));
    this.bar.max = Math.max(1, total);
    this.bar.value = counts.done;
    this.follow(changed.filter((id) => id !== this.store.photo?.id));
    // The order is another one when there is a new model or the check has ended, and stays while somebody works.
    const basis = { name: "", queue: `${model.version}`, suspicious: checks.state }[this.order.value];
    const isOther = this.basis?.order === this.order.value && this.basis.value !== basis;
    this.basis = { order: this.order.value, value: basis };
    if (isOther) this.load();
  }

  /** Photos changed elsewhere, such as in another tab. */
  async follow(changed) {
    const known = changed.filter((id) => this.byId?.has(id));
    if (known.length > MAX_SINGLE_REQUESTS) return this.load();
    return showErrors(this.error, async () => {
      for (const id of known) {
        const photo = await this.store.api.get(`/api/photos/${id}`);
        this.correct(id, photo.status, photo.objects.length);
      }
    });
  }
}

function makeRow() {
  const image = element("img", { alt: "", decoding: "async", width: 64, height: 48 });
  const status = element("span", { class: "state" }, element("b", { "aria-hidden": "true" }), element("span"));
  const [name, reason] = ["name", "reason"].map((part) => element("span", { class: part }));
  const text = element("span", { class: "row-text" }, name, status, reason);
  return element("div", { class: "row" }, image, text);
}
