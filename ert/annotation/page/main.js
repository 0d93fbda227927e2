/** Puts the page together. */

import { Store } from "./store.js";

const PANELS = ["photos", "model", "checks", "measure"];

const store = new Store();
for (const name of PANELS) {
  const { mount } = await import(`./${name}.js`);
  mount(document.getElementById(name), store);
}
await store.start();
