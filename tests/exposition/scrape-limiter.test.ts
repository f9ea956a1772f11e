// Long texts that are being taken: how many at once, for how long, and what is held of them afterwards.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { BusyError, ScrapeLimiter } from "../../src/exposition/scrape-limiter.ts";
import { outcomeOf } from "../support/outcome.ts";
import { until } from "../support/wait.ts";

function gate(atOnce: number, deadlineMs = 60_000) {
  const told = { refused: 0, cut: 0, failed: [] as unknown[] };
  const made = new ScrapeLimiter(
    { atOnce, deadlineMs },
    {
      refused: () => told.refused++,
      cut: () => told.cut++,
      failed: (error) => told.failed.push(error),
      clash() {},
    },
  );
  return { made, told };
}

function pieces(count: number) {
  let left = count;
  return { next: () => (left-- > 0 ? Uint8Array.of(left) : undefined) };
}

test("no more are taken at once than may be, and there is room again however one ends", async () => {
  const { made, told } = gate(2);
  const whole = made.open([Uint8Array.of(7)], pieces(3));
  const left = made.open([], pieces(3));
  expect(() => made.open([], pieces(1))).toThrow(BusyError);
  expect({ active: made.active, ...told }).toEqual({
    active: 2,
    refused: 1,
    cut: 0,
    failed: [],
  });
  expect([...(await new Response(whole).bytes())]).toEqual([7, 2, 1, 0]);
  expect(made.active).toBe(1);
  await left.cancel();
  expect(made.active).toBe(0);
  expect(told.cut).toBe(0);
});

test("what is not taken in time breaks off, and does not just end", async () => {
  const { made, told } = gate(1, 5);
  const reader = made.open([Uint8Array.of(1), Uint8Array.of(2)], pieces(9)).getReader();
  expect((await reader.read()).done).toBe(false);
  await until("it is cut", () => told.cut === 1);
  expect(made.active).toBe(0);
  expect(reader.read()).rejects.toThrow("not taken in time");
});

test("a text that cannot be completed breaks off, is reported, and leaves nothing on stderr", async () => {
  const program = `
    import { ScrapeLimiter } from ${JSON.stringify(join(import.meta.dir, "../../src/exposition/scrape-limiter.ts"))};
    const told = [];
    const events = { refused() {}, cut() {}, clash() {}, failed: (error) => told.push(String(error)) };
    const gate = new ScrapeLimiter({ atOnce: 1, deadlineMs: 60_000 }, events);
    let left = 3;
    const pieces = { next() { if (left-- > 0) return new Uint8Array(100_000); throw new Error("a fault"); } };
    const fetchText = () => new Response(gate.open([new Uint8Array(1)], pieces));
    const server = Bun.serve({ port: 0, hostname: "127.0.0.1", development: false, fetch: fetchText });
    const answer = await fetch(server.url).then((response) => response.bytes()).then(() => "whole", () => "broken off");
    console.log(JSON.stringify({ answer, told, active: gate.active }));
    await server.stop(true);
  `;
  const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe", stderr: "pipe" });
  const { stdout, stderr } = await outcomeOf(child);
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual({ answer: "broken off", told: ["Error: a fault"], active: 0 });
});

test("pieces are made as they are taken, and none ahead", async () => {
  const { made } = gate(1);
  let asked = 0;
  const stream = made.open([Uint8Array.of(1)], { next: () => Uint8Array.of(++asked) });
  const reader = stream.getReader();
  await reader.read();
  expect(asked).toBe(0);
  await reader.read();
  expect(asked).toBe(1);
  await reader.cancel();
});
