// Without an agent: a service does all that it does with prom-client, says nothing of it, and ends when it is done.

import { describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { ROOT, TestHost } from "../support/host.ts";
import { outcomeOf } from "../support/outcome.ts";
import { patienceNow } from "../support/speed.ts";
import { surroundings } from "../support/surroundings.ts";

const SOURCE = join(ROOT, "src/prom-client/index.ts");

/** Runs a program in a folder of the host's, with an environment of its own. */
async function run(host: TestHost, path: string, code: string, env: Record<string, string> = {}) {
  const file = join(host.folder, path);
  mkdirSync(join(file, ".."), { recursive: true });
  await Bun.write(file, code);
  const child = host.own(
    Bun.spawn([process.execPath, file], {
      cwd: host.folder,
      env: surroundings({ MICROVIEW_SOCKET: host.socketPath, ...env }),
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    }),
  );
  return outcomeOf(child);
}

const USE = `
  client.collectDefaultMetrics();
  const counter = new client.Counter({ name: "requests_total", help: "Requests." });
  counter.inc();
  const text = await client.register.metrics();
  console.log(text.includes("requests_total 1"), text.includes("process_cpu_seconds_total"));
`;

describe("without an agent", () => {
  test("a service says nothing, and ends by itself", async () => {
    await using host = new TestHost();
    const started = performance.now();
    const result = await run(host, "a.ts", `import client from ${JSON.stringify(SOURCE)};${USE}`);
    expect(result).toEqual({ stdout: "true true\n", stderr: "", exitCode: 0 });
    // Nothing waits for an agent: its first retries alone would take longer than this.
    expect(performance.now() - started).toBeLessThan(patienceNow(4_000));
  });

  test("a CommonJS program gets it by require", async () => {
    await using host = new TestHost();
    const code = `(async () => { const client = require(${JSON.stringify(SOURCE)});${USE} })();`;
    const result = await run(host, "a.cjs", code);
    expect(result).toEqual({ stdout: "true true\n", stderr: "", exitCode: 0 });
  });

  test("importing it makes nothing: no client, and no listeners", async () => {
    await using host = new TestHost();
    const result = await run(
      host,
      "a.ts",
      `import cluster from "node:cluster";
       const before = [cluster.listenerCount("message"), process.listenerCount("message")];
       const client = await import(${JSON.stringify(SOURCE)});
       const after = [cluster.listenerCount("message"), process.listenerCount("message")];
       console.log(String(before) === String(after), client.microview());`,
    );
    expect(result.stdout).toBe("true undefined\n");
  });
});

describe("application and service", () => {
  const WHO = `
    import client from ${JSON.stringify(SOURCE)};
    new client.Gauge({ name: "a", help: "h" });
    const { app, service } = client.microview() ?? {};
    console.log(app, service);
  `;

  test("come from the environment", async () => {
    await using host = new TestHost();
    const env = { MICROVIEW_APP: "shop", MICROVIEW_SERVICE: "auth" };
    expect((await run(host, "a.ts", WHO, env)).stdout).toBe("shop auth\n");
  });

  test("are else the default one, and what the nearest package.json says", async () => {
    await using host = new TestHost();
    await Bun.write(join(host.folder, "package.json"), '{ "name": "@acme/auth" }');
    expect((await run(host, "src/deep/a.ts", WHO)).stdout).toBe("default @acme/auth\n");
  });

  test("are else the default one, and the program's name", async () => {
    await using host = new TestHost();
    await Bun.write(join(host.folder, "package.json"), "no JSON");
    expect((await run(host, "src/checkout.ts", WHO)).stdout).toBe("default checkout\n");
  });

  test("that break a rule are told of, and metrics count in private memory", async () => {
    await using host = new TestHost();
    const code = `
      ${WHO}
      client.register.getSingleMetric("a").inc();
      console.log((await client.register.metrics()).split("\\n")[2]);
    `;
    const { stdout, stderr } = await run(host, "a.ts", code, { MICROVIEW_APP: "a/b" });
    expect(stdout).toBe("undefined undefined\na 1\n");
    expect(stderr).toStartWith('microview: the application name "a/b" may have letters');
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });

  test("are cut where they are too long, and never make a program fail", async () => {
    await using host = new TestHost();
    const env = { MICROVIEW_SERVICE: "é".repeat(300), MICROVIEW_POOL_DIR: "/nonexistent" };
    const { stdout, exitCode } = await run(host, "a.ts", WHO, env);
    expect({ stdout, exitCode }).toEqual({ stdout: `default ${"é".repeat(127)}\n`, exitCode: 0 });
  });

  test("can be configured before the first metric, and no more after it", async () => {
    await using host = new TestHost();
    const code = `
      import client from ${JSON.stringify(SOURCE)};
      client.configure({ app: "shop", service: "auth" });
      client.configure({ app: "shop", service: "cart" });
      new client.Gauge({ name: "a", help: "h" });
      console.log(client.microview().service);
      client.configure({ app: "other" });
    `;
    const { stdout, stderr, exitCode } = await run(host, "a.ts", code);
    expect({ stdout, exitCode }).toEqual({ stdout: "cart\n", exitCode: 1 });
    expect(stderr).toContain("configure() comes too late: call it before the first metric is made");
  });
});
