// A program that watches the stop signal and then finishes what never ends. Its argument is after how many ms that is
// given up. Started by ending.test.ts.

import { finishing, once, stopSignal } from "../../src/command-line/stop.ts";

const stop = stopSignal(Number(process.argv[2]));
setInterval(() => {}, 1000);
console.log("ready");
await once(stop);
console.log(`finishing because of ${stop.reason}`);
await finishing("completing run.parquet", new Promise(() => {}), "replay completes it");
