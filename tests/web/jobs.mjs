/**
 * Predictions asked for by tests and benchmarks, in Node and in browsers.
 *
 * A job is {model, image, width, height, box, mode, roll, assess}: the model and the pixels (gray, or RGB as three bytes
 * a pixel) are names of files; `read` returns the bytes of a file.
 */

/** @param {object} ert  the module @param {object[]} jobs  @param {(name: string) => Promise<Uint8Array>} read */
export async function runJobs(ert, jobs, read) {
  const models = new Map(), results = [];
  for (const job of jobs) {
    try {
      if (!models.has(job.model)) models.set(job.model, await ert.loadModel(await read(job.model), job.model));
      results.push(run(models.get(job.model), job, asImage(await read(job.image), job)));
    } catch (error) {
      results.push({ error: `${error.name}: ${error.message}` });
    }
  }
  return results;
}

function run(model, job, image) {
  const landmarks = model.predict(image, job.box, { mode: job.mode, roll: job.roll });
  if (!job.assess) return { landmarks: [...landmarks] };
  const { std, within, confidence } = model.assess(image, job.box, landmarks);
  return { landmarks: [...landmarks], std: [...std], within: [...within], confidence };
}

/** Return pixels as a browser has them: RGB gets a fourth byte. */
export function asImage(bytes, { width, height }) {
  if (bytes.length === width * height) return { data: bytes, width, height };
  const data = new Uint8ClampedArray(4 * width * height);
  for (let i = 0, to = 0; i < bytes.length; i += 3, to += 4) data.set([bytes[i], bytes[i + 1], bytes[i + 2], 255], to);
  return { data, width, height };
}
