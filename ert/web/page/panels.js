/** The lists beside the photo, and files that are saved. */

/** @param {string} id */
export function element(id) {
  return document.getElementById(id);
}

/** A number of things: "1 face", "2 faces". */
export function plural(n, what) {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}

/** Save a file through the browser. */
export function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // Browsers read it a little later.
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

/**
 * List the photos.
 * @param {object[]} photos
 * @param {object | undefined} current
 * @param {string} what an object is
 * @param {(photo: object) => void} select
 */
export function showPhotos(photos, current, what, select) {
  fill(element("photos"), photos, (photo) => {
    const found = photo.done ? plural(photo.objects.length, what) : "waiting";
    const button = make("button", photo.name, make("small", photo.error ?? found));
    if (photo.error !== null) {
      button.lastChild.className = "fault";
    }
    button.setAttribute("aria-current", String(photo === current));
    button.addEventListener("click", () => select(photo));
    return [button];
  });
}

/**
 * List the objects of a photo or of a picture of the camera.
 * @param {object[]} objects
 * @param {string} what
 * @param {((object: object) => void) | null} look null: they cannot be chosen
 * @param {((object: object) => void) | null} remove
 */
export function showObjects(objects, what, look, remove) {
  const title = what[0].toUpperCase() + what.slice(1);
  fill(element("objects"), objects, (object, i) => {
    const confidence = object.confidence === null ? "" : `confidence ${object.confidence.toFixed(2)}`;
    if (look === null) {
      return [make("span", `${title} ${i + 1} `, make("small", confidence))];
    }
    const button = make("button", `${title} ${i + 1}`, make("small", confidence));
    button.title = `Enlarge ${what} ${i + 1}`;
    button.addEventListener("click", () => look(object));
    const away = make("button", "Remove");
    away.setAttribute("aria-label", `Remove ${what} ${i + 1}`);
    away.addEventListener("click", () => remove(object));
    return [button, away];
  });
}

/**
 * List the coordinates of the landmarks.
 * @param {object[]} objects
 * @param {string[]} names
 * @param {string} what
 */
export function showPoints(objects, names, what) {
  const hasStd = objects.some((object) => object.std !== null);
  const columns = ["landmark", "x", "y", ...(hasStd ? ["standard error"] : [])];
  const head = make("thead", make("tr", ...columns.map((name) => header(name, "col"))));
  const bodies = objects.map((object, i) => {
    const rows = names.map((name, k) => {
      const values = [object.landmarks[2 * k], object.landmarks[2 * k + 1], ...(object.std ? [object.std[k]] : [])];
      return make("tr", header(name, "row"), ...values.map((value) => make("td", value.toFixed(1))));
    });
    const title = header(`${what} ${i + 1}`, "rowgroup");
    title.colSpan = columns.length;
    return make("tbody", ...(objects.length > 1 ? [make("tr", title)] : []), ...rows);
  });
  element("points").replaceChildren(...(objects.length ? [head, ...bodies] : []));
}

function fill(list, items, parts) {
  const { activeElement } = document;
  const focused = Array.from(list.querySelectorAll("button")).indexOf(activeElement);
  list.replaceChildren(...items.map((item, i) => make("li", ...parts(item, i))));
  // The buttons are new ones: the keyboard stays where it was.
  if (focused >= 0) {
    const buttons = list.querySelectorAll("button");
    buttons[Math.min(focused, buttons.length - 1)]?.focus({ preventScroll: true });
  }
}

function header(text, scope) {
  const made = make("th", text);
  made.scope = scope;
  return made;
}

function make(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}
