// The programs of docs/events.md and of those on other interfaces do what the pages say, and so does `events tail` with what they have recorded.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { EventFollower } from "../../src/events/index.ts";
import { ROOT, TestHost } from "../support/host.ts";
import { surroundings } from "../support/surroundings.ts";

function programsOf(page: string): string[] {
  const text = readFileSync(join(ROOT, "docs", page), "utf8");
  return [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, program]) => program!);
}

const PROGRAMS = programsOf("events.md");

async function recordedBy(host: TestHost, program: string) {
  const path = join(host.folder, "program.ts");
  const sources = program
    .replaceAll('"microview"', JSON.stringify(join(ROOT, "src/client")))
    .replaceAll(/"microview\/(\w+)"/g, (_, room) => {
      const isPlugin = ["elysia", "hono", "fetch"].includes(room);
      return JSON.stringify(join(ROOT, "src", isPlugin ? `frameworks/${room}.ts` : room));
    })
    .replaceAll(/from "(@opentelemetry\/[\w-]+)"/g, (_, name) => {
      return `from ${JSON.stringify(join(ROOT, "node_modules", name))}`;
    })
    .replaceAll(/from "(pino|hono)"/g, (_, name) => {
      return `from ${JSON.stringify(join(ROOT, "node_modules", name))}`;
    });
  await Bun.write(path, sources);
  const child = Bun.spawn([process.execPath, path], {
    cwd: host.folder,
    env: surroundings({ MICROVIEW_POOL_DIR: host.poolDir }),
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
  });
  host.own(child);
  expect(await child.exited).toBe(0);
  const follower = new EventFollower({
    poolDir: host.poolDir,
    wantsApp: () => true,
    wantsService: () => true,
    onUnreadable: () => {},
  });
  host.onEnd(() => follower.close());
  return follower.next();
}

test("the first program records what it says", async () => {
  await using host = new TestHost();
  const rows = await recordedBy(host, PROGRAMS[0]!);
  const texts = rows.map((row) => ("message" in row ? row.message : "name" in row ? row.name : ""));
  expect(texts.sort()).toEqual(
    [
      ...["signed in", "no answer", "latency", "within the span"],
      ...["within this one, after a wait too", "query", "query", "query"],
    ].sort(),
  );
});

test("the second program continues the trace of its caller", async () => {
  await using host = new TestHost();
  const rows = await recordedBy(host, PROGRAMS[1]!);
  expect(rows).toMatchObject([
    { kind: "log", target: "http", message: "asking billing" },
    {
      kind: "span",
      name: "GET /users/:id",
      spanKind: "server",
      traceId: "0af7651916cd43dd8448eb211c80319c",
      parentId: "b7ad6b7169203331",
      properties: { id: 7, status: 200 },
    },
  ]);
});

test("the third program hides what it says", async () => {
  await using host = new TestHost();
  expect(await recordedBy(host, PROGRAMS[2]!)).toMatchObject([
    { message: "paid by [card]", properties: { iban: "[redacted]" } },
  ]);
});

test("the program with a console records what it says", async () => {
  await using host = new TestHost();
  const program = PROGRAMS.find((each) => each.includes("captureConsole"))!;
  expect(await recordedBy(host, program)).toMatchObject([
    { message: "signed in", properties: { user: 7, password: "[redacted]" } },
  ]);
});

test.each([
  ["first", 0, ["signed in", "failed"]],
  ["second", 1, ["to both"]],
  ["third", 2, ["recorded"]],
] as const)("the %s program of pino.md records what it says", async (_, index, messages) => {
  await using host = new TestHost();
  const rows = await recordedBy(host, programsOf("pino.md")[index]!);
  expect(rows.map((row) => "message" in row && row.message)).toEqual([...messages]);
});

test.each([
  ["all three", "const names", ["signed in", "login"]],
  ["spans", "ask the bank", ["ask the bank", "pay"]],
  ["logs", "SeverityNumber.WARN", ["slow"]],
] as const)(
  "the program of opentelemetry.md for %s records what it says",
  async (_, used, texts) => {
    await using host = new TestHost();
    const program = programsOf("opentelemetry.md").find((each) => each.includes(used))!;
    const rows = await recordedBy(host, program);
    expect(rows.map((row) => ("message" in row ? row.message : "name" in row && row.name))).toEqual(
      [...texts],
    );
  },
);

test("the program of frameworks.md with spans records what it says", async () => {
  await using host = new TestHost();
  const program = programsOf("frameworks.md").find((each) => each.includes("spanOf"))!;
  const stock = Bun.serve({ port: 0, fetch: () => new Response("3 left") });
  host.onEnd(() => stock.stop(true));
  const asked = program.replace(
    "export default app;",
    `await app.request("/orders/7?stock=${stock.url.href}");`,
  );
  const rows = await recordedBy(host, asked);
  expect(rows).toMatchObject([
    { kind: "log", message: "within the request's span" },
    { kind: "span", name: `GET ${stock.url.host}` },
    { kind: "span", name: "GET /orders/:id" },
  ]);
});
