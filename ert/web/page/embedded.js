/** What the page contains besides its code: the model, settings, the cascade of the face detector, an example. */

/**
 * @typedef {{name: string, boxSource: string, object: string, links: number[][], cascade: object | null}} Settings
 */

/** @returns {Settings} */
export function readSettings() {
  return JSON.parse(document.getElementById("settings").textContent);
}

/**
 * The bytes of an element whose text is base64; null if there is no such element.
 * @param {string} id
 * @returns {Uint8Array | null}
 */
export function readBytes(id) {
  const element = document.getElementById(id);
  if (element === null) {
    return null;
  }
  const text = element.textContent.trim();
  if (Uint8Array.fromBase64) {
    return Uint8Array.fromBase64(text);
  }
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = characters.charCodeAt(i);
  }
  return bytes;
}

/** The example as a file; null if the page has none. */
export function readExample() {
  const bytes = readBytes("example");
  return bytes && new File([bytes], document.getElementById("example").dataset.name);
}
