/** On a small screen the panels are a drawer beside the photo: one is open at most, and the photo gives it room. */

import { button, element, isNarrow, NARROW } from "./elements.js";

const SWIPE_PIXELS = 30;

/** @param {HTMLElement} aside holds the panels @param {() => void} closed called after a button or gesture closed it */
export function mountDrawer(aside, closed) {
  const panels = [...aside.querySelectorAll("details.panel")];
  const closeOthers = (kept) => panels.forEach((panel) => { if (panel !== kept) panel.open = false; });
  for (const panel of panels) {
    panel.addEventListener("toggle", () => { if (panel.open && isNarrow()) closeOthers(panel); });
  }
  const narrowed = () => { if (isNarrow()) closeOthers(null); };
  NARROW.addEventListener("change", narrowed);
  narrowed();

  const close = () => {
    closeOthers(null);
    closed();
  };
  const head = element("div", { class: "drawer-head" }, element("span", { class: "grip", "aria-hidden": "true" }),
    button("✕", close, { "aria-label": "Close the panel", title: "Close the panel" }));
  aside.prepend(head);
  let start = null;
  head.addEventListener("pointerdown", (event) => { start = [event.clientX, event.clientY]; });
  head.addEventListener("pointercancel", () => { start = null; });
  window.addEventListener("pointerup", (event) => {
    if (start === null) return;
    // Towards the tabs: down, or to the right where they are beside the photo.
    const moved = Math.max(event.clientX - start[0], event.clientY - start[1]);
    start = null;
    if (moved > SWIPE_PIXELS) close();
  });
}
