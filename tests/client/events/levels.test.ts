// What is recorded and what is not: as the service has set it, and as an operator asks, while the service runs.

import { describe, expect, test } from "bun:test";
import { type EventsOptions, MicroView } from "../../../src/client/index.ts";
import {
  CONTROL_OFF,
  CONTROL_SWITCH,
  LEVELS,
  type Level,
  sampleThreshold,
} from "../../../src/layout/index.ts";
import { TestHost } from "../../support/host.ts";
import { askOf } from "../../support/rings.ts";
import { eventsOf, messagesOf, ringPath } from "./recorded.ts";

function service(host: TestHost, events: EventsOptions = {}): MicroView {
  return host.client({ poolDir: host.poolDir, events });
}

/** The levels of which a line is recorded now. */
function recorded(mv: MicroView, host: TestHost): string[] {
  const before = messagesOf(host).length;
  const log = mv.logger("part");
  for (const level of LEVELS) log[level](level);
  const now = messagesOf(host).slice(before);
  expect(LEVELS.filter((level) => log.isEnabled(level))).toEqual(now as Level[]);
  return now;
}

describe("levels", () => {
  test("are those from info up, unless the service says otherwise", async () => {
    for (const [level, upTo] of [
      [undefined, 4],
      ["off", 0],
      ["fatal", 1],
      ["warn", 3],
      ["trace", 6],
    ] as const) {
      await using host = new TestHost();
      const mv = service(host, level === undefined ? {} : { level });
      expect(mv.log.isEnabled("fatal")).toBe(level !== "off");
      expect(recorded(mv, host)).toEqual(LEVELS.slice(0, upTo));
    }
  });

  test("change when an operator asks, in both directions, and back", async () => {
    await using host = new TestHost();
    const mv = service(host, { level: "warn" });
    mv.log.error("made");
    const path = ringPath(host);
    askOf(path, { level: LEVELS.indexOf("debug") + 1 });
    expect(recorded(mv, host)).toEqual(LEVELS.slice(0, 5));
    askOf(path, { level: LEVELS.indexOf("fatal") + 1 });
    expect(recorded(mv, host)).toEqual(["fatal"]);
    askOf(path, { level: CONTROL_OFF });
    expect(recorded(mv, host)).toEqual([]);
    askOf(path, {});
    expect(recorded(mv, host)).toEqual(LEVELS.slice(0, 3));
  });

  test("are again as the service says when the time is over, though nobody resets them", async () => {
    await using host = new TestHost();
    const mv = service(host);
    mv.log.error("made");
    const path = ringPath(host);
    askOf(path, { level: CONTROL_OFF, untilUnixMs: Date.now() + 3_600_000 });
    expect(recorded(mv, host)).toEqual([]);
    askOf(path, {
      level: CONTROL_OFF,
      spans: CONTROL_SWITCH.off,
      measures: CONTROL_SWITCH.off,
      sample: 1,
      untilUnixMs: Date.now() - 1,
    });
    expect(recorded(mv, host)).toEqual(LEVELS.slice(0, 4));
    mv.measure("m").record(1);
    expect(mv.span("s").begin().isRecording).toBe(true);
    askOf(path, { level: 6, untilUnixMs: Number.NaN });
    expect(recorded(mv, host)).toEqual(LEVELS.slice(0, 4));
  });
});

test("spans, measures and sampling change when an operator asks", async () => {
  await using host = new TestHost();
  const mv = service(host, { spans: false, sample: 0 });
  const measure = mv.measure("latency", "seconds");
  const span = mv.span("query");
  const kinds = () => {
    const before = eventsOf(host).length;
    measure.record(1);
    measure.record(1, { route: "/" });
    span.run(() => {});
    return eventsOf(host)
      .slice(before)
      .map(({ kind }) => kind);
  };
  expect(kinds()).toEqual(["measure", "measure"]);
  const path = ringPath(host);
  askOf(path, { measures: CONTROL_SWITCH.off });
  expect(kinds()).toEqual([]);
  askOf(path, { spans: CONTROL_SWITCH.on });
  expect(kinds()).toEqual(["measure", "measure"]);
  askOf(path, { spans: CONTROL_SWITCH.on, sample: sampleThreshold(1) });
  expect(kinds()).toEqual(["measure", "measure", "begin", "end"]);
});

test("a logger's lines say which part of the program they are of, also where the table is full", async () => {
  await using host = new TestHost();
  const mv = service(host);
  const [plain, http] = [mv.log, mv.logger("http")];
  const long = "x".repeat(300);
  plain.info("plain");
  http.error(new Error("no answer"), { attempt: 1 });
  mv.logger(long).warn("of a long name", { a: 1 });
  mv.logger(long).warn(new Error("of a long name"));
  expect(eventsOf(host)).toMatchObject([
    { message: "plain", target: "", properties: {} },
    { message: "no answer", target: "http", properties: { attempt: 1, error: { name: "Error" } } },
    { message: "of a long name", target: "", properties: { a: 1, target: long } },
    { message: "of a long name", properties: { target: long, error: { name: "Error" } } },
  ]);
});

test("a measure says where it was declared, and what it is of", async () => {
  await using host = new TestHost();
  service(host).measure("rows", "1", { target: "db" }).record(1);
  expect(eventsOf(host)).toMatchObject([
    {
      name: "rows",
      unit: "1",
      target: "db",
      place: expect.stringMatching(/^tests\/client\/events\/levels\.test\.ts:\d+$/),
    },
  ]);
});

test("options that cannot be are refused when the client is made", () => {
  const made = (events: object) => () => new MicroView({ app: "shop", service: "auth", events });
  expect(made({ level: "verbose" })).toThrow("level has to be one of fatal, error, warn");
  expect(made({ spans: "on" })).toThrow("spans has to be true or false");
  expect(made({ sample: 2 })).toThrow("sample has to be a number from 0 to 1");
  expect(made({ trustTraceparent: 1 })).toThrow("trustTraceparent has to be true or false");
});
