// What web_parity.py runs in Node and in Chromium.
import { runJobs } from "../tests/web/jobs.mjs";

export function main(ert, jobs, read) {
  return runJobs(ert, jobs, read);
}
