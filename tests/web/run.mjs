// node run.mjs JOBS.json: print the results of the jobs in a file, as JSON.
import { readFile } from "node:fs/promises";
import * as ert from "../../ert/web/ert.js";
import { runJobs } from "./jobs.mjs";

const jobs = JSON.parse(await readFile(process.argv[2]));
console.log(JSON.stringify(await runJobs(ert, jobs, readFile)));
