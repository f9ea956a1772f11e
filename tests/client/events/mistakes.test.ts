// Calls that are not quite as they are meant, and rings that nobody reads: what is recorded then, and what is said.

import { expect, test } from "bun:test";
import { TestHost } from "../../support/host.ts";
import { until } from "../../support/wait.ts";
import { eventsOf } from "./recorded.ts";

test("an error beside the message is recorded as one, and so are arguments in pino's order", async () => {
  await using host = new TestHost();
  const { log } = host.client({ poolDir: host.poolDir });
  const error = Object.assign(new Error("no answer"), { code: 7 });
  log.error("failed", error);
  const loose = log.error as (...values: unknown[]) => void;
  loose({ user: 7 }, "signed in");
  loose(error, "failed too");
  loose(null, "nothing");
  const said = { name: "Error", message: "no answer", code: 7, stack: expect.any(String) };
  expect(eventsOf(host)).toMatchObject([
    { message: "failed", properties: { error: said } },
    { message: "signed in", properties: { user: 7 } },
    { message: "failed too", properties: { error: said } },
    { message: "null" },
  ]);
});

test("a value that is no number is NaN, and warned of once", async () => {
  await using host = new TestHost();
  const measure = host.client({ poolDir: host.poolDir }).measure("latency", "seconds");
  for (const value of ["5", "6", null]) measure.record(value as never);
  await until("it is said", () => host.warnings.length > 0);
  expect(host.warnings).toMatchObject([
    { code: "no-number", message: expect.stringContaining("latency was given a string") },
  ]);
  expect(eventsOf(host)).toMatchObject([
    { value: Number.NaN },
    { value: Number.NaN },
    { value: Number.NaN },
  ]);
});

test("a ring that is full says so once, and not for each event", async () => {
  await using host = new TestHost();
  const mv = host.client({ poolDir: host.poolDir });
  const query = mv.span("query");
  for (let i = 0; i < 20_000; i++) query.begin();
  await until("it is said", () => host.warnings.length > 0);
  for (let i = 0; i < 20_000; i++) query.begin();
  await Promise.resolve();
  expect(host.warnings).toMatchObject([
    { code: "ring-full", message: expect.stringContaining("shop/auth is full") },
  ]);
});
