// Names of scopes come from callers, so a provider keeps a limited number of loggers and tracers. The others record too.

import { expect, test } from "bun:test";
import { NAMES_MAX } from "../../src/client/index.ts";
import { LoggerProvider, TracerProvider } from "../../src/opentelemetry/index.ts";
import { TestHost } from "../support/host.ts";
import { Recorded } from "../support/recorded.ts";

test("a logger whose scope is one of too many is not kept, and its logs have the scope as a property", async () => {
  await using host = new TestHost();
  const provider = new LoggerProvider({ mv: host.client({ poolDir: host.poolDir }) });
  const scopes = Array.from({ length: NAMES_MAX }, (_, i) => `scope ${i}`);
  const kept = scopes.map((scope) => provider.getLogger(scope));
  expect(scopes.every((scope, i) => provider.getLogger(scope) === kept[i])).toBe(true);
  const more = provider.getLogger("one more");
  expect(provider.getLogger("one more")).not.toBe(more);
  kept[7]!.emit({ body: "of one that is kept" });
  more.emit({ body: "of one that is not", attributes: { a: 1 } });
  const recorded = new Recorded(host).of("log");
  expect(recorded.map(({ target, properties }) => ({ target, properties }))).toEqual([
    { target: "scope 7", properties: {} },
    { target: "", properties: { a: 1, target: "one more" } },
  ]);
});

test("a tracer whose scope is one of too many is not kept, and its spans have name, kind and scope all the same", async () => {
  await using host = new TestHost();
  const provider = new TracerProvider({ mv: host.client({ poolDir: host.poolDir }) });
  const scopes = Array.from({ length: NAMES_MAX }, (_, i) => `scope ${i}`);
  const kept = scopes.map((scope) => provider.getTracer(scope));
  expect(scopes.every((scope, i) => provider.getTracer(scope) === kept[i])).toBe(true);
  const more = provider.getTracer("one more");
  expect(provider.getTracer("one more")).not.toBe(more);
  kept[7]!.startSpan("a").end();
  more.startSpan("b", { kind: 1 }).end();
  const begun = new Recorded(host).of("begin");
  expect(begun.map(({ name, target, spanKind }) => [name, target, spanKind])).toEqual([
    ["a", "scope 7", "internal"],
    ["b", "one more", "server"],
  ]);
});

test("scopes beyond the limit use up none of the table of definitions", async () => {
  await using host = new TestHost();
  const mv = host.client({ poolDir: host.poolDir });
  const provider = new LoggerProvider({ mv });
  for (let i = 0; i < NAMES_MAX; i++) provider.getLogger(`scope ${i}`);
  const recorded = new Recorded(host);
  const before = recorded.text;
  for (let i = 0; i < 100; i++) provider.getLogger("again and again");
  expect(recorded.text).toBe(before);
});
