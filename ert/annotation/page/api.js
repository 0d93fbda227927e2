/** Requests to the server that this page came from. */

/** An answer that is not a success; `status` is 0 if there was no answer at all. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} text one line for the person
   * @param {any} [body] the JSON of the answer
   */
  constructor(status, text, body = null) {
    super(text);
    this.name = "ApiError";
    this.status = status;
    this.body = body;
  }
}

async function send(method, path, body, signal) {
  const options = { method, signal, headers: { Accept: "application/json" }, cache: "no-store" };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server does not answer.");
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, answer?.error ?? `Error ${response.status}`, answer);
  return answer;
}

/** @param {string} path @param {AbortSignal} [signal] @returns {Promise<any>} */
export const get = (path, signal) => send("GET", path, undefined, signal);

/** @param {string} path @param {any} body @returns {Promise<any>} */
export const put = (path, body) => send("PUT", path, body);

/** @param {string} path @param {any} [body] @returns {Promise<any>} */
export const post = (path, body = {}) => send("POST", path, body);

/** @param {string} path @returns {Promise<any>} */
export const del = (path) => send("DELETE", path);

/**
 * An image, decoded. The caller closes it.
 *
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @returns {Promise<ImageBitmap>}
 */
export async function getImage(path, signal) {
  let response;
  try {
    response = await fetch(path, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server does not answer.");
  }
  if (!response.ok) {
    const answer = await response.json().catch(() => null);
    throw new ApiError(response.status, answer?.error ?? `Error ${response.status}`, answer);
  }
  return createImageBitmap(await response.blob());
}
