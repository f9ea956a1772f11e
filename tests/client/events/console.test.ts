// What a service says on its console is recorded, said as before, and never twice.

import { afterEach, expect, test } from "bun:test";
import { captureConsole } from "../../../src/client/events/console.ts";
import type { Log } from "../../../src/client/index.ts";
import { LEVELS } from "../../../src/layout/index.ts";
import { TestHost } from "../../support/host.ts";
import { Recorded } from "../../support/recorded.ts";

const METHODS = ["error", "warn", "info", "log", "debug", "trace", "assert"] as const;
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** A console that remembers what was said, and a log that remembers what was recorded. */
function setUp(onLog: (message: unknown) => void = () => {}) {
  const said: unknown[][] = [];
  const recorded: unknown[][] = [];
  const target = {} as Record<(typeof METHODS)[number], (...values: unknown[]) => void>;
  for (const name of METHODS) target[name] = (...values) => void said.push([name, ...values]);
  const log = {} as Record<string, Log["info"]>;
  for (const level of LEVELS) {
    log[level] = (message, properties) => {
      recorded.push([level, message, properties]);
      onLog(message);
    };
  }
  const end = captureConsole(log as unknown as Log, target as unknown as Console);
  return { target, said, recorded, end, log: log as unknown as Log };
}

test("each method is a level, and is said as before", () => {
  const { target, said, recorded } = setUp();
  for (const name of METHODS.slice(0, 6)) target[name](name, 1);
  expect(said).toEqual(METHODS.slice(0, 6).map((name) => [name, name, 1]));
  expect(recorded.map(([level, message]) => `${level}: ${message}`)).toEqual([
    ...["error: error 1", "warn: warn 1", "info: info 1", "info: log 1", "debug: debug 1"],
    "trace: trace 1",
  ]);
});

test("objects become properties, and errors are recorded as errors", () => {
  const { target, recorded } = setUp();
  const error = new Error("failed");
  const list = [1];
  target.log("signed in", { user: 7 });
  target.log({ only: true });
  target.log("two", { a: 1 }, list);
  target.error(error);
  target.error("with a text", error, { id: 1 });
  target.log("%s has %d of %o, %%", "ann", 3, list, null, undefined, 5n);
  target.log("100%", list);
  target.assert(true, "fine");
  target.assert(false);
  target.assert(false, "it is %s", "not");
  expect(recorded).toEqual([
    ["info", "signed in", { user: 7 }],
    ["info", "", { only: true }],
    ["info", "two", { values: [{ a: 1 }, list] }],
    ["error", error, undefined],
    ["error", "with a text", { id: 1, error }],
    ["info", "ann has 3 of %o, % null undefined 5", { values: [list] }],
    ["info", "100%", { values: [list] }],
    ["error", "assertion failed", undefined],
    ["error", "it is not", undefined],
  ]);
});

test("a call within a call is the console's alone, so that nothing recurses", () => {
  const { target, said, recorded } = setUp((message) => target.log(`recorded ${message}`));
  const list = {
    get value() {
      target.warn("from a getter");
      return 1;
    },
  };
  target.info("one");
  target.info("two", list);
  expect(recorded.map(([, message]) => message)).toEqual(["one", "two"]);
  expect(said.map(([, message]) => message)).toEqual([
    ...["recorded one", "one", "recorded two", "two"],
  ]);
});

test("what is captured twice is recorded once, and after its end not at all", () => {
  const first = setUp();
  const recorded: unknown[] = [];
  const log = { ...first.log, info: (message: unknown) => void recorded.push(message) } as Log;
  const end = captureConsole(log, first.target as unknown as Console);
  first.target.log("once");
  expect([first.recorded.length, recorded, first.said.length]).toEqual([0, ["once"], 1]);
  end();
  const { log: original } = first.target;
  original("after");
  expect([recorded.length, first.said.length]).toEqual([1, 2]);
});

test("whoever stands before it keeps his place after its end", () => {
  const { target, said, recorded, end } = setUp();
  const captured = target.log;
  target.log = (...values) => captured("before", ...values);
  target.log("one");
  end();
  target.log("two");
  expect(said).toEqual([
    ["log", "before", "one"],
    ["log", "before", "two"],
  ]);
  expect(recorded.length).toBe(1);
});

test("no value of a call lets it throw", () => {
  const { target, recorded } = setUp();
  const thrower = new Proxy(
    {},
    {
      getPrototypeOf() {
        throw new Error("no");
      },
    },
  );
  target.log("a", thrower, Symbol("s"), () => {});
  target.log("%j %s", 5n, thrower);
  target.log(...([] as unknown[]));
  expect(recorded.map(([, message]) => message)).toEqual(["a Symbol(s)", "5 %s", ""]);
});

test("the console of a thread is recorded in its ring, and secrets are hidden by their names", async () => {
  await using host = new TestHost();
  const mv = host.client({ poolDir: host.poolDir });
  const secret = "swordfish";
  const said: unknown[][] = [];
  const original = console.log;
  console.log = (...values) => void said.push(values);
  ends.push(() => {
    console.log = original;
  });
  ends.push(mv.captureConsole());
  console.log("signed in", { user: 7, password: secret }, [{ token: secret }]);
  console.log("%o", { headers: { cookie: secret } });
  for (const end of ends.splice(1)) end();
  const recorded = new Recorded(host);
  expect(recorded.of("log")).toMatchObject([
    {
      message: "signed in",
      properties: { values: [{ user: 7, password: "[redacted]" }, [{ token: "[redacted]" }]] },
    },
    { message: "%o", properties: { headers: { cookie: "[redacted]" } } },
  ]);
  expect(recorded.text).not.toContain(secret);
  expect(said.length).toBe(2);
});
