/** Puts the page together. */

import { makeActions } from "./actions.js";
import * as checks from "./checks.js";
import { titleOf } from "./content.js";
import { mountDrawer } from "./drawer.js";
import { element, foldDrawer } from "./elements.js";
import { hint } from "./hint.js";
import { fillSheet, listen } from "./keys.js";
import * as landmarks from "./landmarks.js";
import * as measure from "./measure.js";
import * as model from "./model.js";
import * as photos from "./photos.js";
import { Store } from "./store.js";
import { mountNotice, mountTopbar } from "./topbar.js";
import { Tools } from "./tools.js";
import { View } from "./view.js";

const PANELS = { photos, model, checks, measure };
const POLL_MS = 1000;
const MESSAGE_MS = 6000;
const THEMES = ["", "light", "dark"];

const byId = (id) => document.getElementById(id);

function switchTheme() {
  const { dataset } = document.documentElement;
  const dark = dataset.theme ? dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("ert.theme", dataset.theme);
  } catch {
    // The choice holds until the page is closed.
  }
}

function restoreTheme() {
  try {
    const theme = localStorage.getItem("ert.theme") ?? "";
    if (THEMES.includes(theme)) document.documentElement.dataset.theme = theme;
  } catch {
    // A browser that keeps nothing follows the system.
  }
}

function makeWindows(store, view) {
  const goTo = byId("go-to");
  const names = byId("names");
  const input = goTo.querySelector("input");
  const filled = () => names.replaceChildren(...store.project.landmarks.map((value) => element("option", { value })));
  store.addEventListener("project", filled);
  goTo.querySelector("form").addEventListener("submit", () => {
    const k = landmarks.findLandmark(store.project.landmarks, input.value);
    if (k === null) store.say(`No landmark "${input.value}".`);
    else store.select(k);
    view.canvas.focus();
  });
  return {
    sheet: () => byId("sheet").showModal(),
    goTo: () => {
      input.value = "";
      goTo.showModal();
    },
    panels: () => {
      const within = (id) => document.activeElement?.closest(id);
      if (within("#panels")) document.querySelector("#top button").focus();
      else (within("#top") ? view.canvas : document.querySelector("#panels summary")).focus();
    },
  };
}

function makeMessages(store) {
  const line = byId("message");
  let timer;
  store.addEventListener("message", (event) => {
    line.textContent = event.detail;
    clearTimeout(timer);
    timer = setTimeout(() => { line.textContent = ""; }, MESSAGE_MS);
  });
}

/** What a person who does not see the canvas has to know. */
function describe(store, view, tools) {
  const announce = (text) => { if (byId("announce").textContent !== text) byId("announce").textContent = text; };
  const describeSelection = ({ type }) => {
    if (!store.photo) return;
    const all = store.project.landmarks.length;
    const placed = store.current.landmarks.filter(Boolean).length;
    const k = store.selected;
    const selected = k === null ? "" : `; ${titleOf(store.project.landmarks, k)}, ${landmarks.stateOf(store, k)[1]}`;
    const label = `${store.photo.name}: ${placed} of ${all} landmarks${selected}`;
    view.canvas.setAttribute("aria-label", label);
    announce(type === "photo" ? label : selected.slice(2));
  };
  for (const event of ["photo", "change", "select", "proposal"]) store.addEventListener(event, describeSelection);
  const describeTask = () => {
    if (store.pick || (store.photo && tools.mode !== "mark")) announce(hint(store, tools));
  };
  store.addEventListener("pick", describeTask);
  tools.addEventListener("mode", describeTask);
  // The points that are asked for are on the photo, also for keys.
  store.addEventListener("pick", () => { if (store.pick?.points.length === 0) view.canvas.focus(); });
}

/** The number of the photo is in the address, so that "back" and "reload" show it again. */
function followAddress(store) {
  const idOf = () => (/^#\d+$/.test(location.hash) ? Number(location.hash.slice(1)) - 1 : null);
  store.addEventListener("photo", () => {
    if (idOf() !== store.photo.id) history.pushState(null, "", `#${store.photo.id + 1}`);
  });
  window.addEventListener("popstate", () => {
    const id = idOf();
    if (id !== null && id !== store.photo?.id && id < store.project.n_photos) store.open(id);
  });
  return idOf();
}

async function start() {
  restoreTheme();
  const store = new Store();
  const view = new View(byId("view"), store);
  const tools = new Tools(view, store);
  const actions = makeActions(store, view, tools, makeWindows(store, view));
  mountTopbar(byId("top"), store, view, tools, actions, switchTheme);
  mountNotice(byId("notice"), store);
  fillSheet(byId("sheet"), actions);
  listen(actions, view, tools);
  makeMessages(store);
  mountDrawer(byId("panels"), () => view.canvas.focus({ preventScroll: true }));
  describe(store, view, tools);
  landmarks.mount(byId("landmarks"), store, () => {
    foldDrawer(byId("landmarks"), true);
    view.canvas.focus({ preventScroll: true });
  });
  for (const [name, panel] of Object.entries(PANELS)) panel.mount(byId(name), store);
  // After a click on a button of the bar, keys mean the photo again.
  byId("top").addEventListener("click", (event) => {
    if (event.detail > 0 && !document.querySelector("dialog[open]")) view.canvas.focus({ preventScroll: true });
  });
  window.addEventListener("beforeunload", (event) => {
    if (store.saver.unsaved.size) event.preventDefault();
  });
  const poll = async () => {
    if (!document.hidden) await store.poll();
    setTimeout(poll, POLL_MS);
  };
  await store.start(followAddress(store));
  view.canvas.focus({ preventScroll: true });
  setTimeout(poll, POLL_MS);
}

start().catch((error) => { byId("message").textContent = `The page cannot start: ${error.message}`; });
