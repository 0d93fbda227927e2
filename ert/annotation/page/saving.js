/**
 * Saves photos: one request at a time for each photo, the newest content wins, again and again while the server does
 * not answer. What is not saved yet is also kept in the storage of the browser's tab.
 */

import { toServer } from "./content.js";

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 5000;
const STORAGE_KEY = "ert.unsaved";

/**
 * @typedef {object} Unsaved
 * @property {string} name name of the photo
 * @property {number} revision that the content is based on
 * @property {import("./content.js").Content} content
 * @property {boolean} sending
 * @property {any} theirs the photo as another program left it, after a conflict
 * @property {string} refused why the server does not take it
 */

export class Saver extends EventTarget {
  /**
   * @param {(id: number, body: object) => Promise<{revision: number}>} send
   * @param {(id: number, name: string) => Promise<void>} verify throws if the photo is another one after an outage
   * @param {{storage?: Storage, later?: (run: () => void, ms: number) => void}} [options]
   */
  constructor(send, verify, { storage = null, later = (run, ms) => setTimeout(run, ms) } = {}) {
    super();
    this.send = send;
    this.verify = verify;
    this.storage = storage;
    this.later = later;
    /** @type {Map<number, Unsaved>} */
    this.unsaved = new Map();
    /** @type {Map<number, number>} */
    this.revisions = new Map();
    /** @type {"" | "unreachable" | "signed out"} */
    this.outage = "";
    this.text = "";
    this.delay = FIRST_RETRY_MS;
    this.waiting = false;
  }

  /** @returns {"saved" | "saving" | "conflict" | "refused" | "unreachable" | "signed out"} */
  get state() {
    if (this.outage) return this.outage;
    const all = [...this.unsaved.values()];
    if (all.some((item) => item.theirs)) return "conflict";
    if (all.some((item) => item.refused)) return "refused";
    return all.length ? "saving" : "saved";
  }

  /** @returns {[number, Unsaved] | null} the first photo that was changed here and elsewhere */
  get conflict() {
    return [...this.unsaved].find(([, item]) => item.theirs) ?? null;
  }

  /** @param {number} id @param {string} name @param {any} content */
  save(id, name, content) {
    const item = this.unsaved.get(id);
    if (item) Object.assign(item, { content, refused: "" });
    else {
      const revision = this.revisions.get(id) ?? 0;
      this.unsaved.set(id, { name, revision, content, sending: false, theirs: null, refused: "" });
    }
    this.#keep();
    this.#push(id);
    this.#announce();
  }

  /** @param {number} id @param {"mine" | "theirs"} choice @returns {any} the photo as another program left it */
  resolve(id, choice) {
    const item = this.unsaved.get(id);
    const theirs = item.theirs;
    this.revisions.set(id, theirs.revision);
    if (choice === "theirs") this.unsaved.delete(id);
    else Object.assign(item, { theirs: null, revision: theirs.revision });
    this.#keep();
    this.#push(id);
    this.#announce();
    return theirs;
  }

  /** Send what an earlier page of this tab could not save. */
  restore() {
    const kept = this.#kept();
    for (const [id, { name, revision, content }] of kept) {
      this.unsaved.set(id, { name, revision, content, sending: false, theirs: null, refused: "" });
    }
    if (kept.length) this.#fail("unreachable", "");
  }

  /** The server answers again: try at once. */
  reachable() {
    if (!this.outage) return;
    this.waiting = false;
    if (this.unsaved.size) this.#pushAll();
    else this.#recover();
  }

  /** @param {number} status 0, or 401 @param {string} text */
  lost(status, text) {
    this.#fail(status === 401 ? "signed out" : "unreachable", text);
  }

  async #push(id) {
    const item = this.unsaved.get(id);
    if (!item || item.sending || item.theirs || item.refused || this.waiting) return;
    item.sending = true;
    const content = item.content;
    try {
      if (this.outage) await this.verify(id, item.name);
      const { revision } = await this.send(id, { revision: item.revision, ...toServer(content) });
      item.revision = revision;
      this.revisions.set(id, revision);
      if (item.content === content) this.unsaved.delete(id);
      this.#recover();
    } catch (error) {
      this.#failed(item, content, error);
    } finally {
      item.sending = false;
    }
    this.#keep();
    this.#announce();
    this.#push(id);
  }

  #failed(item, content, error) {
    if (error.status === 409 && error.body?.photo) item.theirs = error.body.photo;
    else if (error.status === 401) this.#fail("signed out", error.message);
    else if (error.status >= 400 && error.status < 500) item.refused = item.content === content ? error.message : "";
    else this.#fail("unreachable", error.message);
  }

  #fail(outage, text) {
    this.outage = outage;
    this.text = text;
    if (this.waiting) return;
    this.waiting = true;
    this.later(() => {
      this.waiting = false;
      this.#pushAll();
    }, this.delay);
    this.delay = Math.min(this.delay * 2, LAST_RETRY_MS);
    this.#announce();
  }

  #recover() {
    const again = this.outage !== "";
    Object.assign(this, { outage: "", text: "", delay: FIRST_RETRY_MS });
    if (again) this.#pushAll();
    this.#announce();
  }

  #pushAll() {
    for (const id of this.unsaved.keys()) this.#push(id);
  }

  #keep() {
    if (!this.storage) return;
    const kept = [...this.unsaved].map(([id, { name, revision, content }]) => [id, { name, revision, content }]);
    try {
      if (kept.length) this.storage.setItem(STORAGE_KEY, JSON.stringify(kept));
      else this.storage.removeItem(STORAGE_KEY);
    } catch {
      // A full or forbidden storage: the content is still in memory, and beforeunload warns.
    }
  }

  #kept() {
    try {
      return JSON.parse(this.storage?.getItem(STORAGE_KEY) ?? "[]");
    } catch {
      return [];
    }
  }

  #announce() {
    this.dispatchEvent(new Event("save"));
  }
}
