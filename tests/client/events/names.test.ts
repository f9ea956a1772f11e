// Names come from callers: the recorder keeps a limited number, and those beyond it are recorded all the same.

import { expect, test } from "bun:test";
import { type MicroView, NAMES_MAX } from "../../../src/client/index.ts";
import { TestHost } from "../../support/host.ts";
import { Recorded } from "../../support/recorded.ts";

const AGAIN = "again and again";

test.each([
  ["loggers", (mv: MicroView, name: string) => mv.logger(name)],
  ["measures", (mv: MicroView, name: string) => mv.measure(name)],
  ["spans", (mv: MicroView, name: string) => mv.span(name)],
  ["spans of a kind", (mv: MicroView, name: string) => mv.span(name, { kind: "client" })],
])("%s beyond the limit use up none of the table of definitions", async (_, ask) => {
  await using host = new TestHost();
  const mv = host.client({ poolDir: host.poolDir });
  for (let i = 0; i < NAMES_MAX; i++) ask(mv, `n${i}`);
  const recorded = new Recorded(host);
  const before = recorded.text;
  for (let i = 0; i < 10; i++) ask(mv, AGAIN);
  expect(recorded.text === before).toBe(true);
});

test("what is recorded by a name beyond the limit says the name", async () => {
  await using host = new TestHost();
  const mv = host.client({ poolDir: host.poolDir });
  for (let i = 0; i < NAMES_MAX; i++) {
    mv.logger(`n${i}`);
    mv.measure(`n${i}`);
    mv.span(`n${i}`);
  }
  mv.logger(AGAIN).info("a line", { a: 1 });
  mv.measure(AGAIN, "ms").record(5);
  mv.span(AGAIN).run(() => {});
  const recorded = new Recorded(host);
  expect(recorded.of("log")).toMatchObject([{ properties: { a: 1, target: AGAIN } }]);
  expect(recorded.of("measure")).toMatchObject([{ name: AGAIN, unit: "ms", value: 5 }]);
  expect(recorded.of("begin")).toMatchObject([{ name: AGAIN }]);
});
