// Preloaded, ours is what a program and its libraries get when they ask for prom-client.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { ROOT, TestHost } from "../support/host.ts";
import { outcomeOf } from "../support/outcome.ts";
import { surroundings } from "../support/surroundings.ts";

const PRELOAD = join(ROOT, "src/prom-client/preload.ts");
const SOURCE = JSON.stringify(join(ROOT, "src/prom-client/index.ts"));

/** Libraries as they are published: in node_modules, as CommonJS, as its translation from ESM, and as ESM. */
const LIBRARIES = {
  "node_modules/plain/index.js": `
    const { Counter } = require("prom-client");
    exports.counter = new Counter({ name: "plain_total", help: "h" });`,
  "node_modules/translated/index.js": `
    const client = ((m) => (m && m.__esModule ? m : { default: m }))(require("prom-client"));
    exports.counter = new client.default.Counter({ name: "translated_total", help: "h" });`,
  "node_modules/modern/index.mjs": `
    import client, { register } from "prom-client";
    import * as all from "prom-client";
    export const counter = new all.Counter({ name: "modern_total", help: "h" });
    export const isOne = client.register === register && all.register === register;`,
};

const PROGRAM = `
  import { register } from ${SOURCE};
  import plain from "plain";
  import translated from "translated";
  import { counter, isOne } from "./node_modules/modern/index.mjs";
  for (const each of [plain.counter, translated.counter, counter]) each.inc();
  const names = register.getMetricsAsArray().map(({ name }) => name);
  console.log(JSON.stringify({ names: names.sort(), isOne }));`;

async function run(host: TestHost, files: Record<string, string>) {
  for (const [path, code] of Object.entries(files)) await Bun.write(join(host.folder, path), code);
  const child = host.own(
    Bun.spawn([process.execPath, "--preload", PRELOAD, "program.ts"], {
      cwd: host.folder,
      env: surroundings({ MICROVIEW_SOCKET: host.socketPath }),
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    }),
  );
  return outcomeOf(child);
}

describe("preloaded", () => {
  test("it is what libraries import as prom-client, which need not be there", async () => {
    await using host = new TestHost();
    const { stdout, stderr, exitCode } = await run(host, { ...LIBRARIES, "program.ts": PROGRAM });
    expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
    const names = ["modern_total", "plain_total", "translated_total"];
    expect(JSON.parse(stdout)).toEqual({ names, isOne: true });
  });

  test("it is so in a Worker that preloads it too", async () => {
    await using host = new TestHost();
    const { stdout, stderr } = await run(host, {
      "program.ts": `
        const worker = new Worker("./worker.ts", { preload: ${JSON.stringify(PRELOAD)} });
        worker.onmessage = ({ data }) => { console.log(data); worker.terminate(); };`,
      "worker.ts": `
        import { Counter } from "prom-client";
        import * as ours from ${SOURCE};
        postMessage(Counter === ours.Counter);`,
    });
    expect({ stdout, stderr }).toEqual({ stdout: "true\n", stderr: "" });
  });
});
